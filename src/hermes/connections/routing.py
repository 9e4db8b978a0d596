"""Whose account an inbound webhook is for: the claims of the connections table, with a serving copy in Redis.

The copy is written only by readers that missed it. A fence lies beside it, which every change replaces: a reader that
looked into SQL before the change cannot write what it saw there after it.
"""

from __future__ import annotations

import secrets

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import select

from hermes.connections.models import ConnectionRow
from hermes.storage.redis import Script
from hermes.storage.sql import Database

WHATSAPP = "whatsapp"

_CHANGING = "changing"
_CHANGING_SECONDS = 60
_FENCE_SECONDS = 86_400

_FENCE = Script("""
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
""")

_FILL = Script("""
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
""")

log = structlog.get_logger(__name__)


class Routing:
    """Finds the customer who holds a routing id of a platform."""

    def __init__(self, database: Database, redis: Redis) -> None:
        self._database = database
        self._redis = redis

    async def customer_of(self, platform: str, routing_id: str) -> str | None:
        """The id of the customer who holds it, or None. One Redis read; on a miss one SQL read and one Redis write."""
        keys = _keys(platform, routing_id)
        try:
            known, fence = await self._redis.mget(keys)
        except RedisError:
            log.warning("routing_copy_unreadable", platform=platform, exc_info=True)
            return await self._holder(platform, routing_id)
        if known is not None:
            return str(known)
        holder = await self._holder(platform, routing_id)
        if holder is not None and fence != _CHANGING:
            await self._fill(platform, keys, str(fence or ""), holder)
        return holder

    async def changing(self, platform: str, routing_id: str) -> None:
        """Tell readers, inside the transaction that changes the holder, not to keep what they see in SQL now."""
        await _FENCE(self._redis, _keys(platform, routing_id), [_CHANGING, _CHANGING_SECONDS])

    async def changed(self, platform: str, routing_id: str) -> None:
        """Tell readers, after that transaction, that SQL may be believed again."""
        await _FENCE(self._redis, _keys(platform, routing_id), [secrets.token_hex(8), _FENCE_SECONDS])

    async def _fill(self, platform: str, keys: list[str], fence: str, holder: str) -> None:
        try:
            await _FILL(self._redis, keys, [fence, holder])
        except RedisError:
            log.warning("routing_copy_not_filled", platform=platform, exc_info=True)

    async def _holder(self, platform: str, routing_id: str) -> str | None:
        """For the house: what comes in names an account, and whose that is must be found out."""
        query = select(ConnectionRow.customer_id).where(
            ConnectionRow.platform == platform, ConnectionRow.routing_id == routing_id
        )
        async with self._database.reading() as session:
            return (await session.execute(query)).scalar_one_or_none()


class PhoneNumbers:
    """Whose WhatsApp number it is."""

    def __init__(self, routing: Routing) -> None:
        self._routing = routing

    async def customer_of(self, phone_number_id: str) -> str | None:
        """The id of the customer who linked the number with this phone number id, or None if nobody did."""
        return await self._routing.customer_of(WHATSAPP, phone_number_id)


def _keys(platform: str, routing_id: str) -> list[str]:
    prefix = "wa_phone_id" if platform == WHATSAPP else f"routing:{platform}"
    return [f"{prefix}:{routing_id}", f"lock:{prefix}:{routing_id}"]
