"""A call that waits for the customer's yes, over every door, and what it is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from mcp import Client, ClientSession, types
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from harness.serving import serving
from hermes.errors import NotFound, NotGranted
from hermes.identity.caller import Via

from .conftest import HELLO, LEGACY, MODERN, ORIGIN, SECOND_TOKEN, TOOL

pytestmark = pytest.mark.storage


async def test_over_rest_a_link_then_the_result_once(bench: Any, ada: Any) -> None:
    first = await ada.rest()
    problem = first.json()
    assert (first.status_code, problem["code"]) == (409, "approval_required")
    assert problem["approve_url"] == f"{ORIGIN}/approvals/{problem['approval_id']}"
    assert problem["approve_url"] in problem["message"]
    again = (await ada.rest(1)).json()
    assert again["approval_id"] == problem["approval_id"]
    assert bench.sent() == []

    assert (await ada.decide(problem["approval_id"])).status_code == 303
    assert bench.sent() == ["Hello"]
    told = await ada.rest(1)
    assert told.status_code == 200, told.text
    assert "message_id" in told.json()
    assert bench.sent() == ["Hello"]
    # That was the answer; the next one like it is a new question.
    fresh = (await ada.rest()).json()
    assert (fresh["code"], fresh["approval_id"] == problem["approval_id"]) == ("approval_required", False)


async def test_another_call_is_another_question(ada: Any) -> None:
    ids = {
        (await ada.rest()).json()["approval_id"],
        (await ada.rest(text="Something else")).json()["approval_id"],
        (await ada.rest(key=(await ada.bench.house.api_keys.create(ada.id, "two")).secret)).json()["approval_id"],
    }
    assert len(ids) == 3


async def test_a_no_is_told_once_and_nothing_is_sent(bench: Any, ada: Any) -> None:
    approval = (await ada.rest()).json()["approval_id"]
    await ada.decide(approval, "deny")
    refused = await ada.rest()
    assert (refused.status_code, refused.json()["code"]) == (403, "approval_denied")
    assert (await ada.rest()).json()["code"] == "approval_required"
    assert bench.sent() == []


async def test_a_modern_client_shows_what_is_sent_and_its_yes_runs_it(bench: Any, ada: Any) -> None:
    approval, message, given = await ada.asked()
    for part in (TOOL, "Telegram", "account default", '- chat_id = "987654321"', '- text = "Hello"'):
        assert part in message
    assert bench.sent() == []
    result = (await ada.mcp(1, **given))["result"]
    assert not result["isError"], result
    assert bench.sent() == ["Hello"]
    # The same answer again gets the same result.
    assert (await ada.mcp(**given))["result"]["structuredContent"] == result["structuredContent"]
    assert bench.sent() == ["Hello"]
    assert await ada.status(approval) == "done"


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_no_in_the_client(bench: Any, ada: Any, action: str) -> None:
    approval, _, given = await ada.asked()
    given["inputResponses"] = {f"approval_{approval}": {"action": action}}
    for _ in range(2):
        result = (await ada.mcp(**given))["result"]
        assert result["_meta"]["com.squaremcp/error"]["code"] == "approval_denied"
    # Who said no is not talked round by saying yes with the same state.
    given["inputResponses"] = {f"approval_{approval}": {"action": "accept"}}
    assert (await ada.mcp(**given))["result"]["isError"]
    assert bench.sent() == []


async def test_a_yes_that_nobody_was_asked_for_counts_for_nothing(bench: Any, ada: Any) -> None:
    approval, _, given = await ada.asked()
    unproven = await ada.mcp(inputResponses=given["inputResponses"])
    assert unproven["result"]["resultType"] == "input_required"
    for wrong in (
        {"requestState": given["requestState"][:-2] + "00"},
        {"arguments": {**HELLO, "text": "Something else"}},
        {"inputResponses": {f"approval_{approval}": {"action": "perhaps"}}},
    ):
        assert (await ada.mcp(**(given | wrong)))["error"]["code"] == -32602
    bob = await bench.person("bob")
    await bob.rule("telegram", "ask")
    assert (await bob.mcp(**given))["error"]["code"] == -32602
    assert bench.sent() == []


async def test_a_modern_client_without_forms_is_led_to_the_page(bench: Any, ada: Any) -> None:
    pages = {"elicitation": {"url": {}}}
    first = (await ada.mcp(capabilities=pages))["result"]
    [(key, request)] = first["inputRequests"].items()
    url = request["params"]["url"]
    assert (request["params"]["mode"], url.startswith(f"{ORIGIN}/approvals/apv_")) == ("url", True)
    given = {"inputResponses": {key: {"action": "accept"}}, "requestState": first["requestState"]}
    assert (await ada.mcp(1, capabilities=pages, **given))["result"]["resultType"] == "input_required"
    await ada.decide(url.rpartition("/")[2])
    result = (await ada.mcp(1, capabilities=pages, **given))["result"]
    assert (result["isError"], bench.sent()) == (False, ["Hello"])
    plain = (await ada.mcp(capabilities={}))["result"]
    assert "/approvals/apv_" in plain["content"][0]["text"]


async def test_legacy_clients_with_pages_and_without(bench: Any, ada: Any) -> None:
    plain = (await ada.legacy())["result"]
    approval = plain["_meta"]["com.squaremcp/error"]["approval_id"]
    assert plain["isError"]
    assert f"{ORIGIN}/approvals/{approval}" in plain["content"][0]["text"]
    hello = {
        "protocolVersion": LEGACY,
        "capabilities": {"elicitation": {"form": {}, "url": {}}},
        "clientInfo": {"name": "c", "version": "1"},
    }
    headers = {"x-api-key": ada.key, "accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    session = (await bench.http[0].post("/mcp", json=body, headers=headers)).headers["mcp-session-id"]
    error = (await ada.legacy(1, session=session))["error"]
    assert (error["code"], error["data"]["elicitations"][0]["url"]) == (-32042, f"{ORIGIN}/approvals/{approval}")
    await ada.decide(approval)
    assert not (await ada.legacy(1, session=session))["result"]["isError"]
    assert bench.sent() == ["Hello"]


@pytest.mark.parametrize("mode", [MODERN, "legacy"])
async def test_the_official_client_asks_its_person(bench: Any, ada: Any, mode: str) -> None:
    """A modern client in what it is answered, an older one by a request within its session."""
    shown: list[str] = []

    async def ask(_context: Any, params: Any) -> types.ElicitResult:
        shown.append(params.message)
        return types.ElicitResult(action="accept", content={})

    async with (
        bench.open(MCP_LEGACY_SESSIONS="true") as replica,
        serving(replica.app) as base,
        httpx2.AsyncClient(headers={"x-api-key": ada.key}) as http,
    ):
        transport = streamable_http_client(f"{base}/mcp", http_client=http)
        async with Client(transport, mode=mode, elicitation_callback=ask) as client:
            result = await client.call_tool(TOOL, HELLO)
    assert not result.is_error, result
    assert (len(shown), bench.sent()) == (1, ["Hello"])


async def test_over_sse(bench: Any, ada: Any) -> None:
    async with (
        serving(bench.replicas[0].app) as base,
        sse_client(f"{base}/sse", headers={"x-api-key": ada.key}) as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        refused = await session.call_tool(TOOL, HELLO)
        assert refused.is_error
        [row] = await bench.house.approvals.page(ada.caller)
        assert row.id in str(refused.content)
        await ada.decide(row.id)
        assert not (await session.call_tool(TOOL, HELLO)).is_error
    assert bench.sent() == ["Hello"]


async def test_an_idempotency_key_keeps_its_promise(bench: Any, ada: Any) -> None:
    key = {"idempotency-key": "monday"}
    approval = (await ada.rest(headers=key)).json()["approval_id"]
    conflict = await ada.rest(headers=key, text="Something else")
    assert (conflict.status_code, conflict.json()["code"]) == (409, "conflict")
    await ada.decide(approval)
    answers = [(await ada.rest(on, headers=key)).json() for on in (0, 1, 0)]
    assert answers[0] == answers[1] == answers[2]
    await ada.bench.house.rules.remove(ada.id, "telegram", by=ada.caller)
    assert (await ada.rest(headers=key)).json() == answers[0]
    assert bench.sent() == ["Hello"]


async def test_waiting_ends_with_the_time(bench: Any, ada: Any) -> None:
    first = (await ada.rest()).json()["approval_id"]
    other, _, given = await ada.asked(arguments={**HELLO, "text": "Other"})
    page = ada.browser()
    await page.open(f"/approvals/{first}")
    bench.ahead = timedelta(minutes=15, seconds=1)
    assert (await page.send(f"/approvals/{first}", decision="approve")).headers["location"].endswith("late=1")
    assert await ada.status(first) == "expired"
    anew = (await ada.mcp(arguments={**HELLO, "text": "Other"}, **given))["result"]
    assert anew["resultType"] == "input_required"
    assert f"approval_{other}" not in anew["inputRequests"]
    assert (await ada.rest()).json()["approval_id"] != first
    bench.ahead += timedelta(minutes=15)
    await bench.sweep()
    assert {row.status for row in await bench.house.approvals.page(ada.caller)} == {"expired"}
    expired = [line for line in await ada.audit() if line["tool"] == "approval.expire"]
    assert sorted(line["arguments"]["approval"] for line in expired) == sorted(
        row.id for row in await bench.house.approvals.page(ada.caller)
    )
    bench.ahead += timedelta(hours=24, seconds=1)
    await bench.house.approvals.approvals.rows.purge()
    assert await bench.house.approvals.page(ada.caller) == []
    assert bench.sent() == []


async def test_no_more_than_a_person_can_look_at(ada: Any) -> None:
    codes = [(await ada.rest(text=str(number))).json()["code"] for number in range(51)]
    assert codes == ["approval_required"] * 50 + ["conflict"]


async def test_two_accounts_are_two_questions(bench: Any, ada: Any) -> None:
    await bench.house.connections.connect(ada.caller, "telegram", {"bot_token": SECOND_TOKEN}, "work")
    answers = await asyncio.gather(ada.rest(), ada.rest(account="work"), ada.rest(account="default"))
    default, work, named = (answer.json()["approval_id"] for answer in answers)
    assert work not in (default, named)
    await ada.decide(work)
    [detail] = [(await ada.get(f"/api/approvals/{work}")).json()]
    assert (detail["account"], detail["status"]) == ("work", "done")
    assert (await ada.rest(account="work")).status_code == 200
    [line] = [line for line in await ada.audit() if line["tool"] == TOOL and line["outcome"] == "success"]
    assert line["account"] == "work"


async def test_nothing_is_asked_for_what_could_not_be_done(bench: Any, ada: Any) -> None:
    invalid = await ada.rest(chat_id="")
    assert invalid.json()["code"] == "invalid_arguments"
    await bench.house.connections.disconnect(ada.caller, "telegram")
    assert (await ada.rest()).json()["code"] == "not_connected"
    assert await bench.house.approvals.page(ada.caller) == []


async def test_the_same_call_many_times_at_once_is_one_question(bench: Any, ada: Any) -> None:
    answers = await asyncio.gather(*(ada.rest(number % 2) for number in range(8)))
    assert len({answer.json()["approval_id"] for answer in answers}) == 1
    assert len(await bench.house.approvals.page(ada.caller)) == 1


async def test_an_assistant_sees_what_it_asked_for_itself(bench: Any, ada: Any) -> None:
    others = (await ada.rest()).json()["approval_id"]
    caller = await bench.house.callers.from_api_key(ada.key)
    assistant = replace(caller, via=Via.OAUTH, key_id="grant-1")
    assert await bench.house.approvals.page(assistant) == []
    with pytest.raises(NotFound):
        await bench.house.approvals.find(assistant, others)
    with pytest.raises(NotGranted):
        await bench.house.approvals.decide(assistant, others, yes=True, request_id="r")
    with pytest.raises(NotGranted):
        await bench.house.rules.set(ada.id, "telegram", "allow", by=assistant)
