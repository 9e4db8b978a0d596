"""The Discord stand-in refuses what Discord refuses."""

from __future__ import annotations

from typing import Any

import pytest

from hermes.sandbox.options import SandboxOptions

TOKEN = "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"
AGENT = "DiscordBot (https://example.com, 1.0)"


async def call(sandbox: Any, method: str, path: str, **given: Any) -> Any:
    headers = {"authorization": f"Bot {TOKEN}", "user-agent": AGENT} | given.pop("headers", {})
    return await sandbox.request(method, f"/discord/v10/{path}", headers=headers, **given)


async def general(sandbox: Any) -> str:
    account = await sandbox.control("account", platform="discord", token=TOKEN)
    return str(account["channel_id"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"authorization": f"Bearer {TOKEN}"}, 401),
        ({"authorization": "Bot nonsense"}, 401),
        ({"authorization": f"Bot {TOKEN}expired"}, 401),
        ({"user-agent": "curl/8"}, 403),
    ],
)
async def test_who_is_let_in(sandbox: Any, headers: dict[str, str], status: int) -> None:
    reply = await call(sandbox, "GET", "users/@me", headers=headers)
    assert reply.status == status
    if status == 200:
        told = ("Limit", "Remaining", "Reset", "Reset-After", "Bucket")
        assert [name for name in told if f"X-RateLimit-{name}" not in reply.headers] == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"content": "Hi"}, None),
        ({"content": "x" * 2001}, 50035),
        ({"content": ""}, 50006),
        ({"content": " \n"}, 50006),
        ({}, 50006),
        ({"content": 5}, 50035),
        ({"content": "Hi", "nonce": "x" * 26}, 50035),
        ({"content": "Hi", "enforce_nonce": True}, 50035),
        ({"embeds": [{}]}, 50035),
        ({"embeds": [{"title": "x" * 257}]}, 50035),
        ({"embeds": [{"description": "x" * 4097}]}, 50035),
        ({"embeds": [{"description": "x" * 3001}] * 2}, 50035),
        ({"embeds": [{"title": "x"}] * 11}, 50035),
        ({"embeds": [{"title": "x", "url": "nonsense"}]}, 50035),
        ({"embeds": [{"fields": [{"name": "a", "value": ""}]}]}, 50035),
        ({"content": "Hi", "allowed_mentions": {"parse": ["users"], "users": ["1"]}}, 50035),
        ({"content": "Hi", "allowed_mentions": {"parse": ["all"]}}, 50035),
        ({"content": "Hi", "message_reference": {"message_id": 5}}, 50035),
        ({"content": "Hi", "message_reference": {"message_id": "5"}}, 50035),
        ({"content": "this is automod's"}, 200000),
    ],
)
async def test_messages(sandbox: Any, body: dict[str, Any], code: int | None) -> None:
    reply = await call(sandbox, "POST", f"channels/{await general(sandbox)}/messages", json=body)
    assert (reply.status, reply.json.get("code")) == ((200, None) if code is None else (400, code))


async def test_an_enforced_nonce_brings_back_the_first_message_for_a_while(sandbox: Any) -> None:
    path = f"channels/{await general(sandbox)}/messages"
    body = {"content": "Hi", "nonce": "n", "enforce_nonce": True}
    first = (await call(sandbox, "POST", path, json=body)).json["id"]
    assert (await call(sandbox, "POST", path, json=body)).json["id"] == first
    assert (await call(sandbox, "POST", path, json={"content": "Hi", "nonce": "n"})).json["id"] != first
    await sandbox.advance(301)
    assert (await call(sandbox, "POST", path, json=body)).json["id"] != first


@pytest.mark.parametrize(
    ("allowed", "pings"),
    [({}, True), ({"allowed_mentions": {"parse": []}}, False), ({"allowed_mentions": {"parse": ["everyone"]}}, True)],
)
async def test_everyone_is_pinged_unless_it_is_not_allowed(sandbox: Any, allowed: dict[str, Any], pings: bool) -> None:
    body = {"content": "@everyone", **allowed}
    reply = await call(sandbox, "POST", f"channels/{await general(sandbox)}/messages", json=body)
    assert reply.json["mention_everyone"] is pings


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("users/@me/guilds?limit=201", 400, 50035),
        ("users/@me/guilds?after=x", 400, 50035),
        ("guilds/12345/channels", 404, 10004),
        ("guilds/x/channels", 400, 50035),
        ("channels/12345/messages", 404, 10003),
        ("channels/{general}/messages?limit=101", 400, 50035),
        ("channels/{general}/messages?limit=0", 400, 50035),
        ("channels/{general}/messages?before=1&after=1", 400, 50035),
        ("nothing/here", 404, 0),
    ],
)
async def test_reads_that_are_refused(sandbox: Any, path: str, status: int, code: int) -> None:
    reply = await call(sandbox, "GET", path.format(general=await general(sandbox)))
    assert (reply.status, reply.json["code"]) == (status, code)


async def test_a_person_writes(sandbox: Any) -> None:
    await sandbox.control("actions/discord/message", token=TOKEN, text="Hello!")
    newest = (await call(sandbox, "GET", f"channels/{await general(sandbox)}/messages?limit=1")).json[0]
    assert (newest["content"], newest["author"].get("bot")) == ("Hello!", None)


async def test_the_vendors_limits(start_sandbox: Any) -> None:
    sandbox = await start_sandbox(SandboxOptions(frozen_clock=True, vendor_limits=True))
    replies = [await call(sandbox, "GET", "users/@me") for _ in range(6)]
    assert [reply.status for reply in replies] == [200] * 5 + [429]
    assert replies[-1].json["global"] is False
    assert replies[-1].json["retry_after"] == pytest.approx(1, abs=0.01)
    assert replies[-1].headers["X-RateLimit-Scope"] == "user"
