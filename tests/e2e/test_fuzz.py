"""Malformed requests at every route of the whole house: no 5xx, no word about our insides, and it lives on.

HERMES_FUZZ_REQUESTS says how many (default 5,000), HERMES_FUZZ_SEED which. Every request follows from the seed and its
number, so what a failure prints can be sent again.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx2
import pytest

REQUESTS = int(os.environ.get("HERMES_FUZZ_REQUESTS", "5000"))
SEED = os.environ.get("HERMES_FUZZ_SEED", "1")
AT_ONCE = 12
READ_SECONDS = 8.0
INSIDES = re.compile(
    rb"Traceback|site-packages|\.py\b|/work/|/usr/lib|/tmp/|sqlalchemy|sqlite|asyncmy|\bSELECT\b|\bINSERT\b|valkey|evalsha"
    rb"|WRONGTYPE|NOSCRIPT|aiohttp|starlette|fastapi|pydantic|uvicorn|httptools|asyncio|orjson|NoneType|object at 0x"
    rb"|hermes\.(?:app|gateway|identity|storage|connections|transports|platforms)|(?:creds|log_seq|pending|quota|idem):"
    rb"|(?:Type|Value|Key|Attribute|Unicode\w*|Recursion|Overflow|Assertion|Index|Runtime)Error|Exception\b",
    re.IGNORECASE,
)
ODD: list[Any] = [
    None, True, 0, -1, 2**63, 10**400, -(10**30), 1e308, float("nan"), float("inf"), "", " ", "\x00", "\ud800",
    "a\udfffb",
    "\u202e\u200b", "é" * 50, "x" * 5000, "../../etc/passwd", "%00%ff", "${7*7}", "'; DROP TABLE customers;--",
    "[[", "(?:",
    "/(a+)+$/", [], {}, [[]], {"": {}}, ["a"] * 300, {"__proto__": 1, "constructor": None}, "2026-13-45", "-0", "1e5",
]  # fmt: skip
ODD_BYTES = [b"", b"\x00", b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\r\n", b"%", b"\xef\xbb\xbf", b"0" * 3000]
ODD_HEADERS: list[tuple[bytes, bytes]] = [
    (b"Content-Length", b"-1"), (b"Content-Length", b"5, 5"), (b"Content-Length", b"9" * 30),
    (b"Content-Length", b"0x10"),
    (b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"gzip, chunked"), (b"Transfer-Encoding", b"xchunked"),
    (b"Transfer-Encoding ", b"chunked"), (b"Content-Encoding", b"gzip"), (b"Expect", b"100-continue"),
    (b"Upgrade", b"websocket"), (b"Connection", b"Upgrade, close"), (b"Upgrade", b"h2c"), (b"Host", b"evil.example"),
    (b"Host", b""), (b"Host", b"[::1"), (b"Host", b"a\xffb"), (b"Origin", b"https://evil.example"), (b"Origin",
    b"null"),
    (b"Origin", b"http://[::1"), (b"Content-Type", b"text/plain"), (b"Content-Type",
    b"application/json; charset=utf-16"),
    (b"Content-Type", b"multipart/form-data; boundary=\xff"), (b"Content-Type", b"application/x-www-form-urlencoded"),
    (b"Accept", b"text/html;q=x"), (b"Accept", b"\x80"), (b"Authorization", b"Bearer"), (b"Authorization",
    b"Basic !!!"),
    (b"Authorization", b"Bearer \xff\xfe"), (b"x-api-key", b"sq_live_" + b"a" * 49), (b"x-api-key", b"\xe9"),
    (b"Cookie", b"session=eyJhbGciOiJub25lIn0.e30."), (b"Cookie", b"=;;=" * 50), (b"mcp-protocol-version",
    b"2031-01-01"),
    (b"mcp-protocol-version", b"2025-03-26"), (b"mcp-protocol-version", b"2026-07-28"), (b"mcp-method", b"\xff"),
    (b"mcp-name", b"=?base64?????="), (b"mcp-session-id", b"\x01"), (b"last-event-id", b"9" * 400),
    (b"Idempotency-Key", b"\xff" * 20), (b"Idempotency-Key", b"k" * 5000), (b"x-request-id", b"\r\tx"),
    (b"X-Hub-Signature-256", b"sha256=\xff"), (b"X-Forwarded-For", b"1" * 2000), (b"Forwarded", b"for=\"_\x00\""),
    (b"Range", b"bytes=0-,-1,9999999999999999-"), (b"If-None-Match", b"\""), (b"Bad Name", b"x"), (b"", b"x"),
    (b"x-long", b"l" * 20_000), (b"Access-Control-Request-Method", b"\xff"), (b"TE", b"trailers"), (b"Trailer",
    b"Host"),
]  # fmt: skip
METHODS = [
    b"GET",
    b"POST",
    b"PUT",
    b"DELETE",
    b"HEAD",
    b"OPTIONS",
    b"PATCH",
    b"TRACE",
    b"CONNECT",
    b"BREW",
    b"get",
    b"",
]
VERSIONS = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"]


@dataclass
class Request:
    """One request before it is written; everything may be wrong with it."""

    method: bytes
    path: str
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    json: Any = None
    body: bytes | None = None
    target: bytes | None = None
    version: bytes = b"HTTP/1.1"
    chunked: bool = False
    cut: int = 0

    def written(self) -> bytes:
        body = self.body
        if body is None:
            body = b"" if self.json is None else _dumps(self.json)
        query = "?" + urlencode(self.query, errors="replace") if self.query else ""
        target = self.target if self.target is not None else (self.path + query).encode("utf-8", "replace")
        headers = list(self.headers)
        if self.chunked:
            headers.append((b"Transfer-Encoding", b"chunked"))
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        elif body or self.method in (b"POST", b"PUT"):
            headers.append((b"Content-Length", str(len(body)).encode()))
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        whole = self.method + b" " + target + b" " + self.version + b"\r\n" + lines + b"\r\n" + body
        return whole[: -self.cut] if self.cut else whole


def _dumps(value: Any) -> bytes:
    try:
        return json.dumps(value).encode()
    except (ValueError, RecursionError):
        return b"{"


class Generator:
    """Makes requests that fit each route, and then spoils them."""

    def __init__(
        self, document: Any, tools: list[Any], keys: list[str], operator_key: str, host: str, ids: list[str]
    ) -> None:
        self._document, self._tools, self._keys, self._operator = document, tools, keys, operator_key
        self._host, self._ids = host.encode(), ids
        self._operations = [
            (path, method, operation)
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if method in ("get", "post", "put", "delete", "patch")
            and not (method == "delete" and "connections" in path)  # the fuzzed customers stay linked
        ]

    def request(self, number: int) -> tuple[Request, str]:
        """Request `number` of this seed, and the key it is sent with."""
        rng = random.Random(f"{SEED}:{number}")  # noqa: S311  (to be repeatable, not secret)
        kinds: list[Callable[[random.Random], Request]] = [self._operation] * 5 + [self._mcp] * 5 + [self._tool] * 3
        request = rng.choice([*kinds, self._sse, self._message, self._webhook, self._webhook])(rng)
        key = self._operator if rng.random() < 0.08 else rng.choice(self._keys)
        name = (b"x-api-key", key.encode()) if rng.random() < 0.7 else (b"Authorization", b"Bearer " + key.encode())
        request.headers[:0] = [(b"Host", self._host), (b"Connection", b"close"), name]
        for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3, 5])):
            rng.choice(SPOILERS)(request, rng)
        return request, key

    def _operation(self, rng: random.Random) -> Request:
        path, method, operation = rng.choice(self._operations)
        filled = re.sub(
            r"\{\w+\}", lambda _: quote(str(rng.choice([*self._ids, *ODD])), safe="", errors="replace"), path
        )
        query = [
            (one["name"], str(self._sample(one["schema"], rng)))
            for one in operation.get("parameters", ())
            if one["in"] == "query" and rng.random() < 0.7
        ]
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        body = self._sample(content["schema"], rng) if content else None
        headers = [(b"Content-Type", b"application/json")] if content else []
        return Request(method.upper().encode(), filled, query, headers, body)

    def _tool(self, rng: random.Random) -> Request:
        tool = rng.choice(self._tools)
        arguments = self._sample(tool["input_schema"], rng)
        method, path = tool["rest"]["method"], tool["rest"]["path"]
        if method in ("GET", "DELETE"):
            return Request(method.encode(), path, [(name, str(value)) for name, value in arguments.items()])
        return Request(method.encode(), path, [], [(b"Content-Type", b"application/json")], arguments)

    def _rpc(self, rng: random.Random) -> dict[str, Any]:
        method = rng.choice(["tools/call"] * 5 + ["tools/list", "initialize", "ping", "server/discover",
                             "tasks/get", "resources/read", "prompts/get", "notifications/cancelled",
                             "logging/setLevel"])  # fmt: skip
        params: dict[str, Any] = {}
        if method == "tools/call":
            tool = rng.choice(self._tools)
            params = {"name": tool["name"], "arguments": self._sample(tool["input_schema"], rng)}
        elif method == "initialize":
            client = {"name": "fuzz", "version": "1"}
            params = {"protocolVersion": rng.choice(VERSIONS), "capabilities": {}, "clientInfo": client}
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "progressToken": rng.choice(["t", 1, None]),
        }
        return {"jsonrpc": "2.0", "id": rng.choice([1, "a", 2**60]), "method": method, "params": params}

    def _mcp(self, rng: random.Random) -> Request:
        message, version = self._rpc(rng), rng.choice(VERSIONS)
        headers = [(b"Content-Type", b"application/json"), (b"Accept", b"application/json, text/event-stream")]
        headers.append((b"mcp-protocol-version", version.encode()))
        if version == "2026-07-28":
            headers.append((b"mcp-method", message["method"].encode()))
            if "name" in message["params"]:
                headers.append((b"mcp-name", message["params"]["name"].encode()))
        else:
            del message["params"]["_meta"]
        batch = version == "2025-03-26" and rng.random() < 0.5
        return Request(b"POST", "/mcp", [], headers, [message, self._rpc(rng)] if batch else message)

    def _sse(self, rng: random.Random) -> Request:
        # The stream is left at once; nine of ten are something else than a stream.
        method = b"GET" if rng.random() < 0.1 else rng.choice(METHODS)
        return Request(method, "/sse", [], [(b"Accept", b"text/event-stream")])

    def _message(self, rng: random.Random) -> Request:
        session = rng.choice(["0" * 32, "x", "", "f" * 4000])
        content = [(b"Content-Type", b"application/json")]
        return Request(b"POST", "/messages", [("session_id", session)], content, self._rpc(rng))

    def _webhook(self, rng: random.Random) -> Request:
        if rng.random() < 0.3:
            given = {"hub.mode": "subscribe", "hub.verify_token": "sandbox-verify-token", "hub.challenge": "1234"}
            return Request(b"GET", "/webhook/whatsapp", list(given.items()))
        value: Any = {
            "messaging_product": "whatsapp",
            "metadata": {"phone_number_id": "106540352242922", "display_phone_number": "15550001111"},
            "messages": [{"from": "4915112345678", "id": "wamid.fuzz", "timestamp": "1795197373", "type": "text",
                          "text": {"body": "hello"}}],
            "statuses": [{"id": "wamid.fuzz", "status": "read", "timestamp": "1795197373", "recipient_id": "1"}],
        }  # fmt: skip
        for _ in range(rng.randint(0, 3)):
            value = spoil_json(value, rng)
        change = {"id": "1", "changes": [{"field": "messages", "value": value}]}
        body = _dumps({"object": "whatsapp_business_account", "entry": [change]})
        signature = b"sha256=" + hmac.new(b"sandbox-app-secret", body, hashlib.sha256).hexdigest().encode()
        headers = [(b"Content-Type", b"application/json"), (b"X-Hub-Signature-256", signature)]
        return Request(b"POST", "/webhook/whatsapp", [], headers, None, body)

    def _sample(self, schema: Any, rng: random.Random) -> Any:
        """A value that looks as if it fitted the schema."""
        while "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            schema = self._document["components"]["schemas"].get(name, {})
        for several in ("anyOf", "oneOf", "allOf"):
            if several in schema:
                return self._sample(rng.choice(schema[several]), rng)
        if "enum" in schema:
            return rng.choice(schema["enum"])
        kind = schema.get("type", "object" if "properties" in schema else "string")
        kind = rng.choice(kind) if isinstance(kind, list) else kind
        if kind == "object":
            required = schema.get("required", ())
            return {
                name: self._sample(part, rng)
                for name, part in schema.get("properties", {}).items()
                if name in required or rng.random() < 0.4
            }
        if kind == "array":
            return [self._sample(schema.get("items", {}), rng) for _ in range(rng.randint(0, 3))]
        if kind in ("integer", "number"):
            return rng.choice([schema.get("minimum", 1), 1, 5, schema.get("maximum", 9)])
        if kind in ("boolean", "null"):
            return rng.choice([True, False]) if kind == "boolean" else None
        words = [
            "44001",
            "+4915112345678",
            "Diary.md",
            "hello",
            "*bold* _x_",
            "https://example.com/a.jpg",
            "en_US",
        ]
        return rng.choice(words)


def spoil_json(value: Any, rng: random.Random) -> Any:
    """The value with one thing in it changed, somewhere."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        name = rng.choice(list(value))
        changed = dict(value)
        what = rng.random()
        if what < 0.1:
            del changed[name]
        elif what < 0.2:
            changed[str(rng.choice(ODD))[:10_000] or "k" * 10_000] = changed.pop(name)
        elif what < 0.3:
            changed[rng.choice(["customer_id", "account", "k" * 10_000, "__class__"])] = rng.choice(ODD)
        else:
            changed[name] = spoil_json(value[name], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], spoil_json(value[place], rng), *value[place + 1 :]]
    if rng.random() < 0.1:
        deep: Any = "deep"
        for _ in range(rng.choice([10, 70, 500])):
            deep = [deep] if rng.random() < 0.5 else {"d": deep}
        return deep
    return rng.choice(ODD)


