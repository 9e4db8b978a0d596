"""The serving copy of credentials in Redis, guarded by versions.

Beside each credential lies the version of what may be there. An older one is refused, so neither a slow writer nor a
reader that fills a miss can bring back a secret that was replaced or removed meanwhile. A withdrawn credential leaves
only its version behind, for longer than any such straggler can take.
"""

from __future__ import annotations

from redis.asyncio import Redis

from hermes.connections.names import version_name
from hermes.storage.redis import Script

_CHANGING_SECONDS = 15
"""How long a change that was announced but never finished (its process died) has an effect."""

_TOMBSTONE_SECONDS = 86_400

_OFFER = Script("""
local known = tonumber(redis.call('GET', KEYS[2]) or '0') or 0
if tonumber(ARGV[1]) < known then return 0 end
redis.call('MSET', KEYS[1], ARGV[2], KEYS[2], ARGV[1])
return 1
""")

_ANNOUNCE = Script("""
local known = tonumber(redis.call('GET', KEYS[2]) or '0') or 0
if tonumber(ARGV[1]) < known then return 0 end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[3])
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
    """What lies in Redis under the names of `key_name`. Each method returns False if a newer version is known already;
    then it changed nothing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def offer(self, name: str, version: int, sealed: str) -> bool:
        """Serve this version."""
        return bool(await _OFFER(self._redis, _keys(name), [version, sealed]))

    async def announce(self, name: str, version: int, *, stop: bool = False) -> bool:
        """Tell of a version that is about to be committed: nothing older can come back while that goes on.

        What is served now goes on being served for a few seconds more, so that it goes away by itself if this process
        dies; with `stop` it goes at once.
        """
        lasting = 0 if stop else _CHANGING_SECONDS
        return bool(await _ANNOUNCE(self._redis, _keys(name), [version, lasting, _CHANGING_SECONDS]))

    async def withdraw(self, name: str, version: int) -> bool:
        """Serve nothing, and for a day let nothing older than `version` come back."""
        return bool(await _WITHDRAW(self._redis, _keys(name), [version, _TOMBSTONE_SECONDS]))


def _keys(name: str) -> list[str]:
    return [name, version_name(name)]
