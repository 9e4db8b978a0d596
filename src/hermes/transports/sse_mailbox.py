"""Messages of `/messages` on their way to the replica that holds their stream.

A stream is registered in Redis under its customer, with the key that opened it and the replica that holds it; its
messages wait in a bounded list beside it. Whoever receives a message appends it and wakes the holder by pub/sub. The
list is the truth: a lost wake-up is made good when the holder next renews its registration.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from hermes.storage.listening import Listener
from hermes.storage.redis import Redis, Script

TTL_SECONDS: Final = 30
"""How long a stream is believed to have a holder after the holder was last heard of."""

INBOX_LENGTH: Final = 16

Posted = Literal["accepted", "unknown", "full"]

_POST = Script(
    """
    local held = redis.call('HMGET', KEYS[1], 'key', 'holder')
    if held[1] ~= ARGV[1] then return 0 end
    if redis.call('LLEN', KEYS[2]) >= tonumber(ARGV[3]) then return -1 end
    redis.call('RPUSH', KEYS[2], ARGV[2])
    redis.call('EXPIRE', KEYS[2], ARGV[4])
    redis.call('PUBLISH', 'sse-wake:' .. held[2], ARGV[5])
    return 1
    """
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message with what is known of the request that brought it."""

    request_id: str
    message: dict[str, Any]
    client: str | None


@dataclass(frozen=True, slots=True)
class Address:
    """Which stream: its customer first."""

    customer_id: str
    session_id: str

    @property
    def registration(self) -> str:
        return f"sse:{self.customer_id}:{self.session_id}"

    @property
    def inbox(self) -> str:
        return f"sse:{self.customer_id}:{self.session_id}:inbox"


class Mailbox:
    """This replica's part: registers the streams it holds, wakes them, and posts to streams wherever they are."""

    def __init__(self, redis: Redis, *, quiet: float = TTL_SECONDS / 3) -> None:
        """`quiet`: seconds of silence after which Redis is asked whether it is still there."""
        self._redis = redis
        self._holder = secrets.token_hex(8)
        self._waking: dict[str, asyncio.Event] = {}
        # Streams stay open while Redis is away: their own renewals look for letters too.
        self._listener = Listener(redis, f"sse-wake:{self._holder}", self._heard, self._wake_all, quiet=quiet)

    async def open(self, address: Address, key_id: str) -> asyncio.Event:
        """Register a stream that this replica holds; the event is set whenever there may be letters.

        Raises:
            RedisError: Redis does not answer.
        """
        await self._listener.start()
        await self.renew(address, key_id)
        wake = self._waking[address.session_id] = asyncio.Event()
        return wake

    async def renew(self, address: Address, key_id: str) -> None:
        """Say that the stream is still held here; again in full, should Redis have forgotten it."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(address.registration, mapping={"key": key_id, "holder": self._holder})
            pipe.expire(address.registration, TTL_SECONDS)
            await pipe.execute()

    async def close(self, address: Address) -> None:
        """Forget a stream; what is posted to it from now on is refused."""
        self._waking.pop(address.session_id, None)
        await self._redis.delete(address.registration, address.inbox)

    async def post(self, address: Address, key_id: str, letter: Letter) -> Posted:
        """Leave a letter for the stream, if it is the customer's own, was opened with this key, and has room."""
        content = orjson.dumps([letter.request_id, letter.client, letter.message])
        answer = await _POST(
            self._redis,
            [address.registration, address.inbox],
            [key_id, content, INBOX_LENGTH, TTL_SECONDS, address.session_id],
        )
        outcomes: dict[int, Posted] = {1: "accepted", -1: "full"}
        return outcomes.get(int(answer), "unknown")

    async def take(self, address: Address) -> Letter | None:
        """The next letter, if there is one."""
        content: Any = await self._redis.lpop(address.inbox)
        if content is None:
            return None
        request_id, client, message = orjson.loads(content)
        return Letter(request_id, message, client)

    async def stop(self) -> None:
        """Stop listening for wake-ups."""
        await self._listener.stop()

    def _heard(self, _channel: str, session_id: str) -> None:
        wake = self._waking.get(session_id)
        if wake is not None:
            wake.set()

    def _wake_all(self) -> None:
        for wake in self._waking.values():
            wake.set()
