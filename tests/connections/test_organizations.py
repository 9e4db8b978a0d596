"""Signing in at LinkedIn's stand-in, and choosing whom posts are made as: oneself, or a company page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from conftest import RedisServer
from connections.sign_in_bench import SignInBench, open_sign_in_bench, person
from hermes.connections.models import Connection
from hermes.connections.second_step import ToChoose
from hermes.connections.sign_in import SignInRefused
from hermes.errors import HermesError
from hermes.sandbox.failures import Failure, FailureKind
from hermes.storage.redis import Redis
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

SCOPES = {"w_organization_social", "rw_organization_admin"}
WAITS = ToChoose("linkedin", "default")


@pytest.fixture
def switch() -> str:
    """Whether the operator's app may ask for organizations."""
    return "true"


@pytest.fixture
async def bench(
    database: Database, redis: Redis, valkey: RedisServer, tmp_path: Path, switch: str
) -> AsyncIterator[SignInBench]:
    async with open_sign_in_bench(database, redis, valkey.url, tmp_path, LINKEDIN_ORGANIZATIONS=switch) as opened:
        yield opened


def fail(bench: SignInBench, match: str, status: int, body: Any = None) -> None:
    switch = Failure(kind=FailureKind.ANSWER, platform="linkedin", match=match, status=status, body=body, times=None)
    bench.bench.sandbox.failures.add(switch)


def asked(bench: SignInBench, path: str) -> int:
    return sum(path in request.path for request in bench.bench.sandbox.recorder.requests())


async def choose(bench: SignInBench, choice: str, label: str = "default", name: str = "alex") -> Connection:
    assert await bench.sign_in("linkedin", "linkedin", name, label) == ToChoose("linkedin", label)
    return await bench.choosing.choose(person(), "linkedin", label, choice)


@pytest.mark.parametrize("switch", ["false"])
async def test_without_the_setting_nobody_is_asked_for_more(bench: SignInBench) -> None:
    location = await bench.sign_ins.begin(person(), "linkedin")
    assert not SCOPES & set(dict(parse_qsl(urlsplit(location).query))["scope"].split())
    linked = await bench.sign_ins.finish(person(), "linkedin", await bench.allow(location))
    assert isinstance(linked, Connection)
    assert asked(bench, "/rest/") == 0
    assert (await bench.bench.credential("cus_a", "linkedin")).get("organization_id") is None


async def test_a_page_is_chosen_from_those_that_one_may_post_for(bench: SignInBench) -> None:
    location = await bench.sign_ins.begin(person(), "linkedin")
    assert set(dict(parse_qsl(urlsplit(location).query))["scope"].split()) > SCOPES
    assert await bench.sign_ins.finish(person(), "linkedin", await bench.allow(location)) == WAITS
    (shown,) = await bench.connections.list("cus_a")
    assert (shown.status, shown.usable) == ("incomplete", False)
    member, *pages = await bench.choosing.choices(person(), "linkedin", "default")
    assert member.name.endswith("(yourself)")
    assert [(one.id, one.name) for one in pages] == [
        ("1337", "Sandbox Company 1337"),
        ("2414183", "Sandbox Company 2414183"),
    ]
    linked = await bench.choosing.choose(person(), "linkedin", "default", "2414183")
    assert (linked.status, linked.external_id) == ("connected", "urn:li:organization:2414183")
    assert linked.display_name == "Sandbox Company 2414183"
    assert (await bench.bench.credential("cus_a", "linkedin"))["organization_id"] == "2414183"
    tools = {tool for item in bench.connections.needs(linked)["missing"] for tool in item["tools"]}
    assert tools == {"linkedin_search_connections"}, "which is for partners"


async def test_a_person_and_their_page_stand_beside_each_other(bench: SignInBench) -> None:
    await choose(bench, "member")
    await choose(bench, "1337", "company")
    page, member = sorted(await bench.connections.list("cus_a"), key=lambda one: one.label)
    assert (page.label, page.external_id) == ("company", "urn:li:organization:1337")
    assert member.external_id is not None
    assert member.external_id.startswith("S")
    assert member.display_name is not None
    assert member.display_name.startswith("Sandbox Member")
    assert (await bench.bench.redis.keys("connect_choice:*")) == []


