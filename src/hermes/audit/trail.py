"""The trail of every call: one line per call and customer, kept in Redis for the plan's time.

Lines are written by the pipeline's settling script (gateway/scripts.py), in the same step that settles the call. This
module knows where they lie and reads them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import orjson
import uuid_utils
from redis.asyncio import Redis

DAY = 86_400
_BATCH = 200


def new_call_id() -> str:
    """A call's id: `call_` and a UUIDv7, whose first 48 bits are the time (RFC 9562, section 5.7)."""
    return "call_" + uuid_utils.uuid7().hex


def day_of(call_id: str) -> str:
    """The UTC day under which the call is filed, `YYYY-MM-DD`.

    Raises:
        ValueError: not a call's id.
    """
    if len(call_id) != 37 or not call_id.startswith("call_"):
        raise ValueError(call_id)
    return datetime.fromtimestamp(int(call_id[5:17], 16) / 1000, UTC).date().isoformat()


def sequence_key(customer_id: str, day: str) -> str:
    return f"log_seq:{customer_id}:{day}"


def index_key(customer_id: str, day: str) -> str:
    """A hash: call id → number of its line that day."""
    return f"log_ids:{customer_id}:{day}"


def lines_prefix(customer_id: str, day: str) -> str:
    """The line's key is this and the number in eight digits."""
    return f"logs:{customer_id}:{day}:"


@dataclass(frozen=True, slots=True)
class Page:
    """Audit entries, newest first, and the cursor of the next page if there is one."""

    entries: list[dict[str, Any]]
    cursor: str | None


class Trail:
    """Reads customers' audit trails."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def find(self, customer_id: str, call_id: str) -> dict[str, Any] | None:
        """The customer's line of that call, or None."""
        try:
            day = day_of(call_id)
        except ValueError:
            return None
        number = await cast(Any, self._redis.hget(index_key(customer_id, day), call_id))
        if number is None:
            return None
        line = await self._redis.get(f"{lines_prefix(customer_id, day)}{int(number):08d}")
        return None if line is None else cast(dict[str, Any], orjson.loads(line))

    async def page(self, customer_id: str, *, limit: int, cursor: str | None, since: date, until: date) -> Page:
        """Up to `limit` entries, newest first, of the days `since` to `until` (both included).

        Args:
            cursor: where the page before ended, `YYYY-MM-DD.number`.

        Raises:
            ValueError: the cursor is malformed.
        """
        day, number = until, None
        if cursor is not None:
            text, _, before = cursor.partition(".")
            day, number = min(date.fromisoformat(text), until), int(before)
        entries: list[dict[str, Any]] = []
        while day >= since:
            last = await self._last_number(customer_id, day)
            number = last if number is None else min(number - 1, last)
            while number > 0 and len(entries) < limit:
                lowest = max(number - (limit - len(entries)) + 1, 1)
                entries += reversed(await self._lines(customer_id, day, lowest, number))
                number = lowest - 1
            if len(entries) >= limit:
                return Page(entries, f"{day.isoformat()}.{number + 1}")
            day, number = day - timedelta(days=1), None
        return Page(entries, None)

    async def export(self, customer_id: str, since: date, until: date) -> AsyncIterator[dict[str, Any]]:
        """Every entry of the days `since` to `until`, oldest first."""
        day = since
        while day <= until:
            last = await self._last_number(customer_id, day)
            for first in range(1, last + 1, _BATCH):
                for entry in await self._lines(customer_id, day, first, min(first + _BATCH - 1, last)):
                    yield entry
            day += timedelta(days=1)

    async def _last_number(self, customer_id: str, day: date) -> int:
        return int(await self._redis.get(sequence_key(customer_id, day.isoformat())) or 0)

    async def _lines(self, customer_id: str, day: date, first: int, last: int) -> list[dict[str, Any]]:
        prefix = lines_prefix(customer_id, day.isoformat())
        lines = await self._redis.mget([f"{prefix}{number:08d}" for number in range(first, last + 1)])
        return [orjson.loads(line) for line in lines if line is not None]
