"""Two processes of the whole gateway over one store, Telegram's stand-in, and a customer with an assistant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hermes.app import House, build_house
from hermes.asgi import App
from hermes.identity.caller import Caller
from hermes.identity.service import NewCustomer
from hermes.platforms.catalog import load_catalog
from hermes.sandbox.app import Sandbox
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.server import RunningSandbox
from hermes.sandbox_mode import on_sandbox
from hermes.settings import load_settings
from hermes.storage.redis import Redis
from hermes.storage.sql import Database
from hermes.storage.stores import Stores
from web.people.conftest import hidden_fields

ORIGIN = "http://127.0.0.1:3456"
TOOL, OTHER = "telegram_send_message", "telegram_send_photo"
HELLO = {"chat_id": "987654321", "text": "Hello"}
TOKEN = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"
SECOND_TOKEN = "223456789:AAabcdefghijklmnopqrstuvwxyz0123456"
MODERN, LEGACY = "2026-07-28", "2025-11-25"
FORMS: dict[str, Any] = {"elicitation": {"form": {}}}


@dataclass
class Replica:
    """One process."""

    house: House
    app: Any


@dataclass
class Person:
    """A customer, their assistant's key, and their browser."""

    bench: Bench
    made: NewCustomer
    token: str
    caller: Caller

    @property
    def id(self) -> str:
        return self.made.row.id

    @property
    def key(self) -> str:
        return self.made.key.secret

    async def rule(self, target: str, rule: str) -> None:
        await self.bench.house.rules.set(self.id, target, rule, by=self.caller)

    async def rest(self, on: int = 0, /, key: str | None = None, headers: Any = None, **arguments: Any) -> Any:
        """Send the message over REST."""
        http = self.bench.http[on]
        given = {"x-api-key": key or self.key, **(headers or {})}
        return await http.post("/api/telegram/message", json={**HELLO, **arguments}, headers=given)

    async def get(self, path: str, key: str | None = None) -> Any:
        return await self.bench.http[0].get(path, headers={"x-api-key": key or self.key})

    async def mcp(
        self, on: int = 0, /, tool: str = TOOL, arguments: Any = None, capabilities: Any = None, **params: Any
    ) -> Any:
        """Send it as a modern client; gives the JSON-RPC answer."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": FORMS if capabilities is None else capabilities,
        }
        body = {"name": tool, "arguments": HELLO if arguments is None else arguments, "_meta": meta, **params}
        headers = {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": tool}
        return await self.rpc(on, "tools/call", body, headers)

    async def legacy(self, on: int = 0, /, session: str | None = None) -> Any:
        """Send it as a client of 2025-11-25."""
        headers = {"mcp-protocol-version": LEGACY} | ({"mcp-session-id": session} if session else {})
        return await self.rpc(on, "tools/call", {"name": TOOL, "arguments": HELLO}, headers)

    async def rpc(self, on: int, method: str, params: Any, headers: Any) -> Any:
        given = {"x-api-key": self.key, "accept": "application/json, text/event-stream", **headers}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return (await self.bench.http[on].post("/mcp", json=body, headers=given)).json()

    async def asked(self, on: int = 0, /, **params: Any) -> tuple[str, str, dict[str, Any]]:
        """What the modern client is asked: approval's id, message, and what an accepting retry brings."""
        result = (await self.mcp(on, **params))["result"]
        assert result["resultType"] == "input_required", result
        [(key, request)] = result["inputRequests"].items()
        given = {"inputResponses": {key: {"action": "accept"}}, "requestState": result["requestState"]}
        return key.removeprefix("approval_"), request["params"]["message"], given

    def browser(self, on: int = 0) -> Browser:
        http = self.bench.new_http(on, {"accept": "text/html"})
        http.cookies.set("session", self.token)
        return Browser(http)

    async def decide(self, approval_id: str, decision: str = "approve", on: int = 0) -> Any:
        browser = self.browser(on)
        await browser.open(f"/approvals/{approval_id}")
        return await browser.send(f"/approvals/{approval_id}", decision=decision)

    async def status(self, approval_id: str) -> str:
        return str((await self.get(f"/api/approvals/{approval_id}")).json()["status"])

    async def audit(self) -> list[dict[str, Any]]:
        """The trail, oldest first, without what came before."""
        entries = (await self.get("/api/audit")).json()["entries"]
        return [one for one in reversed(entries) if not one["tool"].startswith(("customer.", "connection."))]

    async def audit_after_rule(self) -> list[dict[str, Any]]:
        """The lines of calls and decisions."""
        return [one for one in await self.audit() if one["tool"].startswith(("approval.", "telegram_"))]


