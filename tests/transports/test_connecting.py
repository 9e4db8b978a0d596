"""A call whose account is not linked: how each kind of client is led to the page, and what its retry may be."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from mcp import Client, MCPError, types
from mcp.client.streamable_http import streamable_http_client

from hermes.errors import NeedsReconnect, NotConnected
from hermes.transports.sealed_sessions import SECONDS, SealedSessions

MODERN, LEGACY = "2026-07-28", "2025-11-25"
TOOL, URL = "toy_send_message", "https://hermes.example/connect/toy?link=k.0af3"
PAGES = {"elicitation": {"form": {}, "url": {}}}
FORMS: list[dict[str, Any]] = [{}, {"elicitation": {}}, {"elicitation": {"form": {}}}, {"elicitation": "url"}]
JSON = {"accept": "application/json, text/event-stream"}


class Linking:
    """The account, which is linked when the person has used the page."""

    def __init__(self, error: type[NotConnected] | type[NeedsReconnect] = NotConnected) -> None:
        self.error = error
        self.linked = False

    async def run(self, arguments: dict[str, Any], _options: Any) -> dict[str, Any]:
        if not self.linked:
            raise self.error(f"No account is linked. Link one at {URL} first.", platform="toy", connect_url=URL)
        return {"said": arguments["text"]}


@pytest.fixture(autouse=True)
def linking(house: Any) -> Linking:
    made = Linking()
    house.gateway.on[TOOL] = made.run
    return made


def modern(
    capabilities: Any, tool: str = TOOL, text: str = "x", **params: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }
    params = {"name": tool, "arguments": {"text": text}, "_meta": meta, **params}
    headers = JSON | {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": tool}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, headers


async def post(http: Any, message: tuple[dict[str, Any], dict[str, str]], **headers: str) -> Any:
    body, given = message
    answer = await http.post("/mcp", json=body, headers=given | {k.replace("_", "-"): v for k, v in headers.items()})
    return answer.json()


async def asked(http: Any, **params: Any) -> dict[str, Any]:
    """What a modern client that opens pages is asked."""
    result = (await post(http, modern(PAGES, **params)))["result"]
    assert result["resultType"] == "input_required"
    assert "content" not in result
    return dict(result)


async def test_a_modern_client_is_asked_and_its_retry_runs(direct: Any, linking: Linking) -> None:
    for _ in range(2):  # the first time by the SDK's kernel, then directly
        first = await asked(direct)
        [(key, request)] = first["inputRequests"].items()
        assert request == {
            "method": "elicitation/create",
            "params": {"mode": "url", "url": URL, "message": "No account is linked. Link one at our page first."},
        }
    given = {"inputResponses": {key: {"action": "accept"}}, "requestState": first["requestState"]}
    # Agreeing is not being through: while nothing is linked, the question comes again.
    again = await asked(direct, **given)
    linking.linked = True
    answer = await post(direct, modern(PAGES, **given | {"requestState": again["requestState"]}))
    assert answer["result"]["structuredContent"] == {"said": "x"}


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_who_does_not_want_to_gets_the_plain_error(direct: Any, action: str) -> None:
    first = await asked(direct)
    given = {"inputResponses": {"connect_toy": {"action": action}}, "requestState": first["requestState"]}
    result = (await post(direct, modern(PAGES, **given)))["result"]
    assert (result["resultType"], result["isError"]) == ("complete", True)
    assert URL in result["content"][0]["text"]


async def test_a_state_is_one_callers_for_one_call(house: Any, direct: Any) -> None:
    state = (await asked(direct))["requestState"]
    given = {"inputResponses": {"connect_toy": {"action": "accept"}}, "requestState": state}
    house.gateway.on["toy_edit_message"] = house.gateway.on[TOOL]
    refused = [
        await post(direct, modern(PAGES, **given), x_api_key="key-bob"),
        await post(direct, modern(PAGES, tool="toy_edit_message", **given)),
        await post(direct, modern(PAGES, text="another", **given)),
        await post(direct, modern(PAGES, **given | {"requestState": state[:-2] + "00"})),
        await post(direct, modern(PAGES, **given | {"requestState": "nonsense"})),
        await post(direct, modern(PAGES, **given | {"inputResponses": {"connect_toy": {"action": "perhaps"}}})),
    ]
    assert [answer["error"]["code"] for answer in refused] == [-32602] * 6


@pytest.mark.parametrize("capabilities", FORMS)
async def test_a_modern_client_that_opens_no_pages_gets_the_link_in_text(direct: Any, capabilities: Any) -> None:
    answer = await post(direct, modern(capabilities if capabilities != {"elicitation": "url"} else {}))
    assert answer["result"]["isError"]
    assert URL in answer["result"]["content"][0]["text"]


async def test_through_search_mode(house: Any, direct: Any, linking: Linking) -> None:
    body, headers = modern(PAGES, tool="gateway_call_tool")
    body["params"]["arguments"] = {"name": TOOL, "arguments": {"text": "x"}}
    first = (await direct.post("/mcp?mode=search", json=body, headers=headers)).json()["result"]
    assert first["inputRequests"]["connect_toy"]["params"]["url"] == URL
    linking.linked = True
    body["params"] |= {"requestState": first["requestState"], "inputResponses": {"connect_toy": {"action": "accept"}}}
    answer = (await direct.post("/mcp?mode=search", json=body, headers=headers)).json()["result"]
    assert answer["structuredContent"] == {"said": "x"}


async def test_an_account_that_no_longer_works(direct: Any, linking: Linking) -> None:
    linking.error = NeedsReconnect
    assert (await asked(direct))["inputRequests"]["connect_toy"]["params"]["url"] == URL


async def test_over_rest_the_link_is_in_the_problem(rest: Any) -> None:
    answer = await rest.post("/api/toy/message", json={"text": "x"})
    assert (answer.status_code, answer.json()["connect_url"]) == (409, URL)


async def test_the_official_modern_client_ends_with_the_message_sent(house: Any, linking: Linking) -> None:
    opened: list[str] = []

    async def open_page(_context: Any, params: Any) -> types.ElicitResult:
        opened.append(params.url)
        linking.linked = len(opened) == 2  # the person agrees at once and is through only later
        return types.ElicitResult(action="accept")

    async with house:
        base = await house.open_mcp()
        http = await house.http(base)
        transport = streamable_http_client(f"{base}/mcp", http_client=http)
        async with Client(transport, mode=MODERN, elicitation_callback=open_page) as client:
            result = await client.call_tool(TOOL, {"text": "hello"})
    assert (result.structured_content, opened) == ({"said": "hello"}, [URL, URL])


@pytest.mark.parametrize("sessions", [False, True])
async def test_the_official_legacy_client_gets_the_error_that_says_so(
    house: Any, linking: Linking, sessions: bool
) -> None:
    async def never(_context: Any, _params: Any) -> types.ElicitResult:
        raise AssertionError("asked by a request of ours")

    async with house:
        base = await house.open_mcp(mcp_legacy_sessions=sessions)
        http = await house.http(base)
        transport = streamable_http_client(f"{base}/mcp", http_client=http)
        async with Client(transport, mode="legacy", elicitation_callback=never) as client:
            with pytest.raises(MCPError) as refused:
                await client.call_tool(TOOL, {"text": "hello"})
            assert refused.value.error.code == -32042
            [elicitation] = refused.value.error.data["elicitations"]
            assert (elicitation["mode"], elicitation["url"]) == ("url", URL)
            assert elicitation["elicitationId"]
            linking.linked = True
            result = await client.call_tool(TOOL, {"text": "hello"})
            assert result.structured_content == {"said": "hello"}


def legacy(method: str, params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, JSON | {"mcp-protocol-version": LEGACY}


async def initialize(http: Any, capabilities: Any, key: str = "key-alice") -> str | None:
    hello = {"protocolVersion": LEGACY, "capabilities": capabilities, "clientInfo": {"name": "t", "version": "1"}}
    body, _ = legacy("initialize", hello)
    answer = await http.post("/mcp", json=body, headers=JSON | {"x-api-key": key})
    assert answer.json()["result"]["protocolVersion"] == LEGACY
    return answer.headers.get("mcp-session-id")


async def test_only_clients_that_open_pages_are_given_an_id(direct: Any) -> None:
    assert [await initialize(direct, each) for each in FORMS[:3]] == [None] * 3
    session_id = await initialize(direct, PAGES)
    assert session_id is not None
    assert all("!" <= char <= "~" for char in session_id)
    call = legacy("tools/call", {"name": TOOL, "arguments": {"text": "x"}})
    assert (await post(direct, call, mcp_session_id=session_id))["error"]["code"] == -32042
    result = (await post(direct, call))["result"]
    assert result["isError"]
    assert URL in result["content"][0]["text"]
    body, headers = legacy("notifications/initialized", {})
    del body["id"]
    answer = await direct.post("/mcp", json=body, headers=headers | {"mcp-session-id": session_id})
    assert answer.status_code == 202


async def test_an_id_is_its_callers_until_it_ends(house: Any, direct: Any) -> None:
    session_id = await initialize(direct, PAGES)
    assert session_id is not None
    caller = await house.authenticator.authenticate({"x-api-key": "key-alice"})
    keyring = house.gateway._states._keyring
    old = SealedSessions(keyring, now=lambda: 1_700_000_000.0 - SECONDS).begin(caller, PAGES)
    body, headers = legacy("tools/list", {})
    for given, key in (
        (session_id, "key-bob"),
        (session_id + "0", "key-alice"),
        (session_id[:-1], "key-alice"),
        ("x" * 5000, "key-alice"),
        ("0123456789abcdef0123456789abcdef", "key-alice"),
        ("", "key-alice"),
        (old, "key-alice"),
    ):
        answer = await direct.post("/mcp", json=body, headers=headers | {"mcp-session-id": given, "x-api-key": key})
        assert answer.status_code == 404, given
        assert answer.json()["id"] == 1
    answer = await direct.post("/mcp", json=body, headers=headers | {"mcp-session-id": session_id, "x-api-key": ""})
    assert answer.status_code == 401
    answer = await direct.request("DELETE", "/mcp", headers=headers | {"mcp-session-id": session_id})
    assert answer.status_code == 405


async def test_modern_requests_do_not_look_at_it(direct: Any) -> None:
    assert (await post(direct, modern(PAGES), mcp_session_id="nonsense"))["result"]["resultType"] == "input_required"


@pytest.mark.storage
@pytest.mark.parametrize(("capabilities", "code"), [(PAGES, -32042), ({}, None)])
async def test_over_sse(house: Any, redis: Any, capabilities: Any, code: int | None) -> None:
    async with house:
        http = await house.http(await house.open_sse(redis))
        async with http.stream("GET", "/sse") as stream:
            lines = stream.aiter_lines()
            endpoint = await _data(lines)
            hello = {
                "protocolVersion": LEGACY,
                "capabilities": capabilities,
                "clientInfo": {"name": "t", "version": "1"},
            }
            await http.post(endpoint, json=legacy("initialize", hello)[0])
            await _data(lines)
            await http.post(endpoint, json=legacy("tools/call", {"name": TOOL, "arguments": {"text": "x"}})[0])
            answer = orjson.loads(await _data(lines))
            assert answer.get("error", {}).get("code") == code
            if code is None:
                assert URL in answer["result"]["content"][0]["text"]


async def _data(lines: Any) -> str:
    async for line in lines:
        if line.startswith("data: "):
            return str(line.removeprefix("data: "))
    raise EOFError
