"""The trail over HTTP: whatever days and cursors are asked for, it costs what the trail holds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest

from hermes.audit.routes import audit_page
from hermes.audit.trail import Trail
from hermes.errors import InvalidArguments
from hermes.identity.caller import OPERATOR

TODAY = datetime.now(UTC).date()
LINES = 3


class CountingRedis:
    """Holds three lines of today and counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def get(self, key: str) -> str | None:
        self.asked += 1
        return str(LINES) if key.endswith(TODAY.isoformat()) else None

    async def mget(self, keys: list[str]) -> list[bytes | None]:
        self.asked += len(keys)
        return [_line(int(key[-8:])) if TODAY.isoformat() in key else None for key in keys]


def _line(number: int) -> bytes | None:
    if number > LINES:
        return None
    caller = {"kind": "customer", "id": "key", "client": None}
    entry = {"id": str(number), "at": datetime.now(UTC), "caller": caller, "tool": "t", "account": None}
    return orjson.dumps(
        {**entry, "arguments": {}, "outcome": "success", "error": None, "duration_ms": 1, "request_id": None}
    )


@pytest.mark.parametrize(
    ("since", "until", "cursor", "found"),
    [
        (None, None, None, ["3", "2", "1"]),
        (None, None, f"{TODAY}.3", ["2", "1"]),
        (None, None, f"{TODAY}.99999999999999", ["3", "2", "1"]),
        (None, None, f"{TODAY}.-5", []),
        (date.min, date.max, None, ["3", "2", "1"]),
        (None, date.min, None, []),
        (date.min, date.min, None, []),
        (TODAY - timedelta(days=2), TODAY - timedelta(days=1), None, []),
    ],
)
async def test_pages(since: date | None, until: date | None, cursor: str | None, found: list[str]) -> None:
    redis: Any = CountingRedis()
    page = await audit_page(Trail(redis), OPERATOR, since, until, 100, cursor)
    assert [entry.id for entry in page.entries] == found
    assert redis.asked < 400


@pytest.mark.parametrize(
    ("since", "until", "cursor"), [(TODAY, TODAY - timedelta(days=1), None), (None, None, "x"), (None, None, "2026.1")]
)
async def test_refused(since: date | None, until: date | None, cursor: str | None) -> None:
    redis: Any = CountingRedis()
    with pytest.raises(InvalidArguments):
        await audit_page(Trail(redis), OPERATOR, since, until, 100, cursor)
