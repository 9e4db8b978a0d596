"""The rows of long calls. Everything that a run writes depends on its claim, so a run that lost it changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.gateway.models import CallStepRow, LongCallRow
from hermes.platforms.ports import PublishState
from hermes.storage.notices import Notices
from hermes.storage.sql import Database, rows_matched

BEGUN: Final = "begun"
DONE: Final = "done"
ASKED: Final = "asked"
ANSWERED: Final = "answered"
"""A question of the call's to its client is kept as a step too, with the question and then the answer sealed."""
CLAIM: Final = timedelta(seconds=30)
"""How long a run has its call without a sign of life."""

ASKING: Final = timedelta(hours=1)
"""How long a call waits for its client's answers."""

KEPT: Final = timedelta(hours=24)
"""How long the result of a finished call can be asked for; its audit line stays longer."""


class ClaimLost(Exception):
    """Another run has the call by now, or it is finished."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of one run to go on with one call."""

    customer_id: str
    call_id: str
    token: str


@dataclass(frozen=True, slots=True)
class Step:
    """What was known of a step when it was begun: `state` is None when it is new."""

    state: str | None
    sealed_result: str | None


class LongCallRows:
    """Reads and writes them."""

    def __init__(self, database: Database, notices: Notices | None = None) -> None:
        """`notices`: tell the customer's open streams how their calls stand."""
        self._database = database
        self._notices = notices

    async def insert(self, claim: Claim, answered: Mapping[str, str], **values: Any) -> datetime:
        """Write a new call, claimed by its first run, and the sealed answers that it begins with. Returns when it was
        created."""
        now = _now()
        row = LongCallRow(
            id=claim.call_id,
            customer_id=claim.customer_id,
            publish_state=PublishState.CREATED,
            cancel_requested=False,
            attempts=1,
            claimed_by=claim.token,
            claimed_until=now + CLAIM,
            created_at=now,
            updated_at=now,
            **values,
        )
        async with self._database.session() as session:
            session.add(row)
            session.add_all(_question(claim, name, ANSWERED, sealed) for name, sealed in answered.items())
        return now

    async def claim(self, call_id: str, token: str) -> LongCallRow | None:
        """For the house: take a call that nobody has, for another run; None when there is nothing to take."""
        now = _now()
        take = (
            update(LongCallRow)
            .where(LongCallRow.id == call_id, LongCallRow.finished_at.is_(None), LongCallRow.claimed_until <= now)
            .values(claimed_by=token, claimed_until=now + CLAIM, attempts=LongCallRow.attempts + 1)
        )
        async with self._database.session() as session:
            if await rows_matched(session, take) != 1:
                return None
            return await session.get(LongCallRow, call_id)

    async def renew(self, claim: Claim) -> bool:
        """Keep the claim alive. Returns whether the call is to be cancelled.

        Raises:
            ClaimLost: it is another's by now.
        """
        async with self._database.session() as session:
            await _hold(session, claim)
            return await _cancelled(session, claim)

    async def release(self, claim: Claim) -> None:
        """Give the call back, for another run to take at once."""
        async with self._database.session() as session:
            await session.execute(_mine(claim).values(claimed_by=None, claimed_until=_now()))

    async def note(self, claim: Claim, **values: Any) -> None:
        """Write how far the call is (`publish_state`, `progress`).

        Raises:
            ClaimLost: it is another's by now.
        """
        async with self._database.session() as session:
            await _hold(session, claim, **values)
        self._tell(claim)

    async def begin_step(self, claim: Claim, name: str) -> tuple[Step, bool]:
        """Write that a step begins, unless it is known. Returns what is known, and whether the call is to be cancelled;
        a new step of a call that is to be cancelled is not begun.

        Raises:
            ClaimLost: the call is another's by now.
        """
        async with self._database.session() as session:
            await _hold(session, claim)
            cancelled = await _cancelled(session, claim)
            look = select(CallStepRow.state, CallStepRow.sealed_result).where(*_is(claim, name))
            known = (await session.execute(look)).one_or_none()
            if known is not None:
                return Step(*known), cancelled
            if not cancelled:
                session.add(
                    CallStepRow(call_id=claim.call_id, customer_id=claim.customer_id, name=name, state=BEGUN, at=_now())
                )
            return Step(None, None), cancelled

    async def finish_step(self, claim: Claim, name: str, sealed_result: str) -> None:
        """Write what a step gave: also when the claim was lost meanwhile, because it is what happened."""
        async with self._database.session() as session:
            await session.execute(
                update(CallStepRow).where(*_is(claim, name)).values(state=DONE, sealed_result=sealed_result, at=_now())
            )

    async def free_step(self, claim: Claim, name: str) -> None:
        """Forget that a step was begun: it certainly did nothing."""
        async with self._database.session() as session:
            await session.execute(delete(CallStepRow).where(*_is(claim, name), CallStepRow.state == BEGUN))

    async def steps(self, claim: Claim) -> Sequence[str]:
        """The states of all steps that were begun."""
        async with self._database.reading() as session:
            mine = _all_of(claim.customer_id, claim.call_id)
            begun = select(CallStepRow.state).where(*mine, CallStepRow.state.in_((BEGUN, DONE)))
            return (await session.scalars(begun)).all()

    async def park(self, claim: Claim, asked: Mapping[str, str]) -> bool:
        """Have the call wait for answers to these sealed questions, without a run. Returns whether it is to be
        cancelled.

        Raises:
            ClaimLost: it is another's by now.
        """
        until = _now() + ASKING
        async with self._database.session() as session:
            await _hold(session, claim)
            session.add_all(_question(claim, name, ASKED, sealed) for name, sealed in asked.items())
            await session.flush()
            await session.execute(_mine(claim).values(claimed_by=None, claimed_until=until))
            return await _cancelled(session, claim)

    async def questions(self, customer_id: str, call_id: str, state: str) -> Mapping[str, str]:
        """The sealed questions of the customer's call that are in a state (`ASKED`, `ANSWERED`), by name."""
        wanted = (*_all_of(customer_id, call_id), CallStepRow.state == state)
        read = select(CallStepRow.name, CallStepRow.sealed_result).where(*wanted).order_by(CallStepRow.number)
        async with self._database.reading() as session:
            return {name: sealed or "" for name, sealed in (await session.execute(read)).all()}

    async def answer(self, claim: Claim, answers: Mapping[str, str]) -> None:
        """Write sealed answers to questions that still wait for one; others are left alone."""
        async with self._database.session() as session:
            for name, sealed in answers.items():
                waiting = (*_is(claim, name), CallStepRow.state == ASKED)
                values = {"state": ANSWERED, "sealed_result": sealed, "at": _now()}
                await session.execute(update(CallStepRow).where(*waiting).values(values))

    async def wake(self, customer_id: str, call_id: str) -> None:
        """Have a call that waits for answers taken by a run at once."""
        parked = (LongCallRow.customer_id == customer_id, LongCallRow.id == call_id, LongCallRow.claimed_by.is_(None))
        async with self._database.session() as session:
            await session.execute(
                update(LongCallRow).where(*parked, LongCallRow.finished_at.is_(None)).values(claimed_until=_now())
            )

    async def forget(self, claim: Claim) -> None:
        """Delete a call that did nothing: its client is to send it again."""
        mine = (LongCallRow.id == claim.call_id, LongCallRow.customer_id == claim.customer_id)
        async with self._database.session() as session:
            await session.execute(delete(CallStepRow).where(*_all_of(claim.customer_id, claim.call_id)))
            await session.execute(delete(LongCallRow).where(*mine))

    async def finish(self, claim: Claim, outcome: str, sealed_outcome: str, publish_state: str) -> None:
        """Write the outcome, before the call is settled.

        Raises:
            ClaimLost: it is another's by now.
        """
        async with self._database.session() as session:
            await _hold(session, claim, outcome=outcome, sealed_outcome=sealed_outcome, publish_state=publish_state)
        self._tell(claim)

    async def settled(self, claim: Claim) -> None:
        """Write that the call is settled: nobody has to do anything about it any more."""
        async with self._database.session() as session:
            await session.execute(
                update(LongCallRow)
                .where(LongCallRow.id == claim.call_id, LongCallRow.customer_id == claim.customer_id)
                .values(finished_at=_now(), claimed_by=None)
            )

    async def request_cancel(self, customer_id: str, call_id: str) -> bool:
        """Ask for the customer's call to be cancelled. False: there is no such call under way."""
        ask = (
            update(LongCallRow)
            .where(
                LongCallRow.customer_id == customer_id, LongCallRow.id == call_id, LongCallRow.sealed_outcome.is_(None)
            )
            .values(cancel_requested=True)
        )
        async with self._database.session() as session:
            return await rows_matched(session, ask) == 1

    async def find(self, customer_id: str, call_id: str) -> LongCallRow | None:
        """The customer's call."""
        async with self._database.reading() as session:
            found: LongCallRow | None = await session.scalar(
                select(LongCallRow).where(LongCallRow.customer_id == customer_id, LongCallRow.id == call_id[:64])
            )
            return found

    async def abandoned(self, limit: int = 100) -> Sequence[str]:
        """For operators: calls of all customers that are under way and that no run has."""
        async with self._database.reading() as session:
            return (
                await session.scalars(
                    select(LongCallRow.id)
                    .where(LongCallRow.finished_at.is_(None), LongCallRow.claimed_until <= _now())
                    .order_by(LongCallRow.claimed_until)
                    .limit(limit)
                )
            ).all()

    async def release_all(self) -> None:
        """For operators: end every claim, when no process can be running any call."""
        async with self._database.session() as session:
            await session.execute(
                update(LongCallRow)
                .where(LongCallRow.finished_at.is_(None), LongCallRow.claimed_by.is_not(None))
                .values(claimed_by=None, claimed_until=_now())
            )

    async def alive(self, call_ids: Collection[str]) -> set[str]:
        """For operators: which of these calls are under way, whoever has them."""
        async with self._database.reading() as session:
            wanted = select(LongCallRow.id).where(LongCallRow.id.in_(call_ids), LongCallRow.finished_at.is_(None))
            return set((await session.scalars(wanted)).all())

    async def purge(self, batch: int = 200) -> int:
        """For operators: forget finished calls whose results need not be kept any more. Returns how many."""
        gone = 0
        while True:
            async with self._database.session() as session:
                old = select(LongCallRow.id).where(LongCallRow.finished_at < _now() - KEPT).limit(batch)
                ids = (await session.scalars(old)).all()
                await session.execute(delete(CallStepRow).where(CallStepRow.call_id.in_(ids)))
                await session.execute(delete(LongCallRow).where(LongCallRow.id.in_(ids)))
            gone += len(ids)
            if len(ids) < batch:
                return gone

    def _tell(self, claim: Claim) -> None:
        if self._notices is not None:
            self._notices.tell(claim.customer_id, "call", claim.call_id)


