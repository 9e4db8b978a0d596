"""Sessions that are kept for a while: per customer and credential, bounded, closed when idle, each with its own thread.

A session's key begins with the customer's id and holds a digest of the credential, so no call can get a session of
another customer, or one that was logged in with another password.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Concatenate, Final, ParamSpec, TypeVar

from hermes.errors import HermesError
from hermes.platforms.email.mailbox import Mailbox

PER_ACCOUNT: Final = 3
PER_CUSTOMER: Final = 8
IN_ALL: Final = 200
IDLE_SECONDS: Final = 60.0

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Key:
    """Whose session it is."""

    customer_id: str
    digest: str


class Session:
    """A mailbox and the thread that it lives in."""

    def __init__(self, mailbox: Mailbox, thread: ThreadPoolExecutor, line: socket.socket) -> None:
        """Take over an opened mailbox.

        Args:
            mailbox: its methods are called in the thread only.
            thread: has one worker.
            line: the connection's socket once more, to cut it from outside of the thread.
        """
        self.mailbox = mailbox
        self.thread = thread
        self.line = line
        self.broken = False
        self.idle_since: float | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def reused(self) -> bool:
        return self.idle_since is not None

    async def run(self, work: Callable[Concatenate[Mailbox, P], T], *arguments: P.args, **named: P.kwargs) -> T:
        """Do something blocking with the mailbox. When the caller is cancelled, the connection is cut under it.

        Raises:
            mailbox.Lost: the connection is gone.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self.thread, lambda: work(self.mailbox, *arguments, **named))
        except HermesError:
            raise
        except BaseException:
            # Lost, cancelled, or a fault: nobody knows what the server says next.
            self.broken = True
            cut(self.line)
            raise

    def end(self) -> None:
        """Close the connection in its thread, and end the thread. Does not wait."""
        if self.timer is not None:
            self.timer.cancel()
        self.thread.submit(self.mailbox.connection.drop if self.broken else self.mailbox.close)
        self.thread.submit(self.line.close)
        self.thread.shutdown(wait=False)


def cut(line: socket.socket) -> None:
    """End a connection under a thread that waits on it."""
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


Open = Callable[[], Awaitable[Session]]


class Pool:
    """The sessions of one event loop."""

    def __init__(
        self,
        *,
        per_account: int = PER_ACCOUNT,
        per_customer: int = PER_CUSTOMER,
        in_all: int = IN_ALL,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._per_account = per_account
        self._per_customer = per_customer
        self._in_all = in_all
        self._idle_seconds = idle_seconds
        self._idle: dict[Key, list[Session]] = {}
        self._accounts: Counter[Key] = Counter()
        self._customers: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    @property
    def open_sessions(self) -> int:
        """How many there are, those in use included."""
        return self._accounts.total()

    def sessions_of(self, customer_id: str) -> int:
        return self._customers[customer_id]

    @asynccontextmanager
    async def lease(self, key: Key, open_: Open) -> AsyncIterator[Session]:
        """A session for one piece of work, nobody else's while it lasts; waits while the bounds are reached.

        Args:
            key: whose.
            open_: makes one when none is idle.
        """
        session = await self._take(key)
        if session is None:
            try:
                session = await open_()
            except BaseException:
                await asyncio.shield(self._forget(key))
                raise
        try:
            yield session
        finally:
            await asyncio.shield(self._give_back(key, session))

    async def close(self) -> None:
        """Close all idle sessions."""
        for key in list(self._idle):
            await self.discard(key)

    async def discard(self, key: Key) -> None:
        """Close the idle sessions of one account: one of them was found dead, so the others are likely to be."""
        async with self._changed:
            for session in list(self._idle.get(key, ())):
                self._drop(key, session)
            self._changed.notify_all()

    async def _take(self, key: Key) -> Session | None:
        """An idle session, or None with room reserved for a new one."""
        async with self._changed:
            while True:
                idle = self._idle.get(key)
                if idle:
                    session = idle.pop()
                    if not idle:
                        del self._idle[key]
                    if session.timer is not None:
                        session.timer.cancel()
                    return session
                if self._has_room(key) or self._make_room(key):
                    self._accounts[key] += 1
                    self._customers[key.customer_id] += 1
                    return None
                await self._changed.wait()

    def _has_room(self, key: Key) -> bool:
        return (
            self._accounts[key] < self._per_account
            and self._customers[key.customer_id] < self._per_customer
            and self._accounts.total() < self._in_all
        )

    def _make_room(self, key: Key) -> bool:
        """Close the idle session that was used longest ago, of this customer's other accounts if it is their bound."""
        if self._accounts[key] >= self._per_account:
            return False
        own = self._customers[key.customer_id] >= self._per_customer
        candidates = [
            (session.idle_since or 0.0, at, session)
            for at, sessions in self._idle.items()
            for session in sessions
            if not own or at.customer_id == key.customer_id
        ]
        if not candidates:
            return False
        _, at, oldest = min(candidates, key=lambda candidate: candidate[0])
        self._drop(at, oldest)
        return self._has_room(key)

    def _drop(self, key: Key, session: Session) -> None:
        sessions = self._idle[key]
        sessions.remove(session)
        if not sessions:
            del self._idle[key]
        session.end()
        self._count_down(key)

    def _count_down(self, key: Key) -> None:
        self._accounts[key] -= 1
        self._customers[key.customer_id] -= 1
        if self._accounts[key] <= 0:
            del self._accounts[key]
        if self._customers[key.customer_id] <= 0:
            del self._customers[key.customer_id]

    async def _forget(self, key: Key) -> None:
        async with self._changed:
            self._count_down(key)
            self._changed.notify_all()

    async def _give_back(self, key: Key, session: Session) -> None:
        async with self._changed:
            if session.broken:
                session.end()
                self._count_down(key)
            else:
                loop = asyncio.get_running_loop()
                session.idle_since = loop.time()
                session.timer = loop.call_later(self._idle_seconds, self._expire, key, session)
                self._idle.setdefault(key, []).append(session)
            self._changed.notify_all()

    def _expire(self, key: Key, session: Session) -> None:
        if session in self._idle.get(key, ()):
            self._drop(key, session)
