"""Discord's tools against the sandbox: what is sent, what comes back, what each refusal means."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hermes.errors import (
    HermesError,
    InvalidArguments,
    NeedsReconnect,
    NotFound,
    OutcomeUnknown,
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnavailable,
    RateLimited,
)
from hermes.platforms.discord import discord
from hermes.platforms.discord.errors import refusal_error
from hermes.platforms.discord.models import Channel, Guild, Message
from hermes.settings import Settings

BOT = {"bot_token": "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"}


def token(word: str) -> dict[str, str]:
    return {"bot_token": f"MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.{word}XVW7vRze4b7Cq4se7kKWs"}


async def channels(bench: Any, credentials: dict[str, str] = BOT, **more: Any) -> dict[str, str]:
    """Name → id of the first server's channels. Its requests are forgotten."""
    guilds = (await bench.run(discord, credentials, "get_guilds"))["guilds"]
    found = await bench.run(discord, credentials, "get_channels", guild_id=guilds[0]["id"], **more)
    bench.sandbox.recorder.clear()
    return {channel["name"]: channel["id"] for channel in found["channels"]}


def sent(bench: Any) -> list[dict[str, Any]]:
    return [orjson.loads(request.body) for request in bench.requests() if request.body]


async def test_the_bot_is_described(platform_bench: Any) -> None:
    me = await platform_bench.run(discord, BOT, "get_me")
    assert (me["bot"], me["global_name"]) == (True, "Sandbox bot")
    account = await platform_bench.probe(discord, BOT)
    assert (account.id, account.name) == (me["id"], "Sandbox bot")


async def test_servers_are_paged(platform_bench: Any) -> None:
    few = await platform_bench.run(discord, BOT, "get_guilds", with_counts=True)
    assert [guild["name"] for guild in few["guilds"]] == ["Server 1", "Server 2", "Server 3"]
    assert few["guilds"][0]["member_count"] == 42
    assert "next_after" not in few
    seen: list[str] = []
    after: dict[str, str] = {}
    for _ in range(4):
        page = await platform_bench.run(discord, token("many"), "get_guilds", limit=200, **after)
        seen += [guild["id"] for guild in page["guilds"]]
        if "next_after" not in page:
            break
        after = {"after": page["next_after"]}
    assert len(seen) == len(set(seen)) == 450
    before = await platform_bench.run(discord, token("many"), "get_guilds", limit=5, before=seen[10])
    assert [guild["id"] for guild in before["guilds"]] == seen[5:10]
    assert "next_after" not in before


async def test_a_page_that_repeats_itself_ends_the_paging(platform_bench: Any) -> None:
    guild = {"id": "12345678", "name": "x"}
    platform_bench.fail("answer", status=200, body=[guild])
    page = await platform_bench.run(discord, BOT, "get_guilds", limit=1, after="12345678")
    assert "next_after" not in page


async def test_channels_come_as_people_see_them(platform_bench: Any) -> None:
    guild = (await platform_bench.run(discord, BOT, "get_guilds"))["guilds"][0]["id"]
    found = (await platform_bench.run(discord, BOT, "get_channels", guild_id=guild))["channels"]
    assert [(channel["name"], channel["type"]) for channel in found][:3] == [
        ("rules", "text"), ("Text", "category"), ("general", "text"),
    ]  # fmt: skip
    assert {channel["name"]: channel["takes_messages"] for channel in found} == {
        "rules": True, "Text": False, "general": True, "private": True, "read-only": True, "slow": True,
        "no-history": True, "news": True, "ideas": False, "Voice": False, "lounge": True,
    }  # fmt: skip
    assert "a thread" not in {channel["name"] for channel in found}
    threads = await platform_bench.run(discord, BOT, "get_channels", guild_id=guild, include_threads=True)
    assert threads["channels"][-1]["type"] == "public_thread"


async def test_a_message_is_sent_and_pings_nobody(platform_bench: Any) -> None:
    general = (await channels(platform_bench))["general"]
    hostile = "@everyone <@123456> ignore previous instructions \u202e\x07 `\"'</b> 👋"
    message = await platform_bench.run(discord, BOT, "send_message", channel_id=general, content=hostile)
    assert (message["content"], message["channel_id"]) == (hostile, general)
    assert sent(platform_bench) == [
        {
            "content": hostile,
            "allowed_mentions": {"parse": [], "replied_user": False},
            "nonce": message["nonce"],
            "enforce_nonce": True,
        }
    ]
    assert len(message["nonce"]) <= 25
    service = platform_bench.sandbox.services["discord"]
    bot = service._bot(BOT["bot_token"])
    assert bot.messages_of(bot.channel(general))[-1]["mention_everyone"] is False


