"""Webhooks sent by the stand-ins: at least once, again until they are accepted, and unruly on demand."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from hermes.sandbox.clock import Clock

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
ANSWER_TIMEOUT = 20.0
RETRIES = (1.0, 5.0, 25.0, 120.0, 600.0, 3600.0, 21_600.0, 86_400.0)
"""Seconds before each further attempt: ever rarer, over about a day and a half of simulated time."""


@dataclass(slots=True)
class Delivery:
    """One webhook on its way. `status` is `pending`, `delivered` or `gave_up`; `answers` has one entry per attempt."""

    id: int
    platform: str
    url: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    at: float
    status: str = "pending"
    answers: list[str] = field(default_factory=list)
    on_end: Callable[[Delivery], None] | None = field(default=None, repr=False)

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "at": self.at,
            "platform": self.platform,
            "url": self.url,
            "body": self.body.decode("utf-8", "replace"),
            "status": self.status,
            "answers": list(self.answers),
        }


@dataclass(slots=True)
class Disorder:
    """How unruly a platform's webhooks are."""

    duplicate: bool = False
    shuffle: bool = False
    batch: bool = False

    def shown(self) -> dict[str, bool]:
        return {"duplicate": self.duplicate, "shuffle": self.shuffle, "batch": self.batch}


def is_loopback(url: str) -> bool:
    """True for an http or https URL of this machine: the only ones that a caller of the sandbox may name."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.hostname in LOOPBACK_NAMES


class Webhooks:
    """Posts deliveries and repeats those that were not answered with 2xx (Meta: with 200)."""

    def __init__(self, clock: Clock, *, kept: int = 1000) -> None:
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ids = count(1)
        self._disorder: dict[str, Disorder] = {}
        self.deliveries: deque[Delivery] = deque(maxlen=kept)

    def disorder(self, platform: str) -> Disorder:
        """The platform's switches; change them in place."""
        return self._disorder.setdefault(platform, Disorder())

    def send(
        self,
        platform: str,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        on_end: Callable[[Delivery], None] | None = None,
    ) -> None:
        """Post `body` now, twice if the platform's `duplicate` is on, and again on failure.

        Args:
            on_end: called once per delivery when it was accepted or given up.
        """
        for _ in range(2 if self.disorder(platform).duplicate else 1):
            delivery = Delivery(next(self._ids), platform, url, body, headers, self._clock.now(), on_end=on_end)
            self.deliveries.append(delivery)
            self._start(delivery)

    async def handshake(self, url: str, verify_token: str, challenge: str) -> bool:
        """Meta's verification of a callback: true when the answer is 200 with the challenge as its whole body."""
        query = {"hub.mode": "subscribe", "hub.verify_token": verify_token, "hub.challenge": challenge}
        try:
            async with self._client().get(url, params=query, allow_redirects=False) as answer:
                return answer.status == 200 and (await answer.content.read(1024)).decode("latin-1") == challenge
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def idle(self) -> None:
        """Wait until no attempt is under way (repetitions that wait for their time do not count)."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def clear(self) -> None:
        """Forget deliveries and switches; what is under way ends by itself and is not repeated."""
        for delivery in self.deliveries:
            delivery.status = "gave_up" if delivery.status == "pending" else delivery.status
        self.deliveries.clear()
        self._disorder.clear()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        return self._session

    def _start(self, delivery: Delivery) -> None:
        if delivery.status != "pending":
            return
        task = asyncio.get_running_loop().create_task(self._attempt(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            post = self._client().post(
                delivery.url, data=delivery.body, headers=delivery.headers, allow_redirects=False
            )
            async with post as answer:
                delivery.answers.append(str(answer.status))
                accepted = 200 <= answer.status < 300
        except TimeoutError:
            delivery.answers.append("no answer")
            accepted = False
        except aiohttp.ClientError as error:
            refused = isinstance(error, aiohttp.ClientConnectorError)
            delivery.answers.append("not reachable" if refused else "connection lost")
            accepted = False
        if delivery.status != "pending":
            return
        if accepted:
            delivery.status = "delivered"
        elif len(delivery.answers) > len(RETRIES):
            delivery.status = "gave_up"
        else:
            self._clock.call_later(RETRIES[len(delivery.answers) - 1], lambda: self._start(delivery))
            return
        if delivery.on_end is not None:
            delivery.on_end(delivery)
