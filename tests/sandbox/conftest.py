"""The sandbox over a real socket, and a callback that catches its webhooks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hermes.sandbox.app import Sandbox, sandbox_base_urls
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.server import RunningSandbox

BOT = "123456789:AAEabcdefghijklmnopqrstuvwxyz012345"
PHONE = "106540352242922"
BUSINESS = "102290129340398"
ACCESS = f"EAAsandbox-{PHONE}-{BUSINESS}-acme"


@dataclass
class Reply:
    """An answer that was read to its end."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """A running sandbox and a client for it."""

    sandbox: Sandbox
    origin: str
    http: aiohttp.ClientSession

    @property
    def base_urls(self) -> dict[str, str]:
        return sandbox_base_urls(self.origin)

    async def request(self, method: str, path: str, **given: Any) -> Reply:
        async with self.http.request(method, f"{self.origin}{path}", **given) as answer:
            return Reply(answer.status, answer.headers, await answer.read())

    async def telegram(self, method: str, token: str = BOT, **args: Any) -> Reply:
        return await self.request("POST", f"/telegram/bot{token}/{method}", json=args)

    async def graph(self, method: str, path: str, token: str | None = ACCESS, **given: Any) -> Reply:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return await self.request(method, f"/whatsapp/v26.0/{path}", headers=headers, **given)

    async def send(self, token: str = ACCESS, phone: str = PHONE, **message: Any) -> Reply:
        """POST a WhatsApp message; a text to somebody unless `message` says otherwise."""
        usual = {"messaging_product": "whatsapp", "to": "16505551234", "type": "text", "text": {"body": "hi"}}
        body = {name: value for name, value in (usual | message).items() if value is not None}
        return await self.graph("POST", f"{phone}/messages", token, json=body)

    async def control(self, path: str, method: str = "POST", **body: Any) -> Any:
        """Call a control route and return its JSON; it must succeed."""
        reply = await self.request(method, f"/_sandbox/{path}", json=body if method == "POST" else None)
        assert reply.status == 200, reply.body
        return reply.json

    async def advance(self, seconds: float) -> None:
        """Move simulated time forward and wait until due webhooks were answered."""
        await self.control("advance", seconds=seconds)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Let the server go on until it has reached a state, for states that it tells nobody."""
        async with asyncio.timeout(5):
            while not reached():  # noqa: ASYNC110  (there is no event: a request that waits is silent)
                await asyncio.sleep(0)


@dataclass
class Callback:
    """A webhook endpoint: what it got, and the statuses it answers with (then 200)."""

    url: str = ""
    got: list[tuple[Any, bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    verify_token: str = "sandbox-verify-token"
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            right = request.query.get("hub.verify_token") == self.verify_token
            return web.Response(text=request.query["hub.challenge"]) if right else web.Response(status=403)
        self.got.append((request.headers, await request.read()))
        self.arrived.set()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    @property
    def values(self) -> list[Any]:
        """The `value` of every change that came, in order."""
        bodies = [json.loads(body) for _, body in self.got]
        return [change["value"] for body in bodies for entry in body["entry"] for change in entry["changes"]]

    @property
    def statuses_seen(self) -> list[str]:
        return [status["status"] for value in self.values for status in value.get("statuses", [])]


@pytest.fixture
async def callback() -> AsyncIterator[Callback]:
    caught = Callback()
    app = web.Application()
    app.router.add_route("*", "/hook", caught.handle)
    async with TestServer(app) as server:
        caught.url = str(server.make_url("/hook"))
        yield caught


@pytest.fixture
async def start_sandbox() -> AsyncIterator[Callable[[SandboxOptions], Awaitable[Client]]]:
    """Start a sandbox with options of its own; it ends with the test."""
    async with AsyncExitStack() as stack:

        async def start(options: SandboxOptions) -> Client:
            sandbox = Sandbox(options)
            running = await stack.enter_async_context(RunningSandbox(sandbox.app))
            http = await stack.enter_async_context(aiohttp.ClientSession())
            return Client(sandbox, running.origin, http)

        yield start


@pytest.fixture
async def sandbox(start_sandbox: Any, callback: Callback) -> Client:
    """A sandbox whose clock stands still, with WhatsApp's webhooks going to `callback`."""
    return await start_sandbox(SandboxOptions(frozen_clock=True, webhook_urls={"whatsapp": callback.url}))