async def test_everything_a_message_can_have(platform_bench: Any) -> None:
    general = (await channels(platform_bench))["general"]
    first = await platform_bench.run(discord, BOT, "send_message", channel_id=general, content="one")
    answer = await platform_bench.run(
        discord,
        BOT,
        "send_message",
        channel_id=general,
        content="@here two",
        embeds=[
            {
                "title": "T", "description": "D", "url": "https://example.com", "color": 255, "author": "A",
                "image_url": "https://example.com/a.png", "footer": "F",
                "fields": [{"name": "n", "value": "v", "inline": True}],
            }
        ],
        reply_to_message_id=first["id"],
        mention=["users", "everyone"],
        ping_reply_author=True,
        silent=True,
        suppress_link_previews=True,
        nonce="my-nonce",
    )  # fmt: skip
    assert answer["nonce"] == "my-nonce"
    assert sent(platform_bench)[-1] == {
        "content": "@here two",
        "embeds": [
            {
                "title": "T", "description": "D", "url": "https://example.com", "color": 255, "author": {"name": "A"},
                "image": {"url": "https://example.com/a.png"}, "footer": {"text": "F"},
                "fields": [{"name": "n", "value": "v", "inline": True}],
            }
        ],
        "message_reference": {"message_id": first["id"], "fail_if_not_exists": True},
        "allowed_mentions": {"parse": ["everyone", "users"], "replied_user": True},
        "flags": 4100,
        "nonce": "my-nonce",
        "enforce_nonce": True,
    }  # fmt: skip
    seen = await platform_bench.run(discord, BOT, "get_messages", channel_id=general, limit=1)
    assert seen["messages"][0]["reply_to_message_id"] == first["id"]
    assert seen["messages"][0]["embeds"] == [{"title": "T", "description": "D", "url": "https://example.com"}]


@pytest.mark.parametrize("switch", ["timeout_after", "cut_after", "cut_body", "malformed", "giant"])
async def test_a_message_of_unknown_outcome_is_repeated_by_its_nonce_without_a_double(
    platform_bench: Any, switch: str
) -> None:
    general = (await channels(platform_bench))["general"]
    platform_bench.fail(switch)
    error = await platform_bench.refused(discord, BOT, "send_message", channel_id=general, content="Hi")
    assert type(error) is OutcomeUnknown
    assert len(platform_bench.requests()) == 1
    nonce = error.data["nonce"]
    assert nonce in error.message
    await platform_bench.run(discord, BOT, "send_message", channel_id=general, content="Hi", nonce=nonce)
    seen = await platform_bench.run(discord, BOT, "get_messages", channel_id=general, limit=2)
    assert [message["content"] for message in seen["messages"]] == ["Hi", "Message 120"]


async def test_messages_are_paged_both_ways(platform_bench: Any) -> None:
    general = (await channels(platform_bench))["general"]
    page = await platform_bench.run(discord, BOT, "get_messages", channel_id=general)
    assert (len(page["messages"]), page["messages"][0]["content"]) == (50, "Message 120")
    texts = [message["content"] for message in page["messages"]]
    while "next_before" in page:
        page = await platform_bench.run(
            discord, BOT, "get_messages", channel_id=general, before=page["next_before"], limit=50
        )
        texts += [message["content"] for message in page["messages"]]
    assert texts == [f"Message {number}" for number in range(120, 0, -1)]
    oldest = page["messages"][-1]["id"]
    newer = await platform_bench.run(discord, BOT, "get_messages", channel_id=general, after=oldest, limit=3)
    assert [message["content"] for message in newer["messages"]] == ["Message 4", "Message 3", "Message 2"]
    assert newer["next_after"] == newer["messages"][0]["id"]
    around = await platform_bench.run(discord, BOT, "get_messages", channel_id=general, around=oldest, limit=5)
    assert {"next_before", "next_after"} <= around.keys()


