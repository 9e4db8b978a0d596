"""Telling customers of what happened to their accounts: an event for their programs, a mail for them if they must act.

Both are written in the transaction of what they tell about, so each is there once if and only if that happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.events import outbox
from hermes.events.letters import Letter
from hermes.events.mail import Mail
from hermes.identity.models import Customer
from hermes.platforms.base import DEFAULT_ACCOUNT

NEEDS_RECONNECT: Final = "connection.needs_reconnect"
EXPIRING: Final = "connection.expiring"


class Telling:
    """Writes events and mails about accounts."""

    def __init__(self, titles: Mapping[str, str], public_url: str, mail: Mail | None = None) -> None:
        """Take the platforms' titles by their ids, where people link accounts, and the mail, if there is to be any."""
        self._titles = titles
        self._public_url = public_url
        self._mail = mail

    async def needs_reconnect(
        self, session: AsyncSession, customer_id: str, platform: str, label: str, reason: str
    ) -> str | None:
        """The platform no longer accepts the account's credential. Returns the mail's id for `dispatch`."""
        await outbox.add(session, customer_id, NEEDS_RECONNECT, platform=platform, account=label, reason=reason)
        name = self._name(platform, label)
        return await self._write(
            session,
            customer_id,
            platform,
            f"Connect {name} again",
            f"{name} no longer lets your assistants in: {reason}",
            "Until you connect it again, whatever your assistants try there fails.",
        )

    async def expiring(
        self, session: AsyncSession, customer_id: str, platform: str, label: str, ends_at: datetime
    ) -> str | None:
        """The account will end and cannot be renewed without the customer. Returns the mail's id for `dispatch`."""
        ends = ends_at.isoformat()
        await outbox.add(session, customer_id, EXPIRING, platform=platform, account=label, expires_at=ends)
        name = self._name(platform, label)
        return await self._write(
            session,
            customer_id,
            platform,
            f"{name} needs you before {ends_at:%d %B %Y}",
            f"The access to {name} that you gave ends on {ends_at:%d %B %Y}, and cannot be made longer without you.",
            "Connect it again before that, and your assistants will notice nothing.",
        )

    async def dispatch(self, mail_id: str | None) -> None:
        """After the commit: have the mail sent soon."""
        if self._mail is not None and mail_id is not None:
            await self._mail.dispatch(mail_id)

    async def _write(
        self, session: AsyncSession, customer_id: str, platform: str, subject: str, *paragraphs: str
    ) -> str | None:
        query = select(Customer.email).where(Customer.id == customer_id)
        address = (await session.execute(query)).scalar_one_or_none()
        if self._mail is None or address is None:
            return None
        link = f"{self._public_url}/connect/{platform}"
        return self._mail.write(
            session,
            Letter(
                "connection", address, subject, paragraphs, link=link, link_label=f"Connect {self._titles[platform]}"
            ),
        )

    def _name(self, platform: str, label: str) -> str:
        title = self._titles.get(platform, platform)
        return title if label == DEFAULT_ACCOUNT else f"{title} ({label})"
