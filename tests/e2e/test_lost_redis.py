"""Redis emptied while hermes serves: everybody stays connected and reachable, and the count is what the rows say."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections import Counter
from contextlib import closing
from typing import Any

import aiohttp
import pytest

CUSTOMERS = 20
IN_FLIGHT = 16
TIMES = 3
NUMBER = "106540352240001"
BUSINESS = "102290129340001"
APP_SECRET = "sandbox-app-secret"

pytestmark = pytest.mark.timeout(300)


class Load:
    """Everybody calls, all the time."""

    def __init__(self, customers: list[Any]) -> None:
        self.codes: Counter[str] = Counter()
        self._customers = customers
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(self._call(first)) for first in range(IN_FLIGHT)]

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _call(self, number: int) -> None:
        while not self._stop.is_set():
            number += IN_FLIGHT + 1
            customer = self._customers[number % CUSTOMERS]
            answer = await customer.send(f"text {number}", rest=number % 2 == 0)
            self.codes[answer.code] += 1


async def test_redis_emptied_under_load(new_hermes: Any, api: Any, until: Any) -> None:
    hermes = new_hermes().start()
    operator = api(hermes)
    customers = []
    for number in range(CUSTOMERS):
        customer = await operator.new_customer(f"flushed-{number}", "growth")
        await customer.connect("telegram", bot_token=f"{3000 + number}:{'F' * 30}")
        customers.append(customer)
    token = f"EAAsandbox-{NUMBER}-{BUSINESS}-flushed"
    await customers[0].connect("whatsapp", phone_number_id=NUMBER, business_account_id=BUSINESS, access_token=token)

    load = Load(customers)
    with closing(hermes.redis()) as redis:
        for time_ in range(TIMES):
            wanted = load.codes.total() + 150
            await until(lambda wanted=wanted: load.codes.total() >= wanted, 60, "calls are answered")
            redis.flushall()
            await _check_inbound(hermes, operator.http, customers, f"wamid.under-load-{time_}", until)
    await load.stop()
    assert set(load.codes) == {"success"}

    for customer in customers:
        linked = (await customer.get("/api/connections"))["connections"]
        assert linked["telegram"] is True
        assert linked["whatsapp"] is (customer is customers[0])
        usage = await customer.get("/api/usage")
        assert usage["limit"] - usage["remaining"] == usage["used"] == sum(usage["by_tool"].values())
        assert usage["used"] > 0
    with closing(hermes.redis()) as redis:
        redis.flushall()
    await _check_inbound(hermes, operator.http, customers, "wamid.at-rest", until)
    for customer in customers:
        before = await customer.get("/api/usage")
        assert (await customer.send("again")).code == "success"
        after = await customer.get("/api/usage")
        assert after["used"] == before["used"] + 1
        assert after["limit"] - after["remaining"] == after["used"]


async def test_redis_emptied_at_the_end_of_a_quota(new_hermes: Any, api: Any) -> None:
    """A customer with few calls left does not win new ones by it."""
    hermes = new_hermes().start()
    customer = await api(hermes).new_customer("limited", "growth")
    await customer.connect("telegram", bot_token=f"3999:{'F' * 30}")
    for number in range(90):
        assert (await customer.send(f"text {number}")).code == "success"
    assert (await customer.get("/api/usage"))["used"] == 90
    status, _ = await api(hermes).request("PUT", f"/api/admin/customers/{customer.customer_id}/plan", {"plan": "free"})
    assert status == 200

    async def call_all(word: str) -> Counter[str]:
        answers = await asyncio.gather(*(customer.send(f"{word} {number}") for number in range(40)))
        return Counter(answer.code for answer in answers)

    with closing(hermes.redis()) as redis:
        redis.flushall()
        # The free plan takes ten calls a minute and a hundred a month, ninety of which are used up.
        assert await call_all("more") == {"success": 10, "quota_exceeded": 30}
        assert (await customer.get("/api/usage"))["used"] == 100
        redis.flushall()
        assert await call_all("still more") == {"quota_exceeded": 40}


async def _check_inbound(
    hermes: Any, http: aiohttp.ClientSession, customers: list[Any], message_id: str, until: Any
) -> None:
    """What WhatsApp reports about the claimed number reaches its customer, and nobody else."""
    status = {
        "id": message_id,
        "status": "delivered",
        "timestamp": str(int(time.time())),
        "recipient_id": "16505551234",
    }
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": NUMBER},
        "statuses": [status],
    }
    entry = {"id": BUSINESS, "changes": [{"field": "messages", "value": value}]}
    body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
    signature = "sha256=" + hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json", "x-hub-signature-256": signature}
    async with http.post(f"{hermes.url}/webhook/whatsapp", data=body, headers=headers) as response:
        assert (response.status, await response.text()) == (200, "EVENT_RECEIVED")

    async def status_for(customer: Any) -> str:
        answer = await customer.over_mcp("whatsapp_get_message_status", {"message_id": message_id})
        return str(answer.data.get("status", answer.code))

    async def arrived() -> bool:
        return await status_for(customers[0]) == "delivered"

    await until(arrived, 90, "the status arrives")
    assert await status_for(customers[1]) in ("not_connected", "unknown")
