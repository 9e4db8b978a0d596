"""Whatever a stranger or a customer sends: never a 5xx, never our own words about our insides."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

METHODS = ["tools/list", "tools/call", "initialize", "ping", "resources/read", "prompts/get", "server/discover", "x"]
VERSIONS = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05", "2031-01-01", ""]
KEYS = [
    "jsonrpc", "id", "method", "params", "_meta", "name", "arguments", "cursor", "uri", "text", "progressToken",
    "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/clientInfo", "com.squaremcp/idempotency-key", "protocolVersion", "capabilities",
]  # fmt: skip
WORDS = ["2.0", *METHODS, *VERSIONS, "toy_get_me", "toy_get_echo", "toy_send_message"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(WORDS)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=6),
    max_leaves=12,
)
meta = st.fixed_dictionaries(
    {
        "io.modelcontextprotocol/protocolVersion": st.sampled_from(VERSIONS) | scalars,
        "io.modelcontextprotocol/clientCapabilities": st.just({}) | values,
    },
    optional={"io.modelcontextprotocol/clientInfo": values, "progressToken": scalars},
)
params = st.fixed_dictionaries(
    {"_meta": meta | values},
    optional={"name": st.sampled_from(WORDS) | values, "arguments": values, "cursor": scalars, "uri": scalars},
)
messages = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0") | scalars, "method": st.sampled_from(METHODS) | scalars},
    optional={"id": scalars, "params": params | values},
)


def as_json(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:  # an integer beyond 64 bits, or a lone surrogate
        return repr(value).encode("utf-8", "surrogatepass")


bodies = (
    st.binary(max_size=200)
    | (messages | values | st.lists(messages, max_size=3)).map(as_json)
    | messages.map(as_json).map(lambda body: body[: len(body) // 2])
)
printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)
headers = st.fixed_dictionaries(
    {"content-type": st.just("application/json") | st.just("application/json") | printable},
    optional={
        "mcp-protocol-version": st.sampled_from(VERSIONS) | printable,
        "mcp-method": st.sampled_from(METHODS) | printable,
        "mcp-name": st.sampled_from(WORDS) | printable,
        "mcp-session-id": printable,
        "last-event-id": printable,
        "accept": st.sampled_from(["*/*", "application/json", "text/event-stream"]) | printable,
        "origin": st.sampled_from(["http://localhost", "null"]) | printable,
        "host": st.sampled_from(["localhost", "[::1]:1"]) | printable,
        "x-api-key": st.sampled_from(["key-alice", "key-bob"]) | printable,
        "authorization": printable,
        "content-length": printable,
        "x-request-id": printable,
        "idempotency-key": printable,
    },
)
many = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def check(status: int, text: str) -> None:
    assert status < 500, text
    assert "Internal error" not in text
    assert "Traceback" not in text
    assert "pydantic" not in text


@many
@given(method=st.sampled_from(["POST", "POST", "POST", "GET", "DELETE", "OPTIONS"]), body=bodies, given_headers=headers)
async def test_mcp(direct: Any, method: str, body: bytes, given_headers: dict[str, str]) -> None:
    sent = {name: value.encode("latin-1") for name, value in given_headers.items()}
    answer = await direct.request(method, "/mcp", content=body, headers=sent)
    check(answer.status_code, answer.text)


@many
@given(message=messages, version=st.sampled_from(VERSIONS))
async def test_mcp_with_headers_that_fit(direct: Any, message: dict[str, Any], version: str) -> None:
    sent = {"content-type": "application/json", "mcp-protocol-version": version}
    for header, value in (("mcp-method", message["method"]), ("mcp-name", _name(message))):
        if isinstance(value, str) and value.isascii() and value.isprintable():
            sent[header] = value
    answer = await direct.post("/mcp", content=as_json(message), headers=sent)
    check(answer.status_code, answer.text)


def _name(message: dict[str, Any]) -> Any:
    given_params = message.get("params")
    return given_params.get("name") if isinstance(given_params, dict) else None


@many
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]),
    path=st.sampled_from(["me", "echo", "message"]),
    query=printable,
    body=bodies | values.map(as_json),
    given_headers=headers,
)
async def test_rest(rest: Any, method: str, path: str, query: str, body: bytes, given_headers: dict[str, str]) -> None:
    sent = {name: value.encode("latin-1") for name, value in given_headers.items()}
    answer = await rest.request(
        method, f"/api/toy/{path}", params={"q": query, "text": query}, content=body, headers=sent
    )
    check(answer.status_code, answer.text)
