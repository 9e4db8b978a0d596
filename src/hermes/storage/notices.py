"""Notice of what changed for a customer, to every process that has a stream of theirs open.

A notice is a hint to look again, never the news itself, and it is not kept: who begins to listen looks first. It
travels on a channel that begins with the customer's id and is passed on by that id alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from redis.exceptions import RedisError

from hermes.storage.listening import QUIET_SECONDS, Listener
from hermes.storage.redis import Redis

_log = logging.getLogger(__name__)

Kind = Literal["caller", "accounts", "notes", "note", "call", "anything"]
"""What changed.

`caller`: plan, grants, keys, status. `accounts`: linked accounts. `notes`: a note came or went; `note`: one's content.
`call`: how a long call stands. `anything`: notices may have been missed.
"""

CALLER: Final[Kind] = "caller"
_KINDS: Final[Mapping[str, Kind]] = {kind: kind for kind in get_args(Kind)}
_CHANNEL_END: Final = ":changes"


@dataclass(frozen=True, slots=True)
class Notice:
    """What changed: its kind, and which one (a note's address, a call's id) where there are several."""

    kind: Kind
    name: str = ""


Heard = Callable[[Notice], None]


def channel_of(customer_id: str) -> str:
    """The channel of this customer's notices."""
    return f"{customer_id}{_CHANNEL_END}"


class Notices:
    """This process's part: it publishes, and passes on what it hears to those who listen for that customer."""

    def __init__(self, redis: Redis, *, quiet: float = QUIET_SECONDS) -> None:
        """`quiet`: seconds of silence after which Redis is asked whether it is still there."""
        self._redis = redis
        self._listener = Listener(redis, f"*{_CHANNEL_END}", self._hear, self._missed, quiet=quiet)
        self._listening: dict[str, set[Heard]] = {}
        self._publishing: set[asyncio.Task[None]] = set()

    def tell(self, customer_id: str, kind: Kind, name: str = "") -> None:
        """Give notice of a change that has been stored. Nobody waits for it, and nothing fails with it."""
        task = asyncio.create_task(self._publish(customer_id, f"{kind} {name}"))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)

    async def listen(self, customer_id: str, heard: Heard) -> None:
        """Have `heard` told of this customer's changes, from when this returns until `leave`. It must not wait."""
        self._listening.setdefault(customer_id, set()).add(heard)
        await self._listener.start()

    def leave(self, customer_id: str, heard: Heard) -> None:
        """Tell `heard` no more."""
        listening = self._listening.get(customer_id, set())
        listening.discard(heard)
        if not listening:
            self._listening.pop(customer_id, None)

    async def close(self) -> None:
        """Publish what is under way, and listen no more. To be called before Redis is closed."""
        if self._publishing:
            await asyncio.wait(set(self._publishing))
        await self._listener.stop()

    async def _publish(self, customer_id: str, text: str) -> None:
        try:
            await self._redis.publish(channel_of(customer_id), text)
        except (RedisError, TimeoutError):
            _log.warning("a notice was not published")

    def _hear(self, channel: str, text: str) -> None:
        word, _, name = text.partition(" ")
        kind: Kind = _KINDS.get(word, "anything")
        for heard in list(self._listening.get(channel.removesuffix(_CHANNEL_END), ())):
            heard(Notice(kind, name))

    def _missed(self) -> None:
        for listening in list(self._listening.values()):
            for heard in list(listening):
                heard(Notice("anything"))
