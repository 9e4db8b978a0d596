"""What calls say of accounts is written behind them, and rarely."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select

from hermes.connections.health_rows import HealthRows
from hermes.connections.models import ConnectionRow
from hermes.connections.store import CredentialStore
from hermes.connections.witness import CallWitness
from hermes.errors import PlatformRejected, PlatformUnavailable
from hermes.platforms.base import Account
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

WHERE = ("cus_a", "notes", "default")
DOWN = PlatformUnavailable("Notes has a problem.")


async def test_success_and_trouble_are_noted_once_in_five_minutes(database: Database, store: CredentialStore) -> None:
    await store.put(*WHERE, b"{}", Account("1"))
    clock, start = [0.0], datetime.now(UTC) + timedelta(hours=1)
    witness = CallWitness(HealthRows(database), clock=lambda: clock[0], now=lambda: start + timedelta(seconds=clock[0]))
    written: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE"):
            written.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", count)

    async def row() -> ConnectionRow:
        await witness.close()
        async with database.reading() as session:
            return (await session.execute(select(ConnectionRow))).scalar_one()

    for _ in range(50):
        witness(*WHERE, None)
    assert ((await row()).last_success_at, len(written)) == (start, 1)
    witness(*WHERE, PlatformRejected("There is no such chat."))
    assert ((await row()).last_error, len(written)) == (None, 1), "that says nothing about the account"
    for _ in range(50):
        witness(*WHERE, DOWN)
    assert ((await row()).last_error, (await row()).status, len(written)) == (DOWN.message, "connected", 2)
    clock[0] = 10
    witness(*WHERE, None)
    found = await row()
    assert (found.last_error, found.last_success_at, len(written)) == (None, start + timedelta(seconds=10), 3)
    clock[0] = 400
    witness(*WHERE, None)
    assert (await row()).last_success_at == start + timedelta(seconds=400)


async def test_what_no_longer_works_is_not_called_alive_by_a_late_call(
    database: Database, store: CredentialStore
) -> None:
    await store.put(*WHERE, b"{}", Account("1"))
    await store.mark_needs_reconnect(*WHERE, "withdrawn")
    witness = CallWitness(HealthRows(database))
    witness(*WHERE, None)
    await witness.close()
    async with database.reading() as session:
        row = (await session.execute(select(ConnectionRow))).scalar_one()
    assert (row.status, row.last_error) == ("needs_reconnect", "withdrawn")
