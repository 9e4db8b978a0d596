"""WhatsApp's stand-in: whose a number is, what a message must look like, templates, media, Graph's manners."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from hermes.sandbox.options import SandboxOptions

PHONE = "106540352242922"
BUSINESS = "102290129340398"
ACCESS = f"EAAsandbox-{PHONE}-{BUSINESS}-acme"
TEMPLATES = f"{BUSINESS}/message_templates"


def error(reply: Any) -> tuple[int, int, int | None]:
    said = reply.json["error"]
    assert said["fbtrace_id"] == reply.headers["x-fb-trace-id"]
    return reply.status, said["code"], said.get("error_subcode")


# Graph's manners


@pytest.mark.parametrize(
    ("path", "status", "code", "message"),
    [
        ("/whatsapp/106540352242922/messages", 400, 2500, "Unknown path components: /106540352242922/messages"),
        ("/whatsapp/v27.0/me", 400, 2500, "Unknown path components: /v27.0/me"),
        ("/whatsapp/v26.0/me", 400, 2500, "An active access token must be used"),
        ("/whatsapp/v26.0/106540352242922", 401, 104, "An access token is required"),
    ],
)
async def test_paths_and_missing_tokens(sandbox: Any, path: str, status: int, code: int, message: str) -> None:
    reply = await sandbox.request("GET", path)
    assert error(reply)[:2] == (status, code)
    assert reply.json["error"]["message"].startswith(message)


@pytest.mark.parametrize(("asked", "served"), [("v26.0", "v26.0"), ("v22.0", "v22.0"), ("v18.0", "v21.0")])
async def test_the_version_that_served_is_told(sandbox: Any, asked: str, served: str) -> None:
    headers = {"authorization": f"Bearer {ACCESS}"}
    reply = await sandbox.request("GET", f"/whatsapp/{asked}/{PHONE}", headers=headers)
    assert (reply.status, reply.headers["facebook-api-version"]) == (200, served)
    assert "whatsapp" in reply.headers["X-Business-Use-Case-Usage"]


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("not-a-token", (401, 190, None)),
        ("EAAxx-expired-xx", (401, 190, 463)),
        ("EAAxx-revoked-xx", (401, 190, 458)),
        ("EAAxx-limited-xx", (429, 80007, None)),
        ("EAAxx-broken-xx", (500, 2, None)),
    ],
)
async def test_tokens_that_do_not_work(sandbox: Any, token: str, expected: tuple[int, int, int | None]) -> None:
    reply = await sandbox.send(token)
    assert error(reply) == expected
    if expected[1] == 190:
        assert reply.headers["WWW-Authenticate"].startswith('OAuth "Facebook Platform" "invalid_token" "')
    if expected[0] == 429:
        [usage] = next(iter(json.loads(reply.headers["X-Business-Use-Case-Usage"]).values()))
        assert (usage["call_count"], usage["estimated_time_to_regain_access"]) == (100, 1)
        assert "Retry-After" not in reply.headers


async def test_appsecret_proof_is_checked_when_it_is_given(sandbox: Any) -> None:
    proof = hmac.new(b"sandbox-app-secret", ACCESS.encode(), hashlib.sha256).hexdigest()
    assert (await sandbox.graph("GET", f"{PHONE}?appsecret_proof={proof}")).status == 200
    assert error(await sandbox.graph("GET", f"{PHONE}?appsecret_proof=00")) == (400, 100, None)


async def test_a_token_controls_its_own_objects_only(sandbox: Any) -> None:
    other = "EAAsandbox-222222222222222-333333333333333-else"
    for path in (PHONE, BUSINESS, TEMPLATES, "999999999999999"):
        assert error(await sandbox.graph("GET", path, other)) == (400, 100, 33)
        known = "999" not in path
        assert (await sandbox.graph("GET", path)).status == (200 if known else 400)
    assert error(await sandbox.send(other, PHONE)) == (400, 100, 33)
    second = f"EAAsandbox-{PHONE}-{BUSINESS}-second"
    assert (await sandbox.graph("GET", PHONE, second)).json["id"] == PHONE


async def test_a_token_controls_all_numbers_of_its_business_account(sandbox: Any) -> None:
    token = f"EAAsandbox-{PHONE}-{BUSINESS}-severalnumbers12"
    neighbour = f"EAAsandbox-333333333333333-{BUSINESS}-x"
    await sandbox.graph("GET", BUSINESS, neighbour)
    listed = (await sandbox.graph("GET", f"{BUSINESS}/phone_numbers?fields=id&limit=100", token)).json["data"]
    ids = [each["id"] for each in listed]
    assert len(set(ids)) == 13
    assert {PHONE, "333333333333333"} < set(ids)
    for own in (token, neighbour):
        assert (await sandbox.graph("GET", ids[-1], own)).json["id"] == ids[-1]
    assert (await sandbox.send(token, ids[-1])).status == 200


async def test_a_business_account_may_have_no_number(sandbox: Any) -> None:
    token = f"EAAsandbox-{PHONE}-{BUSINESS}-nonumbers"
    assert (await sandbox.graph("GET", f"{BUSINESS}/phone_numbers", token)).json["data"] == []
    assert error(await sandbox.graph("GET", PHONE, token)) == (400, 100, 33)


async def test_ids_of_any_token_can_be_found_out(sandbox: Any) -> None:
    token = "EAAGm0PX4ZCpsBAK"
    debug = (await sandbox.graph("GET", f"debug_token?input_token={token}", "1|secret")).json["data"]
    assert debug["is_valid"] is True
    business = debug["granular_scopes"][0]["target_ids"][0]
    [phone] = (await sandbox.graph("GET", f"{business}/phone_numbers", token)).json["data"]
    assert (await sandbox.graph("GET", phone["id"], token)).json["display_phone_number"].startswith("+1 555-")
    account = await sandbox.control("account", platform="whatsapp", token=token)
    assert (account["phone_number_id"], account["business_account_id"]) == (phone["id"], business)


async def test_debug_token_of_a_dead_token_answers_200(sandbox: Any) -> None:
    reply = await sandbox.graph("GET", "debug_token?input_token=EAAxx-expired-xx")
    assert reply.status == 200
    assert reply.json["data"]["is_valid"] is False
    assert (reply.json["data"]["error"]["code"], reply.json["data"]["error"]["subcode"]) == (190, 463)
    assert error(await sandbox.graph("GET", "debug_token?input_token=EAAfine-token", None))[1] == 104


@pytest.mark.parametrize(
    ("token", "path", "expected"),
    [
        (f"EAAsandbox-{PHONE}-{BUSINESS}-nomessaging", "messages", (403, 10, None)),
        (f"EAAsandbox-{PHONE}-{BUSINESS}-nomanagement", "templates", (403, 200, None)),
    ],
)
async def test_missing_permissions(sandbox: Any, token: str, path: str, expected: tuple[int, int, None]) -> None:
    reply = await (sandbox.send(token) if path == "messages" else sandbox.graph("GET", TEMPLATES, token))
    assert error(reply) == expected


async def test_fields_are_chosen_and_unknown_ones_refused(sandbox: Any) -> None:
    chosen = await sandbox.graph("GET", f"{PHONE}?fields=verified_name,quality_rating")
    assert set(chosen.json) == {"id", "verified_name", "quality_rating"}
    assert error(await sandbox.graph("GET", f"{PHONE}?fields=colour")) == (400, 100, None)
    assert error(await sandbox.graph("GET", f"{PHONE}/colour")) == (400, 100, None)
    assert error(await sandbox.graph("POST", f"{PHONE}/colour")) == (400, 2500, None)


# messages


async def test_a_text_is_accepted(sandbox: Any) -> None:
    reply = await sandbox.send(to="+1 (650) 555-1234", text={"body": "hi", "preview_url": True}, extra={"a": 1})
    assert reply.status == 200
    answer = reply.json
    assert answer["messaging_product"] == "whatsapp"
    assert answer["contacts"] == [{"input": "+1 (650) 555-1234", "wa_id": "16505551234"}]
    assert answer["messages"][0]["id"].startswith("wamid.")
    assert "message_status" not in answer["messages"][0]


@pytest.mark.parametrize(
    ("to", "wa_id"),
    [
        ("5215512345678", "5215512345678"),
        ("52 55 1234 5678", "5215512345678"),
        ("541112345678", "5491112345678"),
    ],
)
async def test_the_wa_id_may_differ_from_the_input(sandbox: Any, to: str, wa_id: str) -> None:
    assert (await sandbox.send(to=to)).json["contacts"] == [{"input": to, "wa_id": wa_id}]


async def test_a_business_scoped_user_has_no_wa_id(sandbox: Any) -> None:
    reply = await sandbox.send(to=None, recipient="US.13491208655302741918")
    assert reply.json["contacts"] == [{"input": "US.13491208655302741918", "user_id": "US.13491208655302741918"}]


BUTTON = {"type": "reply", "reply": {"id": "1", "title": "Yes"}}
REFUSED: list[tuple[str, dict[str, Any], int]] = [
    ("no product", {"messaging_product": None}, 100),
    ("wrong product", {"messaging_product": "signal"}, 100),
    ("no recipient", {"to": None}, 131008),
    ("number instead of text", {"to": 16505551234}, 100),
    ("no phone number", {"to": "Ann"}, 131009),
    ("bad user id", {"to": None, "recipient": "nobody"}, 131009),
    ("unknown type", {"type": "telepathy"}, 100),
    ("missing object", {"text": None}, 131008),
    ("object that is text", {"text": "hi"}, 100),
    ("empty text", {"text": {"body": ""}}, 131008),
    ("long text", {"text": {"body": "x" * 4097}}, 100),
    ("odd preview", {"text": {"body": "x", "preview_url": "yes"}}, 100),
    ("reply to nothing", {"context": {}}, 131009),
    ("long callback data", {"biz_opaque_callback_data": "x" * 513}, 131009),
    ("image of nobody", {"type": "image", "image": {"id": "1"}}, 100),
    ("image twice", {"type": "image", "image": {"id": "1", "link": "https://x.example/a.png"}}, 131009),
    ("image by no link", {"type": "image", "image": {"link": "file:///etc/passwd"}}, 100),
    ("long caption", {"type": "image", "image": {"link": "https://x.example/a.png", "caption": "x" * 1025}}, 100),
    ("audio with caption", {"type": "audio", "audio": {"link": "https://x.example/a.mp3", "caption": "x"}}, 100),
    ("place off the map", {"type": "location", "location": {"latitude": 91, "longitude": 0}}, 131009),
    ("half a place", {"type": "location", "location": {"latitude": 1}}, 131008),
    ("contact without a second name", {"type": "contacts", "contacts": [{"name": {"formatted_name": "A"}}]}, 131008),
    ("reaction to nothing", {"type": "reaction", "reaction": {"emoji": "👍"}}, 131008),
    ("four buttons", {"type": "interactive", "interactive": {
        "type": "button", "body": {"text": "?"}, "action": {"buttons": [BUTTON] * 4}}}, 131009),
    ("eleven rows", {"type": "interactive", "interactive": {
        "type": "list", "body": {"text": "?"}, "action": {"button": "Pick", "sections": [
            {"rows": [{"id": str(n), "title": "x"} for n in range(11)]}]}}}, 131009),
    ("sender is recipient", {"to": "SELF"}, 131021),
]  # fmt: skip


@pytest.mark.parametrize(("message", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
async def test_messages_that_are_refused(sandbox: Any, message: dict[str, Any], code: int) -> None:
    if message.get("to") == "SELF":
        account = await sandbox.control("account", platform="whatsapp", token=ACCESS)
        message = {"to": account["display_phone_number"]}
    reply = await sandbox.send(**message)
    assert error(reply)[:2] == (400, code)
    if code > 1000:
        assert reply.json["error"]["message"].startswith(f"(#{code})")
    assert (await sandbox.control("messages", "GET"))["messages"] == []


ACCEPTED: list[dict[str, Any]] = [
    {"type": "image", "image": {"link": "https://x.example/a.png", "caption": "hi"}},
    {"type": "document", "document": {"link": "https://x.example/a.pdf", "filename": "a.pdf"}},
    {"type": "location", "location": {"latitude": "52.5", "longitude": 13.4}},
    {"type": "contacts", "contacts": [{"name": {"formatted_name": "Ann B", "first_name": "Ann"}}]},
    {"type": "reaction", "reaction": {"message_id": "wamid.A", "emoji": ""}},
    {"type": "interactive", "interactive": {
        "type": "button", "body": {"text": "?"}, "action": {"buttons": [BUTTON]}}},
    {"context": {"message_id": "wamid.A"}, "biz_opaque_callback_data": "call_1"},
]  # fmt: skip


@pytest.mark.parametrize("message", ACCEPTED)
async def test_messages_of_other_types(sandbox: Any, message: dict[str, Any]) -> None:
    assert (await sandbox.send(**message)).status == 200


@pytest.mark.parametrize(
    ("to", "status", "code"),
    [
        ("15550131056", 429, 131056),
        ("15550131048", 429, 131048),
        ("15550130429", 429, 130429),
        ("15550131030", 400, 131030),
        ("15550131031", 403, 131031),
        ("15550131042", 400, 131042),
        ("15550131000", 500, 131000),
        ("15550131016", 503, 131016),
        ("15550000368", 403, 368),
        ("15550133010", 400, 133010),
        ("15551131047", 400, 131047),
        ("15551131026", 400, 131026),
    ],
)
async def test_recipients_that_fail_at_once(sandbox: Any, to: str, status: int, code: int) -> None:
    assert error(await sandbox.send(to=to))[:2] == (status, code)


async def test_mark_as_read_wants_a_message_that_came(sandbox: Any) -> None:
    came = await sandbox.control("actions/whatsapp/message", token=ACCESS, text="hello")
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": came["message"]["id"]}
    typing = {"typing_indicator": {"type": "text"}}
    assert (await sandbox.graph("POST", f"{PHONE}/messages", json=body | typing)).json == {"success": True}
    wrong = await sandbox.graph("POST", f"{PHONE}/messages", json=body | {"message_id": "wamid.X"})
    assert error(wrong)[:2] == (400, 131009)


async def test_the_vendors_limits_when_asked_for(start_sandbox: Any) -> None:
    sandbox = await start_sandbox(SandboxOptions(frozen_clock=True, vendor_limits=True))
    codes = [(await sandbox.send()).status for _ in range(46)]
    assert codes == [200] * 45 + [429]
    assert error(await sandbox.send()) == (429, 131056, None)
    await sandbox.advance(6)
    assert (await sandbox.send()).status == 200
    others = [await sandbox.send(to=f"4930{n:07}") for n in range(81)]
    assert error(next(one for one in others if one.status != 200))[1] == 130429


# templates


def template(name: str, *components: dict[str, Any], code: str = "en_US") -> dict[str, Any]:
    given = {"name": name, "language": {"code": code}}
    return {
        "type": "template",
        "text": None,
        "template": given | ({"components": list(components)} if components else {}),
    }


def body(*texts: str) -> dict[str, Any]:
    return {"type": "body", "parameters": [{"type": "text", "text": text} for text in texts]}


TRACK = {"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": "A1"}]}
NAMED = {"type": "body", "parameters": [
    {"type": "text", "parameter_name": "time", "text": "9:00"},
    {"type": "text", "parameter_name": "customer_name", "text": "Ann"}]}  # fmt: skip
IMAGE = {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://x.example/a.png"}}]}


@pytest.mark.parametrize(
    "message",
    [
        template("hello_world"),
        template("order_confirmation", body("Ann", "A1"), TRACK),
        template("order_confirmation", body("Ann", "A1"), TRACK, code="es"),
        template("appointment_reminder", NAMED),
        template("new_arrivals", IMAGE, body("shoes")) | {"to": "4930123456789"},
    ],
)
async def test_templates_that_are_sent(sandbox: Any, message: dict[str, Any]) -> None:
    reply = await sandbox.send(**message)
    assert reply.status == 200, reply.body
    assert reply.json["messages"][0]["message_status"] == "accepted"


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        (template("nothing"), 404, 132001),
        (template("hello_world", code="en"), 404, 132001),
        (template("pending_notice"), 404, 132001),
        (template("paused_offer"), 400, 132015),
        (template("disabled_offer"), 400, 132016),
        (template("order_confirmation", body("Ann"), TRACK), 400, 132000),
        (template("order_confirmation", TRACK), 400, 132000),
        (template("order_confirmation", body("Ann", "A1")), 400, 131008),
        (template("order_confirmation", body("Ann", "a\nb"), TRACK), 400, 132018),
        (template("order_confirmation", body("Ann", "a     b"), TRACK), 400, 132018),
        (template("order_confirmation", body("Ann", ""), TRACK), 400, 131008),
        (template("order_confirmation", body("Ann", "x" * 1024), TRACK), 400, 132005),
        (template("order_confirmation", NAMED, TRACK), 400, 132012),
        (template("appointment_reminder", body("Ann", "9:00")), 400, 132012),
        (template("new_arrivals", body("shoes")), 400, 132012),
        (template("hello_world") | {"template": {"name": "hello_world"}}, 400, 131008),
        (template("login_code", body("123456")) | {"to": None, "recipient": "US.123"}, 400, 131062),
    ],
)
async def test_templates_that_are_refused(sandbox: Any, message: dict[str, Any], status: int, code: int) -> None:
    reply = await sandbox.send(**message)
    assert error(reply)[:2] == (status, code)
    assert reply.json["error"]["error_data"]["messaging_product"] == "whatsapp"


async def test_listing_pages_through_an_empty_page_and_next_holds_the_token(sandbox: Any) -> None:
    everything = (await sandbox.graph("GET", TEMPLATES)).json
    assert "next" not in everything["paging"]
    assert "after" in everything["paging"]["cursors"]
    seen: list[str] = []
    sizes: list[int] = []
    after = ""
    while True:
        found = (await sandbox.graph("GET", f"{TEMPLATES}?limit=5&after={after}")).json
        seen += [one["id"] for one in found["data"]]
        sizes.append(len(found["data"]))
        following = found["paging"].get("next")
        if following is None:
            break
        assert parse_qs(urlsplit(following).query)["access_token"] == [ACCESS]
        by_link = await sandbox.request("GET", following.removeprefix(sandbox.origin))
        after = found["paging"]["cursors"]["after"]
        assert by_link.json["data"] == (await sandbox.graph("GET", f"{TEMPLATES}?limit=5&after={after}")).json["data"]
    assert seen == [one["id"] for one in everything["data"]]
    assert sizes == [5, 0, 5, 0, 2]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("status=PAUSED", {"paused_offer"}),
        ('status=["PAUSED","DISABLED"]', {"paused_offer", "disabled_offer"}),
        ("category=AUTHENTICATION", {"login_code"}),
        ("language=es", {"order_confirmation"}),
        ("name=order", {"order_confirmation"}),
        ("content=verification", {"login_code"}),
        ("name_or_content=invoice", {"invoice_ready"}),
        ("name=zzz", set()),
    ],
)
async def test_listing_filters(sandbox: Any, query: str, names: set[str]) -> None:
    found = (await sandbox.graph("GET", f"{TEMPLATES}?{query}&fields=name")).json["data"]
    assert {one["name"] for one in found} == names


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=GREAT", (400, 100)),
        ("limit=0", (400, 100)),
        ("limit=x", (400, 100)),
        ("limit=5000", (500, 1)),
        ("after=!!!", (400, 100)),
    ],
)
async def test_listings_that_are_refused(sandbox: Any, query: str, expected: tuple[int, int]) -> None:
    assert error(await sandbox.graph("GET", f"{TEMPLATES}?{query}"))[:2] == expected


# media


async def test_media_up_and_down(sandbox: Any) -> None:
    form = aiohttp.FormData({"messaging_product": "whatsapp", "type": "image/png"})
    form.add_field("file", b"picture", filename="a.png", content_type="image/png")
    media = (await sandbox.graph("POST", f"{PHONE}/media", data=form)).json["id"]
    assert (await sandbox.send(type="image", image={"id": media})).status == 200
    about = (await sandbox.graph("GET", media)).json
    assert (about["mime_type"], about["sha256"]) == ("image/png", hashlib.sha256(b"picture").hexdigest())
    path = about["url"].removeprefix(sandbox.origin)
    headers = {"authorization": f"Bearer {ACCESS}"}
    assert (await sandbox.request("GET", path, headers=headers)).body == b"picture"
    assert error(await sandbox.request("GET", path))[1] == 104
    other = "EAAsandbox-222222222222222-333333333333333-else"
    assert error(await sandbox.graph("GET", media, other)) == (400, 100, 33)
    assert (await sandbox.request("GET", path, headers={"authorization": f"Bearer {other}"})).status == 404
    await sandbox.advance(301)
    assert (await sandbox.request("GET", path, headers=headers)).status == 404
    assert (await sandbox.graph("DELETE", media)).json == {"success": True}
    assert error(await sandbox.graph("GET", media)) == (400, 100, 33)
