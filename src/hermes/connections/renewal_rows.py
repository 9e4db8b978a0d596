"""The rows of accounts whose tokens are renewed: which are due, and when one is tried again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select, update

from hermes.connections.models import EXPIRING_WITHIN, USABLE, ConnectionRow, Status
from hermes.connections.rows import is_account
from hermes.connections.telling import Telling
from hermes.storage.sql import Database, rows_matched

_FIRST_PAUSE: Final = 30.0
_LONGEST_PAUSE: Final = 3600.0
_CLAIM: Final = timedelta(minutes=5)
"""So long after it was queued, an account whose worker died is queued again."""


@dataclass(frozen=True, slots=True)
class Renewable:
    """An account that was linked by signing in, as its row is now."""

    customer_id: str
    platform: str
    label: str
    provider: str
    sealed: str
    status: Status
    failures: int


class RenewalRows:
    """Reads and schedules rows. What is in a credential only `CredentialStore` changes."""

    def __init__(self, database: Database, telling: Telling | None = None) -> None:
        self._database = database
        self._telling = telling or Telling({}, "")

    async def claim_due(self, now: datetime, batch: int) -> Sequence[tuple[str, str]]:
        """For the house: id and provider of accounts whose tokens are due, whosever they are; each once a while."""
        query = (
            select(ConnectionRow.id, ConnectionRow.provider)
            .where(ConnectionRow.renew_at <= now, ConnectionRow.status.in_(USABLE))
            .order_by(ConnectionRow.renew_at)
            .limit(batch)
        )
        async with self._database.reading() as session:
            due = (await session.execute(query)).all()
        mine = []
        async with self._database.session() as session:
            for one in due:
                claim = update(ConnectionRow).where(ConnectionRow.id == one.id, ConnectionRow.renew_at <= now)
                if await rows_matched(session, claim.values(renew_at=now + _CLAIM)) == 1:
                    mine.append((str(one.id), str(one.provider)))
        return mine

    async def named(self, connection_id: str) -> tuple[str, str, str] | None:
        """For the house: customer, platform and label of an account that a job names by its id."""
        query = select(ConnectionRow.customer_id, ConnectionRow.platform, ConnectionRow.label).where(
            ConnectionRow.id == connection_id
        )
        async with self._database.reading() as session:
            row = (await session.execute(query)).one_or_none()
        return None if row is None else (row.customer_id, row.platform, row.label)

    async def read(self, customer_id: str, platform: str, label: str) -> Renewable | None:
        """The account as it is now; None when it was not linked by signing in, or has no credential."""
        query = select(
            ConnectionRow.provider, ConnectionRow.ciphertext, ConnectionRow.status, ConnectionRow.renew_failures
        ).where(*is_account(customer_id, platform, label))
        async with self._database.reading() as session:
            row: Any = (await session.execute(query)).one_or_none()
        if row is None or row.provider is None or row.ciphertext is None:
            return None
        status = Status(row.status)
        return Renewable(customer_id, platform, label, row.provider, row.ciphertext, status, row.renew_failures)

    async def postpone(self, account: Renewable, now: datetime, wait: float | None) -> None:
        """Try again later: when the vendor said so, else after a pause that grows with each failure in a row."""
        growing = min(_FIRST_PAUSE * 2 ** min(account.failures, 10), _LONGEST_PAUSE)
        pause = max(wait or 0.0, growing * random.uniform(0.8, 1.2))  # noqa: S311  (spreads load, guards nothing)
        await self._postpone(account.customer_id, account.platform, account.label, now + timedelta(seconds=pause))

    async def _postpone(self, customer_id: str, platform: str, label: str, until: datetime) -> None:
        change = (
            update(ConnectionRow)
            .where(
                *is_account(customer_id, platform, label),
                ConnectionRow.status.in_(USABLE),
                ConnectionRow.provider.is_not(None),
            )
            .values(renew_at=until, renew_failures=ConnectionRow.renew_failures + 1)
        )
        async with self._database.session() as session:
            await session.execute(change)

    async def announce_ends(self, now: datetime, batch: int) -> int:
        """For the house: tell customers once of accounts that will end soon and cannot be renewed without them.

        Returns:
            How many accounts that were.
        """
        ends = (
            ConnectionRow.expires_at <= now + EXPIRING_WITHIN,
            ConnectionRow.end_told_at.is_(None),
            ConnectionRow.status.in_(USABLE),
        )
        query = select(ConnectionRow.id).where(*ends).limit(batch)
        async with self._database.reading() as session:
            due = list((await session.execute(query)).scalars())
        told = 0
        for one in due:
            told += await self._announce_end(one, ends, now)
        return told

    async def _announce_end(self, connection_id: str, ends: Sequence[Any], now: datetime) -> int:
        """For the house: tell one account's customer, if nobody else has meanwhile."""
        claim = update(ConnectionRow).where(ConnectionRow.id == connection_id, *ends).values(end_told_at=now)
        async with self._database.session() as session:
            if await rows_matched(session, claim) != 1:
                return 0
            row = await session.get_one(ConnectionRow, connection_id)
            ends_at = row.expires_at or now
            mail_id = await self._telling.expiring(session, row.customer_id, row.platform, row.label, ends_at)
        await self._telling.dispatch(mail_id)
        return 1
