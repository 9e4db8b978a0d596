"""Every request that the clients of X, Discord and Telegram send fits what their vendors publish."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from PIL import Image

from contract.bot_api import BotApi
from contract.coverage import declared, given
from contract.openapi import OpenApi
from contract.requests import Sent
from contract.runs import DISCORD, TELEGRAM, TWITTER
from contract.specs import load_spec
from hermes.platforms.catalog import AnyPlatform
from hermes.platforms.discord import discord
from hermes.platforms.telegram import telegram
from hermes.platforms.twitter import twitter
from hermes.sandbox_mode import CREDENTIALS
from hermes.settings import Settings

Checker = OpenApi | BotApi


@dataclass(frozen=True)
class Contract:
    """One platform, its runs, and the description that they are held to."""

    platform: AnyPlatform
    runs: list[tuple[str, dict[str, Any]]]
    checker: Callable[[], Checker]
    operations: frozenset[str]
    """What the runs must have touched, so that no client goes unchecked."""

    def __repr__(self) -> str:
        return self.platform.id


CONTRACTS = [
    Contract(
        discord,
        DISCORD,
        lambda: OpenApi(load_spec("discord-openapi.json"), "/v10"),
        frozenset(
            {
                "GET /users/@me", "GET /users/@me/guilds", "GET /guilds/{guild_id}/channels",
                "GET /guilds/{guild_id}/threads/active", "POST /channels/{channel_id}/messages",
                "GET /channels/{channel_id}/messages",
            }
        ),
    ),
    Contract(
        twitter,
        TWITTER,
        lambda: OpenApi(load_spec("x-openapi-2.167.json")),
        frozenset(
            {
                "GET /2/users/me", "GET /2/users/{id}", "GET /2/users/by/username/{username}",
                "GET /2/users/{id}/tweets", "GET /2/tweets/search/recent", "POST /2/tweets",
                "POST /2/media/upload/initialize", "POST /2/media/upload/{id}/append",
                "POST /2/media/upload/{id}/finalize", "GET /2/media/upload", "POST /2/media/metadata",
            }
        ),
    ),
    Contract(
        telegram,
        TELEGRAM,
        lambda: BotApi(load_spec("telegram-bot-api-10.1.json")),
        frozenset({"getMe", "sendMessage", "sendPhoto", "getUpdates", "getChat"}),
    ),
]  # fmt: skip


@pytest.mark.parametrize("contract", CONTRACTS, ids=repr)
async def test_every_request_fits_the_vendors_description(platform_bench: Any, contract: Contract) -> None:
    checker = contract.checker()
    requests = await _requests(platform_bench, contract)
    assert [problem for sent in requests for problem in checker.problems(sent)] == []
    assert {checker.operation_of(sent) for sent in requests} == contract.operations


@pytest.mark.parametrize("contract", CONTRACTS, ids=repr)
def test_the_runs_give_every_argument_of_every_tool(contract: Contract) -> None:
    for name, tool in contract.platform.tools.items():
        tried = {path for run, arguments in contract.runs if run == name for path in given(arguments)}
        assert set(declared(tool.input_schema)) - tried == set(), name
        assert name in {run for run, _ in contract.runs}


async def test_xs_older_dialect_differs_by_its_names_only(platform_bench: Any) -> None:
    # The one exemption, listed with the description: it has the new dialect's names only.
    platform_bench.settings = Settings(environ={"TWITTER_DIALECT": "old"})
    contract = CONTRACTS[1]
    checker = contract.checker()
    requests = await _requests(platform_bench, contract)
    assert any("tweet.fields" in dict(sent.query) for sent in requests)
    assert not any("post.fields" in dict(sent.query) for sent in requests)
    assert [problem for sent in requests for problem in checker.problems(_in_new_words(sent))] == []


def _in_new_words(sent: Sent) -> Sent:
    parameters = {"tweet.fields": "post.fields"}
    values = {"note_tweet": "note_post", "referenced_tweets.id": "referenced_posts"}
    only_old = {"author_id", "in_reply_to_user_id", "referenced_tweets"}
    query = []
    for name, value in sent.query:
        words = value.split(",") if name in ("tweet.fields", "expansions") else [value]
        kept = [values.get(word, word) for word in words if name != "tweet.fields" or word not in only_old]
        query.append((parameters.get(name, name), ",".join(kept)))
    return replace(sent, query=tuple(query))


GET = Sent("GET", "/v10/users/@me/guilds", (("limit", "5"),), "", None)
POST = Sent("POST", "/v10/channels/12345/messages", (), "application/json", {"content": "Hi"})
TWEET = Sent("POST", "/2/tweets", (), "application/json", {"text": "Hi"})
SEARCH = Sent("GET", "/2/tweets/search/recent", (("query", "cats"), ("max_results", "10")), "", None)
SEGMENT = Sent("POST", "/2/media/upload/1/append", (), "multipart/form-data", {"segment_index": "0", "media": "x"})
BOT = Sent("POST", "/bot1:x/sendMessage", (), "application/json", {"chat_id": 5, "text": "Hi"})

PHOTO = Sent(
    "POST", "/bot1:x/sendPhoto", (), "multipart/form-data", {"chat_id": "5", "photo": "bytes", "has_spoiler": "true"}
)


@pytest.mark.parametrize(
    ("which", "sent", "says"),
    [
        (0, GET, None),
        (0, POST, None),
        (0, replace(GET, path="/v10/users/@me/servers"), "no such operation"),
        (0, replace(GET, path="/v9/users/@me/guilds"), "no such operation"),
        (0, replace(GET, query=(("limits", "5"),)), "query limits: is not known"),
        (0, replace(GET, query=(("limit", "201"),)), "201"),
        (0, replace(GET, query=(("limit", "many"),)), "'many' is not of type 'integer'"),
        (0, replace(GET, query=(("with_counts", "yes"),)), "boolean"),
        (0, replace(GET, body={}), "none is declared"),
        (0, replace(POST, path="/v10/channels/general/messages"), "does not match"),
        (0, replace(POST, body={"contents": "Hi"}), "contents"),
        (0, replace(POST, body={"content": 5}), "5 is not of type"),
        (0, replace(POST, body={"message_reference": {"message_id": 5}}), "message_reference"),
        (0, replace(POST, body={"embeds": [{"titel": "x"}]}), "titel"),
        (0, replace(POST, content_type="text/plain"), "text/plain is not declared"),
        (1, TWEET, None),
        (1, SEARCH, None),
        (1, SEGMENT, None),
        (1, replace(TWEET, body={"text": "Hi", "reply_to": "1"}), "reply_to"),
        (1, replace(TWEET, body={"media": {}}), "'media_ids' is a required property"),
        (1, replace(TWEET, body={"reply_settings": "everyone"}), "everyone"),
        (1, replace(TWEET, body={"quote_tweet_id": 1}), "1 is not of type 'string'"),
        (1, replace(TWEET, body=None), "body: is required"),
        (1, replace(SEARCH, query=()), "query query: is required"),
        (1, replace(SEARCH, query=(("query", "a"), ("max_results", "9"))), "9 is less than the minimum"),
        (1, replace(SEARCH, query=(("query", "a"), ("tweet.fields", "id"))), "tweet.fields: is not known"),
        (1, replace(SEARCH, query=(("query", "a"), ("post.fields", "id,author_id"))), "author_id"),
        (1, replace(SEARCH, query=(("query", "a"), ("start_time", "yesterday"))), "date-time"),
        (1, replace(SEGMENT, body={"segment_index": "x", "media": "y"}), "integer"),
        (1, replace(SEGMENT, body={"segment_index": "0"}), "'media' is a required property"),
        (1, replace(SEGMENT, body={"segment_index": "1000", "media": "y"}), "1000"),
        (2, BOT, None),
        (2, replace(BOT, path="/bot1:x/sendText"), "no such method"),
        (2, replace(BOT, body={"chat_id": 5}), ".text: is required"),
        (2, replace(BOT, body={"chat_id": 5.5, "text": "Hi"}), ".chat_id: is none of"),
        (2, replace(BOT, body={"chat_id": 5, "text": "Hi", "silent": True}), ".silent: is not known"),
        (2, replace(BOT, body={"chat_id": 5, "text": "Hi", "reply_parameters": {}}), ".reply_parameters: is none of"),
        (2, replace(BOT, query=(("text", "Hi"),)), "in the URL"),
        (2, PHOTO, None),
        (2, replace(PHOTO, body={"chat_id": "5", "photo": "x", "has_spoiler": "yes"}), ".has_spoiler: is none of"),
        (2, replace(PHOTO, body={"chat_id": "5", "photo": "x", "text": "x"}), ".text: is not known"),
    ],
)
def test_the_checkers_see_what_is_wrong(which: int, sent: Sent, says: str | None) -> None:
    problems = CONTRACTS[which].checker().problems(sent)
    if says is None:
        assert problems == []
    else:
        assert len(problems) == 1
        assert says in problems[0]


async def _requests(bench: Any, contract: Contract) -> list[Sent]:
    """Run everything that is listed; all of it must go well. Returns what the stand-in received."""
    credentials = CREDENTIALS[contract.platform.id]
    values = await _prepare(bench, contract.platform, credentials)
    bench.sandbox.recorder.clear()
    for name, arguments in contract.runs:
        bench.journal = type(bench.journal)()
        await bench.run(contract.platform, credentials, name, **_filled(arguments, values))
    records = bench.requests()
    refused = [(record.path, record.status) for record in records if not 200 <= (record.status or 0) < 300]
    # A group that became a supergroup is found out by a refusal; nothing else is refused.
    assert [one for one in refused if contract.platform is not telegram] == []
    return [Sent.of(record) for record in records]


async def _prepare(bench: Any, platform: AnyPlatform, credentials: dict[str, Any]) -> dict[str, str]:
    """What the runs refer to: ids that the stand-in gives, files, times."""
    now = datetime.now(UTC)
    values = {"two hours ago": f"{now - timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"}
    values["an hour ago"] = f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    if platform is discord:
        guilds = await bench.run(platform, credentials, "get_guilds")
        values["guild"] = guilds["guilds"][0]["id"]
        channels = await bench.run(platform, credentials, "get_channels", guild_id=values["guild"])
        values["channel"] = next(one["id"] for one in channels["channels"] if one["name"] == "general")
        sent = await bench.run(platform, credentials, "send_message", channel_id=values["channel"], content="Hi")
        values["message"] = sent["id"]
    if platform is telegram:
        await bench.run(platform, credentials, "send_message", chat_id=5551234, text="Hi")
        values["photo"] = await _file(bench, _png(40, 20), content_type="image/png", width=40, height=20)
    if platform is twitter:
        _without_waiting(bench)
        values["photo"] = await _file(bench, b"\x89PNG", content_type="image/png")
        values["video"] = await _file(bench, b"video", content_type="video/mp4", width=64, height=64, seconds=2.0)
        values["tweet"] = (await bench.run(platform, credentials, "create_tweet", text="Zero"))["id"]
        values["media"] = (await bench.run(platform, credentials, "upload_video", video=values["video"]))["media_id"]
    return values


def _png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "PNG")
    return file.getvalue()


def _without_waiting(bench: Any) -> None:
    usual = bench.open

    async def sleep(seconds: float) -> None:
        bench.sandbox.clock.advance(seconds)

    def opened(*args: Any, **more: Any) -> Any:
        api = usual(*args, **more)
        api.sleep = sleep
        return api

    bench.open = opened


async def _file(bench: Any, content: bytes, **members: Any) -> str:
    async def pieces() -> AsyncIterator[bytes]:
        yield content

    handle: str = await bench.media.keep("cus_1", pieces(), filename="file", content_type="")
    for name, value in members.items():
        setattr(bench.media.files[handle], name, value)
    return handle


def _filled(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(one, values) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, values) for one in value]
    return values[value[1:]] if isinstance(value, str) and value.startswith("$") else value
