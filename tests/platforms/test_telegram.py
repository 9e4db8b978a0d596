"""Telegram's tools against the sandbox: what is sent, what comes back, what each refusal means."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hermes.errors import (
    Conflict,
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
from hermes.platforms.telegram import telegram
from hermes.platforms.telegram.errors import refusal_error
from hermes.platforms.telegram.models import Update
from hermes.settings import Settings

BOT = {"bot_token": "123456789:AAEtokentokentokentokentoken"}


def token(word: str) -> dict[str, str]:
    return {"bot_token": f"987654321:AAE{word}tokentokentoken"}


async def test_the_bot_is_described(platform_bench: Any) -> None:
    me = await platform_bench.run(telegram, BOT, "get_me")
    assert (me["id"], me["username"], me["can_read_all_group_messages"]) == (123456789, "sandbox_123456789_bot", False)


async def test_probing_says_whose_token_it_is(platform_bench: Any) -> None:
    account = await platform_bench.probe(telegram, BOT)
    assert (account.id, account.name, account.routing_id) == ("123456789", "@sandbox_123456789_bot", None)


async def test_a_message_is_sent(platform_bench: Any) -> None:
    first = await platform_bench.run(telegram, BOT, "send_message", chat_id=5551234, text="Hello 👋")
    assert first["message_id"] == 1
    assert first["chat"]["type"] == "private"
    assert first["text"] == "Hello 👋"
    assert first["date"].endswith("Z")
    assert "sent_as_plain_text" not in first
    answer = await platform_bench.run(
        telegram,
        BOT,
        "send_message",
        chat_id="5551234",
        text="<b>Hi</b>",
        parse_mode="html",
        reply_to_message_id=1,
        link_preview=False,
        disable_notification=True,
        protect_content=True,
        message_thread_id=7,
    )
    assert (answer["message_id"], answer["text"], answer["message_thread_id"]) == (2, "Hi", 7)
    assert _sent(platform_bench)[-1] == {
        "chat_id": 5551234,
        "text": "<b>Hi</b>",
        "parse_mode": "HTML",
        "reply_parameters": {"message_id": 1},
        "link_preview_options": {"is_disabled": True},
        "disable_notification": True,
        "protect_content": True,
        "message_thread_id": 7,
    }


async def test_text_that_cannot_be_parsed_is_sent_plain(platform_bench: Any) -> None:
    for mode, text in (("html", "1 < 2 & <b>"), ("markdown_v2", "Done. (really!)")):
        sent = await platform_bench.run(telegram, BOT, "send_message", chat_id=5, text=text, parse_mode=mode)
        assert sent["sent_as_plain_text"] is True
        assert sent["text"] == text
    assert len(platform_bench.requests()) == 4


async def test_a_group_that_became_a_supergroup_is_followed(platform_bench: Any) -> None:
    sent = await platform_bench.run(telegram, BOT, "send_message", chat_id=-400, text="Hi")
    assert sent["migrated_to_chat_id"] == sent["chat"]["id"] == -1000000000400
    assert [body["chat_id"] for body in _sent(platform_bench)] == [-400, -1000000000400]


async def test_a_photo_is_sent_and_sent_again(platform_bench: Any) -> None:
    first = await platform_bench.run(
        telegram, BOT, "send_photo", chat_id="@channel", photo="https://example.com/a.jpg", caption="Look"
    )
    assert first["caption"] == "Look"
    again = await platform_bench.run(
        telegram, BOT, "send_photo", chat_id="@channel", photo=first["photo_file_id"], has_spoiler=True,
        show_caption_above_media=True,
    )  # fmt: skip
    assert again["message_id"] == 2
    assert _sent(platform_bench)[-1]["has_spoiler"] is True


async def test_an_uploaded_photo_is_sent_as_a_file(platform_bench: Any) -> None:
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 300, 200) + bytes(8)
    platform_bench.media.add("media_" + "a" * 26, content, "image/png", filename="cat.png", width=300, height=200)
    sent = await platform_bench.run(
        telegram, BOT, "send_photo", chat_id="@channel", photo="media_" + "a" * 26, caption="<b>Look",
        parse_mode="html", has_spoiler=True,
    )  # fmt: skip
    assert (sent["caption"], sent["sent_as_plain_text"]) == ("<b>Look", True)
    first, last = platform_bench.requests()[-2:]
    assert first.content_type == last.content_type == "multipart/form-data"
    assert content in first.body
    assert content in last.body
    assert b"parse_mode" not in last.body


@pytest.mark.parametrize(
    "known",
    [
        {"width": 9_000, "height": 1_001},
        {"width": 2_100, "height": 100},
        {"width": 100, "height": 2_100},
        {"size": 10 * 1024 * 1024 + 1},
        {"content_type": "application/pdf"},
    ],
)
async def test_a_photo_that_telegram_would_not_take_is_not_sent(platform_bench: Any, known: dict[str, Any]) -> None:
    content, kind = b"x" * known.pop("size", 10), known.pop("content_type", "image/png")
    platform_bench.media.add("media_" + "a" * 26, content, kind, **{"width": 300, "height": 200, **known})
    error = await platform_bench.refused(telegram, BOT, "send_photo", chat_id=5, photo="media_" + "a" * 26)
    assert "core.telegram.org" in error.message
    assert platform_bench.requests() == []


async def test_updates_are_looked_at_and_then_confirmed(platform_bench: Any) -> None:
    assert await platform_bench.run(telegram, BOT, "get_updates") == {"updates": []}
    service = platform_bench.sandbox.services["telegram"]
    write = next(action for action in service.actions if action.id == "message")
    for text in ("one", "two"):
        await write.run({"token": BOT["bot_token"], "text": text, "chat_id": "77"})
    for _ in range(2):
        seen = await platform_bench.run(telegram, BOT, "get_updates")
        assert [update["message"]["text"] for update in seen["updates"]] == ["one", "two"]
    assert seen["updates"][0]["message"]["from"]["id"] == 77
    rest = await platform_bench.run(telegram, BOT, "get_updates", offset=seen["next_offset"] - 1, limit=5)
    assert [update["message"]["text"] for update in rest["updates"]] == ["two"]
    await platform_bench.run(telegram, BOT, "get_updates", offset=seen["next_offset"])
    assert await platform_bench.run(telegram, BOT, "get_updates") == {"updates": []}


async def test_only_one_call_reads_a_bots_updates(platform_bench: Any) -> None:
    platform_bench.leases.held.add(("cus_1", "telegram:updates:123456789"))
    error = await platform_bench.refused(telegram, BOT, "get_updates", timeout=3)
    assert isinstance(error, Conflict)
    assert error.retry_after == 4
    assert platform_bench.requests() == []


async def test_updates_that_go_to_a_webhook_are_a_conflict(platform_bench: Any) -> None:
    platform_bench.fail("error", code=409, message="Conflict: can't use getUpdates method while webhook is active")
    error = await platform_bench.refused(telegram, BOT, "get_updates")
    assert isinstance(error, Conflict)
    assert "deleteWebhook" in error.message


async def test_a_chat_is_described(platform_bench: Any) -> None:
    chat = await platform_bench.run(telegram, BOT, "get_chat", chat_id=42)
    assert (chat["type"], chat["bio"]) == ("private", "Bio of Person 42")
    group = await platform_bench.run(telegram, BOT, "get_chat", chat_id="-1000000000999")
    assert group["permissions"]["can_send_messages"] is True


@pytest.mark.parametrize(
    ("chat_id", "kind", "way_out"),
    [
        (404, NotFound, "started the bot"),
        ("@missing_channel", NotFound, "started the bot"),
        (403, PlatformRejected, "unblock"),
        (4031, PlatformRejected, "no longer exists"),
        (4032, PlatformRejected, "press Start"),
        (4033, PlatformRejected, "Bots cannot write to bots"),
        (-403, PlatformRejected, "add the bot"),
        (-410, PlatformRejected, "group is gone"),
        (-1000000000404, PlatformRejected, "Add the bot"),
        (-1000000000405, PlatformRejected, "administrator"),
        (429, RateLimited, "Wait"),
    ],
)
async def test_refusals_of_a_chat(platform_bench: Any, chat_id: Any, kind: type[HermesError], way_out: str) -> None:
    error = await platform_bench.refused(telegram, BOT, "send_message", chat_id=chat_id, text="Hi")
    assert type(error) is kind
    assert way_out in error.message
    if kind is RateLimited:
        assert (error.retry_after, error.data["limited_by"]) == (7, "telegram")
    assert len(platform_bench.requests()) == 1


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"photo": "https://example.com/missing.jpg"}, "photo"),
        ({"photo": "https://example.com/page.html"}, "photo"),
        ({"photo": "AgACAgIAAxkDAAunknownunknown"}, "photo"),
        ({"photo": "https://example.com/a.jpg", "caption": "x" * 1025}, "caption"),
        (
            {"photo": "https://example.com/a.jpg", "caption": "<b>" + "x" * 1025 + "</b>", "parse_mode": "html"},
            "caption",
        ),
        ({"photo": "https://example.com/a.jpg", "reply_to_message_id": 999}, "reply_to_message_id"),
    ],
)
async def test_refusals_of_a_photo(platform_bench: Any, arguments: dict[str, Any], field: str) -> None:
    error = await platform_bench.refused(telegram, BOT, "send_photo", chat_id=5, **arguments)
    assert isinstance(error, InvalidArguments)
    assert error.data["fields"][0]["field"] == field


REFUSED = [
    (401, "Unauthorized", NeedsReconnect),
    (401, "Unauthorized: invalid token specified", NeedsReconnect),
    (400, "Bad Request: chat not found", NotFound),
    (400, "Bad Request: chat_id is empty", InvalidArguments),
    (400, "Bad Request: message text is empty", InvalidArguments),
    (400, "Bad Request: text must be non-empty", InvalidArguments),
    (400, "Bad Request: message is too long", InvalidArguments),
    (400, "Bad Request: message caption is too long", InvalidArguments),
    (400, "Bad Request: can't parse entities: Unsupported start tag", InvalidArguments),
    (400, "Bad Request: message to be replied not found", InvalidArguments),
    (400, "Bad Request: message thread not found", InvalidArguments),
    (400, "Bad Request: wrong file identifier/HTTP URL specified", InvalidArguments),
    (400, "Bad Request: failed to get HTTP URL content", InvalidArguments),
    (400, "Bad Request: wrong type of the web page content", InvalidArguments),
    (400, "Bad Request: PHOTO_INVALID_DIMENSIONS", InvalidArguments),
    (400, "Bad Request: not enough rights to send text messages to the chat", PlatformRejected),
    (400, "Bad Request: something new", PlatformRejected),
    (403, "Forbidden: bot was blocked by the user", PlatformRejected),
    (403, "Forbidden: something new", PlatformRejected),
    (405, "Method Not Allowed", PlatformRejected),
    (409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook", Conflict),
    (409, "Conflict: terminated by other getUpdates request; make sure that only one runs", Conflict),
    (409, "Conflict: something new", Conflict),
    (413, "Request Entity Too Large", PayloadTooLarge),
    (429, "Too Many Requests: retry after 5", RateLimited),
]


@pytest.mark.parametrize(("code", "description", "kind"), REFUSED)
def test_what_each_refusal_means(code: int, description: str, kind: type[HermesError]) -> None:
    error = refusal_error(code, description.upper() if code == 403 else description)
    assert type(error) is kind
    assert error.data["platform_code"] == code
    assert len(error.message) > len(description) + 20


@pytest.mark.parametrize(
    ("word", "kind"), [("revoked", NeedsReconnect), ("limited", RateLimited), ("broken", PlatformUnavailable)]
)
async def test_tokens_that_do_not_work(platform_bench: Any, word: str, kind: type[HermesError]) -> None:
    assert type(await platform_bench.refused(telegram, token(word), "get_me")) is kind


async def test_a_token_that_nobody_knows_is_found_out(platform_bench: Any) -> None:
    platform_bench.fail("error", code=404, message="Not Found", times=2)
    error = await platform_bench.refused(telegram, BOT, "send_message", chat_id=5, text="Hi")
    assert type(error) is NeedsReconnect
    platform_bench.fail("error", code=404, message="Not Found: method not found")
    error = await platform_bench.refused(telegram, BOT, "send_message", chat_id=5, text="Hi")
    assert type(error) is PlatformRejected


CLEAR = {"rate_limit": RateLimited}
ACTED = ("timeout_after", "cut_after", "cut_body", "malformed", "giant")
NOT_CLEAR = ("timeout_before", "cut_before", "server_error", *ACTED)


@pytest.mark.parametrize("switch", NOT_CLEAR)
async def test_a_message_without_clear_answer_is_never_sent_twice(platform_bench: Any, switch: str) -> None:
    platform_bench.fail(switch, times="always")
    error = await platform_bench.refused(telegram, BOT, "send_message", chat_id=5, text="Hi")
    assert type(error) is OutcomeUnknown
    assert len(platform_bench.requests()) == 1
    assert platform_bench.http.may_have_acted


@pytest.mark.parametrize("switch", NOT_CLEAR)
async def test_a_read_without_clear_answer_is_unavailable(platform_bench: Any, switch: str) -> None:
    platform_bench.fail(switch, times="always")
    error = await platform_bench.refused(telegram, BOT, "get_chat", chat_id=5)
    assert type(error) is PlatformUnavailable
    assert len(platform_bench.requests()) <= 2


@pytest.mark.parametrize("switch", ["timeout_before", "cut_before", "cut_after", "cut_body", "giant"])
async def test_a_read_that_fails_once_is_read_again(platform_bench: Any, switch: str) -> None:
    platform_bench.fail(switch)
    assert (await platform_bench.run(telegram, BOT, "get_me"))["id"] == 123456789


@pytest.mark.parametrize(("retry_after", "seen"), [(17, 17.0), (None, None)])
@pytest.mark.parametrize("tool", ["get_me", "send_message"])
async def test_too_fast(platform_bench: Any, tool: str, retry_after: int | None, seen: float | None) -> None:
    platform_bench.fail("rate_limit", retry_after=retry_after)
    arguments = {"chat_id": 5, "text": "Hi"} if tool == "send_message" else {}
    error = await platform_bench.refused(telegram, BOT, tool, **arguments)
    assert type(error) is RateLimited
    assert error.retry_after == seen
    assert len(platform_bench.requests()) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"ok": True},
        {"ok": True, "result": {}},
        {"ok": True, "result": {"message_id": "x"}},
        {"ok": False, "error_code": "400"},
        {"ok": False, "error_code": 502, "description": "Bad Gateway"},
        [],
        None,
    ],
)
async def test_an_answer_of_another_shape_is_not_clear(platform_bench: Any, body: Any) -> None:
    platform_bench.fail("answer", status=599, body=body)
    error = await platform_bench.refused(telegram, BOT, "send_message", chat_id=5, text="Hi")
    assert type(error) is OutcomeUnknown


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"chat_id": 5, "text": ""}, "text"),
        ({"chat_id": 5}, "text"),
        ({"chat_id": 1.5, "text": "a"}, "chat_id"),
        ({"chat_id": True, "text": "a"}, "chat_id"),
        ({"chat_id": "", "text": "a"}, "chat_id"),
        ({"chat_id": "@a b c d", "text": "a"}, "chat_id"),
        ({"chat_id": "5\n", "text": "a"}, "chat_id"),
        ({"chat_id": 2**60, "text": "a"}, "chat_id"),
        ({"chat_id": 5, "text": "a", "parse_mode": "Markdown"}, "parse_mode"),
        ({"chat_id": 5, "text": "a", "reply_to_message_id": 0}, "reply_to_message_id"),
        ({"chat_id": 5, "text": "a", "nonsense": 1}, "nonsense"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        telegram.tools["send_message"].validate(arguments)
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


@pytest.mark.parametrize(
    "photo",
    ["http://example.com/a.jpg", "ftp://x/a", "https://", "https://a b", "attach://x", "file:///etc/passwd", "../x"],
)
def test_photos_that_are_neither_url_nor_file_id(photo: str) -> None:
    with pytest.raises(ValidationError):
        telegram.tools["send_photo"].validate({"chat_id": 5, "photo": photo})


@pytest.mark.parametrize("text", ["a" * 4097, "👋" * 2049])
async def test_length_is_counted_as_telegram_counts(platform_bench: Any, text: str) -> None:
    error = await platform_bench.refused(telegram, BOT, "send_message", chat_id=5, text=text)
    assert isinstance(error, InvalidArguments)
    assert error.nothing_sent
    assert platform_bench.requests() == []
    sent = await platform_bench.run(telegram, BOT, "send_message", chat_id=5, text=text[:2048])
    assert sent["text"] == text[:2048]


async def test_formatting_does_not_count_as_length(platform_bench: Any) -> None:
    text = "<b>" + "x" * 4096 + "</b>"
    sent = await platform_bench.run(telegram, BOT, "send_message", chat_id=5, text=text, parse_mode="html")
    assert len(sent["text"]) == 4096


@pytest.mark.parametrize(
    "given", ["", "x", "123:short", "123456789:AAE tokentokentokentoken", "1:" + "a" * 40 + "\n", "a:" + "a" * 40]
)
def test_tokens_of_another_form_are_refused_and_not_shown(given: str) -> None:
    with pytest.raises(ValidationError) as caught:
        telegram.credentials.model_validate({"bot_token": given})
    assert not given or given not in str(caught.value)


def test_single_user_mode_takes_the_token_from_the_environment() -> None:
    accounts = telegram.environ_accounts(Settings(environ={"TELEGRAM_BOT_TOKEN": BOT["bot_token"]}))
    assert accounts["default"].bot_token.get_secret_value() == BOT["bot_token"]
    assert BOT["bot_token"] not in repr(accounts)


def test_the_surface() -> None:
    assert {name: (tool.rest_method, tool.rest_path, tool.effect.access) for name, tool in telegram.tools.items()} == {
        "get_me": ("GET", "/api/telegram/me", "read"),
        "send_message": ("POST", "/api/telegram/message", "write"),
        "send_photo": ("POST", "/api/telegram/photo", "write"),
        "get_updates": ("GET", "/api/telegram/updates", "read"),
        "get_chat": ("GET", "/api/telegram/chat", "read"),
    }
    redactions = telegram.tools["send_message"].redactions
    assert (redactions["chat_id"], redactions["text"], redactions["parse_mode"]) == ("recipient", "text", "plain")


def test_queries_are_read_leniently() -> None:
    checked = telegram.tools["get_updates"].validate_query({"offset": "12", "timeout": "5"})
    assert (checked.offset, checked.limit, checked.timeout) == (12, 20, 5)  # type: ignore[attr-defined]
    telegram.tools["get_chat"].validate_query({"chat_id": "-100123"})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    kind=st.sampled_from(["message", "callback_query"]) | st.text(min_size=1, max_size=20),
    content=_JSON,
)
def test_updates_of_kinds_and_shapes_that_are_new_are_shown_as_they_are(kind: str, content: Any) -> None:
    update = Update.model_validate({kind: content, "update_id": 1})
    assert update.kind == kind
    assert update.other == (content if isinstance(content, dict) else None)


def test_messages_show_their_files_and_what_they_answer() -> None:
    update = Update.model_validate(
        {
            "update_id": 9,
            "edited_message": {
                "message_id": 3,
                "date": 1700000000,
                "edit_date": 1700000100,
                "chat": {"id": -5, "type": "group", "title": "G", "new_field": 1},
                "from": {"id": 1, "is_bot": False, "first_name": "A", "is_premium": True},
                "caption": "c",
                "photo": [{"file_id": "small", "width": 1, "height": 1}, {"file_id": "large", "width": 9, "height": 9}],
                "reply_to_message": {"message_id": 2, "date": 1, "chat": {"id": -5, "type": "group"}},
            },
        }
    )
    message = update.message
    assert message is not None
    assert message.attachments is not None
    assert (update.kind, message.attachments[0].file_id, message.reply_to_message_id) == ("edited_message", "large", 2)


def test_button_presses_name_their_message() -> None:
    update = Update.model_validate(
        {
            "update_id": 9,
            "callback_query": {
                "id": "4",
                "from": {"id": 1, "is_bot": False, "first_name": "A"},
                "data": "yes",
                "message": {"message_id": 8, "date": 0, "chat": {"id": 1, "type": "private"}},
            },
        }
    )
    assert update.callback_query is not None
    assert (update.callback_query.data, update.callback_query.message_id) == ("yes", 8)


async def test_bots_at_the_same_time_do_not_mix(platform_bench: Any) -> None:
    bots = [{"bot_token": f"{number}:AAEtokentokentokentokentoken"} for number in range(100001, 100021)]
    found = await asyncio.gather(*(platform_bench.run(telegram, bot, "get_me") for bot in bots))
    assert [one["id"] for one in found] == list(range(100001, 100021))


def _sent(bench: Any) -> list[dict[str, Any]]:
    return [orjson.loads(request.body) for request in bench.requests()]
