"""The rows of approvals. Every step is a conditional UPDATE, so that of all who try it at once one succeeds.

pending → approved → running → done | outcome_unknown
        → denied             ↘ approved (again, when the tool itself had to ask)
        → expired
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, select, update

from hermes.gateway.models import ApprovalRow
from hermes.storage.sql import Database, insert_once, rows_matched

PENDING: Final = "pending"
APPROVED: Final = "approved"
RUNNING: Final = "running"
DONE: Final = "done"
DENIED: Final = "denied"
EXPIRED: Final = "expired"
UNKNOWN: Final = "outcome_unknown"

STATUSES: Final = (PENDING, APPROVED, RUNNING, DONE, DENIED, EXPIRED, UNKNOWN)

KEPT: Final = timedelta(hours=24)
"""How long an approval that is through can be looked at; its audit lines stay longer."""

MOST_SHOWN: Final = 100

Now = Callable[[], datetime]


def utc_now() -> datetime:
    """The moment."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Shown:
    """Which approvals a caller sees.

    Attributes:
        platforms: of these platforms; None for all.
        key_id: asked for by this credential; None for all.
    """

    platforms: Collection[str] | None = None
    key_id: str | None = None

    def includes(self, row: ApprovalRow) -> bool:
        """Whether it is one of them."""
        return (self.platforms is None or row.platform in self.platforms) and self.key_id in (None, row.key_id)


