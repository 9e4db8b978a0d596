"""Customers who use hermes side by side through every door, and a watch over whatever each of them gets to see.

Everything that belongs to one of them can be recognised: markers in texts, ids of bots, chats and numbers, ids that
hermes made. Whatever an answer holds of somebody else's, and was not in the question, is a leak.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from e2e.wire import parsed

IDENTIFIER = re.compile(
    r"mk\d{4}x[0-9a-f]{8}|(?:cus|key|media|apv)_[0-9a-z]{26}|call_[0-9a-f]{32}|lab\d{4}"
    r"|(?<!\d)(?:8800\d{5}|8811\d{5}|4400\d{5}|77700\d{5}|77800\d{5})(?!\d)"
)
DOORS = ("modern", "legacy", "batch", "sse", "rest")
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Leak(AssertionError):
    """Something of one customer's was seen by another."""


@dataclass(eq=False)
class Tenant:
    """One customer with accounts of its own, and what it has done so far."""

    number: int
    plan: str
    id: str = ""
    key: str = field(default="", repr=False)
    key_id: str = ""
    done: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(tool, outcome as audited) → how often."""
    call_ids: set[str] = field(default_factory=set)
    sent: Counter[str] = field(default_factory=Counter)
    """Text → how often the platform must have got it."""
    connects: int = 0
    keys: list[str] = field(default_factory=list)
    wamid: str = ""
    file: str = ""
    session: str = field(default="", repr=False)
    asked: bool = False
    approval: str = ""
    checked: str = ""
    steps: list[Any] = field(default_factory=list)
    stream: Any = None

    def __post_init__(self) -> None:
        n = self.number
        self.mark = f"mk{n:04d}x{hashlib.sha256(str(n).encode()).hexdigest()[:8]}"
        self.bot, self.second_bot, self.chat = 880_000_000 + n, 881_100_000 + n, 440_000_000 + n
        self.phone, self.business = str(7_770_000_000 + n), str(7_780_000_000 + n)
        self.label = f"lab{n:04d}" if n % 3 == 0 else None
        self.bot_token = f"{self.bot}:AA-{self.mark}-padding-padding"
        self.second_token = f"{self.second_bot}:AA-{self.mark}-padding-padding"
        self.wa_token = f"EAAsandbox-{self.phone}-{self.business}-{self.mark}"

    @property
    def is_asked(self) -> bool:
        """Whether the customer wants to be asked before a note is made."""
        return self.number % 2 == 0

    @property
    def own(self) -> list[str]:
        numbers = (self.bot, self.second_bot, self.chat, self.phone, self.business)
        return [self.mark, self.id, f"lab{self.number:04d}", *map(str, numbers)]


@dataclass
class Outcome:
    """What came of one tool call."""

    structured: Any
    error: str | None


class Watch:
    """Knows whose is what, and looks at everything that a customer is shown."""

    def __init__(self) -> None:
        self.owner: dict[str, Tenant] = {}

    def belongs(self, tenant: Tenant) -> None:
        for one in tenant.own:
            self.owner[one] = tenant

    def look(self, tenant: Tenant, text: str, asked: str = "") -> None:
        """Raises `Leak` if the text has something of another's that was not in what was asked."""
        for found in set(IDENTIFIER.findall(text)):
            owner = self.owner.setdefault(found, tenant) if found not in asked else tenant
            if owner is not tenant:
                raise Leak(f"customer {tenant.number} sees {found} of customer {owner.number}: {text[:300]}")


class Stream:
    """A customer's /sse stream."""

    def __init__(self, http: aiohttp.ClientSession, base: str, tenant: Tenant, watch: Watch) -> None:
        self._http, self._base, self._tenant, self._watch = http, base, tenant, watch
        self.endpoint: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answers: dict[Any, asyncio.Future[Any]] = {}
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        headers = {"x-api-key": self._tenant.key, "accept": "text/event-stream"}
        async with self._http.get(f"{self._base}/sse", headers=headers) as response:
            assert response.status == 200, await response.text()
            name = ""
            async for raw in response.content:
                line = raw.decode().rstrip("\r\n")
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: ") and name == "endpoint":
                    self.endpoint.set_result(line[6:])
                elif line.startswith("data: "):
                    self._watch.look(self._tenant, line)
                    answer = json.loads(line[6:])
                    self._answers.pop(answer["id"]).set_result(answer)

    async def request(self, body: dict[str, Any]) -> Any:
        answer = self._answers[body["id"]] = asyncio.get_running_loop().create_future()
        url = self._base + await self.endpoint
        async with self._http.post(url, json=body, headers={"x-api-key": self._tenant.key}) as response:
            assert response.status == 202, await response.text()
        done, _ = await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        assert answer in done, "the stream ended"
        return answer.result()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


