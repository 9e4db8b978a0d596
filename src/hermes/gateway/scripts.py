"""The two server-side scripts of a call: one round trip before the platform is called, one after.

ADMIT checks and reserves in one step, and writes a pending record. SETTLE replaces the pending record by the audit line
and the usage entry in one step, or gives the reservation back. Whoever settles a call first wins; a second time does
nothing. So a process killed at any moment leaves neither a missing nor a double line (design.md, section 4).
"""

from __future__ import annotations

from hermes.storage.redis import Script

ADMIT = Script("""
local call = cjson.decode(ARGV[1])
local version_key, credential_key, quota_key, rate_key = unpack(call.keys, 1, 4)
local vendor_rate_key, pending_key, pending_index, idempotency_key = unpack(call.keys, 5, 8)
local version, monthly_calls, minute_calls = call.version, call.monthly_calls, call.minute_calls
local vendor_requests, vendor_milliseconds = call.vendor_requests, call.vendor_milliseconds

if version ~= '' and redis.call('GET', version_key) ~= version then
  return {'stale'}
end

if idempotency_key ~= '' then
  local first = redis.call('HMGET', idempotency_key, 'digest', 'state', 'call', 'answer')
  if first[1] then
    if first[1] ~= call.digest then return {'idempotency_conflict', first[3]} end
    if first[2] == 'done' then return {'idempotency_done', first[3], first[4]} end
    if first[2] == 'running' and redis.call('EXISTS', call.pending_prefix .. first[3]) == 1 then
      return {'idempotency_running', first[3]}
    end
    return {'idempotency_unknown', first[3]}
  end
end

local credential = ''
if credential_key ~= '' then
  credential = redis.call('GET', credential_key)
  if not credential then return {'no_credential'} end
end

if quota_key ~= '' then
  local used = redis.call('GET', quota_key)
  if not used then return {'quota_unknown'} end
  if monthly_calls >= 0 and tonumber(used) >= monthly_calls then return {'quota_exceeded', used} end
end

-- Generic cell rate algorithm: the key holds the theoretical arrival time; a full period's requests may come at once.
-- By Redis' clock: those of the replicas differ, and a call may have waited in its replica for a connection.
local seconds, microseconds = unpack(redis.call('TIME'))
local now = seconds * 1000 + microseconds / 1000
local function wait_for(key, requests, milliseconds)
  if requests <= 0 then return 0, 0 end
  local arrival = math.max(tonumber(redis.call('GET', key) or now), now)
  local following = arrival + milliseconds / requests
  return following - milliseconds - now, following
end

local wait, arrival = wait_for(rate_key, minute_calls, 60000)
if wait > 0 then return {'rate_limited', tostring(wait)} end
local vendor_wait, vendor_arrival = wait_for(vendor_rate_key, vendor_requests, vendor_milliseconds)
if vendor_wait > 0 then return {'vendor_limited', tostring(vendor_wait)} end

if minute_calls > 0 then redis.call('SET', rate_key, string.format('%.3f', arrival), 'PX', 60000) end
if vendor_requests > 0 then
  redis.call('SET', vendor_rate_key, string.format('%.3f', vendor_arrival), 'PX', math.ceil(vendor_milliseconds))
end
if quota_key ~= '' then redis.call('INCR', quota_key) end
redis.call('SET', pending_key, call.pending)
redis.call('ZADD', pending_index, call.deadline, call.pending_member)
if idempotency_key ~= '' then
  redis.call('HSET', idempotency_key, 'digest', call.digest, 'state', 'running', 'call', call.id)
  redis.call('EXPIRE', idempotency_key, call.idempotency_seconds)
end
return {'admitted', credential}
""")
"""Takes one JSON object: packing one long argument costs redis-py a fraction of packing twenty short ones.
`keys`: version, credential, quota, rate, vendor's rate, pending, pending index, idempotency ('' where not used).
`version` ('' = not checked), `monthly_calls` (-1 = unlimited), `minute_calls` (0 = unlimited), `vendor_requests` (0 =
none) per `vendor_milliseconds`, `deadline` (ms since 1970), `id`, `pending` (the record) and `pending_member` of the
index, `digest` of the arguments, `idempotency_seconds`, `pending_prefix` of the customer's pending keys.
Returns the status and what belongs to it."""

SETTLE = Script("""
local call = cjson.decode(ARGV[1])
local pending_key, pending_index, sequence_key, line_index = unpack(call.keys, 1, 4)
local usage_stream, quota_key, idempotency_key = unpack(call.keys, 5, 7)
local line_prefix, usage = call.line_prefix, call.usage

if call.refusals_per_minute > 0 then
  -- Refused calls cost their caller nothing, so their lines are bounded; what is over the bound is only counted.
  local refused = redis.call('INCR', call.refusals_key)
  if refused == 1 then redis.call('EXPIRE', call.refusals_key, 60) end
  if refused > call.refusals_per_minute then return '' end
end

local was_pending = redis.call('DEL', pending_key) == 1
redis.call('ZREM', pending_index, call.pending_member)
local counted = quota_key ~= '' and redis.call('EXISTS', quota_key) == 1
-- An answer belongs to the key only while this call holds it: not once another call does, or Redis lost it.
local holds_key = idempotency_key ~= '' and redis.call('HGET', idempotency_key, 'call') == call.id

local settled = redis.call('HGET', line_index, call.id)
if settled then
  -- Pending again: its admission reached us only after the call had been given up. Nothing was done with it.
  if was_pending then
    if counted then redis.call('DECR', quota_key) end
    if holds_key then redis.call('DEL', idempotency_key) end
  end
  return redis.call('GET', line_prefix .. string.format('%08d', settled)) or 'null'
end

local number = redis.call('INCR', sequence_key)
redis.call('SET', line_prefix .. string.format('%08d', number), call.line, 'EX', call.line_seconds)
redis.call('HSET', line_index, call.id, number)
if number == 1 then
  redis.call('EXPIRE', sequence_key, call.sequence_seconds)
  redis.call('EXPIRE', line_index, call.line_seconds)
end

if usage ~= '' then
  redis.call('XADD', usage_stream, '*', 'row', usage)
end
if counted then
  -- A reservation that is not charged goes back. A charge whose reservation was lost with Redis is counted again.
  if was_pending and usage == '' then redis.call('DECR', quota_key) end
  if not was_pending and usage ~= '' then redis.call('INCR', quota_key) end
elseif quota_key ~= '' and usage ~= '' then
  -- Whoever restores the counter from the usage rows has not seen this one: they are to look again (billing/quota.py).
  redis.call('DEL', quota_key .. ':restoring')
end

if holds_key then
  if call.idempotency_state == 'free' then
    redis.call('DEL', idempotency_key)
  else
    redis.call('HSET', idempotency_key, 'state', call.idempotency_state, 'call', call.id, 'answer', call.answer)
    redis.call('EXPIRE', idempotency_key, call.idempotency_seconds)
  end
end
return ''
""")
"""Takes one JSON object. `keys`: pending, pending index, line sequence, line index, usage stream, quota ('' when not
counted), idempotency (''). `id`, `pending_member` of the index, `line` (the audit line), `line_prefix`, `line_seconds`
and `sequence_seconds` (how long they are kept), `usage` (the row, '' = not charged), `idempotency_state` (`done`,
`free`, `unknown`), `answer` (sealed), `idempotency_seconds`, `refusals_key` and `refusals_per_minute` (0: it was not
refused; at most so many lines of refused calls are written in a minute).
Returns '' when it settled the call, and the line that was there when the call had been settled before."""
