"""`hermes approvals`, as an operator or a script runs it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from typer.testing import CliRunner

from hermes.app import House, build_house
from hermes.commands import approvals as commands
from hermes.platforms.catalog import load_catalog
from hermes.storage.redis import connect_redis
from hermes.storage.sql import Database
from hermes.storage.stores import Stores

from .conftest import TOOL

pytestmark = pytest.mark.storage


@pytest.fixture
def cli(bench: Any, database: Database, valkey: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command in a loop of its own, as a process of its own would."""

    @asynccontextmanager
    async def house() -> AsyncIterator[House]:
        own, redis = Database(database.url.render_as_string(hide_password=False)), connect_redis(valkey.url)
        opened = build_house(bench.house.settings, Stores(own, redis, valkey.url), load_catalog(["telegram"]))
        yield opened
        await opened.close()
        await redis.aclose()
        await own.close()

    async def run(*arguments: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, commands.app, list(arguments))

    monkeypatch.setattr(commands, "command_house", house)
    return run


async def test_rules_are_set_listed_and_taken_away(bench: Any, cli: Any) -> None:
    ada = await bench.person()
    done = await cli("set", "ada@example.com", "telegram:default", "ask", "--json")
    assert json.loads(done.stdout) == [{"target": "telegram:default", "rule": "ask", "set_by": "operator"}]
    approval = (await ada.rest()).json()["approval_id"]
    [listed] = json.loads((await cli("list", ada.id, "--json")).stdout)
    assert (listed["id"], listed["status"], listed["tool"]) == (approval, "pending", TOOL)
    assert "telegram:default" in (await cli("rules", ada.id)).stdout
    wrong = await cli("set", ada.id, "telegram_get_me", "ask")
    assert (wrong.exit_code, "which only reads" in wrong.stderr) == (1, True)
    assert json.loads((await cli("unset", ada.id, "telegram:default", "--json")).stdout) == []
    assert "There is no rule" in (await cli("rules", ada.id)).stdout
    assert (await ada.rest()).status_code == 200