async def test_all_pages_of_the_list_are_read(bench: SignInBench) -> None:
    await bench.sign_in("linkedin", "linkedin", "manypages")
    choices = await bench.choosing.choices(person(), "linkedin", "default")
    assert [one.id for one in choices] == ["member", *(str(9000 + number) for number in range(130))]
    assert asked(bench, "/rest/organizationAcls") == 2


async def test_who_may_post_for_no_page_is_not_asked(bench: SignInBench) -> None:
    linked = await bench.sign_in("linkedin", "linkedin", "nopages")
    assert isinstance(linked, Connection)
    assert (linked.status, (linked.external_id or "")[:1]) == ("connected", "S")


async def test_who_left_the_permissions_out_is_not_asked(bench: SignInBench) -> None:
    granted = {"access_token": "AQVperson-alex", "expires_in": 60, "scope": "openid,profile,w_member_social"}
    fail(bench, "oauth/v2/accessToken", 200, granted)
    linked = await bench.sign_in("linkedin", "linkedin")
    assert isinstance(linked, Connection)
    assert linked.scopes == ("openid", "profile", "w_member_social")
    assert asked(bench, "/rest/") == 0


@pytest.mark.parametrize("status", [400, 403, 404, 426])
async def test_a_question_that_is_not_allowed_does_not_lose_the_sign_in(bench: SignInBench, status: int) -> None:
    fail(bench, "organizationAcls", status, {"status": status, "message": "Not enough permissions to access"})
    linked = await bench.sign_in("linkedin", "linkedin")
    assert isinstance(linked, Connection)
    assert (linked.status, (linked.external_id or "")[:1]) == ("connected", "S")


@pytest.mark.parametrize(("status", "body"), [(503, {}), (200, {"elements": None}), (200, [])])
async def test_a_question_that_is_not_answered_links_nothing(bench: SignInBench, status: int, body: Any) -> None:
    fail(bench, "organizationAcls", status, body)
    with pytest.raises(HermesError):
        await bench.sign_in("linkedin", "linkedin")
    assert await bench.connections.list("cus_a") == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"status": 400}),
        (403, {"status": 403}),
        (200, {"results": {"1337": {"localizedName": 5}}}),
        (200, {"results": []}),
    ],
)
async def test_a_page_whose_name_is_not_told_is_called_by_its_id(bench: SignInBench, status: int, body: Any) -> None:
    fail(bench, "organizationsLookup", status, body)
    linked = await choose(bench, "1337")
    assert (linked.status, linked.display_name) == ("connected", "Organization 1337")


async def test_roles_that_are_not_understood_offer_nothing(bench: SignInBench) -> None:
    odd = [
        7,
        {"role": "ADMINISTRATOR", "state": "APPROVED"},
        {"role": "ADMINISTRATOR", "state": "APPROVED", "organization": "urn:li:organization:x"},
        {"role": "ADMINISTRATOR", "state": "APPROVED", "organization": "urn:li:organizationBrand:1"},
        {"role": "ADMINISTRATOR", "organization": "urn:li:organization:1"},
        {"role": "OWNER", "state": "APPROVED", "organization": "urn:li:organization:1"},
    ]
    fail(bench, "organizationAcls", 200, {"elements": odd, "paging": {"start": 0, "count": 100, "links": []}})
    assert isinstance(await bench.sign_in("linkedin", "linkedin"), Connection)


async def test_an_app_without_the_product_is_refused_in_words(bench: SignInBench) -> None:
    desk = bench.bench.desk("linkedin")
    desk.rules = replace(desk.rules, scopes=desk.rules.scopes - SCOPES)
    location = await bench.sign_ins.begin(person(), "linkedin")
    answer = await bench.refused(location)
    assert answer["error"] == "unauthorized_scope_error"
    with pytest.raises(SignInRefused, match="unauthorized_scope_error"):
        await bench.sign_ins.finish(person(), "linkedin", answer)


async def test_the_page_outlives_renewals(bench: SignInBench) -> None:
    await choose(bench, "1337", name="partner")
    bench.bench.advance(days=55)
    await bench.bench.replicas[0].renewals.renew((await bench.bench.row("cus_a", "linkedin")).id)
    renewed = await bench.bench.credential("cus_a", "linkedin")
    assert renewed["organization_id"] == "1337"
    assert bench.bench.desk("linkedin").tokens[renewed["access_token"]].grant.renewed == 1
