"""WhatsApp's webhooks: signature, statuses over time, disorder, repetition, subscription."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hermes.sandbox.whatsapp_hooks import meta_json, signature

PHONE = "106540352242922"
BUSINESS = "102290129340398"
ACCESS = f"EAAsandbox-{PHONE}-{BUSINESS}-acme"
SECOND = "EAAsandbox-222222222222222-333333333333333-else"
VECTOR = (
    rb'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{'
    rb'"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":'
    rb'"106540352242922"},"contacts":[{"profile":{"name":"Zo\u00eb"},"wa_id":"16505551234"}],"messages":[{"from":'
    rb'"16505551234","id":"wamid.A","timestamp":"1749416383","type":"text","text":{"body":"caf\u00e9 '
    rb'http:\/\/x.test"}}]}}]}]}'
)


def test_the_signature_is_over_the_bytes_as_meta_writes_them() -> None:
    assert len(VECTOR) == 420
    expected = "sha256=f94f36893419a7132f2b601f5d5b9ca819ee42381830f13655734542b9ce6c05"
    assert signature("app-secret-123", VECTOR) == expected
    assert meta_json(json.loads(VECTOR)) == VECTOR
    assert signature("app-secret-123", json.dumps(json.loads(VECTOR)).encode()) != expected


async def test_a_message_becomes_sent_delivered_and_read(sandbox: Any, callback: Any) -> None:
    reply = await sandbox.send(biz_opaque_callback_data="call_1")
    wamid = reply.json["messages"][0]["id"]
    assert callback.got == []
    seen = []
    for seconds in (0.2, 0.8, 2.0):
        await sandbox.advance(seconds)
        seen.append(callback.statuses_seen[-1])
    assert seen == callback.statuses_seen == ["sent", "delivered", "read"]
    value = callback.values[0]
    assert value["metadata"]["phone_number_id"] == PHONE
    status = value["statuses"][0]
    assert (status["id"], status["recipient_id"], status["biz_opaque_callback_data"]) == (
        wamid,
        "16505551234",
        "call_1",
    )
    for headers, body in callback.got:
        assert headers["X-Hub-Signature-256"] == signature("sandbox-app-secret", body)
    history = (await sandbox.graph("GET", f"{PHONE}/message_history", params={"message_id": wamid})).json["data"]
    events = history[0]["events"]["data"]
    assert [event["delivery_status"] for event in events] == ["SENT", "DELIVERED", "READ"]
    assert {event["webhook_update_state"] for event in events} == {"DELIVERED"}
    assert [one["status"] for one in (await sandbox.control("messages", "GET"))["messages"]] == ["read"]
    other = await sandbox.graph("GET", "222222222222222/message_history", SECOND, params={"message_id": wamid})
    assert other.json == {"data": []}


@pytest.mark.parametrize("code", [130472, 131026, 131047, 131049, 131050, 131052, 131053])
async def test_recipients_that_fail_later(sandbox: Any, callback: Any, code: int) -> None:
    assert (await sandbox.send(to=f"15550{code}")).status == 200
    await sandbox.advance(60)
    assert callback.statuses_seen == ["failed"]
    [fault] = callback.values[0]["statuses"][0]["errors"]
    assert fault["code"] == code
    assert {"title", "message", "error_data", "href"} <= set(fault)


async def test_the_window_closes_a_day_after_the_person_wrote(sandbox: Any, callback: Any) -> None:
    await sandbox.control("actions/whatsapp/message", token=ACCESS, text="hello", **{"from": "16505551234"})
    await sandbox.advance(24 * 3600 - 10)
    await sandbox.send()
    await sandbox.advance(11)
    await sandbox.send()
    hello = {"name": "hello_world", "language": {"code": "en_US"}}
    await sandbox.send(type="template", text=None, template=hello)
    callback.got.clear()
    await sandbox.advance(60)
    assert sorted(callback.statuses_seen) == ["delivered", "failed", "read", "sent"]
    [fault] = [status["errors"][0] for value in callback.values for status in value["statuses"] if "errors" in status]
    assert fault["code"] == 131047


async def test_a_marketing_template_to_america_fails_later(sandbox: Any, callback: Any) -> None:
    code = {"type": "button", "sub_type": "copy_code", "index": "0",
            "parameters": [{"type": "coupon_code", "coupon_code": "X"}]}  # fmt: skip
    text = {"type": "body", "parameters": [{"type": "text", "text": "10%"}]}
    sale = {"name": "summer_sale", "language": {"code": "en_US"}, "components": [text, code]}
    assert (await sandbox.send(type="template", text=None, template=sale)).status == 200
    await sandbox.advance(60)
    assert callback.values[0]["statuses"][0]["errors"][0]["code"] == 131049


async def test_disorder_on_demand(sandbox: Any, callback: Any) -> None:
    await sandbox.control("webhooks", platform="whatsapp", duplicate=True, shuffle=True)
    await sandbox.send()
    await sandbox.advance(10)
    assert [one for one in callback.statuses_seen if one] != ["sent", "delivered", "read"]
    assert sorted(callback.statuses_seen) == ["delivered", "delivered", "read", "read", "sent", "sent"]
    times = {one["status"]: int(one["timestamp"]) for value in callback.values for one in value["statuses"]}
    assert times["sent"] <= times["delivered"] <= times["read"], "the times tell the real order"


async def test_a_batch_holds_several_numbers(sandbox: Any, callback: Any) -> None:
    await sandbox.control("webhooks", platform="whatsapp", batch=True)
    await sandbox.send()
    await sandbox.send(SECOND, "222222222222222")
    await sandbox.advance(1.5)
    [(headers, body)] = callback.got
    assert headers["X-Hub-Signature-256"] == signature("sandbox-app-secret", body)
    assert {entry["id"] for entry in json.loads(body)["entry"]} == {BUSINESS, "333333333333333"}
    assert {value["metadata"]["phone_number_id"] for value in callback.values} == {PHONE, "222222222222222"}


async def test_what_is_not_accepted_comes_again_with_the_same_bytes(sandbox: Any, callback: Any) -> None:
    callback.statuses = [500, 503]
    await sandbox.control("actions/whatsapp/message", token=ACCESS, text="café / 👋")
    await sandbox.sandbox.webhooks.idle()
    assert len(callback.got) == 1
    await sandbox.advance(1)
    await sandbox.advance(5)
    await sandbox.advance(3600)
    bodies = {body for _, body in callback.got}
    assert (len(callback.got), len(bodies)) == (3, 1)
    assert rb"caf\u00e9 \/ \ud83d\udc4b" in bodies.pop()
    [delivery] = (await sandbox.control("deliveries", "GET"))["deliveries"]
    assert (delivery["status"], delivery["answers"]) == ("delivered", ["500", "503", "200"])


@pytest.mark.parametrize("kind", ["text", "image", "unsupported", "system", "username"])
async def test_messages_from_people(sandbox: Any, callback: Any, kind: str) -> None:
    await sandbox.control("actions/whatsapp/message", token=ACCESS, text="hello", kind=kind)
    await sandbox.sandbox.webhooks.idle()
    [value] = callback.values
    message = value["messages"][0]
    assert message["type"] == ("text" if kind == "username" else kind)
    assert ("from" in message) is (kind != "username")
    assert ("contacts" in value) is (kind != "system")
    if kind == "username":
        assert "wa_id" not in value["contacts"][0]
        assert value["contacts"][0]["user_id"] == message["from_user_id"]


async def test_forged_signatures_on_demand(sandbox: Any, callback: Any) -> None:
    for sign in ("wrong", "missing"):
        await sandbox.control("actions/whatsapp/message", token=ACCESS, text="x", signature=sign)
        await sandbox.sandbox.webhooks.idle()
    (wrong, body), (missing, _) = callback.got
    assert wrong["X-Hub-Signature-256"] != signature("sandbox-app-secret", body)
    assert "X-Hub-Signature-256" not in missing


async def test_no_subscription_no_webhooks(sandbox: Any, callback: Any) -> None:
    apps = f"{BUSINESS}/subscribed_apps"
    assert len((await sandbox.graph("GET", apps)).json["data"]) == 1
    assert (await sandbox.graph("DELETE", apps)).json == {"success": True}
    assert (await sandbox.graph("GET", apps)).json == {"data": []}
    await sandbox.send()
    await sandbox.advance(10)
    assert callback.got == []
    assert (await sandbox.graph("POST", apps)).json == {"success": True}
    await sandbox.send()
    await sandbox.advance(10)
    assert callback.statuses_seen == ["sent", "delivered", "read"]


async def test_a_callback_of_its_own_is_verified_first(sandbox: Any, callback: Any) -> None:
    apps = f"{BUSINESS}/subscribed_apps"
    callback.verify_token = "mine"
    for url, token in ((callback.url, "theirs"), ("https://elsewhere.example/hook", "mine"), ("nonsense", "mine")):
        reply = await sandbox.graph("POST", apps, json={"override_callback_uri": url, "verify_token": token})
        assert (reply.status, reply.json["error"]["code"]) == (400, 2200)
    right = await sandbox.graph("POST", apps, json={"override_callback_uri": callback.url, "verify_token": "mine"})
    assert right.json == {"success": True}
    assert (await sandbox.graph("GET", apps)).json["data"][0]["override_callback_uri"] == callback.url
