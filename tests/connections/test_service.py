"""Linking and unlinking accounts: who may, what is checked first, and what people are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hermes.connections.models import Status
from hermes.connections.service import Connections
from hermes.connections.store import CredentialStore
from hermes.errors import Conflict, HermesError, InvalidArguments, NotFound, NotGranted, PlatformRejected
from hermes.identity.caller import OPERATOR_ID, Caller
from hermes.settings import Settings, load_settings
from hermes.storage.redis import Redis

pytestmark = pytest.mark.storage

MakeCaller = Callable[..., Caller]
PHONE = {"accessToken": "EAAsecret-token", "phoneNumberId": "111"}


@pytest.fixture
def ann(make_caller: MakeCaller) -> Caller:
    return make_caller("cus_a")


@pytest.fixture
def bob(make_caller: MakeCaller) -> Caller:
    return make_caller("cus_b")


@pytest.mark.parametrize(
    "spelling", [PHONE, {"access_token": "EAAsecret-token", "phone_number_id": "111"}], ids=["camelCase", "snake_case"]
)
async def test_an_account_is_linked_in_either_spelling(
    connections: Connections, store: CredentialStore, redis: Redis, ann: Caller, audit: Any, spelling: dict[str, str]
) -> None:
    connection = await connections.connect(ann, "whatsapp", spelling)
    assert (connection.status, connection.label, connection.external_id) == (Status.CONNECTED, "default", "111")
    assert connection.display_name == "+111"
    assert connection.scopes == ("send",)
    assert await redis.get("wa_phone_id:111") == "cus_a"
    plaintext = await store.open("creds:cus_a:whatsapp", await redis.get("creds:cus_a:whatsapp"))
    assert plaintext == b'{"access_token":"EAAsecret-token","phone_number_id":"111"}'
    assert audit.lines == [("cus_a", "connection.connect", "whatsapp", "default", "success")]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"phoneNumberId": "111"}, "accessToken"),
        ({"access_token": "EAAsecret-token", "phone_number_id": "hunter2-secret"}, "phone_number_id"),
        ({"accessToken": "EAAsecret-token", "phoneNumberId": "hunter2-secret"}, "phoneNumberId"),
        ({"accessToken": "EAAsecret-token", "phoneNumberId": 111}, "phoneNumberId"),
        ({**PHONE, "password": "hunter2-secret"}, "password"),
        ({**PHONE, "hunter2 secret\n": "x"}, "(not a field's name)"),
        ({"accessToken": {"deep": ["hunter2-secret"]}, "phoneNumberId": "111"}, "accessToken"),
    ],
)
async def test_wrong_credentials_are_explained_by_field_without_their_value(
    connections: Connections, ann: Caller, redis: Redis, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidArguments) as caught:
        await connections.connect(ann, "whatsapp", given)
    shown = str(caught.value.as_dict())
    assert [problem["field"] for problem in caught.value.data["fields"]] == [field]
    assert "hunter2" not in shown
    assert "EAAsecret" not in shown
    assert await redis.keys() == []


async def test_credentials_that_the_platform_refuses_are_not_kept(
    connections: Connections, ann: Caller, redis: Redis, audit: Any
) -> None:
    with pytest.raises(PlatformRejected) as caught:
        await connections.connect(ann, "whatsapp", PHONE | {"accessToken": "EAA-expired-token"})
    message = caught.value.message
    assert "WhatsApp did not accept these credentials, and nothing was stored" in message
    assert "https://example.com/help" in message
    assert "EAA-expired" not in message
    assert "\u202e" not in message
    assert await redis.keys() == []
    assert await connections.list("cus_a") == []
    assert audit.lines == [("cus_a", "connection.connect", "whatsapp", "default", "error")]


async def test_a_number_of_another_customer_is_a_conflict_that_says_nothing_about_them(
    connections: Connections, ann: Caller, bob: Caller, audit: Any
) -> None:
    await connections.connect(ann, "whatsapp", PHONE)
    with pytest.raises(Conflict) as caught:
        await connections.connect(bob, "whatsapp", PHONE)
    assert "Disconnect it there first" in caught.value.message
    assert "cus_a" not in str(caught.value.as_dict())
    with pytest.raises(Conflict, match="your account 'default'"):
        await connections.connect(ann, "whatsapp", PHONE, "work")
    assert audit.lines[-2:] == [
        ("cus_b", "connection.connect", "whatsapp", "default", "denied"),
        ("cus_a", "connection.connect", "whatsapp", "work", "denied"),
    ]


async def test_disconnecting_never_removes_more_than_one(connections: Connections, ann: Caller, audit: Any) -> None:
    for label in ("default", "work", "shop"):
        await connections.connect(ann, "notes", {"token": f"token-{label}"}, label)
    assert await connections.accounts("cus_a") == {"notes": ["default", "shop", "work"]}
    with pytest.raises(InvalidArguments) as several:
        await connections.disconnect(ann, "notes")
    assert several.value.data["accounts"] == ["default", "shop", "work"]
    with pytest.raises(NotFound, match="default, shop, work"):
        await connections.disconnect(ann, "notes", "home")
    assert (await connections.disconnect(ann, "notes", "default")).account == "default"
    assert (await connections.disconnect(ann, "notes", "work")).account == "work"
    assert (await connections.disconnect(ann, "notes")).account == "shop"
    with pytest.raises(NotFound, match="No Notes account"):
        await connections.disconnect(ann, "notes")
    assert await connections.accounts("cus_a") == {}
    assert audit.lines[-1] == ("cus_a", "connection.disconnect", "notes", "shop", "success")


async def test_nobody_disconnects_for_another(connections: Connections, ann: Caller, bob: Caller) -> None:
    await connections.connect(ann, "notes", {"token": "ours"})
    with pytest.raises(NotFound):
        await connections.disconnect(bob, "notes", "default")
    assert (await connections.overview(bob))["connections"] == {"whatsapp": False, "notes": False}
    assert (await connections.overview(ann))["connections"] == {"whatsapp": False, "notes": True}


async def test_the_overview_names_every_platform(connections: Connections, ann: Caller) -> None:
    await connections.connect(ann, "whatsapp", PHONE)
    await connections.connect(ann, "notes", {"token": "a token"}, "work")
    await connections.mark_needs_reconnect("cus_a", "notes", "work", "revoked")
    overview = await connections.overview(ann)
    assert (overview["customerId"], overview["connections"]) == ("cus_a", {"whatsapp": True, "notes": False})
    details = {detail["platform"]: detail for detail in overview["details"]}
    assert (details["notes"]["status"], details["notes"]["last_error"]) == ("needs_reconnect", "revoked")
    assert details["whatsapp"]["last_success_at"] is not None
    assert "EAAsecret" not in str(overview)


@pytest.mark.parametrize(
    ("customer", "grants", "plan", "error"),
    [
        ("cus_a", "*:read", "growth", NotGranted),
        ("cus_a", "notes:write", "growth", NotGranted),
        ("cus_a", "*:write", "free", NotGranted),
        (OPERATOR_ID, "*:read *:write", "enterprise", NotGranted),
    ],
)
async def test_who_may_not_connect_is_told_the_way_out(
    connections: Connections,
    make_caller: MakeCaller,
    redis: Redis,
    customer: str,
    grants: str,
    plan: str,
    error: type[HermesError],
) -> None:
    with pytest.raises(error) as caught:
        await connections.connect(make_caller(customer, grants, plan), "whatsapp", PHONE)
    assert any(way in caught.value.message for way in ("whatsapp:write", "set-plan", "/api/admin/customers/"))
    assert await redis.keys() == []


async def test_a_plan_that_shrank_does_not_keep_anyone_from_disconnecting(
    connections: Connections, make_caller: MakeCaller, ann: Caller
) -> None:
    await connections.connect(ann, "whatsapp", PHONE)
    unlinked = await connections.disconnect(make_caller("cus_a", plan="free"), "whatsapp")
    assert unlinked.account == "default"
    await connections.connect(ann, "whatsapp", PHONE)
    with pytest.raises(NotGranted):
        await connections.disconnect(make_caller("cus_a", "*:read"), "whatsapp")


async def test_unknown_platforms_and_labels_are_refused(connections: Connections, ann: Caller) -> None:
    with pytest.raises(NotFound, match="whatsapp, notes"):
        await connections.connect(ann, "myspace", {})
    with pytest.raises(NotFound):
        await connections.disconnect(ann, "myspace")
    for label in ("", "Work", "a b", "x" * 33, "a:b", "ü"):
        with pytest.raises(InvalidArguments, match="label"):
            await connections.connect(ann, "notes", {"token": "a token"}, label)


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({}, None),
        ({"PHONE_ACCESS_TOKEN": "EAAsecret-token", "PHONE_NUMBER_ID": "111"}, "connected"),
        ({"PHONE_ACCESS_TOKEN": "EAAsecret-token"}, "incomplete"),
    ],
)
async def test_in_single_user_mode_the_environments_accounts_are_listed(
    make_connections: Callable[[Settings], Connections],
    make_caller: MakeCaller,
    environ: dict[str, str],
    status: str | None,
) -> None:
    connections = make_connections(load_settings(environ, env_file=None))
    overview = await connections.overview(make_caller(OPERATOR_ID))
    assert overview["connections"] == {"whatsapp": status == "connected", "notes": False}
    assert [detail["status"] for detail in overview["details"]] == ([status] if status else [])
    assert "EAAsecret" not in str(overview)
