"""The sandbox over a real socket, for every test folder: `pytest_plugins = ["fixtures_sandbox"]` or import it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from hermes.sandbox.app import Sandbox, sandbox_base_urls
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.server import RunningSandbox


@dataclass
class SandboxClient:
    """A running sandbox and a client for it."""

    sandbox: Sandbox
    origin: str
    http: aiohttp.ClientSession

    @property
    def base_urls(self) -> dict[str, str]:
        return sandbox_base_urls(self.origin)

    async def control(self, path: str, method: str = "POST", **body: Any) -> Any:
        """Call a control route and return its JSON; it must succeed."""
        json = body if method == "POST" else None
        async with self.http.request(method, f"{self.origin}/_sandbox/{path}", json=json) as answer:
            result = await answer.json()
            assert answer.status == 200, result
            return result

    async def fail(self, kind: str, **how: Any) -> None:
        """Switch a failure on (see `hermes.sandbox.failures.Failure`)."""
        await self.control("failures", kind=kind, **how)

    async def advance(self, seconds: float) -> None:
        """Move simulated time forward and wait until due webhooks were answered."""
        await self.control("advance", seconds=seconds)

    async def requests(self, **which: str) -> list[dict[str, Any]]:
        """What was sent, newest first."""
        async with self.http.get(f"{self.origin}/_sandbox/requests", params=which) as answer:
            return list((await answer.json())["requests"])

    async def messages(self, **which: str) -> list[dict[str, Any]]:
        async with self.http.get(f"{self.origin}/_sandbox/messages", params=which) as answer:
            return list((await answer.json())["messages"])


@pytest.fixture
async def start_sandbox() -> AsyncIterator[Callable[[SandboxOptions], Awaitable[SandboxClient]]]:
    """Start a sandbox with options of its own; it ends with the test."""
    async with AsyncExitStack() as stack:

        async def start(options: SandboxOptions) -> SandboxClient:
            sandbox = Sandbox(options)
            running = await stack.enter_async_context(RunningSandbox(sandbox.app))
            http = await stack.enter_async_context(aiohttp.ClientSession())
            return SandboxClient(sandbox, running.origin, http)

        yield start


@pytest.fixture
async def sandbox(start_sandbox: Callable[[SandboxOptions], Awaitable[SandboxClient]]) -> SandboxClient:
    """A sandbox whose clock stands still; webhooks go nowhere."""
    return await start_sandbox(SandboxOptions(frozen_clock=True))