def _spoil_json(request: Request, rng: random.Random) -> None:
    if request.json is not None:
        request.json = spoil_json(request.json, rng)


def _spoil_body(request: Request, rng: random.Random) -> None:
    body = request.body if request.body is not None else b"" if request.json is None else _dumps(request.json)
    place = rng.randint(0, len(body))
    deep = b"[" * 100_000
    request.body = rng.choice([
        body[:place], body[:place] + rng.choice(ODD_BYTES) + body[place:], rng.randbytes(rng.randint(1, 200)),
        deep, b"null",
        body.decode("latin-1").encode("utf-16"), b"\xef\xbb\xbf" + body, body + body, b'{"a":1,"a":2}', b"NaN",
        b" " * 70_000,
    ])  # fmt: skip


def _spoil_header(request: Request, rng: random.Random) -> None:
    request.headers.insert(rng.randint(0, len(request.headers)), rng.choice(ODD_HEADERS))


def _spoil_known_header(request: Request, rng: random.Random) -> None:
    place = rng.randrange(len(request.headers))
    name, value = request.headers[place]
    doubled = [(name, value), (name.upper(), rng.choice(ODD_BYTES))]
    request.headers[place : place + 1] = rng.choice([[], doubled, [(name, value + rng.choice(ODD_BYTES))]])


