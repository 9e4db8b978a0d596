"""The month's quota: a counter in Redis, set from the usage rows when it is not there."""

from __future__ import annotations

from datetime import datetime, timedelta

from redis.asyncio import Redis

from hermes.billing.usage import UsageLedger

_KEPT_SECONDS = 40 * 86_400


def quota_key(customer_id: str, month: str) -> str:
    return f"quota:{customer_id}:{month}"


def month_of(moment: datetime) -> str:
    """`YYYY-MM`, UTC."""
    return f"{moment.year:04d}-{moment.month:02d}"


def month_end(moment: datetime) -> datetime:
    """When the quota of that month starts anew."""
    first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


class Quotas:
    """Reads and sets customers' counters; the pipeline's scripts move them."""

    def __init__(self, redis: Redis, ledger: UsageLedger) -> None:
        self._redis = redis
        self._ledger = ledger

    async def restore(self, customer_id: str, month: str) -> None:
        """Set the counter to what the usage rows say, unless somebody did already."""
        await self._ledger.flush()
        used = await self._ledger.count(customer_id, month)
        await self._redis.set(quota_key(customer_id, month), used, nx=True, ex=_KEPT_SECONDS)

    async def used(self, customer_id: str, month: str) -> int:
        """Calls of that month that succeeded or are under way."""
        counter = await self._redis.get(quota_key(customer_id, month))
        return int(counter) if counter is not None else await self._ledger.count(customer_id, month)
