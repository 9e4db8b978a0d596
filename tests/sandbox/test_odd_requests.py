"""Whatever a client sends, a stand-in answers as its vendor would: with an answer, never with a crash."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hermes.sandbox.app import Sandbox
from hermes.sandbox.http import Incoming
from hermes.sandbox.options import SandboxOptions

BOT = "123456789:AAEabcdefghijklmnopqrstuvwxyz012345"
PHONE = "106540352242922"
BUSINESS = "102290129340398"
ACCESS = f"EAAsandbox-{PHONE}-{BUSINESS}-acme"

SCALARS = (
    st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | st.floats(allow_nan=False) | st.text(max_size=8)
)
WORDS = st.sampled_from(
    ["text", "image", "template", "interactive", "contacts", "location", "reaction", "audio", "body", "button", "list",
     "hello_world", "order_confirmation", "en_US", "HTML", "MarkdownV2", "whatsapp", "wamid.A", "read", "16505551234",
     "http://[", "https://x.example/a.png", "[1", "{}", "@name", "5"]
)  # fmt: skip
NAMES = st.sampled_from(
    ["type", "body", "text", "id", "link", "caption", "name", "language", "code", "components", "parameters", "index",
     "action", "buttons", "reply", "title", "sections", "rows", "message_id", "emoji", "latitude", "longitude",
     "formatted_name", "header", "sub_type", "parameter_name", "offset", "length"]
)  # fmt: skip
VALUES = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)


async def answered(platform: str, method: str, path: str, args: Any, token: str | None = None) -> int:
    async def gone() -> None:
        return None

    sandbox = Sandbox(SandboxOptions(frozen_clock=True))
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    incoming = Incoming(method, path, "", headers, orjson.dumps(args), "http://127.0.0.1:3457", gone)
    service = sandbox.services[platform]
    service.token_of(incoming)
    answer = await service.answer(incoming)
    orjson.loads(answer.body)
    return answer.status


KINDS = ("text", "image", "audio", "template", "interactive", "contacts", "location", "reaction")
FURTHER = ("context", "status", "recipient_type", "recipient", "biz_opaque_callback_data")
MESSAGE = st.fixed_dictionaries(
    {"messaging_product": st.just("whatsapp"), "to": st.just("16505551234")},
    optional={"type": st.sampled_from(KINDS) | VALUES} | dict.fromkeys((*KINDS, *FURTHER), VALUES),
)
FILTERS = ("limit", "after", "status", "category", "language", "name", "fields", "appsecret_proof", "input_token")
EDGES = ("message_templates", "phone_numbers", "subscribed_apps")
READS = (PHONE, BUSINESS, f"{PHONE}/message_history", "me", "debug_token", "", *(f"{BUSINESS}/{one}" for one in EDGES))
ARGUMENTS = (
    "chat_id", "text", "photo", "caption", "parse_mode", "entities", "caption_entities", "offset", "limit",
    "reply_parameters", "allowed_updates", "url", "secret_token", "max_connections",
)  # fmt: skip
METHODS = ("sendMessage", "sendPhoto", "getUpdates", "getChat", "setWebhook", "getWebhookInfo")


@settings(max_examples=300, deadline=None)
@given(MESSAGE | VALUES)
async def test_any_whatsapp_message(args: Any) -> None:
    assert await answered("whatsapp", "POST", f"/v26.0/{PHONE}/messages", args, ACCESS) in (200, 400, 403, 404)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(FILTERS), VALUES), st.sampled_from(READS))
async def test_any_graph_read(args: Any, path: str) -> None:
    assert await answered("whatsapp", "GET", f"/v26.0/{path}", args, ACCESS) in (200, 400, 401, 403, 500)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(ARGUMENTS), VALUES) | VALUES, st.sampled_from(METHODS))
async def test_any_telegram_call(args: Any, method: str) -> None:
    assert await answered("telegram", "POST", f"/bot{BOT}/{method}", args) in (200, 400, 403, 409, 429)


@pytest.mark.parametrize(
    "path", ["/telegram", "/whatsapp", "/telegram/", "/whatsapp//", "//telegram", "/%00", "/nowhere"]
)
async def test_paths_at_the_edge(sandbox: Any, path: str) -> None:
    assert (await sandbox.request("GET", path)).status in (400, 404)