def _mine(claim: Claim) -> Any:
    return update(LongCallRow).where(
        LongCallRow.id == claim.call_id,
        LongCallRow.customer_id == claim.customer_id,
        LongCallRow.claimed_by == claim.token,
        LongCallRow.finished_at.is_(None),
    )


async def _hold(session: AsyncSession, claim: Claim, **values: Any) -> None:
    now = _now()
    if await rows_matched(session, _mine(claim).values(claimed_until=now + CLAIM, updated_at=now, **values)) != 1:
        raise ClaimLost(claim.call_id)


async def _cancelled(session: AsyncSession, claim: Claim) -> bool:
    mine = (LongCallRow.customer_id == claim.customer_id, LongCallRow.id == claim.call_id)
    return bool(await session.scalar(select(LongCallRow.cancel_requested).where(*mine)))


def _all_of(customer_id: str, call_id: str) -> tuple[Any, ...]:
    return (CallStepRow.customer_id == customer_id, CallStepRow.call_id == call_id)


def _is(claim: Claim, name: str) -> tuple[Any, ...]:
    return (
        CallStepRow.call_id == claim.call_id,
        CallStepRow.customer_id == claim.customer_id,
        CallStepRow.name == name,
    )


def _question(claim: Claim, name: str, state: str, sealed: str) -> CallStepRow:
    return CallStepRow(
        call_id=claim.call_id,
        customer_id=claim.customer_id,
        name=name,
        state=state,
        sealed_result=sealed,
        at=_now(),
    )


def _now() -> datetime:
    return datetime.now(UTC)
