"""`hermes keys`, `connect`, `disconnect` and `connections`, as a person or a script runs them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from structlog.testing import capture_logs
from typer.testing import CliRunner

from hermes.commands import connections as connections_commands
from hermes.commands import keys as keys_commands
from hermes.connections.defaults import DefaultAccounts
from hermes.connections.key_check import verify_key_check
from hermes.connections.links import ConnectLinks
from hermes.connections.probing import Prober
from hermes.connections.service import Connections
from hermes.connections.store import CredentialStore
from hermes.crypto import Keyring, parse_key
from hermes.errors import NotFound
from hermes.identity.caller import Caller
from hermes.identity.changes import CustomerChanges
from hermes.identity.service import new_customer
from hermes.identity.versions import Versions
from hermes.keys.service import Keys
from hermes.net.upstream import Upstream
from hermes.platforms.catalog import Catalog
from hermes.platforms.ports import Ports
from hermes.settings import Settings
from hermes.storage.redis import Redis, connect_redis
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

Cli = Callable[..., Any]
PHONE = json.dumps({"accessToken": "EAAsecret-token", "phoneNumberId": "111"})


@pytest.fixture
def cli(
    database: Database,
    redis: Redis,
    valkey: Any,
    keyring: Keyring,
    next_keyring: Keyring,
    toy_catalog: Catalog,
    toy_settings: Settings,
    audit: Any,
    make_caller: Callable[..., Caller],
    monkeypatch: pytest.MonkeyPatch,
) -> Cli:
    """Runs a command over the tests' stores; `rotated` gives it the next key as the current one."""
    current = {"keyring": keyring}

    async def find(who: str) -> Any:
        if who != "cus_a":
            raise NotFound(f"There is no customer {who!r}.")
        return SimpleNamespace(id=who)

    async def act_for(_operator: Caller, customer_id: str) -> Caller:
        return make_caller(customer_id)

    @asynccontextmanager
    async def command_house() -> AsyncIterator[Any]:
        opened, client = Database(database.url.render_as_string(hide_password=False)), connect_redis(valkey.url)
        await verify_key_check(opened, current["keyring"])
        upstream = Upstream()
        prober = Prober(upstream, toy_settings, Ports(None, None, None))  # type: ignore[arg-type]  # not used here
        store = CredentialStore(opened, client, current["keyring"])
        house = SimpleNamespace(
            stores=SimpleNamespace(database=opened, redis=client),
            keyring=current["keyring"],
            keys=Keys(opened, toy_settings, None, current["keyring"]),
            customers=SimpleNamespace(find=find),
            callers=SimpleNamespace(operator=None, act_for=act_for),
            connections=Connections(
                toy_catalog,
                store,
                prober,
                audit,
                toy_settings,
                DefaultAccounts(opened, CustomerChanges(opened, Versions(client))),
                ConnectLinks(current["keyring"], toy_settings.public_url),
                plan_includes=lambda _caller, _platform: True,
            ),
        )
        with capture_logs():
            yield house
        await upstream.close()
        await client.aclose()
        await opened.close()

    app = typer.Typer()
    connections_commands.register(app)
    app.add_typer(keys_commands.app, name="keys")
    for module in (connections_commands, keys_commands):
        monkeypatch.setattr(module, "command_house", command_house)

    def invoke(*words: str, stdin: str | bytes | None = None, rotated: bool = False) -> Any:
        current["keyring"] = next_keyring if rotated else keyring
        return CliRunner().invoke(app, words, input=stdin)

    return invoke


@pytest.fixture
def person(database: Database) -> None:
    """The customer's own row, where their choices stand."""

    async def add() -> None:
        opened = Database(database.url.render_as_string(hide_password=False))
        row = new_customer("a@example.com", plan="growth", role="customer", password_hash=None)
        row.id = "cus_a"
        async with opened.session() as session:
            session.add(row)
        await opened.close()

    asyncio.run(add())


def test_an_account_is_linked_listed_and_unlinked(cli: Cli, audit: Any) -> None:
    linked = cli("connect", "cus_a", "whatsapp", "--credentials-stdin", "--json", stdin=PHONE)
    assert linked.exit_code == 0, linked.stderr
    assert json.loads(linked.stdout)["account"] == "default"
    listed = json.loads(cli("connections", "cus_a", "--json").stdout)
    assert listed["connections"] == {"whatsapp": True, "notes": False}
    table = cli("connections", "cus_a").stdout
    assert "+111" in table
    assert "EAAsecret" not in linked.stdout + str(listed) + table
    gone = cli("disconnect", "cus_a", "whatsapp", "--json")
    assert json.loads(gone.stdout) == {
        "disconnected": True,
        "platform": "whatsapp",
        "account": "default",
        "revoked": None,
        "left": None,
        "default_account": None,
        "steps": [],
    }
    assert "no linked account" in cli("connections", "cus_a").stdout
    assert [line[1] for line in audit.lines] == ["connection.connect", "connection.disconnect"]


