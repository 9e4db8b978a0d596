"""The serving copy of credentials in Redis, guarded by versions.

Beside each credential lies the version of what may be there. An older one is refused, so neither a slow writer nor a
reader that fills a miss can bring back a secret that was replaced or removed meanwhile. A withdrawn credential leaves
only its version behind, for longer than any such straggler can take.
"""

from __future__ import annotations

from redis.asyncio import Redis

from hermes.connections.names import version_name
from hermes.storage.redis import Script

CHANGING_SECONDS = 600
"""How long a change that was announced but never finished (its process died) keeps the older version out."""

TOMBSTONE_SECONDS = 86_400

_OFFER = Script("""
local known = tonumber(redis.call('GET', KEYS[2]) or '0') or 0
if tonumber(ARGV[1]) < known then return 0 end
redis.call('MSET', KEYS[1], ARGV[2], KEYS[2], ARGV[1])
return 1
""")

_WITHDRAW = Script("""
local known = tonumber(redis.call('GET', KEYS[2]) or '0') or 0
if tonumber(ARGV[1]) < known then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
return 1
""")


class ServedCredentials:
    """What lies in Redis under the names of `key_name`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def offer(self, name: str, version: int, sealed: str) -> bool:
        """Serve this version, unless a newer one is known. False: it is outdated, and nothing changed."""
        return bool(await _OFFER(self._redis, [name, version_name(name)], [version, sealed]))

    async def withdraw(self, name: str, version: int, seconds: int) -> bool:
        """Serve nothing, and for so many seconds refuse what is older than `version`, unless a newer one is known."""
        return bool(await _WITHDRAW(self._redis, [name, version_name(name)], [version, seconds]))