def _spoil_many(request: Request, rng: random.Random) -> None:
    request.headers += [(b"x-%d" % number, b"v" * rng.randint(0, 50)) for number in range(rng.choice([50, 300, 900]))]


def _spoil_path(request: Request, rng: random.Random) -> None:
    odd = rng.choice(
        ["%00", "%ff", "%2e%2e%2f", "//", "/../", ";x=1", "/%", "\u00e9", "#f", "/" + "p" * 8000, "%u0041", "/."]
    )
    place = rng.randint(0, len(request.path))
    request.path = request.path[:place] + odd + request.path[place:]


def _spoil_query(request: Request, rng: random.Random) -> None:
    added = [(str(rng.choice(["limit", "cursor", "account", "since", *ODD[10:20]])), str(rng.choice(ODD)))]
    many = [(f"q{number}", "x") for number in range(300)]
    request.query += rng.choice([added, added * 3, many, [(name, str(rng.choice(ODD))) for name, _ in request.query]])


def _spoil_target(request: Request, rng: random.Random) -> None:
    path = request.path.encode("utf-8", "replace")
    odd = [b"*", b"http://evil.example" + path, b"", b"evil.example:443", path + b"?%ff=%c3%28&=&&",
           b"\xff" + path, path + b" x", path + b"?limit=%00&cursor=" + b"A" * 5000]  # fmt: skip
    request.target = rng.choice(odd)


