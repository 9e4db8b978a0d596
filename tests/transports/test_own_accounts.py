"""What the environment holds is the operator's: a customer's calls never come near it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hermes.app import House, build_house
from hermes.asgi import App
from hermes.errors import PlatformUnavailable
from hermes.identity.service import NewCustomer
from hermes.platforms.base import Account
from hermes.platforms.catalog import load_catalog
from hermes.platforms.email.network import Endpoint, Network
from hermes.settings import load_settings
from hermes.storage.redis import Redis
from hermes.storage.sql import Database
from hermes.storage.stores import Stores

pytestmark = pytest.mark.storage

OPERATOR = "the operator's key of this test"


def mailbox(whose: str) -> dict[str, str]:
    hosts = {"imap_host": f"imap.{whose}.example", "smtp_host": f"smtp.{whose}.example"}
    return {"address": f"me@{whose}.example", "password": f"{whose}'s password", **hosts}


@dataclass
class Running:
    """The house, a way in, and the mail servers that were dialled."""

    house: House
    http: httpx2.AsyncClient
    dialled: list[str] = field(default_factory=list)

    async def call(self, key: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"x-api-key": key}
        url = f"/api/{path}"
        answer = await (self.http.get(url, headers=headers) if body is None else self.http.post(
            url, json=body, headers=headers
        ))  # fmt: skip
        return answer.status_code, answer.json()

    async def customer(self, name: str) -> NewCustomer:
        return await self.house.customers.create(f"{name}@example.com", "growth")


@pytest.fixture
async def running(
    database: Database, redis: Redis, valkey: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    vault = tmp_path / "operators"
    vault.mkdir()
    (vault / "Diary.md").write_text("the operator's diary")
    environ = {
        "CREDENTIAL_ENCRYPTION_KEY": "11" * 32,
        "JWT_SECRET": "a secret that only this test of the house knows",
        "MCP_API_KEY": OPERATOR,
        "DATA_DIR": str(tmp_path / "data"),
        "OBSIDIAN_VAULT_PATH": str(vault),
        "OBSIDIAN_VAULTS_ROOT": str(tmp_path / "vaults"),
        "EMAIL_ACCOUNTS": json.dumps({"default": mailbox("operator")}),
    }
    house = build_house(load_settings(environ, env_file=None), Stores(database, redis, valkey.url), load_catalog())
    app = App(house)
    dialled: list[str] = []

    async def dial(_network: Network, endpoint: Endpoint, **_how: Any) -> Any:
        dialled.append(endpoint.host)
        raise PlatformUnavailable("Nobody answers in this test.", nothing_sent=True)

    monkeypatch.setattr(Network, "dial", dial)
    transport = httpx2.ASGITransport(app=app.asgi)
    async with app.run(), httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:3456") as http:
        yield Running(house, http, dialled)
    await house.close()


async def test_a_customer_without_accounts_does_not_get_those_of_the_environment(running: Running) -> None:
    ada = await running.customer("ada")
    for path, body in (
        ("email/folders", None),
        ("email/search", {}),
        ("obsidian/search", {"query": "diary"}),
        ("obsidian/note?path=Diary", None),
    ):
        status, answer = await running.call(ada.key.secret, path, body)
        assert (status, answer.get("code")) == (409, "not_connected"), (path, answer)
    status, listed = await running.call(ada.key.secret, "connections")
    assert (status, listed["connections"]["email"], listed["connections"]["obsidian"]) == (200, False, False)
    assert running.dialled == []
    status, found = await running.call(OPERATOR, "obsidian/search", {"query": "diary"})
    assert (status, [hit["path"] for hit in found["results"]]) == (200, ["Diary.md"])


async def test_a_customers_own_accounts_are_used_and_nobody_elses(running: Running) -> None:
    ada, eve = await running.customer("ada"), await running.customer("eve")
    for customer, whose in ((ada, "ada"), (eve, "eve")):
        customer_id = str(customer.row.id)
        secret = json.dumps(mailbox(whose)).encode()
        await running.house.credentials.put(customer_id, "email", "default", secret, Account(id=f"me@{whose}.example"))
        caller = await running.house.callers.from_api_key(customer.key.secret)
        await running.house.connections.connect(caller, "obsidian", {"vault": "operators"}, "default")
        status, _ = await running.call(customer.key.secret, "email/folders")
        assert status == 503
        assert set(running.dialled) == {f"imap.{whose}.example"}
        running.dialled.clear()
        status, found = await running.call(customer.key.secret, "obsidian/search", {"query": "diary"})
        assert (status, found["results"]) == (200, [])
    status, _ = await running.call(OPERATOR, "email/folders")
    assert (status, set(running.dialled)) == (503, {"imap.operator.example"})
