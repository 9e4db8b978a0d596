"""The sandbox's webhooks over sockets: sent twice, shuffled and batched, they end in the right inbox and status."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from starlette.applications import Starlette

from hermes.sandbox.app import Sandbox
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.server import RunningSandbox
from hermes.settings import Settings
from hermes.webhooks.inbound import WhatsAppWebhook
from hermes.webhooks.models import InboundEventRow

NUMBERS = {"106540352242922": "cus_1", "222222": "cus_2"}
TOKENS = {number: f"EAAsandbox-{number}-333333-x" for number in NUMBERS}


@pytest.mark.parametrize("unruly", [False, True])
async def test_what_the_sandbox_tells_arrives(webhook_bench: Any, *, unruly: bool) -> None:
    secret, verify = SecretStr("app-secret-123"), SecretStr("verify-me-please")
    settings = Settings(meta_app_secret=secret, whatsapp_verify_token=verify)
    app = Starlette(routes=WhatsAppWebhook(settings, webhook_bench.events).routes())
    async with RunningSandbox(app) as hermes:
        options = SandboxOptions(
            webhook_urls={"whatsapp": f"{hermes.origin}/webhook/whatsapp"},
            meta_app_secret=secret.get_secret_value(),
            whatsapp_verify_token=verify.get_secret_value(),
            frozen_clock=True,
        )
        sandbox = Sandbox(options)
        async with RunningSandbox(sandbox.app) as running:
            disorder = sandbox.stage.webhooks.disorder("whatsapp")
            disorder.duplicate = disorder.shuffle = disorder.batch = unruly
            sent = {number: await _send(running.origin, number, "16505551234") for number in NUMBERS}
            failing = await _send(running.origin, "222222", "15550131026")
            for number in NUMBERS:
                await _write(sandbox, number)
            for _ in range(6):
                sandbox.clock.advance(10)
                await sandbox.stage.webhooks.idle()
                await webhook_bench.work()
            assert {one.status for one in sandbox.stage.webhooks.deliveries} == {"delivered"}
    events = webhook_bench.events
    for number, customer in NUMBERS.items():
        assert (await events.latest(customer, "whatsapp", sent[number])).status == "read"
        other = next(one for one in NUMBERS.values() if one != customer)
        assert await events.latest(other, "whatsapp", sent[number]) is None
        assert [(one.text, one.account_id) for one in await events.messages(customer)] == [(f"to {number}", number)]
    failed = await events.latest("cus_2", "whatsapp", failing)
    assert (failed.status, failed.errors[0]["code"]) == ("failed", 131026)
    async with webhook_bench.database.reading() as session:
        states = dict((await session.execute(select(InboundEventRow.state, func.count()).group_by("state"))).all())
    assert set(states) == {"processed"}


async def _send(origin: str, number: str, to: str) -> str:
    body = {"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": "hi"}}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKENS[number]}"}) as client,
        client.post(f"{origin}/whatsapp/v26.0/{number}/messages", json=body) as answer,
    ):
        message = (await answer.json())["messages"][0]
        return str(message["id"])


async def _write(sandbox: Sandbox, number: str) -> None:
    action = next(one for one in sandbox.services["whatsapp"].actions if one.id == "message")
    await action.run({"token": TOKENS[number], "text": f"to {number}", "kind": "text"})