def _spoil_line(request: Request, rng: random.Random) -> None:
    if rng.random() < 0.6:
        request.method = rng.choice(METHODS)
    else:
        request.version = rng.choice([b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"", b"http/1.1", b"HTTP/1.1 x"])


def _spoil_framing(request: Request, rng: random.Random) -> None:
    if rng.random() < 0.5:
        request.chunked = True
    else:
        request.cut = rng.randint(1, 60)


SPOILERS: list[Callable[[Request, random.Random], None]] = [
    *[_spoil_json] * 8, *[_spoil_body] * 3, *[_spoil_header] * 4, *[_spoil_known_header] * 2, _spoil_many,
    *[_spoil_path] * 2,
    *[_spoil_query] * 3, _spoil_target, *[_spoil_line] * 2, _spoil_framing,
]  # fmt: skip


async def exchange(host: str, port: int, sent: bytes, *, unfinished: bool) -> bytes:
    """Send the bytes and read one answer, as far as it comes; nothing when the server hangs up without one."""
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 22)
    try:
        writer.write(sent)
        if unfinished:
            writer.write_eof()
        async with asyncio.timeout(READ_SECONDS if not unfinished else 1.0):
            answer = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", answer)
            if length and not sent.startswith(b"HEAD"):
                answer += await reader.readexactly(int(length[1]))
            return answer
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError) as error:
        return bytes(getattr(error, "partial", b""))
    finally:
        writer.close()