async def test_what_discord_hides_is_said(platform_bench: Any) -> None:
    credentials = token("hidden")
    found = await channels(platform_bench, credentials)
    seen = await platform_bench.run(discord, credentials, "get_messages", channel_id=found["general"], limit=3)
    assert "Message Content Intent" in seen["note"]
    nothing = await platform_bench.run(discord, credentials, "get_messages", channel_id=found["no-history"])
    assert nothing["messages"] == []
    assert "Read Message History" in nothing["note"]
    visible = (await channels(platform_bench))["general"]
    assert "note" not in await platform_bench.run(discord, BOT, "get_messages", channel_id=visible)


@pytest.mark.parametrize(
    ("channel", "kind", "way_out"),
    [
        ("private", PlatformRejected, "View Channel"),
        ("read-only", PlatformRejected, "Send Messages"),
        ("slow", RateLimited, "Wait"),
        ("ideas", InvalidArguments, "in a forum one of its threads"),
        ("Text", InvalidArguments, "category"),
    ],
)
async def test_channels_that_refuse(platform_bench: Any, channel: str, kind: type[HermesError], way_out: str) -> None:
    found = await channels(platform_bench)
    error = await platform_bench.refused(discord, BOT, "send_message", channel_id=found[channel], content="Hi")
    assert type(error) is kind
    assert way_out in error.message
    if kind is RateLimited:
        assert (error.retry_after, error.data["limited_by"]) == (12.5, "discord")
    assert len(platform_bench.requests()) == 1


@pytest.mark.parametrize(
    ("tool", "arguments", "kind"),
    [
        ("get_channels", {"guild_id": "99999999"}, NotFound),
        ("get_messages", {"channel_id": "99999999"}, NotFound),
        ("send_message", {"channel_id": "99999999", "content": "Hi"}, NotFound),
    ],
)
async def test_ids_that_nobody_knows(
    platform_bench: Any, tool: str, arguments: dict[str, Any], kind: type[HermesError]
) -> None:
    assert type(await platform_bench.refused(discord, BOT, tool, **arguments)) is kind


async def test_a_reply_to_nothing_names_the_argument(platform_bench: Any) -> None:
    general = (await channels(platform_bench))["general"]
    error = await platform_bench.refused(
        discord, BOT, "send_message", channel_id=general, content="Hi", reply_to_message_id="99999"
    )
    assert isinstance(error, InvalidArguments)
    assert error.data["fields"] == [{"field": "reply_to_message_id", "problem": "Unknown message"}]


REFUSED = [
    (401, 0, NeedsReconnect), (401, 50014, NeedsReconnect), (401, 50025, NeedsReconnect), (401, 40001, NeedsReconnect),
    (403, 50001, PlatformRejected), (403, 50013, PlatformRejected), (403, 50007, PlatformRejected),
    (403, 40007, PlatformRejected), (403, 50009, PlatformRejected), (403, 160002, PlatformRejected),
    (403, 160014, PlatformRejected), (403, 200000, PlatformRejected), (400, 200001, PlatformRejected),
    (400, 240000, PlatformRejected), (404, 10003, NotFound), (404, 10004, NotFound), (404, 10008, NotFound),
    (404, 10013, NotFound), (404, 0, NotFound), (400, 50035, InvalidArguments), (400, 50006, InvalidArguments),
    (400, 50008, InvalidArguments), (400, 50024, InvalidArguments), (400, 50109, InvalidArguments),
    (400, 50033, InvalidArguments), (413, 50045, PayloadTooLarge), (413, 40005, PayloadTooLarge),
    (413, None, PayloadTooLarge), (400, 20016, RateLimited), (429, 20028, RateLimited), (429, 20029, RateLimited),
    (429, 40003, RateLimited), (429, 40062, RateLimited), (429, None, RateLimited), (429, 999999, RateLimited),
    (202, 110000, RateLimited), (400, 999999, PlatformRejected), (403, None, PlatformRejected),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "kind"), REFUSED)
def test_what_each_refusal_means(status: int, code: int | None, kind: type[HermesError]) -> None:
    error = refusal_error(status, code, "Its own words")
    assert type(error) is kind
    assert error.data["platform_code"] == (code or status)
    assert "Its own words. " in error.message
    assert len(error.message) > 40


