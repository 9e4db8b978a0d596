"""Prompts and resources over MCP: who sees them, how they are paged, what is refused in which era."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from mcp_types import PromptMessage, Resource, ResourceTemplate, TextContent, TextResourceContents
from starlette.applications import Starlette

from hermes.crypto import Keyring
from hermes.gateway.asking import RequestStates
from hermes.gateway.prompts import Prompt, PromptArgument, Prompts
from hermes.gateway.resources import Resources, UnknownResource
from hermes.gateway.results import CallOptions
from hermes.identity.caller import Caller, Grants
from hermes.observability.logs import RequestLog
from hermes.platforms.asks import Asks, form
from hermes.settings import Settings
from hermes.transports.mcp import McpTransport

MODERN = "2026-07-28"


async def greet(arguments: Mapping[str, str], asks: Asks) -> list[PromptMessage]:
    if arguments["name"] == "?":
        asks.answers({"name": form("Who?", {"type": "object", "properties": {}})}, None, proven=False)
    return [PromptMessage(role="user", content=TextContent(text=f"Greet {arguments['name']}"))]


async def names(begun: str) -> list[str]:
    return [f"{begun}{number}" for number in range(300)]


HELLO = Prompt("hello", "Hello", "Greets.", greet, (PromptArgument("name", "Whom.", suggest=names),))
OTHERS = Prompt("others", "Others'", "Hidden.", greet, needs=frozenset({("tiktok", "write")}))


class Reading:
    """Says who is calling, and that they may only read."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def authenticate(self, headers: Any, surface: str) -> Caller:
        caller: Caller = await self._inner.authenticate(headers, surface)
        return replace(caller, grants=Grants.parse(["*:read"]))


class Notes:
    async def resources(self, caller: Caller, _options: CallOptions) -> Sequence[Resource]:
        return [Resource(uri=f"note://{caller.customer_id}/{number:03}", name=str(number)) for number in range(150)]

    def templates(self, caller: Caller) -> Sequence[ResourceTemplate]:
        return [ResourceTemplate(uri_template="note://{name}", name="note")]

    def reaches(self, caller: Caller, uri: str) -> bool:
        return uri.startswith(f"note://{caller.customer_id}/")

    async def read(self, caller: Caller, uri: str, _options: CallOptions) -> Sequence[TextResourceContents]:
        if not uri.endswith("001"):
            raise UnknownResource("no")
        return [TextResourceContents(uri=uri, text="text")]


@pytest.fixture
async def http(house: Any) -> Any:
    prompts = Prompts([HELLO, OTHERS], RequestStates(Keyring(b"k" * 32)))
    transport = McpTransport(
        Settings(),
        house.gateway,
        Reading(house.authenticator),
        version="1",
        prompts=prompts,
        resources=Resources([Notes()]),
    )
    app = RequestLog(Starlette(routes=transport.routes()))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:3456") as client:
        yield client


class Speaker:
    """Speaks one era, as Alice."""

    def __init__(self, http: Any, version: str) -> None:
        self.http, self.version = http, version

    async def __call__(self, method: str, called: str | None = None, **params: Any) -> dict[str, Any]:
        headers = {"x-api-key": "key-alice", "mcp-protocol-version": self.version, "mcp-method": method}
        headers |= {"accept": "application/json, text/event-stream"} | ({"mcp-name": called} if called else {})
        if self.version == MODERN:
            params["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
            }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer: dict[str, Any] = (await self.http.post("/mcp", json=body, headers=headers)).json()
        return answer


@pytest.fixture(params=[MODERN, "2025-11-25", "2025-06-18"])
def speak(http: Any, request: pytest.FixtureRequest) -> Speaker:
    return Speaker(http, request.param)


async def test_only_prompts_within_reach_are_there(speak: Speaker) -> None:
    listed = (await speak("prompts/list"))["result"]["prompts"]
    assert [prompt["name"] for prompt in listed] == ["hello"]
    assert listed[0]["arguments"] == [{"name": "name", "description": "Whom.", "required": True}]
    for name in ("others", "nope"):
        assert (await speak("prompts/get", name, name=name))["error"]["code"] == -32602


async def test_a_prompt_takes_what_it_says(speak: Speaker) -> None:
    got = (await speak("prompts/get", "hello", name="hello", arguments={"name": "Ada"}))["result"]
    assert got["messages"] == [{"role": "user", "content": {"type": "text", "text": "Greet Ada"}}]
    for arguments in ({}, {"name": ""}, {"name": "Ada", "more": "x"}):
        answer = await speak("prompts/get", "hello", name="hello", arguments=arguments)
        assert answer["error"]["code"] == -32602


async def test_values_are_suggested(speak: Speaker) -> None:
    ref, argument = {"type": "ref/prompt", "name": "hello"}, {"name": "name", "value": "a"}
    found = (await speak("completion/complete", ref=ref, argument=argument))["result"]["completion"]
    assert (len(found["values"]), found["values"][0]) == (100, "a0")
    unknown = await speak("completion/complete", ref={**ref, "name": "others"}, argument=argument)
    assert unknown["error"]["code"] == -32602
    template = {"type": "ref/resource", "uri": "note://{name}"}
    assert (await speak("completion/complete", ref=template, argument=argument))["result"]["completion"]["values"] == []


async def test_resources_come_in_pages_and_are_read_by_their_owner_only(speak: Speaker) -> None:
    first = (await speak("resources/list"))["result"]
    second = (await speak("resources/list", cursor=first["nextCursor"]))["result"]
    assert (len(first["resources"]), len(second["resources"]), "nextCursor" in second) == (100, 50, False)
    assert (await speak("resources/list", cursor="nonsense"))["error"]["code"] == -32602
    assert len((await speak("resources/templates/list"))["result"]["resourceTemplates"]) == 1
    mine = "note://alice/001"
    assert (await speak("resources/read", mine, uri=mine))["result"]["contents"][0]["text"] == "text"
    code = -32602 if speak.version == MODERN else -32002
    for uri in ("note://bob/001", "note://alice/002", "other://x"):
        error = (await speak("resources/read", uri, uri=uri))["error"]
        assert (error["code"], error["data"]["uri"]) == (code, uri)


async def test_a_prompt_may_ask(http: Any) -> None:
    modern, legacy = Speaker(http, MODERN), Speaker(http, "2025-11-25")
    asked = (await modern("prompts/get", "hello", name="hello", arguments={"name": "?"}))["result"]
    assert (asked["resultType"], list(asked["inputRequests"])) == ("input_required", ["name"])
    given = {"inputResponses": {"name": {"action": "accept"}}, "requestState": asked["requestState"]}
    done = await modern("prompts/get", "hello", name="hello", arguments={"name": "?"}, **given)
    assert done["result"]["messages"]
    other = await modern("prompts/get", "hello", name="hello", arguments={"name": "x"}, **given)
    assert other["error"]["code"] == -32602
    assert "error" in await legacy("prompts/get", "hello", name="hello", arguments={"name": "?"})


async def test_legacy_clients_subscribe_to_what_they_may_read(http: Any) -> None:
    legacy = Speaker(http, "2025-11-25")
    assert (await legacy("resources/subscribe", uri="note://alice/1"))["result"] == {}
    assert (await legacy("resources/unsubscribe", uri="note://alice/1"))["result"] == {}
    assert (await legacy("resources/subscribe", uri="note://bob/1"))["error"]["code"] == -32002
