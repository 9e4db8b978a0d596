"""What can be done with customers and keys, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError

from hermes.errors import Conflict, InvalidArguments, NotFound, NotGranted
from hermes.identity import service
from hermes.identity.api_key import is_well_formed
from hermes.identity.caller import OPERATOR, OPERATOR_ID, Caller, Grants, Via
from hermes.identity.ids import from_cursor, new_id, to_cursor
from hermes.identity.versions import version_key

pytestmark = pytest.mark.storage


def _with(*grants: str) -> Caller:
    return Caller("customer", "cus_x", Via.API_KEY, "key_x", Grants.parse(grants), "free")


@pytest.mark.usefixtures("full_cost")
async def test_a_new_customer(identity: Any) -> None:
    made = await identity.customers.create(" Ada@Example.com ", "starter", "admin", password=SecretStr("correct horse"))
    row = await identity.customers.get(made.row.id)
    assert (row.email, row.plan, row.role, row.status, row.version) == (
        "Ada@example.com",
        "starter",
        "admin",
        "active",
        1,
    )
    assert PasswordHash((Argon2Hasher(),)).verify("correct horse", row.password_hash)
    assert row.password_hash.startswith("$argon2id$v=19$m=65536,t=3,p=4$")  # RFC 9106, section 4, the second choice
    assert is_well_formed(made.key.secret)
    [key] = (await identity.api_keys.page(row.id)).rows
    assert (key.grants, key.hint, key.revoked_at) == (["*:read", "*:write"], made.key.secret[-4:], None)
    assert await identity.redis.get(version_key(row.id)) == "1"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a@example.com", "A@EXAMPLE.COM"),
        ("straße@example.com", "STRASSE@example.com"),
        ("é@example.com", "É@example.com"),
    ],
)
async def test_an_address_belongs_to_one_customer_whatever_the_case(identity: Any, first: str, second: str) -> None:
    made = await identity.customers.create(first)
    with pytest.raises(Conflict):
        await identity.customers.create(second)
    assert (await identity.customers.find(second)).id == made.row.id
    assert (await identity.customers.find(made.row.id)).id == made.row.id
    assert len((await identity.customers.page()).rows) == 1


async def test_addresses_that_differ_by_an_accent_are_two_customers(identity: Any) -> None:
    plain, accent = (
        await identity.customers.create("jose@example.com"),
        await identity.customers.create("josé@example.com"),
    )
    assert (await identity.customers.find("José@example.com")).id == accent.row.id != plain.row.id


async def test_one_address_asked_for_at_once_makes_one_customer(identity: Any) -> None:
    made = await asyncio.gather(
        *(identity.customers.create("ada@example.com") for _ in range(5)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in made) == ["Conflict"] * 4 + ["NewCustomer"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"email": ""}, "email"),
        ({"email": "ada"}, "email"),
        ({"email": "ada@"}, "email"),
        ({"email": "a\x00b@example.com"}, "email"),
        ({"email": "a" * 300 + "@example.com"}, "email"),
        ({"plan": "gold"}, "plan"),
        ({"plan": "operator"}, "plan"),
        ({"role": "operator"}, "role"),
        ({"password": SecretStr("short")}, "password"),
        ({"password": SecretStr("x" * 1000)}, "password"),
    ],
)
async def test_what_a_customer_cannot_be(identity: Any, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArguments) as refused:
        await identity.customers.create(**{"email": "ada@example.com", **arguments})
    assert [problem["field"] for problem in refused.value.data["fields"]] == [field]
    assert (await identity.customers.page()).rows == []


async def test_ids_sort_by_time_and_are_never_the_operators() -> None:
    ids = [new_id("cus") for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert {len(one) for one in ids} == {30}
    assert OPERATOR_ID not in ids


async def test_paging(identity: Any) -> None:
    made = [(await identity.customers.create(f"c{number}@example.com")).row.id for number in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        page = await identity.customers.page(cursor=cursor, limit=2)
        seen += [row.id for row in page.rows]
        if page.cursor is None:
            break
        cursor = page.cursor
    assert seen == made


@pytest.mark.parametrize("cursor", ["!", "cus_1", "é", "/w==", "a"])
async def test_a_strange_cursor(identity: Any, cursor: str) -> None:
    with pytest.raises(InvalidArguments) as refused:
        await identity.customers.page(cursor=cursor)
    assert refused.value.data["fields"][0]["field"] == "cursor"
    assert from_cursor(to_cursor("cus_1")) == "cus_1"


CHANGES: list[Callable[[Any, str], Any]] = [
    lambda customers, who: customers.suspend(who),
    lambda customers, who: customers.resume(who),
    lambda customers, who: customers.set_plan(who, "growth"),
    lambda customers, who: customers.get(who),
    lambda customers, who: customers.find(who),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("who", ["cus_nobody", "operator", "", "x" * 3000, "nobody@example.com"])
async def test_nobody(identity: Any, change: Callable[[Any, str], Any], who: str) -> None:
    with pytest.raises(NotFound):
        await change(identity.customers, who)
    assert await identity.redis.keys("*") == []


async def test_a_change_that_changes_nothing_is_made_effective_again(identity: Any) -> None:
    who = (await identity.customers.create("ada@example.com")).row.id
    assert (await identity.customers.suspend(who)).version == 2
    await identity.redis.set(version_key(who), "1")
    assert (await identity.customers.suspend(who)).version == 2
    assert await identity.redis.get(version_key(who)) == "2"


async def test_without_redis_nothing_is_changed(identity: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    who = (await identity.customers.create("ada@example.com")).row.id

    async def down(*_: object, **__: object) -> None:
        raise RedisConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(identity.redis, "execute_command", down)
        with pytest.raises(RedisConnectionError):
            await identity.customers.suspend(who)
    assert (await identity.customers.get(who)).status == "active"


async def test_changes_at_once_all_count(identity: Any) -> None:
    who = (await identity.customers.create("ada@example.com")).row.id
    keys = [await identity.api_keys.create(who, f"key {number}") for number in range(6)]
    await asyncio.gather(
        identity.customers.suspend(who),
        identity.customers.set_plan(who, "growth"),
        *(identity.api_keys.revoke(who, key.row.id) for key in keys),
    )
    row = await identity.customers.get(who)
    assert (row.version, row.status, row.plan) == (9, "suspended", "growth")
    assert await identity.redis.get(version_key(who)) in (None, "9")


@pytest.mark.parametrize(
    ("maker", "asked", "given"),
    [
        (OPERATOR, None, ["*:read", "*:write"]),
        (OPERATOR, ["telegram:read"], ["telegram:read"]),
        (_with("*:read", "*:write"), None, ["*:read", "*:write"]),
        (_with("*:read"), ["telegram:read", "email:read"], ["email:read", "telegram:read"]),
        (_with("telegram:read"), None, ["telegram:read"]),
        (_with("telegram:read"), ["telegram:read", "telegram:read"], ["telegram:read"]),
        (_with("telegram:read"), ["telegram:write"], NotGranted),
        (_with("telegram:read"), ["email:read"], NotGranted),
        (_with("telegram:read", "email:read", "obsidian:read"), ["*:read"], NotGranted),
        (_with("*:read"), ["*:write"], NotGranted),
        (OPERATOR, [], InvalidArguments),
        (OPERATOR, ["telegram"], InvalidArguments),
        (OPERATOR, ["telegram:"], InvalidArguments),
        (OPERATOR, ["telegram:admin"], InvalidArguments),
        (OPERATOR, [":read"], InvalidArguments),
        (OPERATOR, ["myspace:read"], InvalidArguments),
        (OPERATOR, ["telegram:read:write"], InvalidArguments),
    ],
)
async def test_grants_of_a_new_key(identity: Any, maker: Caller, asked: Any, given: Any) -> None:
    who = (await identity.customers.create("ada@example.com")).row.id
    if isinstance(given, list):
        made = await identity.api_keys.create(who, "a key", asked, by=maker)
        assert made.row.grants == given
        assert (await identity.process().from_api_key(made.secret)).grants == Grants.parse(given)
    else:
        with pytest.raises(given):
            await identity.api_keys.create(who, "a key", asked, by=maker)
        assert len((await identity.api_keys.page(who)).rows) == 1


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\nb", "a\x00b", "a\u202eb"])
async def test_names_of_keys(identity: Any, name: str) -> None:
    who = (await identity.customers.create("ada@example.com")).row.id
    with pytest.raises(InvalidArguments) as refused:
        await identity.api_keys.create(who, name)
    assert refused.value.data["fields"][0]["field"] == "name"


async def test_a_customers_keys_are_their_own(identity: Any) -> None:
    ada, bob = await identity.customers.create("ada@example.com"), await identity.customers.create("bob@example.com")
    for attempt in (identity.api_keys.revoke, identity.api_keys.get):
        with pytest.raises(NotFound):
            await attempt(ada.row.id, bob.key.row.id)
    assert [row.id for row in (await identity.api_keys.page(ada.row.id)).rows] == [ada.key.row.id]
    assert (await identity.process().from_api_key(bob.key.secret)).customer_id == bob.row.id
    assert (await identity.customers.get(bob.row.id)).version == 1
    with pytest.raises(NotFound):
        await identity.api_keys.create("operator", "a key")


async def test_revoked_keys_are_listed_on_demand(identity: Any) -> None:
    ada = await identity.customers.create("ada@example.com")
    await identity.api_keys.revoke(ada.row.id, ada.key.row.id)
    ended = (await identity.api_keys.get(ada.row.id, ada.key.row.id)).revoked_at
    await identity.api_keys.revoke(ada.row.id, ada.key.row.id)
    assert (await identity.api_keys.page(ada.row.id)).rows == []
    [row] = (await identity.api_keys.page(ada.row.id, revoked=True)).rows
    assert row.revoked_at == ended is not None


async def test_a_key_cannot_end_one_that_may_do_more(identity: Any) -> None:
    ada = await identity.customers.create("ada@example.com")
    small = await identity.api_keys.create(ada.row.id, "small", ["telegram:read"])
    caller = await identity.process().from_api_key(small.secret)
    with pytest.raises(NotGranted):
        await identity.api_keys.revoke(ada.row.id, ada.key.row.id, by=caller)
    await identity.api_keys.revoke(ada.row.id, small.row.id, by=caller)


async def test_there_is_an_end_to_keys(identity: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_KEYS", 2)
    who = (await identity.customers.create("ada@example.com")).row.id
    second = await identity.api_keys.create(who, "second")
    with pytest.raises(Conflict, match="revoke one first"):
        await identity.api_keys.create(who, "third")
    await identity.api_keys.revoke(who, second.row.id)
    await identity.api_keys.create(who, "third")
