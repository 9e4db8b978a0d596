"""Usage: one row per successful call. Settling puts it on a Redis stream; it is moved to SQL in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from sqlalchemy import func, select

from hermes.billing.keys import USAGE_STREAM, quota_key
from hermes.billing.models import Usage
from hermes.storage.sql import Database, insert_ignore

_GROUP: Final = "sql"
_BATCH: Final = 500
_ABANDONED_MS: Final = 30_000


class UsageLedger:
    """Moves usage to SQL, and reads it per customer."""

    def __init__(self, database: Database, redis: Redis, *, consumer: str) -> None:
        """`consumer` names this process among those that move usage."""
        self._database = database
        self._redis = redis
        self._consumer = consumer

    async def flush(self, *, alone: bool = False) -> int:
        """For operators: move everything on the stream to SQL; may run in several processes, and twice.

        A row is taken off the stream only once it is committed; the call's id keeps a second try from counting twice.

        Args:
            alone: no other process can be moving usage now, so what one had begun to move is taken over at once
                and not after half a minute.

        Returns:
            How many entries this process moved.
        """
        try:
            return await self._drain(0 if alone else _ABANDONED_MS)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            await self._create_group()
            return await self._drain(_ABANDONED_MS)

    async def _drain(self, idle: int) -> int:
        moved = 0
        while entries := await self._abandoned(idle):
            moved += await self._move(entries)
        while entries := await self._next():
            moved += await self._move(entries)
        return moved

    async def _create_group(self) -> None:
        try:
            await self._redis.xgroup_create(USAGE_STREAM, _GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _abandoned(self, idle: int) -> list[Any]:
        claimed = await self._redis.xautoclaim(USAGE_STREAM, _GROUP, self._consumer, min_idle_time=idle, count=_BATCH)
        return list(claimed[1])

    async def _next(self) -> list[Any]:
        answer: Any = await self._redis.xreadgroup(_GROUP, self._consumer, {USAGE_STREAM: ">"}, count=_BATCH)
        streams = answer.values() if isinstance(answer, dict) else (entries for _, entries in answer or ())
        return [entry for entries in streams for entry in _flat(entries)]

    async def _move(self, entries: list[Any]) -> int:
        if not entries:
            return 0
        rows = [orjson.loads(fields["row"]) for _, fields in entries if fields]
        if rows:
            values = [{**row, "at": datetime.fromisoformat(row["at"])} for row in rows]
            async with self._database.session() as session:
                await session.execute(insert_ignore(Usage), values)
        ids = [entry_id for entry_id, _ in entries]
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.xack(USAGE_STREAM, _GROUP, *ids)
            pipeline.xdel(USAGE_STREAM, *ids)
            taken, _ = await pipeline.execute()
        if taken < len(ids) and rows:
            # Redis was emptied meanwhile, so a counter restored since then may lack these rows: it is to be made anew.
            await self._redis.delete(*{quota_key(row["customer_id"], row["month"]) for row in rows})
        return len(entries)

    async def count(self, customer_id: str, month: str, *, besides: Sequence[str] = ()) -> int:
        """The customer's rows of that month, `YYYY-MM`, without those of the calls `besides`."""
        query = select(func.count()).where(Usage.customer_id == customer_id, Usage.month == month)
        async with self._database.snapshot() as session:
            rows = int((await session.execute(query)).scalar_one())
            for first in range(0, len(besides), _BATCH):
                among = query.where(Usage.call_id.in_(besides[first : first + _BATCH]))
                rows -= int((await session.execute(among)).scalar_one())
        return rows

    async def by_tool(self, customer_id: str, month: str) -> Counter[str]:
        """The customer's calls of that month per tool, those on their way to SQL included."""
        # The stream is read first: what is taken off it meanwhile is in SQL by then, and is not counted there again.
        on_their_way = await self._on_their_way(customer_id, month)
        query = (
            select(Usage.tool, func.count())
            .where(Usage.customer_id == customer_id, Usage.month == month)
            .group_by(Usage.tool)
        )
        used = Counter(on_their_way.values())
        calls = list(on_their_way)
        async with self._database.snapshot() as session:
            used.update({row[0]: row[1] for row in await session.execute(query)})
            for first in range(0, len(calls), _BATCH):
                among = query.where(Usage.call_id.in_(calls[first : first + _BATCH]))
                used.subtract({row[0]: row[1] for row in await session.execute(among)})
        return +used

    async def _on_their_way(self, customer_id: str, month: str) -> dict[str, str]:
        """Call id → tool of the customer's rows that are not taken off the stream yet."""
        entries: Any = await self._redis.xrange(USAGE_STREAM)
        rows = (orjson.loads(fields["row"]) for _, fields in entries if fields and customer_id in fields["row"])
        return {
            row["call_id"]: row["tool"] for row in rows if (row["customer_id"], row["month"]) == (customer_id, month)
        }


def _flat(entries: Any) -> list[Any]:
    """redis-py's RESP3 answer nests the entries of a stream once more than its RESP2 answer."""
    return (
        entries[0] if entries and isinstance(entries[0], list) and isinstance(entries[0][0], list | tuple) else entries
    )
