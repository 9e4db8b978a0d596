"""The failure switches, as a real client sees them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from hermes.sandbox.options import SandboxOptions

BOT = "123456789:AAEabcdefghijklmnopqrstuvwxyz012345"
OTHER = "987654321:AAEabcdefghijklmnopqrstuvwxyz012345"
PHONE = "106540352242922"
ACCESS = f"EAAsandbox-{PHONE}-102290129340398-acme"


async def acted(sandbox: Any) -> int:
    return len((await sandbox.control("messages", "GET"))["messages"])


async def send(sandbox: Any, platform: str = "telegram") -> Any:
    if platform == "whatsapp":
        return await sandbox.send()
    return await sandbox.telegram("sendMessage", chat_id=5, text="hi")


@pytest.mark.parametrize("platform", ["telegram", "whatsapp"])
@pytest.mark.parametrize(
    ("kind", "seen", "acts"),
    [
        ("cut_before", aiohttp.ServerDisconnectedError, 0),
        ("cut_after", aiohttp.ServerDisconnectedError, 1),
        ("cut_body", aiohttp.ClientPayloadError, 1),
    ],
)
async def test_cut_connections(sandbox: Any, platform: str, kind: str, seen: type[Exception], acts: int) -> None:
    await sandbox.control("failures", kind=kind, platform=platform)
    with pytest.raises(seen):
        await send(sandbox, platform)
    assert await acted(sandbox) == acts
    assert (await send(sandbox, platform)).status == 200, "once means once"


@pytest.mark.parametrize(("kind", "acts"), [("timeout_before", 0), ("timeout_after", 1)])
async def test_requests_that_are_never_answered(sandbox: Any, kind: str, acts: int) -> None:
    await sandbox.control("failures", kind=kind)
    waiting = asyncio.create_task(send(sandbox))
    await sandbox.until(lambda: any(one.failure for one in sandbox.sandbox.recorder.requests()))
    await sandbox.advance(24 * 3600)
    assert not waiting.done()
    waiting.cancel()
    assert await acted(sandbox) == acts
    [request] = (await sandbox.control("requests", "GET"))["requests"]
    assert (request["status"], request["failure"]) == (None, kind)


async def test_malformed_and_giant_answers(sandbox: Any) -> None:
    await sandbox.control("failures", kind="malformed")
    reply = await send(sandbox)
    assert reply.status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.body)
    await sandbox.control("failures", kind="giant", megabytes=3)
    reply = await send(sandbox)
    assert len(reply.body) > 3 * 1024 * 1024
    assert reply.json["ok"] is True
    assert await acted(sandbox) == 2


async def test_slow_answers_come_when_their_time_has_come(sandbox: Any) -> None:
    await sandbox.control("failures", kind="slow", delay=30)
    waiting = asyncio.create_task(send(sandbox))
    await sandbox.until(lambda: any(sandbox.sandbox.recorder.messages()))
    assert not waiting.done()
    await sandbox.advance(31)
    assert (await waiting).status == 200


@pytest.mark.parametrize("acts", [False, True])
async def test_server_errors_are_html(sandbox: Any, acts: bool) -> None:
    await sandbox.control("failures", kind="server_error", status=503, acts=acts)
    reply = await send(sandbox)
    assert (reply.status, reply.headers["content-type"]) == (503, "text/html")
    assert await acted(sandbox) == int(acts)


async def test_rate_limits_are_the_vendors(sandbox: Any) -> None:
    await sandbox.control("failures", kind="rate_limit", retry_after=7, times=2)
    telegram = await send(sandbox)
    assert (telegram.status, telegram.json["parameters"], telegram.headers["Retry-After"]) == (
        429,
        {"retry_after": 7},
        "7",
    )
    whatsapp = await send(sandbox, "whatsapp")
    assert (whatsapp.status, whatsapp.json["error"]["code"]) == (429, 80007)
    [usage] = next(iter(json.loads(whatsapp.headers["X-Business-Use-Case-Usage"]).values()))
    assert usage["estimated_time_to_regain_access"] == 1
    await sandbox.control("failures", kind="rate_limit", times=2)
    telegram = await send(sandbox)
    assert telegram.status == 429
    assert "parameters" not in telegram.json
    assert "Retry-After" not in telegram.headers
    assert "X-Business-Use-Case-Usage" not in (await send(sandbox, "whatsapp")).headers


async def test_any_error_of_the_vendor_on_demand(sandbox: Any) -> None:
    await sandbox.control("failures", kind="error", platform="whatsapp", code=131042)
    reply = await send(sandbox, "whatsapp")
    assert (reply.status, reply.json["error"]["code"]) == (400, 131042)
    blocked = "Forbidden: bot was kicked from the channel chat"
    await sandbox.control("failures", kind="error", platform="telegram", code=403, message=blocked)
    reply = await send(sandbox)
    assert (reply.status, reply.json["description"]) == (403, blocked)
    await sandbox.control("failures", kind="answer", status=418, body={"tea": "pot"})
    reply = await send(sandbox)
    assert (reply.status, reply.json) == (418, {"tea": "pot"})


async def test_a_switch_concerns_its_token_platform_and_path_only(sandbox: Any) -> None:
    await sandbox.control("failures", kind="server_error", token=BOT, match="sendmessage", times=None)
    assert (await sandbox.telegram("getMe")).status == 200
    assert (await sandbox.telegram("sendMessage", OTHER, chat_id=5, text="x")).status == 200
    assert (await send(sandbox, "whatsapp")).status == 200
    assert [(await send(sandbox)).status for _ in range(3)] == [502] * 3
    [shown] = (await sandbox.control("failures", "GET"))["failures"]
    assert BOT not in json.dumps(shown)
    removed = await sandbox.request("DELETE", f"/_sandbox/failures?id={shown['id']}")
    assert removed.json == {"removed": 1}
    assert (await send(sandbox)).status == 200


async def test_chance_decides_where_a_probability_is_given(sandbox: Any) -> None:
    async def meets(seed: int) -> list[str | None]:
        await sandbox.control("reset")
        sandbox.sandbox.failures.seed(seed)
        for kind in ("rate_limit", "server_error"):
            await sandbox.control("failures", kind=kind, probability=0.25, times=None)
        for _ in range(80):
            await sandbox.telegram("getMe")
        return [one.failure for one in sandbox.sandbox.recorder.requests()]

    first = await meets(1)
    assert first == await meets(1)
    assert first != await meets(2)
    assert 5 < first.count("rate_limit") < 40
    assert 5 < first.count("server_error") < 40
    assert None in first


@pytest.mark.parametrize(
    "given",
    [{}, {"kind": "nonsense"}, {"kind": "cut_body", "times": 0}, {"kind": "slow", "platform": "fax"},
     {"kind": "answer", "status": 99}, {"kind": "slow", "typo": 1},
     {"kind": "slow", "probability": 0}, {"kind": "slow", "probability": 1.5}],
)  # fmt: skip
async def test_switches_that_are_refused(sandbox: Any, given: dict[str, Any]) -> None:
    reply = await sandbox.request("POST", "/_sandbox/failures", json=given)
    assert reply.status == 400
    assert reply.json["error"]


async def test_a_sandbox_with_waiting_requests_ends(start_sandbox: Any) -> None:
    sandbox = await start_sandbox(SandboxOptions(frozen_clock=True))
    await sandbox.control("failures", kind="timeout_before")
    waiting = asyncio.create_task(send(sandbox))
    await sandbox.until(lambda: any(sandbox.sandbox.recorder.requests()))
    assert not waiting.done()
    waiting.cancel()
