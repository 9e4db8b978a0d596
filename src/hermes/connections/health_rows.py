"""The rows of accounts that are looked at from time to time: which are due, and what was found."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, or_, select, update

from hermes.connections.models import EXPIRING_WITHIN, USABLE, ConnectionRow, Status
from hermes.connections.names import printable
from hermes.connections.rows import is_account
from hermes.storage.sql import Database, rows_matched

_CLAIM: Final = timedelta(minutes=30)
"""So long after it was queued, an account whose worker died is queued again."""
SEEN_EVERY: Final = timedelta(minutes=5)
"""How exact `last_success_at` is, as far as calls say it."""


@dataclass(frozen=True, slots=True)
class Watched:
    """An account as its row is now; its credential is in use."""

    customer_id: str
    platform: str
    label: str
    sealed: str
    last_checked_at: datetime | None
    last_success_at: datetime | None


class HealthRows:
    """Reads and schedules rows, and writes down what was found. A status only `CredentialStore` changes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim_due(self, now: datetime, platforms: Collection[str], batch: int) -> Sequence[tuple[str, str]]:
        """For the house: id and platform of accounts that are to be looked at, whosever they are; each once a while."""
        due = (
            ConnectionRow.check_at <= now,
            ConnectionRow.status.in_(USABLE),
            ConnectionRow.platform.in_(platforms),
        )
        query = select(ConnectionRow.id, ConnectionRow.platform).where(*due).order_by(ConnectionRow.check_at)
        async with self._database.reading() as session:
            found = (await session.execute(query.limit(batch))).all()
        mine = []
        async with self._database.session() as session:
            for one in found:
                claim = update(ConnectionRow).where(ConnectionRow.id == one.id, ConnectionRow.check_at <= now)
                if await rows_matched(session, claim.values(check_at=now + _CLAIM)) == 1:
                    mine.append((str(one.id), str(one.platform)))
        return mine

    async def named(self, connection_id: str) -> Watched | None:
        """For the house: the account that a job names by its id; None when it is not in use."""
        return await self._read(ConnectionRow.id == connection_id)

    async def read(self, customer_id: str, platform: str, label: str) -> Watched | None:
        """The account; None when it is not in use."""
        return await self._read(*is_account(customer_id, platform, label))

    async def _read(self, *which: Any) -> Watched | None:
        """For the house: both ways of asking end here."""
        query = select(
            ConnectionRow.customer_id,
            ConnectionRow.platform,
            ConnectionRow.label,
            ConnectionRow.ciphertext,
            ConnectionRow.last_checked_at,
            ConnectionRow.last_success_at,
        ).where(*which, ConnectionRow.status.in_(USABLE), ConnectionRow.ciphertext.is_not(None))
        async with self._database.reading() as session:
            row = (await session.execute(query)).one_or_none()
        if row is None or row.ciphertext is None:
            return None
        return Watched(
            row.customer_id, row.platform, row.label, row.ciphertext, row.last_checked_at, row.last_success_at
        )

    async def schedule(self, customer_id: str, platform: str, label: str, check_at: datetime) -> None:
        """Look at the account then."""
        change = update(ConnectionRow).where(
            *is_account(customer_id, platform, label), ConnectionRow.status.in_(USABLE)
        )
        async with self._database.session() as session:
            await session.execute(change.values(check_at=check_at))

    async def found(
        self,
        customer_id: str,
        platform: str,
        label: str,
        sealed: str,
        *,
        at: datetime,
        error: str | None,
        check_at: datetime,
    ) -> None:
        """Write down that an account's credential was tried, unless it has another one by now.

        Args:
            customer_id: whose account it is.
            platform: the platform's id.
            label: the account's label.
            sealed: what was tried.
            at: when.
            error: why it could not be found out whether it works; None: it works.
            check_at: when to look again.
        """
        mine = (*is_account(customer_id, platform, label), ConnectionRow.status.in_(USABLE))
        change = update(ConnectionRow).where(*mine, ConnectionRow.ciphertext == sealed)
        change = change.values(last_checked_at=at, last_error=None if error is None else printable(error))
        if error is None:
            change = change.values(last_success_at=at)
        async with self._database.session() as session:
            await session.execute(change.values(check_at=check_at))

    async def seen(self, customer_id: str, platform: str, label: str, now: datetime, error: str | None) -> None:
        """Write down what a call met: `error` says why the platform could not be reached; None: the call succeeded."""
        mine = (*is_account(customer_id, platform, label), ConnectionRow.status.in_(USABLE))
        change = update(ConnectionRow).where(*mine)
        if error is not None:
            change = change.values(last_error=printable(error))
        else:
            old = or_(ConnectionRow.last_success_at.is_(None), ConnectionRow.last_success_at <= now - SEEN_EVERY)
            change = change.where(or_(old, ConnectionRow.last_error.is_not(None)))
            change = change.values(last_success_at=now, last_error=None)
        async with self._database.session() as session:
            await session.execute(change)

    async def counts(self, now: datetime) -> dict[tuple[str, str], int]:
        """For operators: how many accounts there are of each platform and status. Names no customer."""
        soon = (ConnectionRow.status == Status.CONNECTED) & (ConnectionRow.expires_at < now + EXPIRING_WITHIN)
        query = (
            select(ConnectionRow.platform, ConnectionRow.status, soon.label("soon"), func.count().label("number"))
            .where(ConnectionRow.status != Status.DISCONNECTED)
            .group_by(ConnectionRow.platform, ConnectionRow.status, "soon")
        )
        async with self._database.reading() as session:
            found = (await session.execute(query)).all()
        counted: dict[tuple[str, str], int] = {}
        for row in found:
            key = (row.platform, str(Status.EXPIRING) if row.soon else row.status)
            counted[key] = counted.get(key, 0) + row.number
        return counted