class ApprovalRows:
    """Reads and writes them."""

    def __init__(self, database: Database, *, now: Now = utc_now) -> None:
        """`now` gives the moment by which approvals expire."""
        self._database = database
        self.now = now

    async def insert(self, customer_id: str, row_id: str, **values: Any) -> bool:
        """Write a new one that waits. False: there is one with its `open_key`."""
        async with self._database.session() as session:
            return await insert_once(
                session,
                ApprovalRow,
                id=row_id,
                customer_id=customer_id,
                status=PENDING,
                created_at=self.now(),
                **values,
            )

    async def find(self, customer_id: str, row_id: str) -> ApprovalRow | None:
        """One of the customer's."""
        query = select(ApprovalRow).where(ApprovalRow.customer_id == customer_id, ApprovalRow.id == row_id)
        async with self._database.reading() as session:
            return (await session.scalars(query)).one_or_none()

    async def with_key(self, customer_id: str, open_key: str) -> ApprovalRow | None:
        """The one that a repeated call belongs to."""
        query = select(ApprovalRow).where(ApprovalRow.customer_id == customer_id, ApprovalRow.open_key == open_key)
        async with self._database.reading() as session:
            return (await session.scalars(query)).one_or_none()

    async def owner(self, row_id: str) -> str | None:
        """For the house: whose it is, so that a stranger who opens its page is noted where it concerns somebody."""
        query = select(ApprovalRow.customer_id).where(ApprovalRow.id == row_id)
        async with self._database.reading() as session:
            return await session.scalar(query)

    async def page(
        self, customer_id: str, shown: Shown, *, status: str | None = None, before: str | None = None, limit: int = 50
    ) -> Sequence[ApprovalRow]:
        """The customer's, newest first.

        Args:
            shown: which of them the caller sees.
            status: only those of this status.
            before: only those older than the one of this id.
            limit: at most so many.
        """
        wanted: list[ColumnElement[bool]] = [ApprovalRow.customer_id == customer_id]
        if shown.platforms is not None:
            wanted.append(ApprovalRow.platform.in_(shown.platforms))
        if shown.key_id is not None:
            wanted.append(ApprovalRow.key_id == shown.key_id)
        if status is not None:
            wanted.append(ApprovalRow.status == status)
        if status == PENDING:
            wanted.append(ApprovalRow.expires_at > self.now())
        if before is not None:
            wanted.append(ApprovalRow.id < before)
        query = select(ApprovalRow).where(*wanted).order_by(ApprovalRow.id.desc()).limit(limit)
        async with self._database.reading() as session:
            return (await session.scalars(query)).all()

    async def waiting(self, customer_id: str) -> int:
        """How many wait for the customer."""
        query = select(func.count()).where(
            ApprovalRow.customer_id == customer_id, ApprovalRow.status == PENDING, ApprovalRow.expires_at > self.now()
        )
        async with self._database.reading() as session:
            return await session.scalar(query) or 0

    async def decide(self, customer_id: str, row_id: str, status: str, *, by: str, via: str) -> bool:
        """Decide one that waits. False: it is decided already, or its time is over.

        Args:
            status: `approved` or `denied`.
            by: the session or key of whoever decides.
            via: `page` or `client`.
        """
        now = self.now()
        done = {"finished_at": now} if status == DENIED else {}
        return await self._change(
            customer_id,
            row_id,
            (ApprovalRow.status == PENDING, ApprovalRow.expires_at > now),
            status=status,
            decided_at=now,
            decided_by=by,
            decided_via=via,
            **done,
        )

    async def claim(self, customer_id: str, row_id: str, until: datetime) -> bool:
        """Take one that was approved, to run it. False: another run has it, or had it."""
        return await self._change(
            customer_id, row_id, (ApprovalRow.status == APPROVED,), status=RUNNING, claimed_until=until
        )

    async def release(self, customer_id: str, row_id: str) -> None:
        """Give one back that was not run."""
        await self._change(customer_id, row_id, (ApprovalRow.status == RUNNING,), status=APPROVED, claimed_until=None)

    async def note_run(self, customer_id: str, row_id: str, run_id: str, until: datetime) -> None:
        """Write down by which call it is run, and that this is alive."""
        await self._change(customer_id, row_id, (ApprovalRow.status == RUNNING,), run_id=run_id, claimed_until=until)

    async def finish(self, customer_id: str, row_id: str, status: str, **values: Any) -> bool:
        """Write down what came of one that is running. False: it was given up meanwhile."""
        return await self._change(
            customer_id, row_id, (ApprovalRow.status == RUNNING,), status=status, finished_at=self.now(), **values
        )

    async def expire(self, customer_id: str, row_id: str, status: str) -> bool:
        """End one of this status whose time is over, as `expired`. False: somebody was faster."""
        return await self._change(
            customer_id,
            row_id,
            (ApprovalRow.status == status,),
            status=EXPIRED,
            open_key=None,
            finished_at=self.now(),
        )

    async def answered(self, customer_id: str, row_id: str) -> bool:
        """Its call has been told what came of it; the next like it asks anew. False: it had been told before."""
        return await self._change(customer_id, row_id, (ApprovalRow.open_key.is_not(None),), open_key=None)

    async def overdue(self, limit: int = 200) -> Sequence[ApprovalRow]:
        """For the house: those that wait although their time is over."""
        return await self._these(ApprovalRow.status == PENDING, ApprovalRow.expires_at <= self.now(), limit=limit)

    async def left(self, since: timedelta, limit: int = 200) -> Sequence[ApprovalRow]:
        """For the house: those that were approved so long ago, and that no run has taken."""
        before = self.now() - since
        return await self._these(ApprovalRow.status == APPROVED, ApprovalRow.decided_at <= before, limit=limit)

    async def lost(self, limit: int = 200) -> Sequence[ApprovalRow]:
        """For the house: those whose run has given no sign of life."""
        return await self._these(ApprovalRow.status == RUNNING, ApprovalRow.claimed_until <= self.now(), limit=limit)

    async def purge(self) -> None:
        """For the house: forget those that are through."""
        async with self._database.session() as session:
            await session.execute(delete(ApprovalRow).where(ApprovalRow.finished_at <= self.now() - KEPT))

    async def _these(self, *which: ColumnElement[bool], limit: int) -> Sequence[ApprovalRow]:
        """For the house: rows of whichever customers."""
        query = select(ApprovalRow).where(*which).order_by(ApprovalRow.id).limit(limit)
        async with self._database.reading() as session:
            return (await session.scalars(query)).all()

    async def _change(
        self, customer_id: str, row_id: str, state: tuple[ColumnElement[bool], ...], **values: Any
    ) -> bool:
        mine = (ApprovalRow.customer_id == customer_id, ApprovalRow.id == row_id, *state)
        async with self._database.session() as session:
            return await rows_matched(session, update(ApprovalRow).where(*mine).values(**values)) == 1
