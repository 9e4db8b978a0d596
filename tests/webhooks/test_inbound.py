"""The doors that Meta knocks at: who gets in, what is answered, what is stored."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette

from hermes.settings import Settings
from hermes.webhooks.inbound import MAX_BODY, WhatsAppWebhook
from hermes.webhooks.models import InboundEventRow

SIGNED = (
    rb'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":'
    rb'{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":'
    rb'"106540352242922"},"contacts":[{"profile":{"name":"Zo\u00eb"},"wa_id":"16505551234"}],"messages":'
    rb'[{"from":"16505551234","id":"wamid.A","timestamp":"1749416383","type":"text","text":{"body":'
    rb'"caf\u00e9 http:\/\/x.test"}}]}}]}]}'
)
SIGNATURE = "sha256=f94f36893419a7132f2b601f5d5b9ca819ee42381830f13655734542b9ce6c05"


async def test_the_handshake(webhook_bench: Any) -> None:
    good = {"hub.mode": "subscribe", "hub.verify_token": "verify-me-please", "hub.challenge": "1158201444"}
    answer = await webhook_bench.client.get("/webhook/whatsapp", params=good)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.headers["content-type"].startswith("text/plain")
    for changed, status in (
        ({"hub.verify_token": "verify-me"}, 403),
        ({"hub.verify_token": ""}, 403),
        ({"hub.verify_token": "é"}, 403),
        ({"hub.mode": "unsubscribe"}, 403),
        ({"hub.challenge": ""}, 400),
        ({"hub.challenge": "<script>alert(1)</script> "}, 400),
        ({"hub.challenge": "1" * 300}, 400),
        ({"hub.challenge": "1\r\nX: y"}, 400),
        ({"hub.mode": None}, 400),
        ({"hub.verify_token": None}, 400),
    ):
        params = {name: value for name, value in (good | changed).items() if value is not None}
        answer = await webhook_bench.client.get("/webhook/whatsapp", params=params)
        assert answer.status_code == status, changed
        assert "script" not in answer.text


async def test_a_signed_request_is_stored_before_it_is_answered(webhook_bench: Any) -> None:
    assert len(SIGNED) == 420
    answer = await webhook_bench.post(SIGNED, SIGNATURE)
    assert (answer.status_code, answer.text) == (200, "EVENT_RECEIVED")
    (row,) = await _rows(webhook_bench)
    assert (row.body, row.state) == (SIGNED, "accepted")
    assert webhook_bench.jobs.queued == [row.id]
    await webhook_bench.work()
    (message,) = await webhook_bench.events.messages("cus_1")
    assert (message.text, message.sender_name, message.message_id) == ("café http://x.test", "Zoë", "wamid.A")
    assert message.sent_at.isoformat() == "2025-06-08T20:59:43+00:00"


@pytest.mark.parametrize(
    ("signature", "status"),
    [
        (None, 401),
        ("sha256=" + "0" * 64, 403),
        (SIGNATURE.removeprefix("sha256="), 403),
        (SIGNATURE.replace("sha256=", "sha1="), 403),
        (SIGNATURE.upper(), 403),
        (SIGNATURE + "0", 403),
        (SIGNATURE[:-1], 403),
        ("sha256=", 403),
        ("sha256=\xe9".encode("latin-1").decode("latin-1"), 403),
    ],
)
async def test_a_request_that_is_not_signed_is_not_let_in(
    webhook_bench: Any, signature: str | None, status: int
) -> None:
    headers = {} if signature is None else {"X-Hub-Signature-256": signature.encode("latin-1")}
    answer = await webhook_bench.client.post("/webhook/whatsapp", content=SIGNED, headers=headers)
    assert answer.status_code == status
    assert await _rows(webhook_bench) == []


async def test_the_bytes_are_what_is_signed(webhook_bench: Any) -> None:
    assert (await webhook_bench.post(SIGNED.replace(rb"\/", b"/"), SIGNATURE)).status_code == 403
    assert (await webhook_bench.post(SIGNED + b"\n", SIGNATURE)).status_code == 403


async def test_the_same_request_twice_is_stored_and_queued_once(webhook_bench: Any) -> None:
    for _ in range(3):
        answer = await webhook_bench.post(SIGNED, SIGNATURE)
        assert (answer.status_code, answer.text) == (200, "EVENT_RECEIVED")
    assert len(await _rows(webhook_bench)) == len(webhook_bench.jobs.queued) == 1


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'{"entry":5}', b"\xff\x00", b'{"entry":[{"changes":'])
async def test_nonsense_that_is_signed_is_recorded_and_accepted(webhook_bench: Any, body: bytes) -> None:
    assert (await webhook_bench.post(body)).status_code == 200
    (row,) = await _rows(webhook_bench)
    assert (row.state, row.body) == ("malformed", body)
    assert webhook_bench.jobs.queued == []


async def test_large_requests_are_refused(webhook_bench: Any) -> None:
    body = b'{"entry":[]}' + b" " * (MAX_BODY - 12)
    assert (await webhook_bench.post(body)).status_code == 200
    assert (await webhook_bench.post(body + b" ")).status_code == 413

    async def pieces() -> Any:
        for _ in range(4):
            yield b" " * (1024 * 1024)

    answer = await webhook_bench.client.post(
        "/webhook/whatsapp", content=pieces(), headers={"X-Hub-Signature-256": SIGNATURE}
    )
    assert answer.status_code == 413


@pytest.mark.parametrize("length", ["-1", "x", "1e9", "9" * 400])
async def test_lengths_that_are_none(webhook_bench: Any, length: str) -> None:
    answer = await webhook_bench.post(SIGNED, SIGNATURE, **{"content-length": length})
    assert answer.status_code == 413


async def test_what_cannot_be_stored_is_not_accepted(webhook_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_body: bytes) -> None:
        raise OperationalError("INSERT", {}, Exception("disk full"))

    monkeypatch.setattr(webhook_bench.events, "accept", broken)
    answer = await webhook_bench.post(SIGNED, SIGNATURE)
    assert answer.status_code == 503
    assert "disk" not in answer.text


async def test_a_queue_that_is_down_does_not_matter(webhook_bench: Any) -> None:
    webhook_bench.jobs.working = False
    assert (await webhook_bench.post(SIGNED, SIGNATURE)).status_code == 200


async def test_without_secrets_nobody_gets_in(webhook_bench: Any) -> None:
    app = Starlette(routes=WhatsAppWebhook(Settings(), webhook_bench.events).routes())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://hermes.test") as client:
        query = {"hub.mode": "subscribe", "hub.verify_token": "", "hub.challenge": "1"}
        assert (await client.get("/webhook/whatsapp", params=query)).status_code == 403
        signed = {"X-Hub-Signature-256": SIGNATURE}
        assert (await client.post("/webhook/whatsapp", content=SIGNED, headers=signed)).status_code == 403
        assert (await client.put("/webhook/whatsapp")).status_code == 405


def test_secrets_are_not_shown() -> None:
    settings = Settings(
        meta_app_secret=SecretStr("app-secret-123"), whatsapp_verify_token=SecretStr("verify-me-please")
    )
    assert "app-secret-123" not in repr(settings)


async def _rows(bench: Any) -> list[InboundEventRow]:
    async with bench.database.reading() as session:
        return list((await session.execute(select(InboundEventRow))).scalars())