def test_an_invalid_form_is_told_field_by_field() -> None:
    leaf = {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 256 or fewer in length."}]}
    error = refusal_error(400, 50035, "Invalid Form Body", errors={"embeds": {"0": {"title": leaf}}, "content": leaf})
    assert error.data["fields"] == [
        {"field": "embeds.0.title", "problem": "Must be 256 or fewer in length."},
        {"field": "content", "problem": "Must be 256 or fewer in length."},
    ]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("expired", NeedsReconnect),
        ("revoked", NeedsReconnect),
        ("limited", RateLimited),
        ("broken", PlatformUnavailable),
    ],
)
async def test_tokens_that_do_not_work(platform_bench: Any, word: str, kind: type[HermesError]) -> None:
    assert type(await platform_bench.refused(discord, token(word), "get_me")) is kind


NOT_CLEAR = (
    "timeout_before", "cut_before", "server_error", "timeout_after", "cut_after", "cut_body", "malformed", "giant",
)  # fmt: skip


@pytest.mark.parametrize("switch", NOT_CLEAR)
async def test_a_message_without_clear_answer_is_never_sent_twice(platform_bench: Any, switch: str) -> None:
    platform_bench.fail(switch, times="always")
    error = await platform_bench.refused(discord, BOT, "send_message", channel_id="99999999", content="Hi")
    # A refusal whose body broke off is as unclear as a success.
    assert type(error) is OutcomeUnknown
    assert len(platform_bench.requests()) == 1


@pytest.mark.parametrize("switch", NOT_CLEAR)
async def test_a_read_without_clear_answer_is_unavailable(platform_bench: Any, switch: str) -> None:
    platform_bench.fail(switch, times="always")
    error = await platform_bench.refused(discord, BOT, "get_me")
    assert type(error) is PlatformUnavailable
    assert len(platform_bench.requests()) <= 2


@pytest.mark.parametrize(("retry_after", "seen"), [(17, 17.0), (None, None)])
@pytest.mark.parametrize("tool", ["get_me", "send_message"])
async def test_too_fast(platform_bench: Any, tool: str, retry_after: int | None, seen: float | None) -> None:
    platform_bench.fail("rate_limit", retry_after=retry_after)
    arguments = {"channel_id": "99999999", "content": "Hi"} if tool == "send_message" else {}
    error = await platform_bench.refused(discord, BOT, tool, **arguments)
    assert type(error) is RateLimited
    assert (error.retry_after, error.data.get("scope")) == (seen, "user" if seen else None)
    assert error.data["limited_by"] == "discord"
    assert len(platform_bench.requests()) == 1


async def test_an_overloaded_api_is_not_clear(platform_bench: Any) -> None:
    platform_bench.fail("answer", status=400, body={"code": 130000, "message": "overloaded"})
    error = await platform_bench.refused(discord, BOT, "send_message", channel_id="99999999", content="Hi")
    assert type(error) is OutcomeUnknown


@pytest.mark.parametrize("body", [{}, [], None, {"id": 5}, "x", {"id": "1", "channel_id": "2"}])
async def test_an_answer_of_another_shape_is_not_clear(platform_bench: Any, body: Any) -> None:
    platform_bench.fail("answer", status=200, body=body)
    error = await platform_bench.refused(discord, BOT, "send_message", channel_id="99999999", content="Hi")
    assert type(error) is OutcomeUnknown
    platform_bench.fail("answer", status=200, body=body)
    error = await platform_bench.refused(discord, BOT, "get_messages", channel_id="99999999") if body else error
    assert isinstance(error, PlatformUnavailable | OutcomeUnknown)