def test_the_account_that_is_used_by_default_is_chosen(cli: Cli, person: None, audit: Any) -> None:
    for label in ("default", "work"):
        words = ("connect", "cus_a", "notes", "--credentials-stdin", "--account", label)
        linked = cli(*words, stdin='{"token": "secret"}')
        assert linked.exit_code == 0, linked.stderr
    chosen = cli("connections", "default", "cus_a", "notes", "work", "--json")
    assert json.loads(chosen.stdout) == {"platform": "notes", "account": "work"}
    listed = json.loads(cli("connections", "--json", "cus_a").stdout)["details"]
    assert {each["account"]: each["default"] for each in listed} == {"default": False, "work": True}
    assert "work *" in cli("connections", "cus_a").stdout
    assert audit.lines[-1] == ("cus_a", "connection.set_default", "notes", "work", "success")
    unknown = cli("connections", "default", "cus_a", "notes", "home")
    assert (unknown.exit_code, "default, work" in unknown.stderr or "work, default" in unknown.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "stdin", "status", "says"),
    [
        (("connect", "cus_a", "whatsapp"), PHONE, 2, "--credentials-stdin"),
        (("connect", "cus_a", "whatsapp", "--credentials-stdin"), "hunter2", 1, "no JSON object"),
        (("connect", "cus_a", "whatsapp", "--credentials-stdin"), "", 1, "no JSON object"),
        (("connect", "cus_a", "whatsapp", "--credentials-stdin"), b"\xff\xfe", 1, "no JSON object"),
        (("connect", "cus_a", "whatsapp", "--credentials-stdin"), '{"accessToken": "hunter2"}', 1, "phoneNumberId"),
        (("connect", "cus_a", "myspace", "--credentials-stdin"), "{}", 1, "whatsapp, notes"),
        (("connect", "nobody", "whatsapp", "--credentials-stdin"), PHONE, 1, "no customer"),
        (("connect", "cus_a", "whatsapp", "--credentials-stdin", "--account", "No"), PHONE, 1, "label"),
        (("disconnect", "cus_a", "whatsapp"), None, 1, "No WhatsApp account"),
        (("connections", "nobody"), None, 1, "no customer"),
    ],
)
def test_what_goes_wrong_is_said_in_one_sentence(cli: Cli, words: Any, stdin: Any, status: int, says: str) -> None:
    result = cli(*words, stdin=stdin)
    assert (result.exit_code, says in result.stderr) == (status, True), result.stderr
    assert "hunter2" not in result.output
    assert "Traceback" not in result.output


def test_keys_are_generated(cli: Cli) -> None:
    made = json.loads(cli("keys", "generate", "--json").stdout)
    assert Keyring(parse_key(made["key"])).current_id == made["id"]
    assert len(parse_key(cli("keys", "generate").stdout)) == 32


def test_keys_are_rotated_and_checked(cli: Cli, keyring: Keyring, next_keyring: Keyring) -> None:
    cli("connect", "cus_a", "whatsapp", "--credentials-stdin", stdin=PHONE)
    before = json.loads(cli("keys", "check", "--json").stdout)
    assert before["keys"] == [
        {"id": keyring.current_id, "provider": "local", "current": True, "credentials": 1, "others": 0}
    ]
    dry = json.loads(cli("keys", "rotate", "--dry-run", "--json", rotated=True).stdout)
    assert (dry["dry_run"], dry["total"], dry["done"], dry["key_id"]) == (True, 1, 1, next_keyring.current_id)
    rotated = cli("keys", "rotate", rotated=True)
    assert rotated.exit_code == 0
    assert "1 of 1 credentials re-encrypted" in rotated.stdout
    after = json.loads(cli("keys", "check", "--json", rotated=True).stdout)
    assert [key["credentials"] for key in after["keys"]] == [1, 0]
    refused = cli("keys", "check")
    assert (refused.exit_code, next_keyring.current_id in refused.stderr) == (1, True)


def test_what_does_not_open_is_named(cli: Cli, redis: Redis, valkey: Any) -> None:
    cli("connect", "cus_a", "whatsapp", "--credentials-stdin", stdin=PHONE)

    async def tamper() -> None:
        client = connect_redis(valkey.url)
        sealed = await client.get("creds:cus_a:whatsapp")
        await client.set("creds:cus_a:whatsapp", sealed[:-2])
        await client.aclose()

    asyncio.run(tamper())
    checked = cli("keys", "check")
    assert checked.exit_code == 1
    assert "0 of 1 credentials open" in checked.stdout
    assert "cus_a" in checked.stdout
