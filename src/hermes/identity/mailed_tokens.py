"""Links that are sent to an address: random, single use, ending soon, kept only as SHA-256.

Opening such a link changes nothing (mail scanners open links, too); the form behind it does, and takes the token.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.errors import NotFound
from hermes.identity.api_key import digest_of
from hermes.identity.ids import new_id
from hermes.identity.models import MailedToken, PlanName, TokenPurpose
from hermes.storage.sql import Database, rows_matched

LASTING: Final[dict[TokenPurpose, timedelta]] = {
    "signup": timedelta(days=1),
    "invite": timedelta(days=7),
    "reset": timedelta(hours=1),
    "change_email": timedelta(days=1),
}
_BYTES: Final = 32
_KEPT: Final = timedelta(days=30)


class MailedTokens:
    """Makes, shows and takes the tokens."""

    def __init__(self, database: Database, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._database = database
        self._now = now

    def add(
        self,
        session: AsyncSession,
        purpose: TokenPurpose,
        email: str,
        *,
        customer_id: str | None = None,
        plan: PlanName | None = None,
    ) -> str:
        """Make a token within a transaction; the answer goes into a link and is kept nowhere."""
        secret, now = secrets.token_urlsafe(_BYTES), self._now()
        session.add(
            MailedToken(
                id=new_id("mtk"),
                digest=digest_of(secret).hex(),
                purpose=purpose,
                customer_id=customer_id,
                email=email,
                plan=plan,
                created_at=now,
                expires_at=now + LASTING[purpose],
                used_at=None,
            )
        )
        return secret

    async def look(self, secret: str, *purposes: TokenPurpose) -> MailedToken:
        """For the house: what a link stands for; the link is all that is known of who opens it.

        Raises:
            NotFound: it is unknown, was used, or has expired.
        """
        async with self._database.reading() as session:
            return await self._find(session, secret, purposes)

    async def take(self, session: AsyncSession, secret: str, *purposes: TokenPurpose) -> MailedToken:
        """For the house: use a token up within a transaction; of two who try, one gets it.

        Raises:
            NotFound: as `look`.
        """
        token = await self._find(session, secret, purposes)
        unused = (MailedToken.id == token.id, MailedToken.used_at.is_(None))
        if await rows_matched(session, update(MailedToken).where(*unused).values(used_at=self._now())) != 1:
            raise _gone()
        return token

    async def void(self, customer_id: str, session: AsyncSession) -> None:
        """Take all of the customer's open tokens back: after a change of password or address."""
        await session.execute(
            update(MailedToken)
            .where(MailedToken.customer_id == customer_id, MailedToken.used_at.is_(None))
            .values(used_at=self._now())
        )

    async def purge(self) -> None:
        """For the house: delete tokens that ended a month ago."""
        async with self._database.session() as session:
            await session.execute(delete(MailedToken).where(MailedToken.expires_at < self._now() - _KEPT))

    async def _find(self, session: AsyncSession, secret: str, purposes: tuple[TokenPurpose, ...]) -> MailedToken:
        """For the house: see `look`."""
        query = select(MailedToken).where(
            MailedToken.digest == digest_of(secret).hex(),
            MailedToken.purpose.in_(purposes),
            MailedToken.used_at.is_(None),
            MailedToken.expires_at > self._now(),
        )
        found = (await session.scalars(query)).one_or_none()
        if found is None:
            raise _gone()
        return found


def _gone() -> NotFound:
    return NotFound("This link was used already or is too old; ask for a new one.")