def judge(sent: bytes, answer: bytes, foreign: re.Pattern[bytes]) -> str | None:
    """What is wrong with the answer, if anything is."""
    if not answer:
        return None
    status = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    if status is None:
        return "no HTTP"
    if int(status[1]) >= 500:
        return f"status {int(status[1])}"
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"\r\nserver:" in head.lower():
        return "the server's name is told"
    for shown in INSIDES.finditer(body):
        if shown[0].lower() not in sent.lower() and b'"openapi":' not in body[:100]:
            return f"tells {shown[0]!r}"
    # A customer's trail repeats what it gave as arguments itself, the victim's id among them.
    for shown in foreign.finditer(re.sub(rb'"arguments":\{([^{}]|\{[^{}]*\})*\}', b"", answer)):
        if shown[0] not in sent:
            return f"shows another customer's {shown[0]!r}"
    return None


@pytest.mark.timeout(max(120, REQUESTS // 40))
async def test_fuzz_the_whole_house(new_hermes: Callable[..., Any]) -> None:
    server = new_hermes().start()
    host, port = "127.0.0.1", urlsplit(server.url).port
    assert port is not None
    async with httpx2.AsyncClient(base_url=server.url, headers={"x-api-key": server.operator_key}) as http:
        document = (await http.get("/openapi.json")).json()
        tools = (await http.get("/tools")).json()["tools"]
        people = [await _person(http, number) for number in range(6)]
    victim = people.pop()
    foreign = re.compile(rb"VICTIM[a-z]+|" + b"|".join(part.encode() for part in victim))
    generator = Generator(
        document, tools, [key for _, key in people], server.operator_key, f"{host}:{port}", [victim[0]]
    )
    numbers = iter(range(REQUESTS))
    seen: Counter[str] = Counter()
    faults: list[str] = []

    async def work() -> None:
        for number in numbers:
            request, key = generator.request(number)
            sent = request.written()
            answer = await exchange(host, port, sent, unfinished=bool(request.cut))
            unheard = re.compile(rb"(?!)") if key == server.operator_key else foreign
            fault = judge(sent, answer, unheard)
            seen[answer[9:12].decode("latin-1") or "none"] += 1
            if fault:
                faults.append(
                    f"request {number} of seed {SEED}: {fault}\n  sent {_shown(sent)}\n  got {_shown(answer)}"
                )

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    assert not faults, f"{len(faults)} faults, answers {dict(seen)}\n" + "\n".join(faults[:8])
    assert seen["200"] > REQUESTS // 20, seen  # many of them get through to what is behind the doors
    async with httpx2.AsyncClient(base_url=server.url, headers={"x-api-key": server.api_key}) as http:
        assert (await http.get("/readyz")).status_code == 200
        assert (await http.get("/api/telegram/me")).status_code == 200
    print(f"{REQUESTS} requests: {dict(sorted(seen.items()))}")  # noqa: T201  (the figures are of interest)


def _shown(content: bytes) -> str:
    return repr(content if len(content) < 1600 else content[:800] + b" ... " + content[-800:])


async def _person(http: httpx2.AsyncClient, number: int) -> tuple[str, str]:
    """A customer with all accounts; the last one's have a word that nobody else must ever see."""
    wanted = {"email": f"fuzz{number}@example.com", "plan": "enterprise"}
    made = (await http.post("/api/admin/customers", json=wanted)).json()
    headers = {"x-api-key": made["api_key"]}
    phone, business = str(7_770_000_000 + number), str(7_780_000_000 + number)
    for platform, credentials in {
        "obsidian": {"vault": "notes"},
        "telegram": {"bot_token": f"{880000000 + number}:AAVICTIMtoken-padding-padding"},
        "whatsapp": {
            "phone_number_id": phone,
            "business_account_id": business,
            "access_token": f"EAAsandbox-{phone}-{business}-VICTIMtoken",
        },
    }.items():
        linked = await http.post(f"/api/connect/{platform}", json=credentials, headers=headers)
        assert linked.status_code == 200, linked.text
    if number == 5:
        note = {"path": "Diary.md", "content": "VICTIMdiary", "create": True}
        assert (await http.post("/api/obsidian/note/append", json=note, headers=headers)).status_code == 200
    return made["id"], made["api_key"]
