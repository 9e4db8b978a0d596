"""`hermes customers` and `hermes api-keys`, as a person or a script runs them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hermes.commands import api_keys, customers
from hermes.gateway.actions import ActionTrail
from hermes.gateway.admission import Admissions
from hermes.identity.api_key import is_well_formed
from hermes.identity.service import ApiKeys, Customers
from hermes.identity.versions import Versions
from hermes.storage.redis import Redis, connect_redis
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

Cli = Callable[..., Any]

EMAIL = "ada@example.com"


@pytest.fixture
def cli(database: Database, redis: Redis, valkey: Any, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs a command over the tests' stores; `raw` gives the whole result, otherwise its JSON."""

    @asynccontextmanager
    async def command_house() -> AsyncIterator[Any]:
        opened, client = Database(database.url.render_as_string(hide_password=False)), connect_redis(valkey.url)
        versions = Versions(client)
        actions = ActionTrail(Admissions(client))
        yield SimpleNamespace(
            customers=Customers(opened, versions, actions), api_keys=ApiKeys(opened, versions, actions, ["telegram"])
        )
        await client.aclose()
        await opened.close()

    app = typer.Typer()
    for module, name in ((customers, "customers"), (api_keys, "api-keys")):
        monkeypatch.setattr(module, "command_house", command_house)
        app.add_typer(module.app, name=name)

    def invoke(*words: str, raw: bool = False, stdin: str | None = None) -> Any:
        result = CliRunner().invoke(app, [*words, *([] if raw else ["--json"])], input=stdin)
        if raw:
            return result
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return invoke


def test_a_customers_life(cli: Cli) -> None:
    made = cli("customers", "create", "--email", EMAIL, "--plan", "starter")
    assert {"id", "email", "plan", "api_key"} <= set(made)
    assert is_well_formed(made["api_key"])
    assert cli("customers", "show", EMAIL.upper())["id"] == made["id"]
    assert cli("customers", "suspend", made["id"])["status"] == "suspended"
    assert cli("customers", "resume", EMAIL)["status"] == "active"
    assert cli("customers", "set-plan", EMAIL, "growth")["plan"] == "growth"
    assert [one["email"] for one in cli("customers", "list")] == [EMAIL]
    assert made["api_key"] not in cli("customers", "list", raw=True).stdout


def test_a_keys_life(cli: Cli) -> None:
    cli("customers", "create", "--email", EMAIL)
    made = cli(
        "api-keys", "create", "--customer", EMAIL, "--grants", "telegram:read,telegram:write", "--grants", "*:read"
    )
    assert made["grants"] == ["*:read", "telegram:read", "telegram:write"]
    assert is_well_formed(made["api_key"])
    assert len(cli("api-keys", "list", "--customer", EMAIL)) == 2
    assert cli("api-keys", "revoke", made["id"], "--customer", EMAIL)["revoked_at"] is not None
    assert len(cli("api-keys", "list", "--customer", EMAIL)) == 1
    assert len(cli("api-keys", "list", "--customer", EMAIL, "--revoked")) == 2


def test_for_a_person(cli: Cli) -> None:
    assert "no customers yet" in cli("customers", "list", raw=True).stdout
    made = cli("customers", "create", "--email", EMAIL, raw=True)
    assert "shown this once" in made.stdout
    assert EMAIL in cli("customers", "list", raw=True).stdout
    assert EMAIL in cli("customers", "show", EMAIL, raw=True).stdout
    key = cli("api-keys", "create", "--customer", EMAIL, raw=True)
    assert "sq_live_" in key.stdout
    listed = cli("api-keys", "list", "--customer", EMAIL, raw=True)
    assert "sq_live_" not in listed.stdout


def test_a_password_comes_from_standard_input_only(cli: Cli) -> None:
    secret = "a long password"
    made = cli("customers", "create", "--email", EMAIL, "--password-stdin", stdin=secret + "\n")
    assert secret not in str(made)
    short = cli("customers", "create", "--email", "b@example.com", "--password-stdin", stdin="short\n", raw=True)
    assert (short.exit_code, "12 to 256" in short.stderr, "short\n" in short.stderr) == (1, True, False)
    none = cli("customers", "create", "--email", "b@example.com", "--password-stdin", stdin="", raw=True)
    assert none.exit_code == 1
    assert len(cli("customers", "list")) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("customers", "create", "--email", "nonsense"), "email: is no e-mail address"),
        (("customers", "create", "--email", EMAIL), "already"),
        (("customers", "create", "--email", "b@example.com", "--plan", "gold"), "free, starter, growth, enterprise"),
        (("customers", "create", "--email", "b@example.com", "--role", "king"), "customer, admin"),
        (("customers", "show", "nobody"), "no customer 'nobody'"),
        (("customers", "suspend", "nobody@example.com"), "hermes customers list"),
        (("customers", "set-plan", EMAIL, "gold"), "plan: must be one of"),
        (("api-keys", "create", "--customer", EMAIL, "--grants", "myspace:read"), "'myspace' is no platform"),
        (("api-keys", "create", "--customer", EMAIL, "--grants", ","), "at least one"),
        (("api-keys", "create", "--customer", "nobody"), "no customer"),
        (("api-keys", "list", "--customer", "nobody"), "no customer"),
        (("api-keys", "revoke", "key_x", "--customer", EMAIL), "no such API key"),
    ],
)
def test_errors_are_one_sentence_on_stderr(cli: Cli, words: tuple[str, ...], says: str) -> None:
    cli("customers", "create", "--email", EMAIL)
    result = cli(*words, raw=True)
    assert result.exit_code == 1
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize("words", [("customers", "create"), ("customers", "set-plan", "a"), ("api-keys", "create")])
def test_wrong_usage(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli(*words, raw=True).exit_code == 2
