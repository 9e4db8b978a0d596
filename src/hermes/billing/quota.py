"""The month's quota: a counter in Redis, set from the usage rows when it is not there.

The counter is the customer's usage rows of the month, those on their way to SQL included, and the calls under way. No
call is admitted without it (gateway/scripts.py), but one that was admitted before Redis was emptied may end while it is
being restored; it takes the mark away that the restorer put, who then looks again.
"""

from __future__ import annotations

import math
import secrets
import time
from datetime import datetime, timedelta

from hermes.billing.keys import PENDING_INDEX, USAGE_STREAM, quota_key
from hermes.billing.usage import UsageLedger
from hermes.identity.memory import SingleFlight
from hermes.storage.redis import Redis, Script

_KEPT_SECONDS = 40 * 86_400
_RESTORING_SECONDS = 30
_TRIES = 50

_BEGIN = Script("""
local quota_key, usage_stream = KEYS[1], KEYS[2]
local customer_id, month, mark, seconds = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('EXISTS', quota_key) == 1 then return {} end
local restoring = quota_key .. ':restoring'
if not redis.call('SET', restoring, mark, 'NX', 'EX', seconds) then mark = redis.call('GET', restoring) end
local answer = {mark}
for _, entry in ipairs(redis.call('XRANGE', usage_stream, '-', '+')) do
  local text = entry[2][2]
  if string.find(text, customer_id, 1, true) then
    local row = cjson.decode(text)
    if row.customer_id == customer_id and row.month == month then answer[#answer + 1] = row.call_id end
  end
end
return answer
""")
"""KEYS: quota, usage stream. ARGV: customer, month, a new mark, its seconds.
Returns the mark that holds now and the customer's calls whose rows are on their way; nothing if there is a counter."""

_FINISH = Script("""
local quota_key, pending_index = KEYS[1], KEYS[2]
local customer_id, month, mark, used, seconds = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
if redis.call('EXISTS', quota_key) == 1 then return 1 end
local restoring = quota_key .. ':restoring'
if redis.call('GET', restoring) ~= mark then return 0 end
local prefix = customer_id .. ':'
for _, member in ipairs(redis.call('ZRANGE', pending_index, 0, -1)) do
  if string.sub(member, 1, #prefix) == prefix then
    local record = redis.call('GET', 'pending:' .. member)
    local call = record and cjson.decode(record)
    if call and call.counted and call.month == month then used = used + 1 end
  end
end
redis.call('SET', quota_key, used, 'EX', seconds)
redis.call('DEL', restoring)
return 1
""")
"""KEYS: quota, pending index. ARGV: customer, month, the mark, usage rows with those on their way, a counter's seconds.
Returns 0 when the mark is gone, so that those rows may not be all."""


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
        self._restoring: SingleFlight[tuple[str, str], None] = SingleFlight(math.inf, time.monotonic)

    async def restore(self, customer_id: str, month: str) -> None:
        """Set the counter to what the usage rows say, unless somebody did already.

        However many calls of this process want it at once, the rows are counted once.

        Raises:
            TimeoutError: calls of this customer end faster than they can be counted.
        """
        await self._restoring.do((customer_id, month), lambda: self._restore(customer_id, month))

    async def _restore(self, customer_id: str, month: str) -> None:
        await self._ledger.flush()
        counter = quota_key(customer_id, month)
        for _ in range(_TRIES):
            arguments: list[str | bytes | float] = [customer_id, month, secrets.token_hex(8), _RESTORING_SECONDS]
            begun = await _BEGIN(self._redis, [counter, USAGE_STREAM], arguments)
            if not begun:
                return
            mark, *on_their_way = begun
            used = await self._ledger.count(customer_id, month, besides=on_their_way) + len(on_their_way)
            arguments = [customer_id, month, mark, used, _KEPT_SECONDS]
            if await _FINISH(self._redis, [counter, PENDING_INDEX], arguments):
                return
        raise TimeoutError

    async def used(self, customer_id: str, month: str) -> int:
        """Calls of that month that succeeded or are under way."""
        counter = await self._redis.get(quota_key(customer_id, month))
        if counter is not None:
            return int(counter)
        return (await self._ledger.by_tool(customer_id, month)).total()