@dataclass
class Browser:
    """Keeps cookies and sends forms as they were shown."""

    http: httpx2.AsyncClient
    page: httpx2.Response | None = None

    async def open(self, path: str) -> httpx2.Response:
        self.page = await self.http.get(path)
        return self.page

    async def send(self, action: str, origin: str = ORIGIN, **fields: str) -> httpx2.Response:
        assert self.page is not None
        values = hidden_fields(self.page.text, action) | fields
        return await self.http.post(action, data=values, headers={"origin": origin})


@dataclass
class Bench:
    """The replicas, and what a test looks behind."""

    replicas: list[Replica]
    sandbox: Sandbox
    stack: AsyncExitStack
    stores: Stores
    environ: dict[str, str]
    origin: str
    http: list[httpx2.AsyncClient] = field(default_factory=list)
    ahead: timedelta = timedelta()

    @property
    def house(self) -> House:
        return self.replicas[0].house

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    @asynccontextmanager
    async def open(self, **more: str) -> AsyncIterator[Replica]:
        """Another process, with more settings, for as long as the block lasts."""
        catalog = load_catalog()
        settings = on_sandbox(load_settings(self.environ | more, env_file=None), self.origin, catalog)
        house = build_house(settings, self.stores, catalog)
        house.approvals.approvals.rows.now = self.now
        app = App(house)
        async with app.run():
            yield Replica(house, app.asgi)
        await house.close()

    def new_http(self, on: int, headers: Any = None) -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(app=self.replicas[on].app)
        http = httpx2.AsyncClient(transport=transport, base_url=ORIGIN, headers=headers)
        self.stack.push_async_callback(http.aclose)
        return http

    async def person(self, name: str = "ada", plan: str = "enterprise") -> Person:
        made = await self.house.customers.create(f"{name}@example.com", plan)
        token = await self.house.sessions.begin(made.row.id, client="test")
        caller = await self.house.sessions.verify(token)
        assert caller is not None
        await self.house.connections.connect(caller, "telegram", {"bot_token": TOKEN})
        return Person(self, made, token, caller)

    def sent(self) -> list[str]:
        """The texts that reached Telegram, oldest first."""
        return [
            one.text for one in reversed(list(self.sandbox.recorder.messages("telegram"))) if one.direction == "out"
        ]

    async def sweep(self, on: int = 0) -> None:
        """What runs by the clock, with what it enqueues run at once."""
        desk = self.replicas[on].house.approvals
        await desk.runs.sweep(desk.run_left)


@pytest.fixture
async def bench(redis: Redis, valkey: Any, database: Database, tmp_path: Path) -> AsyncIterator[Bench]:
    environ = {
        "DATA_DIR": str(tmp_path),
        "CREDENTIAL_ENCRYPTION_KEY": "a" * 64,
        "JWT_SECRET": "b" * 64,
        "MCP_API_KEY": "operator-key",
    }
    sandbox = Sandbox(SandboxOptions())
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(RunningSandbox(sandbox.app))
        made = Bench([], sandbox, stack, Stores(database, redis, valkey.url), environ, running.origin)
        for _ in range(2):
            made.replicas.append(await stack.enter_async_context(made.open()))
        made.http = [made.new_http(0), made.new_http(1)]
        yield made


@pytest.fixture
async def ada(bench: Bench) -> Person:
    """A customer who is asked before anything is sent by Telegram."""
    person = await bench.person()
    await person.rule("telegram", "ask")
    return person
