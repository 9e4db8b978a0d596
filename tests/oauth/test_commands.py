"""`hermes oauth-clients`, as a person or a script runs it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from joserfc.jwk import ECKey
from typer.testing import CliRunner

from hermes.commands import oauth_clients
from hermes.identity.actions import ActionAudit
from hermes.identity.changes import CustomerChanges
from hermes.identity.service import Customers
from hermes.identity.versions import Versions
from hermes.net.guarded import GuardedClient
from hermes.oauth.client_store import OAuthClients
from hermes.oauth.registered_clients import RegisteredClients
from hermes.oauth.scopes import ScopeCatalogue
from hermes.storage.rates import Rates
from hermes.storage.redis import Redis, connect_redis
from hermes.storage.sql import Database
from oauth.conftest import CALLBACK

pytestmark = pytest.mark.storage

Cli = Callable[..., Any]


class Silent(ActionAudit):
    async def record(self, *_: Any, **__: Any) -> None:
        return


@pytest.fixture
def cli(database: Database, redis: Redis, valkey: Any, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs a command over the tests' stores; `raw` gives the whole result, otherwise its JSON."""

    @asynccontextmanager
    async def command_house() -> AsyncIterator[Any]:
        opened, client = Database(database.url.render_as_string(hide_password=False)), connect_redis(valkey.url)
        versions = Versions(client)
        clients = OAuthClients(opened, GuardedClient(), Rates(client))
        registered = RegisteredClients(opened, clients, CustomerChanges(opened, versions), ScopeCatalogue(["telegram"]))
        yield SimpleNamespace(
            customers=Customers(opened, versions, Silent()), oauth=SimpleNamespace(registered=registered)
        )
        await client.aclose()
        await opened.close()

    monkeypatch.setattr(oauth_clients, "command_house", command_house)

    def invoke(*words: str, raw: bool = False) -> Any:
        result = CliRunner().invoke(oauth_clients.app, [*words, *([] if raw else ["--json"])])
        if raw:
            return result
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return invoke


@pytest.fixture
async def ada(database: Database, redis: Redis) -> str:
    new = await Customers(database, Versions(redis), Silent()).create("ada@example.com")
    return new.row.id


def test_a_clients_life(cli: Cli) -> None:
    made = cli("create", "--name", "Dashboard", "--redirect-uri", CALLBACK, "--scope", "telegram:read")
    assert made["client_secret"].startswith("sq_cs_")
    (listed,) = cli("list")
    assert listed == cli("show", made["client_id"]) == {n: v for n, v in made.items() if n != "client_secret"}
    assert "Dashboard" in cli("list", raw=True).stdout
    assert CALLBACK in cli("show", made["client_id"], raw=True).stdout
    assert cli("delete", made["client_id"]) == {"client_id": made["client_id"], "deleted": True}
    assert cli("list") == []
    gone = cli("show", made["client_id"], raw=True)
    assert (gone.exit_code, gone.stdout) == (1, "")
    assert "hermes oauth-clients list" in gone.stderr


def test_a_headless_client_is_bound_to_a_customer(cli: Cli, ada: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}))
    made = cli("create", "--name", "Nightly", "--customer", "ADA@example.com", "--jwks-file", str(keys))
    assert (made["customer_id"], made["client_secret"]) == (ada, None)
    assert made["grant_types"] == ["client_credentials"]
    assert made["token_endpoint_auth_method"] == "private_key_jwt"


def test_faults_are_one_sentence(cli: Cli, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text("not json")
    for words in (
        ("create", "--name", "A"),
        ("create", "--name", "A", "--redirect-uri", "http://client.example/"),
        ("create", "--name", "A", "--redirect-uri", CALLBACK, "--scope", "email:read"),
        ("create", "--name", "A", "--redirect-uri", CALLBACK, "--auth", "password"),
        ("create", "--name", "A", "--redirect-uri", CALLBACK, "--jwks-file", str(keys)),
        ("create", "--name", "A", "--customer", "cus_nobody"),
        ("delete", "ocl_unknown"),
    ):
        result = cli(*words, raw=True)
        assert (result.exit_code, result.stdout) == (1, ""), words
        assert len(result.stderr.strip().splitlines()) == 1, words
