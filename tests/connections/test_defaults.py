"""Choosing the account that is used when none is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from connections.conftest import RecordedAudit
from hermes.connections.service import Connections
from hermes.errors import NotFound, NotGranted
from hermes.identity.caller import OPERATOR, Caller
from hermes.identity.service import new_customer
from hermes.platforms.base import DEFAULT_ACCOUNT
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

TOKEN = {"token": "a token"}


@pytest.fixture
async def make_person(database: Database, make_caller: Callable[..., Caller]) -> Callable[..., Caller]:
    async def make(email: str, grants: str = "*:read *:write") -> Caller:
        row = new_customer(email, plan="growth", role="customer", password_hash=None)
        async with database.session() as session:
            session.add(row)
        return make_caller(row.id, grants)

    return make  # type: ignore[return-value]  # an async function


async def defaults(connections: Connections, caller: Caller) -> dict[str, bool]:
    return {item.label: item.default for item in await connections.list(caller.customer_id)}


async def test_a_choice_is_shown_and_followed(connections: Connections, make_person, audit: RecordedAudit) -> None:
    caller = await make_person("a@example.com")
    await connections.connect(caller, "notes", TOKEN, "zoo")
    assert await defaults(connections, caller) == {"zoo": True}
    await connections.connect(caller, "notes", TOKEN, "work")
    assert await defaults(connections, caller) == {"work": False, "zoo": True}, "the first one stays it"
    await connections.connect(caller, "notes", TOKEN)
    assert await defaults(connections, caller) == {DEFAULT_ACCOUNT: False, "work": False, "zoo": True}
    await connections.make_default(caller, "notes", "work")
    assert await defaults(connections, caller) == {DEFAULT_ACCOUNT: False, "work": True, "zoo": False}
    assert audit.lines[-1] == (caller.customer_id, "connection.set_default", "notes", "work", "success")
    assert (await connections.disconnect(caller, "notes", "work")).default_account == DEFAULT_ACCOUNT
    assert (await connections.disconnect(caller, "notes", DEFAULT_ACCOUNT)).default_account == "zoo"
    assert (await connections.disconnect(caller, "notes", "zoo")).default_account is None


async def test_nothing_of_another_customers_can_be_chosen_or_learnt(connections: Connections, make_person) -> None:
    mine, theirs = await make_person("a@example.com"), await make_person("b@example.com")
    await connections.connect(mine, "notes", TOKEN, "secret-project")
    await connections.connect(theirs, "notes", TOKEN)
    await connections.connect(theirs, "notes", TOKEN, "other")
    with pytest.raises(NotFound) as caught:
        await connections.make_default(theirs, "notes", "secret-project")
    assert "secret-project" not in str(caught.value.as_dict())
    assert caught.value.data["accounts"] == [DEFAULT_ACCOUNT, "other"]
    assert await defaults(connections, mine) == {"secret-project": True}
    assert "secret-project" not in str(await connections.overview(theirs))


async def test_who_may_not_change_a_platform_chooses_nothing(connections: Connections, make_person) -> None:
    caller = await make_person("a@example.com")
    await connections.connect(caller, "notes", TOKEN)
    await connections.connect(caller, "notes", TOKEN, "work")
    reader = await make_person("b@example.com", "*:read")
    with pytest.raises(NotGranted):
        await connections.make_default(replace(reader, customer_id=caller.customer_id), "notes", "work")
    with pytest.raises(NotGranted):
        await connections.make_default(OPERATOR, "notes", "work")
    with pytest.raises(NotFound):
        await connections.make_default(caller, "myspace", "work")
    assert await defaults(connections, caller) == {DEFAULT_ACCOUNT: True, "work": False}
