"""WhatsApp's tools against the sandbox: what is sent, what comes back, what each refusal means."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from pydantic import SecretStr, ValidationError

from hermes.errors import (
    HermesError,
    InvalidArguments,
    NeedsReconnect,
    NotFound,
    OutcomeUnknown,
    PlatformRejected,
    PlatformUnavailable,
    RateLimited,
)
from hermes.platforms.meta.graph import appsecret_proof
from hermes.platforms.ports import MessageStatus
from hermes.platforms.whatsapp import whatsapp
from hermes.platforms.whatsapp.errors import ERRORS, REFUSALS, UNCLEAR
from hermes.settings import Settings

PHONE = "106540352242922"
BUSINESS = "102290129340398"
ACCOUNT = {"phoneNumberId": PHONE, "accessToken": f"EAAsandbox-{PHONE}-{BUSINESS}-x", "businessAccountId": BUSINESS}
TO = "+49 (151) 2345-6789"
SECRET = "sandbox-app-secret"


def account(word: str) -> dict[str, str]:
    return {**ACCOUNT, "accessToken": f"EAAsandbox-{PHONE}-{BUSINESS}-{word}"}


async def test_probing_says_whose_number_it_is(platform_bench: Any) -> None:
    found = await platform_bench.probe(whatsapp, ACCOUNT)
    assert (found.id, found.routing_id, found.name) == (PHONE, PHONE, "Sandbox business")


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"phoneNumberId": "999999999"}, NotFound),
        ({"businessAccountId": "999999999"}, NotFound),
        ({"accessToken": "EAAsomebodyelse"}, NotFound),
        ({"accessToken": f"EAAsandbox-{PHONE}-{BUSINESS}-expired"}, NeedsReconnect),
        ({"accessToken": f"EAAsandbox-{PHONE}-{BUSINESS}-nomanagement"}, PlatformRejected),
    ],
)
async def test_probing_proves_control(platform_bench: Any, changed: dict[str, str], kind: type[HermesError]) -> None:
    with pytest.raises(kind):
        await platform_bench.probe(whatsapp, ACCOUNT | changed)


async def test_a_number_of_another_business_account_is_refused(platform_bench: Any) -> None:
    platform_bench.fail("answer", status=200, body={"data": [{"id": "1"}]}, match="phone_numbers")
    with pytest.raises(InvalidArguments) as caught:
        await platform_bench.probe(whatsapp, ACCOUNT)
    assert caught.value.data["fields"][0]["field"] == "businessAccountId"


async def test_every_request_names_version_token_and_proof(platform_bench: Any) -> None:
    platform_bench.settings = Settings(meta_app_secret=SecretStr(SECRET))
    await platform_bench.run(whatsapp, ACCOUNT, "list_templates")
    await platform_bench.run(whatsapp, ACCOUNT, "send_message", to=TO, text="Hi")
    for request in platform_bench.requests():
        assert request.path.startswith("/v26.0/")
        assert f"appsecret_proof={appsecret_proof(SecretStr(SECRET), ACCOUNT['accessToken'])}" in request.query
        assert ACCOUNT["accessToken"] not in request.path + request.query
    platform_bench.settings = Settings(environ={"WHATSAPP_GRAPH_VERSION": "v25.0"})
    await platform_bench.run(whatsapp, ACCOUNT, "list_templates")
    assert platform_bench.requests()[-1].path.startswith("/v25.0/")
    assert "appsecret_proof" not in platform_bench.requests()[-1].query


def test_the_proof_is_metas() -> None:
    proof = appsecret_proof(SecretStr("app-secret-123"), "EAAtoken")
    assert proof == "86c194fbbd8bc05e650c14557cd5c18edf49d7eda32b7f387ae77c0ab3ac349d"


MESSAGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"text": "Hi", "preview_url": True}, {"type": "text", "text": {"body": "Hi", "preview_url": True}}),
    (
        {"media": {"kind": "image", "link": "https://x.test/a.png", "caption": "c"}},
        {"type": "image", "image": {"link": "https://x.test/a.png", "caption": "c"}},
    ),
    (
        {"media": {"kind": "document", "link": "https://x.test/a.pdf", "filename": "a.pdf"}},
        {"type": "document", "document": {"link": "https://x.test/a.pdf", "filename": "a.pdf"}},
    ),
    (
        {"media": {"kind": "audio", "link": "https://x.test/a.mp3"}},
        {"type": "audio", "audio": {"link": "https://x.test/a.mp3"}},
    ),
    (
        {"location": {"latitude": 52.5, "longitude": 13.4, "name": "Berlin"}},
        {"type": "location", "location": {"latitude": 52.5, "longitude": 13.4, "name": "Berlin"}},
    ),
    (
        {
            "contacts": [
                {"first_name": "Ann", "last_name": "Lee", "phone": "+1 650 555", "company": "X", "email": "a@x.test"}
            ]
        },
        {
            "type": "contacts",
            "contacts": [
                {
                    "name": {"formatted_name": "Ann Lee", "first_name": "Ann", "last_name": "Lee"},
                    "phones": [{"phone": "+1 650 555", "type": "CELL"}],
                    "emails": [{"email": "a@x.test", "type": "WORK"}],
                    "org": {"company": "X"},
                }
            ],
        },
    ),
    (
        {"reaction": {"message_id": "wamid.A", "emoji": "👍"}},
        {"type": "reaction", "reaction": {"message_id": "wamid.A", "emoji": "👍"}},
    ),
    (
        {"text": "Which?", "buttons": [{"id": "y", "title": "Yes"}, {"id": "n", "title": "No"}], "footer": "f"},
        {
            "type": "interactive",
            "interactive": {
                "type": "button",
                "body": {"text": "Which?"},
                "action": {
                    "buttons": [
                        {"type": "reply", "reply": {"id": "y", "title": "Yes"}},
                        {"type": "reply", "reply": {"id": "n", "title": "No"}},
                    ]
                },
                "footer": {"text": "f"},
            },
        },
    ),
    (
        {"text": "Which?", "list_menu": {"button": "Open", "sections": [{"rows": [{"id": "1", "title": "One"}]}]}},
        {
            "type": "interactive",
            "interactive": {
                "type": "list",
                "body": {"text": "Which?"},
                "action": {"button": "Open", "sections": [{"rows": [{"id": "1", "title": "One"}]}]},
            },
        },
    ),
]


@pytest.mark.parametrize(("arguments", "body"), MESSAGES)
async def test_messages_of_every_kind(platform_bench: Any, arguments: dict[str, Any], body: dict[str, Any]) -> None:
    sent = await platform_bench.run(whatsapp, ACCOUNT, "send_message", to=TO, **arguments)
    assert sent["message_id"].startswith("wamid.")
    assert (sent["status"], sent["wa_id"]) == ("accepted", "4915123456789")
    assert _sent(platform_bench) == [
        {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "4915123456789",
            "biz_opaque_callback_data": "call_1",
            **body,
        }
    ]


async def test_an_answer_to_a_message_and_a_recipient_without_number(platform_bench: Any) -> None:
    sent = await platform_bench.run(
        whatsapp, ACCOUNT, "send_message", to="US.13491208655302741918", text="Hi", reply_to="wamid.A"
    )
    assert sent["user_id"] == "US.13491208655302741918"
    assert "wa_id" not in sent
    body = _sent(platform_bench)[0]
    assert (body["recipient"], body["context"]) == ("US.13491208655302741918", {"message_id": "wamid.A"})
    assert "to" not in body


TEXT = {"text": "Which?"}
MENU = {"button": "Open", "sections": [{"rows": [{"id": "1", "title": "One"}]}]}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "text"),
        ({**TEXT, "location": {"latitude": 1, "longitude": 1}}, "text"),
        ({"buttons": [{"id": "1", "title": "a"}], "location": {"latitude": 1.0, "longitude": 1.0}}, "text"),
        ({**TEXT, "buttons": [{"id": "1", "title": "a"}], "list_menu": MENU}, "list_menu"),
        ({**TEXT, "footer": "f"}, "footer"),
        ({"text": "x" * 1025, "buttons": [{"id": "1", "title": "a"}]}, "text"),
        ({**TEXT, "buttons": [{"id": "1", "title": "a"}, {"id": "1", "title": "b"}]}, "buttons"),
        ({**TEXT, "buttons": [{"id": "1", "title": "a"}, {"id": "2", "title": "a"}]}, "buttons"),
        ({**TEXT, "list_menu": {**MENU, "sections": MENU["sections"] * 2}}, "list_menu"),
        (
            {
                **TEXT,
                "list_menu": {
                    "button": "Open",
                    "sections": [
                        {"title": t, "rows": [{"id": f"{t}{n}", "title": "x"} for n in range(6)]} for t in ("a", "b")
                    ],
                },
            },
            "list_menu",
        ),
        ({"media": {"kind": "audio", "link": "https://x.test/a", "caption": "c"}}, "media"),
        ({"media": {"kind": "image", "link": "https://x.test/a", "filename": "c"}}, "media"),
        ({"reaction": {"message_id": "wamid.A", "emoji": ""}, "reply_to": "wamid.B"}, "reply_to"),
    ],
)
async def test_arguments_that_do_not_fit_together(platform_bench: Any, arguments: dict[str, Any], field: str) -> None:
    error = await platform_bench.refused(whatsapp, ACCOUNT, "send_message", to=TO, **arguments)
    assert type(error) is InvalidArguments
    assert error.data["fields"][0]["field"] == field
    assert error.nothing_sent
    assert platform_bench.requests() == []


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"to": "ann", "text": "a"}, "to"),
        ({"to": "12345", "text": "a"}, "to"),
        ({"to": "+4915123456789\n", "text": "a"}, "to"),
        ({"to": TO, "text": ""}, "text"),
        ({"to": TO, "text": "x" * 4097}, "text"),
        ({"to": TO, "media": {"kind": "image", "link": "http://x.test/a"}}, "media"),
        ({"to": TO, "media": {"kind": "gif", "link": "https://x.test/a"}}, "media"),
        ({"to": TO, "media": {"kind": "image", "link": "https://x.test/a", "id": "1"}}, "media"),
        ({"to": TO, "text": "a", "buttons": [{"id": "1", "title": "x" * 21}]}, "buttons"),
        ({"to": TO, "text": "a", "buttons": [{"id": str(n), "title": str(n)} for n in range(4)]}, "buttons"),
        ({"to": TO, "location": {"latitude": 91, "longitude": 0}}, "location"),
        ({"to": TO, "text": "a", "reply_to": "a b"}, "reply_to"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        whatsapp.tools["send_message"].validate(arguments)
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


TEMPLATES: list[tuple[dict[str, Any], list[dict[str, Any]] | None]] = [
    ({"name": "hello_world", "language": "en_US"}, None),
    (
        {
            "name": "order_confirmation",
            "language": "es",
            "body": [{"text": "Ann"}, {"text": "A1"}],
            "buttons": [{"index": 0, "kind": "url", "value": "A1"}],
        },
        [
            {"type": "body", "parameters": [{"type": "text", "text": "Ann"}, {"type": "text", "text": "A1"}]},
            {"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": "A1"}]},
        ],
    ),
    (
        {
            "name": "appointment_reminder",
            "language": "en_US",
            "body": [{"text": "Ann", "name": "customer_name"}, {"text": "9", "name": "time"}],
        },
        [
            {
                "type": "body",
                "parameters": [
                    {"type": "text", "text": "Ann", "parameter_name": "customer_name"},
                    {"type": "text", "text": "9", "parameter_name": "time"},
                ],
            }
        ],
    ),
    (
        {
            "name": "invoice_ready",
            "language": "en_US",
            "header": {"kind": "document", "link": "https://x.test/i.pdf", "filename": "i.pdf"},
            "body": [{"text": "7"}],
        },
        [
            {
                "type": "header",
                "parameters": [{"type": "document", "document": {"link": "https://x.test/i.pdf", "filename": "i.pdf"}}],
            },
            {"type": "body", "parameters": [{"type": "text", "text": "7"}]},
        ],
    ),
    (
        {
            "name": "summer_sale",
            "language": "en_US",
            "body": [{"text": "20%"}],
            "buttons": [{"index": 0, "kind": "copy_code", "value": "SUMMER26"}],
        },
        [
            {"type": "body", "parameters": [{"type": "text", "text": "20%"}]},
            {
                "type": "button",
                "sub_type": "copy_code",
                "index": "0",
                "parameters": [{"type": "coupon_code", "coupon_code": "SUMMER26"}],
            },
        ],
    ),
]


@pytest.mark.parametrize(("arguments", "components"), TEMPLATES)
async def test_templates_are_sent(platform_bench: Any, arguments: dict[str, Any], components: Any) -> None:
    sent = await platform_bench.run(whatsapp, ACCOUNT, "send_template", to=TO, **arguments)
    assert sent["status"] == "accepted"
    template = _sent(platform_bench)[0]["template"]
    assert template["language"] == {"code": arguments["language"]}
    assert template.get("components") == components


@pytest.mark.parametrize(
    ("arguments", "kind", "field"),
    [
        ({"name": "order_confirmation", "body": [{"text": "Ann"}]}, InvalidArguments, "body"),
        ({"name": "unknown_template"}, NotFound, None),
        ({"name": "hello_world", "language": "en"}, NotFound, None),
        ({"name": "pending_notice"}, NotFound, None),
        ({"name": "paused_offer"}, PlatformRejected, None),
        ({"name": "disabled_offer"}, PlatformRejected, None),
        (
            {"name": "appointment_reminder", "body": [{"text": "a"}, {"text": "b", "name": "x"}]},
            InvalidArguments,
            "body",
        ),
        ({"name": "order_confirmation", "body": [{"text": "a     b"}]}, InvalidArguments, "body"),
        ({"name": "invoice_ready", "header": {"kind": "document"}}, InvalidArguments, "header"),
        ({"name": "invoice_ready", "header": {"kind": "text"}}, InvalidArguments, "header"),
        ({"name": "invoice_ready", "header": {"kind": "location"}}, InvalidArguments, "header"),
    ],
)
async def test_templates_that_are_refused(
    platform_bench: Any, arguments: dict[str, Any], kind: type[HermesError], field: str | None
) -> None:
    error = await platform_bench.refused(
        whatsapp, ACCOUNT, "send_template", to=TO, **({"language": "en_US"} | arguments)
    )
    assert type(error) is kind
    if field is not None:
        assert error.data["fields"][0]["field"] == field


async def test_templates_are_listed_page_by_page(platform_bench: Any) -> None:
    names: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = await platform_bench.run(whatsapp, ACCOUNT, "list_templates", limit=5, **after)
        assert 1 <= len(page["templates"]) <= 5
        names += [template["name"] for template in page["templates"]]
        assert ACCOUNT["accessToken"] not in str(page)
        if "after" not in page:
            break
        after = {"after": page["after"]}
    assert len(names) == 12
    assert names.count("order_confirmation") == 2
    assert len(platform_bench.requests()) > 3


async def test_templates_are_filtered_and_described(platform_bench: Any) -> None:
    page = await platform_bench.run(
        whatsapp, ACCOUNT, "list_templates", name="order", language="en_US", status="APPROVED", category="UTILITY"
    )
    (template,) = page["templates"]
    assert [component["type"] for component in template["components"]] == ["BODY", "FOOTER", "BUTTONS"]
    assert template["components"][2]["buttons"][0]["url"] == "https://shop.example/track/{{1}}"
    assert await platform_bench.run(whatsapp, ACCOUNT, "list_templates", name="none such") == {"templates": []}


async def test_a_page_that_is_too_large_is_asked_for_in_halves(platform_bench: Any) -> None:
    for _ in range(2):
        platform_bench.fail("error", code=1, message="Please reduce the amount of data you're asking for, then retry")
    page = await platform_bench.run(whatsapp, ACCOUNT, "list_templates", limit=20)
    assert len(page["templates"]) == 5
    platform_bench.fail("error", code=1, message="Please reduce the amount of data", times="always")
    assert isinstance(await platform_bench.refused(whatsapp, ACCOUNT, "list_templates"), PlatformUnavailable)
    assert len(platform_bench.requests()) < 12


async def test_pages_that_stay_empty_come_to_an_end(platform_bench: Any) -> None:
    body = {"data": [], "paging": {"cursors": {"after": "A"}, "next": "https://evil.test/?access_token=x"}}
    platform_bench.fail("answer", status=200, body=body, times="always")
    assert type(await platform_bench.refused(whatsapp, ACCOUNT, "list_templates")) is PlatformUnavailable


async def test_a_status_is_what_the_webhook_told(platform_bench: Any) -> None:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    errors = [{"code": 131026, "title": "Undeliverable"}]
    platform_bench.statuses.known["cus_1", "whatsapp", "wamid.A"] = MessageStatus("wamid.A", "failed", at, "49", errors)
    found = await platform_bench.run(whatsapp, ACCOUNT, "get_message_status", message_id="wamid.A")
    assert (found["status"], found["errors"], found["recipient"]) == ("failed", errors, "49")
    assert found["at"] == "2026-11-20T00:00:00Z"
    unknown = await platform_bench.run(whatsapp, ACCOUNT, "get_message_status", message_id="wamid.B")
    assert unknown["status"] == "unknown"
    assert "META_APP_SECRET" in unknown["explanation"]
    platform_bench.settings = Settings(meta_app_secret=SecretStr("a"), whatsapp_verify_token=SecretStr("b"))
    unknown = await platform_bench.run(whatsapp, ACCOUNT, "get_message_status", message_id="wamid.B")
    assert "subscribed" in unknown["explanation"]
    assert platform_bench.requests() == []


@pytest.mark.parametrize("code", sorted({code for code, _ in REFUSALS if code and 130000 <= code < 134000}))
async def test_each_of_whatsapps_codes(platform_bench: Any, code: int) -> None:
    platform_bench.fail("error", code=code)
    error = await platform_bench.refused(whatsapp, ACCOUNT, "send_message", to=TO, text="Hi")
    assert type(error) is REFUSALS[code, None].kind
    assert error.data["platform_code"] == code
    assert len(platform_bench.requests()) == 1
    if isinstance(error, RateLimited):
        assert error.data["limited_by"] == "whatsapp"
        assert error.retry_after


@pytest.mark.parametrize("code", sorted(UNCLEAR))
async def test_codes_that_do_not_say_what_happened(platform_bench: Any, code: int) -> None:
    platform_bench.fail("error", code=code, times="always")
    assert type(await platform_bench.refused(whatsapp, ACCOUNT, "send_message", to=TO, text="Hi")) is OutcomeUnknown
    assert type(await platform_bench.refused(whatsapp, ACCOUNT, "list_templates")) is PlatformUnavailable


@pytest.mark.parametrize(
    ("code", "subcode", "message", "kind"),
    [
        (190, 463, "Session has expired", NeedsReconnect),
        (190, 999, "Something", NeedsReconnect),
        (102, None, "Session key invalid", NeedsReconnect),
        (104, None, "An access token is required", PlatformRejected),
        (100, None, "Invalid appsecret_proof provided in the API argument", PlatformRejected),
        (100, None, "Invalid parameter", InvalidArguments),
        (100, 33, "Unsupported post request", NotFound),
        (33, None, "Unsupported", NotFound),
        (803, None, "Some of the aliases you requested do not exist", NotFound),
        (2500, None, "Unknown path components", PlatformRejected),
        (3, None, "Application does not have the capability", PlatformRejected),
        (10, None, "Permission denied", PlatformRejected),
        (200, None, "Permissions error", PlatformRejected),
        (299, None, "Permissions error", PlatformRejected),
        (368, None, "Blocked", PlatformRejected),
        (4, None, "Application request limit reached", RateLimited),
        (17, 2446079, "User request limit reached", RateLimited),
        (32, None, "Page request limit reached", RateLimited),
        (613, None, "Calls exceeded", RateLimited),
        (80007, None, "Too many calls", RateLimited),
        (987654, None, "Something new", PlatformRejected),
    ],
)
def test_what_each_code_means(code: int, subcode: int | None, message: str, kind: type[HermesError]) -> None:
    error = ERRORS.error(ERRORS.refusal_of(code, subcode, message), code, subcode, message, None)
    assert type(error) is kind
    assert error.data["platform_message"] == message
    assert error.data.get("platform_subcode") == subcode


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("expired", NeedsReconnect),
        ("revoked", NeedsReconnect),
        ("limited", RateLimited),
        ("broken", OutcomeUnknown),
        ("nomessaging", PlatformRejected),
    ],
)
async def test_tokens_that_do_not_work(platform_bench: Any, word: str, kind: type[HermesError]) -> None:
    error = await platform_bench.refused(whatsapp, account(word), "send_message", to=TO, text="Hi")
    assert type(error) is kind


async def test_a_token_that_meta_repeats_is_not_shown(platform_bench: Any) -> None:
    platform_bench.fail("error", code=190, message=f"Malformed access token {ACCOUNT['accessToken']}")
    error = await platform_bench.refused(whatsapp, ACCOUNT, "list_templates")
    assert "[token]" in error.message


@pytest.mark.parametrize(("retry_after", "seen"), [(300, 300.0), (None, 60.0)])
@pytest.mark.parametrize("tool", ["list_templates", "send_message"])
async def test_too_fast(platform_bench: Any, tool: str, retry_after: int | None, seen: float) -> None:
    platform_bench.fail("rate_limit", retry_after=retry_after)
    arguments = {"to": TO, "text": "Hi"} if tool == "send_message" else {}
    error = await platform_bench.refused(whatsapp, ACCOUNT, tool, **arguments)
    assert type(error) is RateLimited
    assert error.retry_after == seen


SWITCHES = (
    "timeout_before", "timeout_after", "cut_before", "cut_after", "cut_body", "malformed", "giant", "server_error",
)  # fmt: skip


@pytest.mark.parametrize("switch", SWITCHES)
async def test_a_message_without_clear_answer_is_never_sent_twice(platform_bench: Any, switch: str) -> None:
    platform_bench.fail(switch, times="always")
    error = await platform_bench.refused(whatsapp, ACCOUNT, "send_message", to=TO, text="Hi")
    assert type(error) is OutcomeUnknown
    assert len(platform_bench.requests()) == 1


@pytest.mark.parametrize("switch", SWITCHES)
async def test_a_read_without_clear_answer_is_unavailable(platform_bench: Any, switch: str) -> None:
    platform_bench.fail(switch, times="always")
    assert type(await platform_bench.refused(whatsapp, ACCOUNT, "list_templates")) is PlatformUnavailable
    assert len(platform_bench.requests()) <= 2


@pytest.mark.parametrize(
    "body", [{}, {"messages": []}, {"messages": [{"id": 5}]}, {"error": {}}, {"error": "x"}, [], 7]
)
async def test_an_answer_of_another_shape_is_not_clear(platform_bench: Any, body: Any) -> None:
    platform_bench.fail("answer", status=200, body=body)
    error = await platform_bench.refused(whatsapp, ACCOUNT, "send_message", to=TO, text="Hi")
    assert type(error) is OutcomeUnknown


@pytest.mark.parametrize(
    ("status", "kind"), [(400, PlatformRejected), (401, NeedsReconnect), (404, NotFound), (429, RateLimited)]
)
async def test_an_answer_without_metas_error_is_read_by_its_status(
    platform_bench: Any, status: int, kind: type[HermesError]
) -> None:
    platform_bench.fail("answer", status=status, body={"message": "from a proxy"})
    assert type(await platform_bench.refused(whatsapp, ACCOUNT, "send_message", to=TO, text="Hi")) is kind


def test_credentials_in_both_spellings_and_from_the_environment() -> None:
    snake = {"phone_number_id": PHONE, "access_token": "EAAtokentoken", "business_account_id": BUSINESS}
    one = whatsapp.credentials.model_validate(snake)
    two = whatsapp.credentials.model_validate({**ACCOUNT, "accessToken": "EAAtokentoken"})
    assert one == two
    assert orjson.loads(one.to_json()) == snake
    environ = {f"WHATSAPP_DEFAULT_{name.upper()}": value for name, value in snake.items()}
    assert whatsapp.environ_accounts(Settings(environ=environ))["default"] == one
    assert "EAAtokentoken" not in repr(one)
    for name, wrong in (("phone_number_id", "+1 650"), ("access_token", "EAA x\r\ny"), ("business_account_id", "1/2")):
        with pytest.raises(ValidationError) as caught:
            whatsapp.credentials.model_validate(snake | {name: wrong})
        assert wrong not in str(caught.value)


def test_the_surface() -> None:
    assert {name: (tool.rest_method, tool.rest_path, tool.effect.access) for name, tool in whatsapp.tools.items()} == {
        "send_message": ("POST", "/api/whatsapp/send", "write"),
        "send_template": ("POST", "/api/whatsapp/template", "write"),
        "list_templates": ("GET", "/api/whatsapp/templates", "read"),
        "get_message_status": ("GET", "/api/whatsapp/status", "read"),
    }
    redactions = whatsapp.tools["send_message"].redactions
    assert (redactions["to"], redactions["text"], redactions["reply_to"]) == ("recipient", "text", "plain")
    whatsapp.tools["list_templates"].validate_query({"limit": "5", "status": "APPROVED"})


async def test_an_uploaded_file_is_handed_to_meta_and_sent_by_the_id_that_it_gives(platform_bench: Any) -> None:
    handle = "media_" + "a" * 26
    platform_bench.media.add(handle, b"%PDF-1.7 content", "application/pdf", filename="bill.pdf")
    media = {"kind": "document", "link": handle, "caption": "Your bill", "filename": "Bill.pdf"}
    await platform_bench.run(whatsapp, ACCOUNT, "send_message", to=TO, media=media)
    upload, message = platform_bench.requests()
    assert (upload.path, upload.content_type) == (f"/v26.0/{PHONE}/media", "multipart/form-data")
    assert b"%PDF-1.7 content" in upload.body
    sent = orjson.loads(message.body)["document"]
    assert sent == {"id": sent["id"], "caption": "Your bill", "filename": "Bill.pdf"}
    assert sent["id"].isdigit()


async def test_a_template_takes_an_uploaded_file_too(platform_bench: Any) -> None:
    handle = "media_" + "a" * 26
    platform_bench.media.add(handle, b"\xff\xd8", "image/jpeg")
    await platform_bench.run(
        whatsapp, ACCOUNT, "send_template", to=TO, name="new_arrivals", language="en_US",
        header={"kind": "image", "link": handle}, body=[{"text": "Spring"}],
    )  # fmt: skip
    header = orjson.loads(platform_bench.requests()[-1].body)["template"]["components"][0]["parameters"][0]
    assert header == {"type": "image", "image": {"id": header["image"]["id"]}}


@pytest.mark.parametrize(
    ("kind", "known", "says"),
    [
        ("image", {"content_type": "image/webp"}, "image/jpeg, image/png"),
        ("image", {"content_type": "image/png", "size": 5 * 1024 * 1024 + 1}, "5,242,880"),
        ("video", {"content_type": "video/webm"}, "video/mp4"),
        ("audio", {"content_type": "audio/mp4", "size": 16 * 1024 * 1024 + 1}, "16,777,216"),
        ("sticker", {"content_type": "image/webp", "width": 512, "height": 511}, "height is 511"),
    ],
)
async def test_a_file_that_whatsapp_would_not_take_stays_here(
    platform_bench: Any, kind: str, known: dict[str, Any], says: str
) -> None:
    handle = "media_" + "a" * 26
    platform_bench.media.add(handle, b"x" * known.pop("size", 10), known.pop("content_type"), **known)
    media = {"kind": kind, "link": handle}
    error = await platform_bench.refused(whatsapp, ACCOUNT, "send_message", to=TO, media=media)
    assert says in error.message
    assert platform_bench.requests() == []


async def test_an_upload_that_gets_no_answer_sent_no_message(platform_bench: Any) -> None:
    handle = "media_" + "a" * 26
    platform_bench.media.add(handle, b"\x89PNG", "image/png")
    platform_bench.fail("cut_after", match=f"{PHONE}/media", times=None)
    error = await platform_bench.refused(
        whatsapp, ACCOUNT, "send_message", to=TO, media={"kind": "image", "link": handle}
    )
    assert isinstance(error, PlatformUnavailable)
    assert {request.path for request in platform_bench.requests()} == {f"/v26.0/{PHONE}/media"}


def _sent(bench: Any) -> list[dict[str, Any]]:
    return [orjson.loads(request.body) for request in bench.requests()]
