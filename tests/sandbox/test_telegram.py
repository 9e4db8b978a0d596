"""Telegram's stand-in: what the Bot API accepts, refuses, and says about it."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

import aiohttp
import pytest

from hermes.sandbox.options import SandboxOptions

BOT = "123456789:AAEabcdefghijklmnopqrstuvwxyz012345"
OTHER = "987654321:AAEabcdefghijklmnopqrstuvwxyz012345"
SECRET = "AAEabcdefghijklmnopqrstuvwxyz012345"


def png(width: int, height: int, padding: int = 0) -> bytes:
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x02\0\0\0" + b"\0" * padding
    )


@pytest.mark.parametrize(
    ("token", "status", "description"),
    [
        ("123456789:short", 404, "Not Found"),
        ("123456789", 404, "Not Found"),
        (f"abc:{SECRET}", 404, "Not Found"),
        (f"0123:{SECRET}", 401, "Unauthorized: invalid token specified"),
        (f"123:{'A' * 90}", 401, "Unauthorized: invalid token specified"),
        (f"123:revoked_{SECRET}", 401, "Unauthorized"),
        (f"123:expired_{SECRET}", 401, "Unauthorized"),
        (f"123:limited_{SECRET}", 429, "Too Many Requests: retry after 5"),
    ],
)
async def test_a_token_that_does_not_work(sandbox: Any, token: str, status: int, description: str) -> None:
    reply = await sandbox.telegram("getMe", token)
    assert reply.status == status
    assert reply.json["ok"] is False
    assert (reply.json["error_code"], reply.json["description"]) == (status, description)
    if status == 429:
        assert reply.json["parameters"] == {"retry_after": 5}
        assert reply.headers["Retry-After"] == "5"


async def test_a_broken_token_gets_html(sandbox: Any) -> None:
    reply = await sandbox.telegram("getMe", f"123:broken_{SECRET}")
    assert (reply.status, reply.headers["content-type"]) == (502, "text/html")


async def test_the_bot_is_the_digits_and_tokens_are_apart(sandbox: Any) -> None:
    me = (await sandbox.telegram("GETME")).json["result"]
    assert (me["id"], me["is_bot"]) == (123456789, True)
    assert (await sandbox.telegram("getMe", OTHER)).json["result"]["id"] == 987654321
    await sandbox.control("actions/telegram/message", token=BOT, text="for the first")
    assert (await sandbox.telegram("getUpdates", OTHER)).json["result"] == []
    assert len((await sandbox.telegram("getUpdates")).json["result"]) == 1


@pytest.mark.parametrize("shape", ["query", "form", "json", "multipart"])
async def test_arguments_come_in_four_shapes(sandbox: Any, shape: str) -> None:
    args = {"chat_id": "5", "text": "hi", "reply_parameters": json.dumps({"message_id": 1})}
    await sandbox.telegram("sendMessage", chat_id=5, text="first")
    path = f"/telegram/bot{BOT}/sendMessage"
    if shape == "query":
        reply = await sandbox.request("GET", path, params=args)
    elif shape == "form":
        reply = await sandbox.request("POST", path, data=args)
    elif shape == "json":
        typed = {"chat_id": 5, "text": "hi", "reply_parameters": {"message_id": 1}, "unknown_field": {"a": 1}}
        reply = await sandbox.request("POST", path, json=typed)
    else:
        form = aiohttp.FormData(args, default_to_multipart=True)
        reply = await sandbox.request("POST", path, data=form)
    message = reply.json["result"]
    assert (message["message_id"], message["text"], message["chat"]["type"]) == (2, "hi", "private")
    assert message["reply_to_message"]["message_id"] == 1


BAD_MESSAGES: list[tuple[dict[str, Any], int, str]] = [
    ({"chat_id": 5}, 400, "Bad Request: message text is empty"),
    ({"chat_id": 5, "text": ""}, 400, "Bad Request: message text is empty"),
    ({"chat_id": 5, "text": " \n "}, 400, "Bad Request: text must be non-empty"),
    ({"text": "hi"}, 400, "Bad Request: chat_id is empty"),
    ({"chat_id": 5, "text": "x" * 4097}, 400, "Bad Request: message is too long"),
    ({"chat_id": 5, "text": "👋" * 2049}, 400, "Bad Request: message is too long"),
    ({"chat_id": 5, "text": "x" * 40_000}, 400, "Bad Request: text is too long"),
    ({"chat_id": 5, "text": "x", "parse_mode": "BBCode"}, 400, "Bad Request: unsupported parse_mode"),
    ({"chat_id": 404, "text": "x"}, 400, "Bad Request: chat not found"),
    ({"chat_id": 0, "text": "x"}, 400, "Bad Request: chat not found"),
    ({"chat_id": "somebody", "text": "x"}, 400, "Bad Request: chat not found"),
    ({"chat_id": 1 << 52, "text": "x"}, 400, "Bad Request: chat not found"),
    ({"chat_id": "@missing_channel", "text": "x"}, 400, "Bad Request: chat not found"),
    ({"chat_id": 403, "text": "x"}, 403, "Forbidden: bot was blocked by the user"),
    ({"chat_id": 4031, "text": "x"}, 403, "Forbidden: user is deactivated"),
    ({"chat_id": 4032, "text": "x"}, 403, "Forbidden: bot can't initiate conversation with a user"),
    ({"chat_id": 4033, "text": "x"}, 403, "Forbidden: bots can't send messages to bots"),
    ({"chat_id": -403, "text": "x"}, 403, "Forbidden: bot was kicked from the group chat"),
    ({"chat_id": 5, "text": "x", "reply_parameters": {"message_id": 9}}, 400,
     "Bad Request: message to be replied not found"),
    ({"chat_id": 5, "text": "x", "reply_parameters": {}, "reply_to_message_id": 0}, 200, ""),
    ({"chat_id": 5, "text": "x", "reply_parameters": "no json"}, 400,
     "Bad Request: can't parse reply parameters JSON object"),
    ({"chat_id": 5, "text": "x", "entities": [{"type": "bold", "offset": "a", "length": 1}]}, 400,
     'Bad Request: can\'t parse MessageEntity: Field "offset" must be of type Number'),
    ({"chat_id": 5, "text": "a.", "parse_mode": "MarkdownV2"}, 400,
     "Bad Request: can't parse entities: Character '.' is reserved and must be escaped with the preceding '\\'"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "status", "description"), BAD_MESSAGES)
async def test_what_send_message_refuses(sandbox: Any, args: dict[str, Any], status: int, description: str) -> None:
    reply = await sandbox.telegram("sendMessage", **args)
    assert (reply.status, reply.json.get("description", "")) == (status, description)
    assert reply.json.get("error_code", 200) == status


async def test_lengths_count_utf16_units_after_the_markup_is_taken_out(sandbox: Any) -> None:
    text = "<b>" + "👋" * 2048 + "</b>"
    reply = await sandbox.telegram("sendMessage", chat_id=5, text=text, parse_mode="HTML")
    assert reply.status == 200
    assert reply.json["result"]["entities"] == [{"type": "bold", "offset": 0, "length": 4096}]


async def test_chats_that_answer_with_parameters(sandbox: Any) -> None:
    moved = await sandbox.telegram("sendMessage", chat_id=-400, text="x")
    assert moved.json["parameters"] == {"migrate_to_chat_id": -1000000000400}
    limited = await sandbox.telegram("sendMessage", chat_id=429, text="x")
    assert (limited.status, limited.json["parameters"]) == (429, {"retry_after": 7})


async def test_message_ids_grow_per_chat_and_a_missing_reply_can_be_allowed(sandbox: Any) -> None:
    ids = [(await sandbox.telegram("sendMessage", chat_id=5, text="x")).json["result"]["message_id"] for _ in range(3)]
    assert ids == [1, 2, 3]
    reply = {"message_id": 99, "allow_sending_without_reply": True}
    sent = await sandbox.telegram("sendMessage", chat_id=6, text="x", reply_parameters=reply)
    assert sent.json["result"]["message_id"] == 1
    assert "reply_to_message" not in sent.json["result"]


async def test_unknown_method_and_path(sandbox: Any) -> None:
    reply = await sandbox.telegram("makeCoffee")
    assert (reply.status, reply.json["description"]) == (404, "Not Found: method not found")
    assert (await sandbox.request("GET", "/telegram/elsewhere")).json["description"] == "Not Found"


# photos


def photo_form(content: bytes, **args: str) -> aiohttp.FormData:
    form = aiohttp.FormData({"chat_id": "5", **args})
    form.add_field(args.get("photo", "photo").removeprefix("attach://"), content, filename="a.png")
    return form


@pytest.mark.parametrize(
    ("content", "description"),
    [
        (b"", "Bad Request: file must be non-empty"),
        (b"not a picture", "Bad Request: IMAGE_PROCESS_FAILED"),
        (png(9000, 1001), "Bad Request: PHOTO_INVALID_DIMENSIONS"),
        (png(2100, 100), "Bad Request: PHOTO_INVALID_DIMENSIONS"),
        (png(10, 10, 10 << 20), "Bad Request: file of size 10485789 bytes is too big for a photo; "
                                "the maximum size is 10485760 bytes"),
    ],
)  # fmt: skip
async def test_uploads_that_are_refused(sandbox: Any, content: bytes, description: str) -> None:
    reply = await sandbox.request("POST", f"/telegram/bot{BOT}/sendPhoto", data=photo_form(content))
    assert (reply.status, reply.json["description"]) == (400, description)


@pytest.mark.parametrize("photo", ["", "attach://picture"])
async def test_an_uploaded_photo_can_be_sent_again_by_its_id(sandbox: Any, photo: str) -> None:
    form = photo_form(png(800, 600), caption="*hi*", parse_mode="MarkdownV2", **({"photo": photo} if photo else {}))
    message = (await sandbox.request("POST", f"/telegram/bot{BOT}/sendPhoto", data=form)).json["result"]
    assert (message["caption"], message["caption_entities"][0]["type"]) == ("hi", "bold")
    largest = message["photo"][-1]
    assert (largest["width"], largest["height"]) == (800, 600)
    again = await sandbox.telegram("sendPhoto", chat_id=6, photo=largest["file_id"])
    assert again.json["result"]["photo"] == message["photo"]
    stolen = await sandbox.telegram("sendPhoto", OTHER, chat_id=6, photo=largest["file_id"])
    assert stolen.json["description"] == "Bad Request: wrong file identifier/HTTP URL specified"


@pytest.mark.parametrize(
    ("args", "description"),
    [
        ({}, "Bad Request: there is no photo in the request"),
        ({"photo": "attach://nothing"}, "Bad Request: there is no photo in the request"),
        ({"photo": "AgACnotmine"}, "Bad Request: wrong file identifier/HTTP URL specified"),
        ({"photo": "https://x.example/missing.png"}, "Bad Request: failed to get HTTP URL content"),
        ({"photo": "https://x.example/page.html"}, "Bad Request: wrong type of the web page content"),
        ({"photo": "https://x.example/a.png", "caption": "x" * 1025}, "Bad Request: message caption is too long"),
    ],
)
async def test_photos_by_name_that_are_refused(sandbox: Any, args: dict[str, Any], description: str) -> None:
    reply = await sandbox.telegram("sendPhoto", chat_id=5, **args)
    assert (reply.status, reply.json["description"]) == (400, description)
    assert (await sandbox.telegram("sendPhoto", chat_id=5, photo="https://x.example/a.png")).status == 200


async def test_a_body_over_fifty_megabytes(sandbox: Any) -> None:
    reply = await sandbox.request("POST", f"/telegram/bot{BOT}/sendPhoto", data=b"x" * (50 * 1024 * 1024 + 1))
    assert (reply.status, reply.json["description"]) == (413, "Request Entity Too Large")


# chats


async def test_chats_by_kind(sandbox: Any) -> None:
    kinds = {5: "private", -5: "group", -1001234567890: "supergroup", "@news": "channel"}
    for chat_id, kind in kinds.items():
        chat = (await sandbox.telegram("getChat", chat_id=chat_id)).json["result"]
        assert chat["type"] == kind
        assert {"id", "accent_color_id", "max_reaction_count", "accepted_gift_types"} <= set(chat)
    assert (await sandbox.telegram("getChat", chat_id=403)).status == 200
    assert (await sandbox.telegram("getChat", chat_id=404)).json["description"] == "Bad Request: chat not found"


# updates


async def written(sandbox: Any, *texts: str, token: str = BOT) -> list[int]:
    done = [await sandbox.control("actions/telegram/message", token=token, text=text) for text in texts]
    return [one["update"]["update_id"] for one in done]


async def test_updates_stay_until_they_are_confirmed(sandbox: Any) -> None:
    ids = await written(sandbox, "one", "two", "/three now")

    async def seen(**args: Any) -> list[int]:
        return [update["update_id"] for update in (await sandbox.telegram("getUpdates", **args)).json["result"]]

    assert await seen() == await seen() == ids
    assert await seen(limit=2) == ids[:2]
    assert await seen(limit=0) == ids[:1], "the server brings limits into their range"
    assert await seen(offset=ids[1]) == ids[1:]
    assert await seen() == ids[1:], "what is below an offset is gone"
    assert await seen(offset=ids[-1] + 1000) == ids[1:], "an offset from nowhere confirms nothing"
    assert await seen(offset=-1) == ids[2:]
    last = (await sandbox.telegram("getUpdates")).json["result"][0]
    assert last["message"]["entities"] == [{"type": "bot_command", "offset": 0, "length": 6}]
    assert await seen(offset=ids[-1] + 1) == await seen() == []


async def test_updates_are_forgotten_after_a_day(sandbox: Any) -> None:
    await written(sandbox, "old")
    await sandbox.advance(24 * 3600 + 1)
    assert (await sandbox.telegram("getUpdates")).json["result"] == []


async def test_a_long_poll_ends_with_the_first_update(sandbox: Any) -> None:
    poll = asyncio.create_task(sandbox.telegram("getUpdates", timeout=50))
    await _polling(sandbox)
    ids = await written(sandbox, "at last")
    reply = await poll
    assert [update["update_id"] for update in reply.json["result"]] == ids


async def test_a_long_poll_ends_when_its_time_is_over(sandbox: Any) -> None:
    poll = asyncio.create_task(sandbox.telegram("getUpdates", timeout=500))
    await _polling(sandbox)
    await sandbox.advance(49)
    assert not poll.done()
    await sandbox.advance(1)
    assert (await poll).json == {"ok": True, "result": []}


@pytest.mark.parametrize("by", ["getUpdates", "setWebhook"])
async def test_a_long_poll_loses_to_what_comes_later(sandbox: Any, by: str) -> None:
    poll = asyncio.create_task(sandbox.telegram("getUpdates", timeout=50))
    await _polling(sandbox)
    if by == "getUpdates":
        second = asyncio.create_task(sandbox.telegram("getUpdates", timeout=50))
        reply = await poll
        await written(sandbox, "x")
        assert len((await second).json["result"]) == 1
        assert "terminated by other getUpdates request" in reply.json["description"]
    else:
        await sandbox.telegram("setWebhook", url="https://bot.example/hook")
        reply = await poll
        assert reply.json["description"] == "Conflict: terminated by setWebhook request"
    assert reply.status == 409


async def test_a_poller_that_leaves_makes_room(sandbox: Any) -> None:
    poll = asyncio.create_task(sandbox.telegram("getUpdates", timeout=50))
    await _polling(sandbox)
    poll.cancel()
    bot = sandbox.sandbox.services["telegram"]._bot(BOT)
    await sandbox.until(lambda: not bot.polled)


async def _polling(sandbox: Any) -> None:
    bot = sandbox.sandbox.services["telegram"]._bot(BOT)
    await sandbox.until(lambda: bot.polled)


async def test_allowed_updates_are_remembered(sandbox: Any) -> None:
    await sandbox.telegram("getUpdates", allowed_updates=["callback_query"])
    assert (await sandbox.control("actions/telegram/message", token=BOT, text="x"))["update"] is None
    await sandbox.telegram("getUpdates", allowed_updates=[])
    assert len(await written(sandbox, "y")) == 1


# webhooks


@pytest.mark.parametrize(
    ("args", "description"),
    [
        ({"url": "http://bot.example/x"}, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook"),
        ({"url": "https://bot.example:8080/x"},
         "Bad Request: bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443"),
        ({"url": "https://bot.example/x", "secret_token": "a b"},
         "Bad Request: secret token contains unallowed characters"),
        ({"url": "https://bot.example/x", "secret_token": "a" * 257}, "Bad Request: secret token is too long"),
    ],
)  # fmt: skip
async def test_webhooks_that_are_refused(sandbox: Any, args: dict[str, Any], description: str) -> None:
    reply = await sandbox.telegram("setWebhook", **args)
    assert (reply.status, reply.json["description"]) == (400, description)


async def test_a_webhook_gets_updates_in_order_with_its_secret(sandbox: Any, callback: Any) -> None:
    await written(sandbox, "before")
    callback.statuses = [500]
    reply = await sandbox.telegram("setWebhook", url=callback.url, secret_token="s3cret-1")
    assert reply.json == {"ok": True, "result": True, "description": "Webhook was set"}
    await written(sandbox, "after")
    await sandbox.sandbox.webhooks.idle()
    assert len(callback.got) == 1, "the first update was refused and holds back the second"
    await sandbox.advance(2)
    await sandbox.sandbox.webhooks.idle()
    texts = [json.loads(body)["message"]["text"] for _, body in callback.got]
    assert texts == ["before", "before", "after"]
    assert callback.got[0][0]["X-Telegram-Bot-Api-Secret-Token"] == "s3cret-1"
    conflict = await sandbox.telegram("getUpdates")
    assert conflict.status == 409
    assert conflict.json["description"].startswith("Conflict: can't use getUpdates method while webhook is active")
    info = (await sandbox.telegram("getWebhookInfo")).json["result"]
    assert (info["url"], info["pending_update_count"]) == (callback.url, 0)
    assert (await sandbox.telegram("deleteWebhook")).json["description"] == "Webhook was deleted"
    assert (await sandbox.telegram("getUpdates")).status == 200


async def test_a_webhook_elsewhere_is_never_called(sandbox: Any) -> None:
    await sandbox.telegram("setWebhook", url="https://bot.example/hook")
    await written(sandbox, "x")
    info = (await sandbox.telegram("getWebhookInfo")).json["result"]
    assert (info["pending_update_count"], info["last_error_message"]) == (1, "Connection refused")


# limits


async def test_the_vendors_limits_when_asked_for(start_sandbox: Any) -> None:
    sandbox = await start_sandbox(SandboxOptions(frozen_clock=True, vendor_limits=True))
    replies = [await sandbox.telegram("sendMessage", chat_id=5, text="x") for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert (replies[-1].json["parameters"], replies[-1].headers["Retry-After"]) == ({"retry_after": 1}, "1")
    assert (await sandbox.telegram("sendMessage", chat_id=6, text="x")).status == 200
    await sandbox.advance(1)
    assert (await sandbox.telegram("sendMessage", chat_id=5, text="x")).status == 200
