"""`hermes keys` and `hermes doctor` as an operator runs them, beside a KMS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from hermes.app import House, open_house
from hermes.cli import app
from hermes.connections.models import ConnectionRow
from hermes.crypto import Keyring
from hermes.identity.models import SecondFactor
from hermes.identity.second_factor import SecondFactors
from hermes.platforms.base import Account
from hermes.settings import load_settings
from keys.conftest import Kms

TOKEN = "4000:" + "S" * 30
EMAIL = "ann.doe@example.com"

Run = Callable[..., Any]


@pytest.fixture
def environ(kms: Kms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of an embedded hermes that knows a KMS and still seals with its own key."""
    monkeypatch.chdir(tmp_path)
    given = kms.environ("local", DATA_DIR=str(tmp_path / "data"))
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return given


@pytest.fixture
def run(environ: Mapping[str, str]) -> Run:
    def invoke(*words: str, status: int = 0) -> Any:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == status, done.output
        assert TOKEN not in done.output
        return json.loads(done.stdout) if "--json" in words else done.output

    return invoke


def in_house(work: Callable[[House], Any]) -> Any:
    async def inside() -> Any:
        async with open_house(load_settings(), holder="command") as house:
            return await work(house)

    return asyncio.run(inside())


def link(customer_id: str) -> None:
    """An account and an authenticator app of the customer."""

    async def work(house: House) -> None:
        secret = json.dumps({"bot_token": TOKEN}).encode()
        for label in ("default", "work"):
            await house.credentials.put(customer_id, "telegram", label, secret, Account(id="42"))
        await SecondFactors(house.stores.database, house.keyring).start(customer_id, EMAIL)

    in_house(work)


def test_keys_move_to_the_kms_and_the_doctor_proves_that_everything_opens(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("migrate")
    customer = run("customers", "create", "--email", EMAIL, "--plan", "growth", "--json")["id"]
    link(customer)
    local = run("keys", "check", "--json")["keys"][0]
    assert (local["provider"], local["credentials"], local["others"]) == ("local", 2, 1)
    made = run("keys", "generate", "--provider", "aws-kms", "--json")
    assert made["active"]
    monkeypatch.setenv("ENCRYPTION_KEY_PROVIDER", "aws-kms")
    dry = run("keys", "rotate", "--dry-run", "--json")
    assert (dry["key_id"], dry["total"], dry["done"]) == (made["id"], 2, 2)
    assert "2 of 2 credentials re-encrypted" in run("keys", "rotate")
    assert "It waits" in run("keys", "generate", "--provider", "aws-kms")
    keys = {key["id"]: key for key in run("keys", "check", "--json")["keys"]}
    assert {key["provider"]: (key["credentials"], key["others"]) for key in keys.values() if key["credentials"]} == {
        "aws-kms": (2, 1)
    }
    assert keys[made["id"]]["current"]
    monkeypatch.setenv("ENCRYPTION_KEY_PROVIDER", "local")
    assert "2 of 2 credentials re-encrypted" in run("keys", "rotate")
    monkeypatch.delenv("AWS_KMS_KEY_ID")
    assert f"aws-kms {made['id']}" not in run("doctor")
    assert "AWS_KMS_KEY_ID" in run("keys", "generate", "--provider", "aws-kms", status=1)


def test_what_does_not_open_is_told_by_id_with_its_remedy(run: Run) -> None:
    run("migrate")
    customer = run("customers", "create", "--email", EMAIL, "--plan", "growth", "--json")["id"]
    link(customer)
    healthy = {check["name"]: check for check in run("doctor", "--json")["checks"]}
    assert healthy["credentials"]["message"] == "all 2 open"
    [key] = healthy["keys"]["details"]["keys"]
    assert (key["provider"], key["values"]) == ("local", 3)

    async def break_them(house: House) -> str:
        foreign = Keyring(b"x" * 32).seal(b"?", "?")
        mine = (ConnectionRow.customer_id == customer, ConnectionRow.label == "work")
        async with house.stores.database.session() as session:
            found = (await session.scalars(select(ConnectionRow.id).where(*mine))).one()
            await session.execute(update(ConnectionRow).where(*mine).values(ciphertext=foreign))
            await session.execute(update(SecondFactor).values(sealed_secret=foreign))
        return str(found)

    connection_id = in_house(break_them)
    said = run("doctor", "--json", status=1)
    assert said["healthy"] is False
    checks = {check["name"]: check for check in said["checks"]}
    assert checks["credentials"]["state"] == "failed"
    assert checks["credentials"]["details"]["total"] == 2
    assert [item["id"] for item in checks["credentials"]["details"]["unreadable"]] == [connection_id]
    assert "CREDENTIAL_ENCRYPTION_KEYS_OLD" in checks["credentials"]["message"]
    assert [item["id"] for item in checks["second factors"]["details"]["unreadable"]] == [customer]
    assert "recovery code" in checks["second factors"]["message"]
    assert checks["waiting mails"]["state"] == "ok"
    text = run("doctor", status=1)
    for shown in (json.dumps(said), text):
        assert connection_id in shown.replace("\n", "").replace(" ", "")
        assert EMAIL not in shown
    table = run("keys", "check", status=1)
    assert "connect those accounts again" in table
