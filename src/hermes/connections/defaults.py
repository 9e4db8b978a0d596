"""Which of a customer's accounts on a platform is used when none is named.

It is the one that the customer chose; else the one labelled `default`; else the first by label. What differs from
`default` stands in the customer's row, so that whoever is recognised as the customer knows it, and a call need not ask
(`Caller.default_accounts`). Each change counts the customer's version up, and so counts everywhere within five seconds;
the script that admits a call compares versions, so a call that it lets through uses the account of this moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.connections.models import ConnectionRow
from hermes.errors import NotFound
from hermes.identity.changes import CustomerChanges
from hermes.identity.models import Customer
from hermes.platforms.base import DEFAULT_ACCOUNT
from hermes.storage.sql import Database


def default_first(labels: Iterable[str], chosen: str | None) -> list[str]:
    """Labels of one platform's accounts, the one that is used by default first, then by name.

    Args:
        chosen: the label that stands in the customer's row, if any does.
    """
    return sorted(labels, key=lambda label: (label != chosen, label != DEFAULT_ACCOUNT, label))


class DefaultAccounts:
    """Reads and changes the customer's choice."""

    def __init__(self, database: Database, changes: CustomerChanges) -> None:
        self._database = database
        self._changes = changes

    async def choose(self, customer_id: str, platform: str, label: str) -> None:
        """Use this account from now on when none is named.

        Raises:
            NotFound: there is no such account, or it is not linked to its end.
            RedisError, TimeoutError: as `CustomerChanges.change`; nothing was changed.
        """
        async with self._changes.change(customer_id) as session:
            labels, chosen = await self._read(customer_id, session, platform)
            if label not in labels:
                raise NotFound(
                    "There is no such account to use by default; "
                    + (f"there are {', '.join(labels)}." if labels else "none of this platform is linked."),
                    platform=platform,
                    accounts=labels,
                )
            await self._write(customer_id, session, chosen, platform, label)

    async def follow(self, customer_id: str, platform: str) -> str | None:
        """After an account came or went: make sure that what stands in the customer's row is linked.

        Returns:
            The label of the account that is used by default now; None when there is none.
        """
        async with self._database.reading() as session:
            labels, chosen = await self._read(customer_id, session, platform)
        if self._fits(labels, chosen.get(platform)):
            return labels[0] if labels else None
        async with self._changes.change(customer_id) as session:
            labels, chosen = await self._read(customer_id, session, platform)
            await self._write(customer_id, session, chosen, platform, labels[0] if labels else DEFAULT_ACCOUNT)
        return labels[0] if labels else None

    @staticmethod
    def _fits(labels: list[str], chosen: str | None) -> bool:
        return labels[0] == (chosen or DEFAULT_ACCOUNT) if labels else chosen is None

    async def _read(self, customer_id: str, session: AsyncSession, platform: str) -> tuple[list[str], dict[str, str]]:
        """Labels of the platform's accounts, the default one first, and what stands in the customer's row."""
        chosen = dict(await session.scalar(select(Customer.default_accounts).where(Customer.id == customer_id)) or {})
        linked = select(ConnectionRow.label).where(
            ConnectionRow.customer_id == customer_id,
            ConnectionRow.platform == platform,
            ConnectionRow.ciphertext.is_not(None),
        )
        return default_first(await session.scalars(linked), chosen.get(platform)), chosen

    async def _write(
        self, customer_id: str, session: AsyncSession, chosen: Mapping[str, str], platform: str, label: str
    ) -> None:
        kept: dict[str, Any] = {name: value for name, value in chosen.items() if name != platform}
        if label != DEFAULT_ACCOUNT:
            kept[platform] = label
        await session.execute(update(Customer).where(Customer.id == customer_id).values(default_accounts=kept or None))