@pytest.mark.parametrize(
    ("tool", "arguments", "field"),
    [
        ("send_message", {"channel_id": "99999999", "content": "  \n"}, "content"),
        ("send_message", {"channel_id": "99999999"}, "content"),
        ("send_message", {"channel_id": "99999999", "embeds": [{}]}, "embeds"),
        ("send_message", {"channel_id": "99999999", "embeds": [{"description": "x" * 3001}] * 2}, "embeds"),
        ("get_messages", {"channel_id": "99999999", "before": "12345", "after": "12345"}, "after"),
        ("get_guilds", {"before": "12345", "after": "12345"}, "before"),
    ],
)
async def test_what_is_refused_before_anything_is_sent(
    platform_bench: Any, tool: str, arguments: dict[str, Any], field: str
) -> None:
    error = await platform_bench.refused(discord, BOT, tool, **arguments)
    assert isinstance(error, InvalidArguments)
    assert (error.nothing_sent, error.data["fields"][0]["field"]) == (True, field)
    assert platform_bench.requests() == []


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"channel_id": "99999999", "content": "x" * 2001}, "content"),
        ({"channel_id": "99999999", "content": ""}, "content"),
        ({"channel_id": 99999999, "content": "x"}, "channel_id"),
        ({"channel_id": "../users", "content": "x"}, "channel_id"),
        ({"content": "x"}, "channel_id"),
        ({"channel_id": "99999999", "content": "x", "nonce": "x" * 26}, "nonce"),
        ({"channel_id": "99999999", "content": "x", "mention": ["all"]}, "mention"),
        ({"channel_id": "99999999", "embeds": [{"title": "x" * 257}]}, "embeds"),
        ({"channel_id": "99999999", "embeds": [{"description": "x" * 4097}]}, "embeds"),
        ({"channel_id": "99999999", "embeds": [{"title": "x"}] * 11}, "embeds"),
        ({"channel_id": "99999999", "embeds": [{"title": "x", "url": "javascript:x"}]}, "embeds"),
        ({"channel_id": "99999999", "content": "x", "reply_to_message_id": "x"}, "reply_to_message_id"),
        ({"channel_id": "99999999", "content": "x", "nonsense": 1}, "nonsense"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        discord.tools["send_message"].validate(arguments)
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


@pytest.mark.parametrize("given", ["", "x", "a.b.c", "Bearer MTk4.Cl2FMQ.ZnCjm1XVW7", BOT["bot_token"] + " x"])
def test_tokens_of_another_form_are_refused_and_not_shown(given: str) -> None:
    with pytest.raises(ValidationError) as caught:
        discord.credentials.model_validate({"bot_token": given})
    assert not given or given not in str(caught.value)


@pytest.mark.parametrize("given", [BOT["bot_token"], f"Bot {BOT['bot_token']}", f" {BOT['bot_token']}\n"])
def test_tokens_may_be_pasted_with_what_stands_around_them(given: str) -> None:
    accounts = discord.environ_accounts(Settings(environ={"DISCORD_BOT_TOKEN": given}))
    assert accounts["default"].bot_token.get_secret_value() == BOT["bot_token"]
    assert BOT["bot_token"] not in repr(accounts)


async def test_another_version_and_an_unfit_one(platform_bench: Any) -> None:
    for chosen, used in (("v9", "/v9/users/@me"), ("../v1", "/v10/users/@me")):
        platform_bench.settings = Settings(environ={"DISCORD_API_VERSION": chosen})
        await platform_bench.run(discord, BOT, "get_me")
        assert platform_bench.requests()[-1].path == used


def test_the_surface() -> None:
    assert {name: (tool.rest_method, tool.rest_path, tool.effect.access) for name, tool in discord.tools.items()} == {
        "get_me": ("GET", "/api/discord/me", "read"),
        "get_guilds": ("GET", "/api/discord/guilds", "read"),
        "get_channels": ("GET", "/api/discord/channels", "read"),
        "send_message": ("POST", "/api/discord/message", "write"),
        "get_messages": ("GET", "/api/discord/messages", "read"),
    }
    redactions = discord.tools["send_message"].redactions
    assert (redactions["channel_id"], redactions["content"], redactions["nonce"]) == ("recipient", "text", "plain")


_MEMBERS = (
    "id", "channel_id", "author", "username", "content", "timestamp", "type", "name", "message_reference", "message_id",
    "attachments", "embeds", "errors", "_errors", "code", "message", "parent_id", "position",
)  # fmt: skip

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_MEMBERS), inner, max_size=6),
    max_leaves=20,
)


@given(raw=_JSON)
def test_objects_and_errors_of_any_shape_are_read_or_refused(raw: Any) -> None:
    for model in (Message, Channel, Guild):
        with suppress(ValidationError):
            model.model_validate(raw)
    assert isinstance(refusal_error(400, 50035, "Invalid Form Body", errors=raw), HermesError)
