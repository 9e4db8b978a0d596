"""Signing in at each vendor's stand-in: linked, used, and every way in which it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from conftest import RedisServer
from connections.sign_in_bench import SignInBench, open_sign_in_bench, person
from hermes.connections.models import Connection
from hermes.connections.second_step import NotLinked, ToChoose
from hermes.connections.sign_in import SignInOfAnother, SignInRefused
from hermes.errors import HermesError, NotConnected, NotFound, NotGranted
from hermes.identity.caller import Caller
from hermes.sandbox.failures import Failure, FailureKind
from hermes.storage.redis import Redis
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

WAYS = [
    ("discord", "discord"),
    ("email", "gmail"),
    ("email", "outlook"),
    ("facebook", "facebook"),
    ("instagram", "instagram"),
    ("linkedin", "linkedin"),
    ("snapchat", "snapchat"),
    ("tiktok", "tiktok"),
    ("twitter", "twitter"),
]


@pytest.fixture
async def bench(database: Database, redis: Redis, valkey: RedisServer, tmp_path: Path) -> AsyncIterator[SignInBench]:
    async with open_sign_in_bench(database, redis, valkey.url, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(("platform", "provider"), WAYS, ids=[provider for _, provider in WAYS])
async def test_an_account_is_linked_by_signing_in(bench: SignInBench, platform: str, provider: str) -> None:
    linked = await bench.sign_in(platform, provider)
    assert isinstance(linked, Connection)
    assert (linked.platform, linked.label, linked.status) == (platform, "default", "connected")
    row = await bench.bench.row("cus_a", platform)
    assert row.provider == provider
    assert (row.renew_at is None) == (platform == "linkedin")
    assert await bench.bench.redis.get(f"creds:cus_a:{platform}") == row.ciphertext
    assert bench.audit.lines == [("cus_a", "connection.connect", platform, "default", "success")]
    again = await bench.sign_in(platform, provider)
    assert isinstance(again, Connection)
    assert again.external_id == linked.external_id, "the same person has the same account"


@pytest.mark.parametrize(("platform", "provider"), WAYS, ids=[provider for _, provider in WAYS])
async def test_who_says_no_is_told_what_to_do(bench: SignInBench, platform: str, provider: str) -> None:
    location = await bench.sign_ins.begin(person(), platform, provider)
    answer = await bench.allow(location, decision="deny")
    assert "code" not in answer
    with pytest.raises(SignInRefused, match="begin again") as raised:
        await bench.sign_ins.finish(person(), platform, answer)
    assert raised.value.said_no
    assert await bench.connections.list("cus_a") == []
    assert bench.audit.lines == [("cus_a", "connection.connect", platform, "default", "denied")]


Change = Callable[[SignInBench, dict[str, str]], Any]


@pytest.mark.parametrize(
    ("who", "platform", "change"),
    [
        (person("cus_b"), "twitter", None),
        (person(session="ses_2"), "twitter", None),
        (person(), "tiktok", None),
        (person(), "twitter", {"state": "x" * 43}),
        (person(), "twitter", {"state": ""}),
        (person(), "twitter", {"state": "x" * 100_000}),
        (person(), "twitter", {"code": "not-a-code"}),
        (person(), "twitter", {"code": "x" * 10_000}),
        (person(), "twitter", {"code": ""}),
    ],
    ids=["stranger", "session", "platform", "state", "no-state", "long-state", "code", "long-code", "no-code"],
)
async def test_an_answer_counts_only_for_whom_and_what_it_was_begun(
    bench: SignInBench, who: Caller, platform: str, change: dict[str, str] | None
) -> None:
    location = await bench.sign_ins.begin(person(), "twitter")
    answer = {**await bench.allow(location), **(change or {})}
    with pytest.raises(SignInRefused):
        await bench.sign_ins.finish(who, platform, answer)
    assert await bench.connections.list("cus_a") == []
    assert await bench.connections.list("cus_b") == []


async def test_a_stolen_answer_is_left_in_the_trail_of_who_began_and_ends_the_sign_in(bench: SignInBench) -> None:
    answer = await bench.allow(await bench.sign_ins.begin(person(), "twitter", label="work"))
    with pytest.raises(SignInOfAnother, match="another person") as raised:
        await bench.sign_ins.finish(person("cus_b"), "twitter", answer)
    assert raised.value.status == 403
    assert bench.audit.lines == [("cus_a", "connection.connect", "twitter", "work", "denied")]
    with pytest.raises(SignInRefused, match="answered before"):
        await bench.sign_ins.finish(person(), "twitter", answer)


async def test_an_answer_in_another_browser_of_the_same_person_is_left_in_the_trail(bench: SignInBench) -> None:
    answer = await bench.allow(await bench.sign_ins.begin(person(), "twitter"))
    with pytest.raises(SignInRefused, match="another browser"):
        await bench.sign_ins.finish(person(session="ses_2"), "twitter", answer)
    assert bench.audit.lines == [("cus_a", "connection.connect", "twitter", "default", "denied")]


async def test_an_answer_counts_once(bench: SignInBench) -> None:
    answer = await bench.allow(await bench.sign_ins.begin(person(), "snapchat"))
    results = await asyncio.gather(
        *(bench.sign_ins.finish(person(), "snapchat", answer) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(one, Connection) for one in results) == 1
    assert sum(isinstance(one, SignInRefused) for one in results) == 4


async def test_a_sign_in_lasts_ten_minutes_and_its_state_shows_nothing(bench: SignInBench) -> None:
    location = await bench.sign_ins.begin(person(), "twitter")
    (name,) = await bench.bench.redis.keys("connect_state:*")
    state = dict(parse_qsl(urlsplit(location).query))["state"]
    assert state not in name
    assert "cus_a" not in state
    assert 590 <= await bench.bench.redis.ttl(name) <= 600
    sealed = await bench.bench.redis.get(name)
    assert "twitter" not in sealed
    await bench.bench.redis.delete(name)  # as when its time is over
    with pytest.raises(SignInRefused, match="ten minutes"):
        await bench.sign_ins.finish(person(), "twitter", await bench.allow(location))


async def test_every_sign_in_has_a_state_and_a_challenge_of_its_own(bench: SignInBench) -> None:
    seen = [dict(parse_qsl(urlsplit(await bench.sign_ins.begin(person(), "twitter")).query)) for _ in range(20)]
    assert len({one["state"] for one in seen}) == len({one["code_challenge"] for one in seen}) == 20
    assert all(len(one["state"]) >= 43 and one["code_challenge_method"] == "S256" for one in seen)


@pytest.mark.parametrize(
    "failure",
    [
        {"kind": FailureKind.SERVER_ERROR, "status": 500},
        {"kind": FailureKind.CUT_AFTER},
        {"kind": FailureKind.MALFORMED},
        {"kind": FailureKind.ANSWER, "status": 200, "body": {"access_token": ""}},
        {"kind": FailureKind.ANSWER, "status": 200, "body": []},
        {"kind": FailureKind.RATE_LIMIT, "retry_after": 5},
    ],
    ids=["500", "cut", "malformed", "no-token", "list", "429"],
)
async def test_a_vendor_that_fails_links_nothing(bench: SignInBench, failure: dict[str, Any]) -> None:
    answer = await bench.allow(await bench.sign_ins.begin(person(), "tiktok"))
    bench.bench.sandbox.failures.add(Failure(platform="tiktok", match="oauth/token", times=None, **failure))
    with pytest.raises(HermesError):
        await bench.sign_ins.finish(person(), "tiktok", answer)
    assert await bench.connections.list("cus_a") == []


async def test_only_what_can_be_signed_in_to_is(bench: SignInBench) -> None:
    with pytest.raises(NotFound):
        await bench.sign_ins.begin(person(), "telegram")
    with pytest.raises(NotFound, match="gmail"):
        await bench.sign_ins.begin(person(), "email", "yahoo")
    with pytest.raises(NotGranted):
        await bench.sign_ins.begin(replace(person(), plan="free"), "twitter")
    bench.bench.settings.environ.pop("TWITTER_CLIENT_SECRET")  # type: ignore[attr-defined]  # the bench's own
    with pytest.raises(NotConnected, match="TWITTER_CLIENT_SECRET"):
        await bench.sign_ins.begin(person(), "twitter")


async def test_one_of_several_pages_is_chosen(bench: SignInBench) -> None:
    pending = await bench.sign_in("facebook", "facebook", "manypages")
    assert pending == ToChoose("facebook", "default")
    (shown,) = await bench.connections.list("cus_a")
    assert (shown.status, shown.usable) == ("incomplete", False)
    choices = await bench.choosing.choices(person(), "facebook", "default")
    assert len(choices) == 3
    assert await bench.choosing.choices(person("cus_b"), "facebook", "default") == []
    with pytest.raises(NotLinked):
        await bench.choosing.choose(person("cus_b"), "facebook", "default", choices[1].id)
    with pytest.raises(NotLinked):
        await bench.choosing.choose(person(), "facebook", "default", "4711")
    linked = await bench.choosing.choose(person(), "facebook", "default", choices[1].id)
    assert (linked.status, linked.external_id) == ("connected", choices[1].id)
    assert await bench.choosing.choices(person(), "facebook", "default") == []


async def test_one_of_several_ad_accounts_is_chosen_and_outlives_renewals(bench: SignInBench) -> None:
    assert await bench.sign_in("snapchat", "snapchat", "several") == ToChoose("snapchat", "default")
    first, second = await bench.choosing.choices(person(), "snapchat", "default")
    assert "Sandbox organization" in first.name
    linked = await bench.choosing.choose(person(), "snapchat", "default", second.id)
    assert linked.status == "connected"
    assert (await bench.bench.credential("cus_a", "snapchat"))["ad_account_id"] == second.id
    replica = bench.bench.replicas[0]
    bench.bench.advance(minutes=59)
    await replica.renewals.renew((await bench.bench.row("cus_a", "snapchat")).id)
    renewed = await bench.bench.credential("cus_a", "snapchat")
    assert (renewed["ad_account_id"], bench.bench.desk("snapchat").tokens[renewed["access_token"]].grant.renewed) == (
        second.id,
        1,
    )
    # Another choice later: the same sign-in, answered otherwise.
    await bench.sign_in("snapchat", "snapchat", "several")
    await bench.choosing.choose(person(), "snapchat", "default", first.id)
    assert (await bench.bench.credential("cus_a", "snapchat"))["ad_account_id"] == first.id


async def test_the_only_ad_account_is_taken_and_who_has_none_is_linked_without(bench: SignInBench) -> None:
    assert isinstance(await bench.sign_in("snapchat", "snapchat"), Connection)
    assert (await bench.bench.credential("cus_a", "snapchat"))["ad_account_id"] is not None
    nothing = {"request_status": "SUCCESS", "request_id": "1", "organizations": []}
    bench.bench.sandbox.failures.add(
        Failure(kind=FailureKind.ANSWER, platform="snapchat", match="organizations", status=200, body=nothing)
    )
    assert isinstance(await bench.sign_in("snapchat", "snapchat", label="second"), Connection)


async def test_a_choice_left_open_leaves_a_working_account_alone(bench: SignInBench) -> None:
    linked = await bench.sign_in("facebook", "facebook")
    assert isinstance(linked, Connection)
    assert isinstance(await bench.sign_in("facebook", "facebook", "manypages"), ToChoose)
    (still,) = await bench.connections.list("cus_a")
    assert (still.status, still.external_id) == ("connected", linked.external_id)


@pytest.mark.parametrize(("platform", "provider"), WAYS, ids=[provider for _, provider in WAYS])
async def test_unlinking_ends_the_access_at_the_vendor_or_says_how_to(
    bench: SignInBench, platform: str, provider: str
) -> None:
    await bench.sign_in(platform, provider)
    desk = next(desk for desk in bench.bench.sandbox.services[platform].desks if desk.rules.provider == provider)
    unlinked = await bench.connections.disconnect(person(), platform)
    ended = {issued.grant.ended for issued in desk.tokens.values()}
    revocable = provider not in ("instagram", "outlook", "snapchat")
    assert (unlinked.revoked, ended) == (revocable, {revocable})
    assert (unlinked.left is None) == revocable
    row = await bench.bench.row("cus_a", platform)
    assert (row.status, row.ciphertext, row.provider) == ("disconnected", None, None)
    assert await bench.bench.redis.get(f"creds:cus_a:{platform}") is None


async def test_unlinking_goes_on_when_the_vendor_does_not_answer_and_spares_other_accounts(bench: SignInBench) -> None:
    await bench.sign_in("twitter", "twitter")
    await bench.sign_in("twitter", "twitter", label="second")
    first = await bench.connections.disconnect(person(), "twitter", "second")
    assert (first.revoked, first.account) == (False, "second")
    assert "other X accounts" in (first.left or "")
    bench.bench.sandbox.failures.add(Failure(kind=FailureKind.SERVER_ERROR, platform="twitter", times=None))
    last = await bench.connections.disconnect(person(), "twitter")
    assert (last.revoked, last.account) == (False, "default")
    assert "Connected apps" in (last.left or "")
    assert await bench.connections.list("cus_a") == []


async def test_who_may_post_to_no_page_is_told_so(bench: SignInBench) -> None:
    with pytest.raises(SignInRefused, match="pages/create"):
        await bench.sign_in("facebook", "facebook", "nopages")
    assert await bench.connections.list("cus_a") == []