class Doors:
    """Everything by which customers, the operator and the sandbox's page are reached."""

    def __init__(self, base: str, sandbox: str, operator_key: str) -> None:
        self.base, self.sandbox, self.operator_key = base, sandbox.rstrip("/"), operator_key
        self.watch = Watch()
        self.routes: dict[str, tuple[str, str]] = {}
        self.next_ids = iter(range(1, 1_000_000))

    async def open(self, stack: AsyncExitStack) -> None:
        """Open the clients and read what tools there are."""
        long = aiohttp.TCPConnector(limit=0)
        self.streams = await stack.enter_async_context(aiohttp.ClientSession(connector=long))
        short = aiohttp.TCPConnector(limit=48)
        self.http = await stack.enter_async_context(aiohttp.ClientSession(connector=short))
        async with self.http.get(f"{self.base}/tools") as response:
            tools = (await response.json())["tools"]
        self.routes = {tool["name"]: (tool["rest"]["method"], tool["rest"]["path"]) for tool in tools}

    async def in_sandbox(self, path: str, body: dict[str, Any]) -> None:
        async with self.http.post(self.sandbox + path, json=body) as response:
            assert response.status == 200, await response.text()

    async def operator(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"x-api-key": self.operator_key}
        async with self.http.request(method, self.base + path, json=body, headers=headers) as response:
            assert response.status in (200, 201), f"{method} {path}: {response.status} {await response.text()}"
            return await response.json()

    async def get(self, tenant: Tenant, path: str, status: int = 200, **headers: str) -> Any:
        return await self.send(tenant, "GET", path, None, status, **headers)

    async def send(
        self, tenant: Tenant, method: str, path: str, body: Any = None, status: int = 200, **headers: str
    ) -> Any:
        """One request of a customer's, again while the store has too much to do; the answer is looked at and parsed."""
        given = headers if "authorization" in headers else {"x-api-key": tenant.key, **headers}
        asked = f"{path} {json.dumps(body)} {headers} {decoded(path)}"
        async with self.http.request(method, self.base + path, json=body, headers=given) as response:
            text = await response.text()
            if response.status == 503:
                await asyncio.sleep(int(response.headers["retry-after"]))
                return await self.send(tenant, method, path, body, status, **headers)
            self.watch.look(tenant, f"{but_arguments(text)} {dict(response.headers)}", asked)
            assert response.status == status, f"{method} {path} of {tenant.number}: {response.status} {text[:500]}"
            return json.loads(text) if text else None

    async def call(self, tenant: Tenant, door: str, tool: str, *, idem: str = "", **arguments: Any) -> Outcome:
        """One tool call through one of the doors, noted as it must appear in the customer's trail."""
        if door == "rest":
            outcome, call_id = await self._rest(tenant, tool, arguments, idem)
        else:
            outcome, call_id = read_mcp(await self._mcp(tenant, door, tool, arguments, idem))
        if call_id:
            tenant.call_ids.add(call_id)
        kind = "success" if outcome.error is None else "denied"
        tenant.done[tool, kind] += 1
        return outcome

    async def _rest(self, tenant: Tenant, tool: str, arguments: dict[str, Any], idem: str) -> tuple[Outcome, str]:
        method, path = self.routes[tool]
        headers = {"x-api-key": tenant.key} | ({"idempotency-key": idem} if idem else {})
        given = {"params": query(arguments)} if method == "GET" else {"json": arguments}
        async with self.http.request(method, self.base + path, headers=headers, **given) as response:
            text = await response.text()
            self.watch.look(tenant, text + str(dict(response.headers)), json.dumps(arguments))
            assert response.status < 500, text
            body = json.loads(text)
            if response.status == 200:
                return Outcome(body, None), response.headers["x-call-id"]
            return Outcome(None, body["code"]), body.get("call_id", "")

    async def _mcp(self, tenant: Tenant, door: str, tool: str, arguments: dict[str, Any], idem: str) -> Any:
        meta = {"com.squaremcp/idempotency-key": idem} if idem else {}
        params: dict[str, Any] = {"name": tool, "arguments": arguments, "_meta": meta}
        body: Any = {"jsonrpc": "2.0", "id": next(self.next_ids), "method": "tools/call", "params": params}
        if door == "sse":
            return await tenant.stream.request(body)
        headers = {"x-api-key": tenant.key, "accept": "application/json, text/event-stream"}
        if door == "modern":
            params["_meta"] |= META
            headers |= {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": tool}
        else:
            headers["mcp-protocol-version"] = "2025-06-18" if door == "legacy" else "2025-03-26"
        ping = {"jsonrpc": "2.0", "id": "ping", "method": "ping"}
        sent = [ping, body] if door == "batch" else body
        async with self.http.post(f"{self.base}/mcp", json=sent, headers=headers) as response:
            text = await response.text()
            self.watch.look(tenant, text, json.dumps(arguments))
            assert response.status < 500, text
            answer = parsed(text)
        return next(one for one in answer if one["id"] == body["id"]) if door == "batch" else answer


def but_arguments(text: str) -> str:
    """Audit lines without what the customer itself had given as arguments: a hostile try names its neighbour there."""
    return re.sub(r'"arguments":\{([^{}]|\{[^{}]*\})*\}', "", text)


def decoded(path: str) -> str:
    return " ".join(
        base64.urlsafe_b64decode(cursor + "==").decode("latin-1") for cursor in re.findall(r"cursor=(a2V5[\w-]+)", path)
    )


def number(phone: str, business: str, token: str) -> dict[str, str]:
    return {"phoneNumberId": phone, "businessAccountId": business, "accessToken": token}


def query(arguments: dict[str, Any]) -> dict[str, str]:
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in arguments.items()}


def read_mcp(answer: Any) -> tuple[Outcome, str]:
    result = answer["result"]
    if not result["isError"]:
        return Outcome(result["structuredContent"], None), result["_meta"]["com.squaremcp/call-id"]
    error = result["_meta"]["com.squaremcp/error"]
    return Outcome(None, error["code"]), error.get("call_id", "")
