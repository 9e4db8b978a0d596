"""Reserving a call and settling it: the pipeline's two round trips, with their keys and records."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
from redis.asyncio import Redis

from hermes.audit import trail
from hermes.billing.keys import PENDING_INDEX, USAGE_STREAM, quota_key
from hermes.billing.plans import Plan
from hermes.gateway.scripts import ADMIT, SETTLE
from hermes.identity.caller import Caller
from hermes.identity.callers import version_key
from hermes.platforms.base import RateLimit

IDEMPOTENCY_SECONDS = 24 * 3600
REFUSALS_PER_MINUTE = 600
"""Lines that refused calls of one customer may leave in a minute; further ones are refused as well, without a line."""
_GRACE_SECONDS = 30.0
_SEQUENCE_EXTRA_DAYS = 5

Alive = Callable[[Sequence[str]], Awaitable[Collection[str]]]
Outcome = Literal["success", "error", "denied", "cancelled", "outcome_unknown", "replayed", "input_required"]
IdempotencyState = Literal["done", "free", "unknown"]


def pending_prefix(customer_id: str) -> str:
    return f"pending:{customer_id}:"


def _rate_key(customer_id: str, scope: str) -> str:
    return f"rate:{customer_id}:{scope}"


@dataclass(frozen=True, slots=True)
class Call:
    """What is known of a call when it is admitted; the pending record holds it for the sweeper.

    Attributes:
        month: `YYYY-MM` (UTC) that the call counts in.
        counted: whether it counts against a quota (all but the operator's own).
        audit_days: how long the line is kept.
        entry: the audit entry so far, without outcome, error and duration.
        idempotency_key: the Redis key of the client's idempotency key, or ''.
        billable: whether success leaves a usage row.
    """

    id: str
    customer_id: str
    tool: str
    platform: str
    month: str
    counted: bool
    audit_days: int
    entry: Mapping[str, Any]
    idempotency_key: str = ""
    billable: bool = True

    @property
    def member(self) -> str:
        return f"{self.customer_id}:{self.id}"

    def to_json(self) -> bytes:
        return orjson.dumps(self)

    @classmethod
    def from_json(cls, text: str) -> Call:
        return cls(**orjson.loads(text))


@dataclass(frozen=True, slots=True)
class Admission:
    """The admitting script's answer: a status and what belongs to it (scripts.py)."""

    status: str
    detail: tuple[str, ...]


class Admissions:
    """Runs the two scripts."""

    def __init__(self, redis: Redis, *, now: Callable[[], float] = time.time, alive: Alive | None = None) -> None:
        """Prepare.

        Args:
            alive: which of some calls are still under way although their deadline passed: long ones, which outlive
                the process that admitted them.
        """
        self._redis = redis
        self._alive = alive
        self._now = now

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)

    async def admit(
        self,
        call: Call,
        caller: Caller,
        plan: Plan,
        *,
        credential_key: str,
        vendor_limit: RateLimit | None,
        account: str,
        digest: str,
        timeout: float,
        check_version: bool,
    ) -> Admission:
        """Check version, idempotency, credential, quota and rate, and reserve: one round trip."""
        customer_id = call.customer_id
        keys = [
            version_key(customer_id),
            credential_key,
            quota_key(customer_id, call.month) if call.counted else "",
            _rate_key(customer_id, "plan"),
            _rate_key(customer_id, f"{call.platform}:{account}"),
            pending_prefix(customer_id) + call.id,
            PENDING_INDEX,
            call.idempotency_key,
        ]
        given = {
            "keys": keys,
            "version": str(caller.version) if check_version else "",
            "monthly_calls": plan.monthly_calls,
            "minute_calls": plan.calls_per_minute,
            "vendor_requests": vendor_limit.requests if vendor_limit else 0,
            "vendor_milliseconds": vendor_limit.seconds * 1000 if vendor_limit else 0,
            "deadline": int((self._now() + timeout + _GRACE_SECONDS) * 1000),
            "id": call.id,
            "pending": call.to_json().decode(),
            "pending_member": call.member,
            "digest": digest,
            "idempotency_seconds": IDEMPOTENCY_SECONDS,
            "pending_prefix": pending_prefix(customer_id),
        }
        answer = await ADMIT(self._redis, (), (orjson.dumps(given),))
        return Admission(answer[0], tuple(answer[1:]))

    async def settle(
        self,
        call: Call,
        outcome: Outcome,
        *,
        error: str | None,
        duration: float,
        idempotency: IdempotencyState = "free",
        answer: str = "",
    ) -> bool:
        """Write the call's audit line and usage row, or give its reservation back: one round trip.

        Args:
            error: the error's code, if any.
            duration: seconds.
            idempotency: what becomes of the client's idempotency key, if the call has one.
            answer: the sealed first answer, for `done`.

        Returns:
            Whether the call is recorded with this outcome now. False when it had been settled before with another one
            (another process had given it up); nothing was written then.
        """
        line = {**call.entry, "outcome": outcome, "error": error, "duration_ms": round(duration * 1000, 3)}
        day = trail.day_of(call.id)
        keys = [
            pending_prefix(call.customer_id) + call.id,
            PENDING_INDEX,
            trail.sequence_key(call.customer_id, day),
            trail.index_key(call.customer_id, day),
            USAGE_STREAM,
            quota_key(call.customer_id, call.month) if call.counted else "",
            call.idempotency_key,
        ]
        given = {
            "keys": keys,
            "id": call.id,
            "pending_member": call.member,
            "line": orjson.dumps(line).decode(),
            "line_prefix": trail.lines_prefix(call.customer_id, day),
            "line_seconds": call.audit_days * trail.DAY,
            "sequence_seconds": (call.audit_days + _SEQUENCE_EXTRA_DAYS) * trail.DAY,
            "usage": _usage_row(call) if outcome == "success" and call.billable else "",
            "idempotency_state": idempotency,
            "answer": answer,
            "idempotency_seconds": IDEMPOTENCY_SECONDS,
            "refusals_key": _rate_key(call.customer_id, "refusals"),
            "refusals_per_minute": REFUSALS_PER_MINUTE if outcome == "denied" else 0,
        }
        before = await SETTLE(self._redis, (), (orjson.dumps(given),))
        return not before or _outcome(before) == outcome

    async def sweep(self, *, everything: bool = False, batch: int = 200) -> int:
        """For operators: close what dead processes left pending, as `outcome_unknown`, audited and not charged.

        Args:
            everything: also calls whose deadline is yet to come; only when no process can be running any of them.

        Returns:
            How many calls were closed.
        """
        until: float | str = "+inf" if everything else int(self._now() * 1000)
        closed = kept = 0
        while members := await self._redis.zrangebyscore(PENDING_INDEX, "-inf", until, start=kept, num=batch):
            ids = {str(member): str(member).rpartition(":")[2] for member in members}
            alive = await self._alive(list(ids.values())) if self._alive is not None else ()
            for member, call_id in ids.items():
                if call_id in alive:
                    kept += 1
                else:
                    closed += await self._close(member)
        return closed

    async def _close(self, member: str) -> int:
        record = await self._redis.get(f"pending:{member}")
        if record is None:
            await self._redis.zrem(PENDING_INDEX, member)
            return 0
        call = Call.from_json(str(record))
        duration = (self.now() - datetime.fromisoformat(call.entry["at"])).total_seconds()
        settled = await self.settle(
            call, "outcome_unknown", error="outcome_unknown", duration=max(duration, 0.0), idempotency="unknown"
        )
        return int(settled)


def _outcome(line: str) -> str | None:
    entry = orjson.loads(line)
    return entry["outcome"] if entry is not None else None


def _usage_row(call: Call) -> str:
    row = {
        "call_id": call.id,
        "customer_id": call.customer_id,
        "tool": call.tool,
        "platform": call.platform,
        "month": call.month,
        "at": call.entry["at"],
    }
    return orjson.dumps(row).decode()
