"""WhatsApp's webhook over the real database, with two customers' numbers."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import orjson
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from hermes.settings import Settings
from hermes.storage.sql import Database
from hermes.webhooks.inbound import WhatsAppWebhook
from hermes.webhooks.service import PROCESS_JOB, InboundEvents

APP_SECRET = "app-secret-123"
VERIFY_TOKEN = "verify-me-please"


@dataclass
class FakeNumbers:
    customers: dict[str, str] = field(default_factory=lambda: {"106540352242922": "cus_1", "222222": "cus_2"})
    after: Callable[[], Awaitable[None]] | None = None

    async def customer_of(self, phone_number_id: str) -> str | None:
        if self.after is not None:
            await self.after()
        return self.customers.get(phone_number_id)


@dataclass
class FakeJobs:
    queued: list[str] = field(default_factory=list)
    working: bool = True

    async def enqueue(self, name: str, *ids: str | int, delay: float = 0) -> bool:
        assert name == PROCESS_JOB
        self.queued += [str(one) for one in ids]
        return self.working


@dataclass
class WebhookBench:
    events: InboundEvents
    numbers: FakeNumbers
    jobs: FakeJobs
    client: httpx2.AsyncClient
    database: Database

    async def post(self, body: bytes, signature: str | None = "", **headers: str) -> httpx2.Response:
        """POST it, signed rightly unless a signature (or None for none) is given."""
        if signature is not None:
            headers["X-Hub-Signature-256"] = signature or self.sign(body)
        return await self.client.post("/webhook/whatsapp", content=body, headers=headers)

    async def told(self, *values: dict[str, Any]) -> None:
        """Receive changes with these values in one request, and process what was queued."""
        changes = [{"field": "messages", "value": value} for value in values]
        body = orjson.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]})
        assert (await self.post(body)).status_code == 200
        await self.work()

    async def work(self) -> None:
        while self.jobs.queued:
            await self.events.process(self.jobs.queued.pop(0))

    @staticmethod
    def sign(body: bytes) -> str:
        return "sha256=" + hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()


@pytest.fixture
async def webhook_bench(database: Database) -> AsyncIterator[WebhookBench]:
    numbers, jobs = FakeNumbers(), FakeJobs()
    events = InboundEvents(database, numbers, jobs)
    settings = Settings(meta_app_secret=SecretStr(APP_SECRET), whatsapp_verify_token=SecretStr(VERIFY_TOKEN))
    app = Starlette(routes=WhatsAppWebhook(settings, events).routes())
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://hermes.test") as client:
        yield WebhookBench(events, numbers, jobs, client, database)
