"""A customer's version: how a change reaches every cache at once, also one that is being filled at that moment.

The truth is `customers.version` in SQL; it grows in the transaction of every change that a cached caller must not
outlive. Redis holds it as served under `customer:version:{id}`. That key is in one of four states:

    a number            what SQL has; entries of exactly this version are valid
    changing:…          changes are under way: no entry is valid and none may be written
    reading:…           somebody found the key missing and is reading SQL; still there afterwards, nothing came between
    missing             lost, or a change's process died: the next reader starts with `reading:…`

A change puts its marker before its transaction and takes it away after the commit (`change`). Markers of overlapping
changes stand beside each other, so that one change's end never lifts another's marker, and the end of the last of them
removes the key instead of guessing which of them was committed last. A marker that is left behind (process died,
outcome of the commit unknown) expires, and the next reader asks SQL. Because a transaction is given up long before its
marker expires, no commit comes after a reader that found the marker gone. The end of a change is also when the
customer's open streams are told to look again.

A cache is filled only with a row of exactly the number that the key has at the moment of the write, and a missing key
is set only through a `reading:` mark that was there before the row was read. So a reader that was overtaken by a
change, or by the loss of Redis, never brings back what was.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from hermes.errors import HermesError
from hermes.storage.notices import CALLER, channel_of
from hermes.storage.redis import Script

MARKER_SECONDS: Final = 10
TRANSACTION_SECONDS: Final = 5.0
VERSION_SECONDS: Final = 24 * 3600
"""A number is asked for anew once a day, so that even a database restored from a backup agrees with Redis again."""

VERSION_PREFIX: Final = "customer:version:"


def version_key(customer_id: str) -> str:
    """The Redis key that holds the customer's version as served; a call is admitted only if it equals its caller's."""
    return f"{VERSION_PREFIX}{customer_id}"


_BEGIN = Script("""
local state = redis.call('GET', KEYS[1])
if state and string.sub(state, 1, 9) == 'changing:' then
  local others = string.gsub(string.sub(state, 10), '^overlapping,', '')
  state = 'changing:overlapping,' .. others .. ',' .. ARGV[1]
else
  state = 'changing:' .. ARGV[1]
end
redis.call('SET', KEYS[1], state, 'EX', ARGV[2])
return state
""")
"""KEYS: version. ARGV: the change's token, seconds of the marker."""

_END = Script("""
redis.call('PUBLISH', ARGV[4], ARGV[5])
local state = redis.call('GET', KEYS[1])
local alone = 'changing:' .. ARGV[1]
if state == alone and ARGV[2] ~= '' then
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
  return 'set'
end
local overlapping = 'changing:overlapping,'
if state and string.sub(state, 1, #overlapping) == overlapping then
  local rest = {}
  for token in string.gmatch(string.sub(state, #overlapping + 1), '[^,]+') do
    if token ~= ARGV[1] then rest[#rest + 1] = token end
  end
  if #rest > 0 then
    redis.call('SET', KEYS[1], overlapping .. table.concat(rest, ','), 'KEEPTTL')
    return 'others'
  end
elseif state and state ~= alone and string.sub(state, 1, 9) == 'changing:' then
  -- this marker was lost with Redis: the other change must not believe that it was the only one
  redis.call('SET', KEYS[1], overlapping .. string.sub(state, 10), 'KEEPTTL')
  return 'others'
end
redis.call('DEL', KEYS[1])
return 'removed'
""")
"""KEYS: version. ARGV: the change's token, the committed version ('' = outcome unknown), seconds of a number, and the
channel and text of the notice."""

_OBSERVE = Script("""
local state = redis.call('GET', KEYS[1])
if state then return state end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return ARGV[1]
""")
"""KEYS: version. ARGV: a new reading mark, its seconds. Returns the state; the mark, if the key was missing."""


@dataclass(slots=True)
class Change:
    """A change under way: set `version` to the row's new version before the transaction ends."""

    version: int | None = None


class Versions:
    """The version protocol on Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @asynccontextmanager
    async def change(self, customer_id: str) -> AsyncIterator[Change]:
        """Wrap the SQL transaction of a change. When the block has ended, no older caller is served anywhere, except
        from a process's own memory (five seconds).

        Raises:
            RedisError: Redis did not answer. Before the block: nothing happened. After it: the change is stored, and
                repeating it (also when there is nothing left to change) makes it effective.
            TimeoutError: the transaction took too long.
        """
        token = secrets.token_hex(8)
        change = Change()
        await self.begin(customer_id, token)
        try:
            async with asyncio.timeout(TRANSACTION_SECONDS):
                yield change
        except HermesError:
            await self.end(customer_id, token, None)  # refused by us, so rolled back
            raise
        # Any other error leaves it unknown whether the commit arrives yet: the marker stays until it expires.
        await self.end(customer_id, token, change.version)

    async def begin(self, customer_id: str, token: str) -> None:
        """Put a change's marker: from now on no cached caller of this customer is valid."""
        await _BEGIN(self._redis, [version_key(customer_id)], [token, MARKER_SECONDS])

    async def end(self, customer_id: str, token: str, version: int | None) -> None:
        """Take a change's marker away and say which version was committed (none: not known)."""
        committed = "" if version is None else str(version)
        told = [channel_of(customer_id), CALLER]
        await _END(self._redis, [version_key(customer_id)], [token, committed, VERSION_SECONDS, *told])

    async def observe(self, customer_id: str) -> str:
        """The key's state; if it was missing, it is marked as being read. To be called before reading SQL."""
        mark = f"reading:{secrets.token_hex(8)}"
        state: str = await _OBSERVE(self._redis, [version_key(customer_id)], [mark, MARKER_SECONDS])
        return state
