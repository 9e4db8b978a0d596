"""Setting a WhatsApp number up at Meta, and undoing it: each step as it stands, and what is done about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import update

from connections.conftest import RecordedAudit, a_caller
from connections.oauth_bench import KEY, bench_settings
from hermes.connections.defaults import DefaultAccounts
from hermes.connections.links import ConnectLinks
from hermes.connections.models import ConnectionRow
from hermes.connections.onboarding import Onboardings
from hermes.connections.probing import Prober
from hermes.connections.renewal_rows import RenewalRows
from hermes.connections.revocation import Revocation
from hermes.connections.service import Connections
from hermes.connections.store import CredentialStore
from hermes.connections.vendor import VendorClient
from hermes.crypto import Keyring
from hermes.errors import InvalidArguments, NeedsReconnect, NotFound, NotGranted, PlatformRejected, PlatformUnavailable
from hermes.identity.changes import CustomerChanges
from hermes.identity.versions import Versions
from hermes.net.upstream import Upstream
from hermes.platforms.ports import Ports
from hermes.sandbox.app import Sandbox
from hermes.sandbox.failures import Failure, FailureKind
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.server import RunningSandbox
from hermes.settings import Settings, load_settings
from hermes.storage.pace import Pace
from hermes.storage.redis import Redis
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

BUSINESS = "102290129340398"
HERE = "https://hermes.example.com"
ALL = ["token", "number", "name", "quality", "limit", "subscription", "webhook", "templates"]


def number(phone: str = "106540352242922", business: str = BUSINESS, word: str = "x") -> dict[str, str]:
    token = f"EAAsandbox-{phone}-{business}-{word}"
    return {"phoneNumberId": phone, "accessToken": token, "businessAccountId": business}


@dataclass
class Desk:
    """One server with its customers, and Meta."""

    connections: Connections
    sandbox: Sandbox
    origin: str
    database: Database
    settings: Settings
    audit: RecordedAudit

    async def link(self, customer_id: str = "cus_a", label: str = "default", **given: str) -> dict[str, Any]:
        """Link a number; returns its steps by id."""
        linked = await self.connections.connect(a_caller(customer_id), "whatsapp", number(**given), label)
        return by_id(linked.steps)

    async def unlink(self, customer_id: str = "cus_a", label: str | None = None) -> tuple[dict[str, Any], str | None]:
        unlinked = await self.connections.disconnect(a_caller(customer_id), "whatsapp", label)
        return by_id([step.as_dict() for step in unlinked.steps]), unlinked.left

    async def subscribed(self, **given: str) -> bool:
        """Whether Meta tells the app of what happens on the business account."""
        answer = await self._ask("GET", **given)
        return bool(answer["data"])

    async def unsubscribe(self, **given: str) -> None:
        assert (await self._ask("DELETE", **given))["success"]

    async def _ask(self, method: str, **given: str) -> dict[str, Any]:
        credential = number(**given)
        url = f"{self.origin}/whatsapp/v26.0/{credential['businessAccountId']}/subscribed_apps"
        headers = {"Authorization": f"Bearer {credential['accessToken']}"}
        async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as answer:
            return dict(await answer.json())

    def fail(self, kind: FailureKind, match: str, **more: Any) -> None:
        self.sandbox.failures.add(Failure(kind=kind, platform="whatsapp", match=match, times=None, **more))


def by_id(steps: Any) -> dict[str, Any]:
    return {step["id"]: step for step in steps}


def states(steps: dict[str, Any]) -> dict[str, str]:
    return {name: step["state"] for name, step in steps.items()}


@pytest.fixture
async def desk(database: Database, redis: Redis, tmp_path: Path) -> AsyncIterator[Desk]:
    options = SandboxOptions(webhook_urls={"whatsapp": f"{HERE}/webhook/whatsapp"})
    sandbox, upstream, keyring, audit = Sandbox(options), Upstream(), Keyring(KEY), RecordedAudit()
    async with RunningSandbox(sandbox.app) as running:
        settings, catalog = bench_settings(
            load_settings({"PUBLIC_URL": HERE}, env_file=None, data_dir=tmp_path), running.origin
        )
        store = CredentialStore(database, redis, keyring)
        prober = Prober(upstream, settings, Ports(message_statuses=None, leases=None, media=None))  # type: ignore[arg-type]  # not used here
        vendor = VendorClient(upstream, settings, Pace(redis))
        connections = Connections(
            catalog,
            store,
            prober,
            audit,
            settings,
            DefaultAccounts(database, CustomerChanges(database, Versions(redis))),
            ConnectLinks(keyring, settings.public_url),
            plan_includes=lambda _caller, _platform: True,
            revocation=Revocation(store, RenewalRows(database), vendor),
            onboardings=Onboardings(database, store, prober),
        )
        yield Desk(connections, sandbox, running.origin, database, settings, audit)
    await upstream.close()


async def test_a_number_with_everything_is_set_up_to_its_end(desk: Desk) -> None:
    await desk.unsubscribe()
    steps = await desk.link()
    assert states(steps) == dict.fromkeys(ALL, "done")
    assert await desk.subscribed()
    assert "1,000 people" in steps["limit"]["detail"]
    assert "message_template_status_update, messages" in steps["webhook"]["detail"]
    assert steps["templates"]["detail"].endswith("are approved.")
    overview = await desk.connections.overview(a_caller("cus_a"))
    (detail,) = overview["details"]
    assert by_id(detail["steps"]) == steps
    assert "EAAsandbox" not in str(overview)


async def test_looking_again_does_no_harm_and_sees_what_changed(desk: Desk) -> None:
    first = await desk.link()
    for _ in range(2):
        label, again = await desk.connections.check_steps(a_caller("cus_a"), "whatsapp")
        assert (label, by_id([step.as_dict() for step in again])) == ("default", first)
    desk.sandbox.services["whatsapp"].webhook_fields = ["message_template_status_update"]  # type: ignore[attr-defined]  # WhatsApp's
    _label, later = await desk.connections.check_steps(a_caller("cus_a"), "whatsapp")
    assert states(by_id([step.as_dict() for step in later]))["webhook"] == "missing"
    (shown,) = await desk.connections.list("cus_a")
    assert [step["id"] for step in shown.to_do] == ["webhook"]
    assert f"{HERE}/webhook/whatsapp" in shown.to_do[0]["remedy"]
    (detail,) = (await desk.connections.overview(a_caller("cus_a")))["details"]
    assert [(one["kind"], "messages" in one["message"]) for one in detail["missing"]] == [("step", True)]


async def test_what_meta_does_not_like_is_said_with_what_to_do(desk: Desk) -> None:
    steps = await desk.link(phone="1065403520666", business="1022901290666", word="nomessaging")
    assert states(steps) == {
        "token": "missing",
        "number": "missing",
        "name": "missing",
        "quality": "missing",
        "limit": "done",
        "subscription": "done",
        "webhook": "done",
        "templates": "missing",
    }
    assert "whatsapp_business_messaging" in steps["token"]["detail"]
    assert "Choose another display name" in steps["number"]["detail"]
    assert all(step["remedy"] for step in steps.values() if step["state"] == "missing")
    (shown,) = await desk.connections.list("cus_a")
    assert shown.usable, "a number that lacks something is linked all the same"


@pytest.mark.parametrize(
    ("match", "kind", "more", "lost"),
    [
        ("subscribed_apps", FailureKind.SERVER_ERROR, {"status": 500}, {"subscription": "unknown"}),
        (
            "subscribed_apps",
            FailureKind.ANSWER,
            {"status": 403, "body": {"error": {"code": 200, "message": "Permissions error"}}},
            {"subscription": "missing"},
        ),
        ("debug_token", FailureKind.MALFORMED, {}, {"token": "unknown", "webhook": "unknown"}),
        ("message_templates", FailureKind.CUT_AFTER, {}, {"templates": "unknown"}),
        ("message_templates", FailureKind.ANSWER, {"status": 200, "body": {"data": []}}, {"templates": "missing"}),
        (
            "subscriptions",
            FailureKind.ANSWER,
            {"status": 400, "body": {"error": {"code": 190, "message": "Invalid OAuth access token signature."}}},
            {"webhook": "missing"},
        ),
        ("subscriptions", FailureKind.ANSWER, {"status": 200, "body": {"data": []}}, {"webhook": "missing"}),
    ],
)
async def test_a_step_that_fails_loses_nothing_but_itself(
    desk: Desk, match: str, kind: FailureKind, more: dict[str, Any], lost: dict[str, str]
) -> None:
    desk.fail(kind, match, **more)
    steps = await desk.link()
    assert states(steps) == dict.fromkeys(ALL, "done") | lost
    (shown,) = await desk.connections.list("cus_a")
    assert shown.status == "connected"
    desk.sandbox.failures.remove()
    _label, again = await desk.connections.check_steps(a_caller("cus_a"), "whatsapp")
    assert {step.state for step in again} == {"done"}


async def test_a_token_that_is_of_no_use_is_not_linked(desk: Desk) -> None:
    for word in ("nomanagement", "revoked"):
        with pytest.raises(PlatformRejected):
            await desk.link(word=word)
    assert await desk.connections.list("cus_a") == []


async def test_numbers_that_were_left_open_are_listed_up_to_fifty_and_nothing_is_kept(desk: Desk) -> None:
    given = number(word="severalnumbers150")
    with pytest.raises(InvalidArguments, match="and 100 more") as several:
        await desk.connections.connect(a_caller("cus_a"), "whatsapp", {**given, "phoneNumberId": None})
    listed = several.value.data["choices"]
    assert (len(listed), listed[0]["id"]) == (50, given["phoneNumberId"])
    assert "EAAsandbox" not in str(several.value.data)
    assert await desk.connections.list("cus_a") == []
    assert desk.audit.lines == [("cus_a", "connection.connect", "whatsapp", "default", "error")]
    linked = await desk.connections.connect(
        a_caller("cus_a"), "whatsapp", {**given, "phoneNumberId": listed[49]["id"]}, "work"
    )
    assert (linked.external_id, linked.display_name) == (listed[49]["id"], "Sandbox business")


async def test_who_may_not_link_has_nobody_asked(desk: Desk) -> None:
    rest = {name: value for name, value in number(word="severalnumbers").items() if name != "phoneNumberId"}
    with pytest.raises(NotGranted):
        await desk.connections.connect(a_caller("cus_a", "*:read"), "whatsapp", rest)
    assert desk.audit.lines == []
    desk.fail("server_error", "phone_numbers")
    with pytest.raises(PlatformUnavailable):
        await desk.connections.connect(a_caller("cus_a"), "whatsapp", rest)
    assert await desk.connections.list("cus_a") == []


async def test_unlinking_undoes_each_step_and_says_what_is_left(desk: Desk) -> None:
    await desk.link()
    steps, left = await desk.unlink()
    assert states(steps) == {"subscription": "done", "claim": "done", "credential": "done", "access": "missing"}
    assert left is not None
    assert "System users" in left
    assert not await desk.subscribed()
    assert await desk.link("cus_b")
    assert await desk.subscribed()


async def test_the_app_stays_where_another_customers_number_needs_it(desk: Desk) -> None:
    await desk.link()
    await desk.link("cus_b", phone="106540352242923", word="y")
    steps, left = await desk.unlink()
    assert states(steps)["subscription"] == "kept"
    assert "cus_b" not in str(steps) + str(left)
    assert await desk.subscribed()
    steps, _left = await desk.unlink("cus_b")
    assert states(steps)["subscription"] == "done"
    assert not await desk.subscribed()


async def test_the_app_stays_where_an_account_of_old_may_need_it(desk: Desk) -> None:
    await desk.link()
    await desk.link("cus_b", phone="106540352242923", word="y")
    async with desk.database.session() as session:
        await session.execute(
            update(ConnectionRow).where(ConnectionRow.customer_id == "cus_b").values(shared_id=None, steps=None)
        )
    steps, _left = await desk.unlink()
    assert states(steps)["subscription"] == "kept"
    assert await desk.subscribed()


async def test_an_account_of_old_leaves_the_app_where_others_may_need_it(desk: Desk) -> None:
    await desk.link()
    await desk.link("cus_b", phone="106540352242923", word="y")
    async with desk.database.session() as session:
        await session.execute(update(ConnectionRow).where(ConnectionRow.customer_id == "cus_a").values(shared_id=None))
    steps, _left = await desk.unlink()
    assert states(steps)["subscription"] == "kept"
    assert await desk.subscribed()


async def test_a_number_of_another_business_account_in_its_place_takes_the_app_off_the_first(desk: Desk) -> None:
    other = {"phone": "106540352242923", "business": "102290129340399", "word": "y"}
    await desk.link()
    steps = await desk.link(**other)
    assert states(steps) == dict.fromkeys(ALL, "done")
    assert not await desk.subscribed()
    assert await desk.subscribed(**other)
    await desk.link(**other)
    assert await desk.subscribed(**other), "the same again takes nothing off"


async def test_another_business_accounts_number_keeps_nothing(desk: Desk) -> None:
    await desk.link()
    await desk.link("cus_b", phone="106540352242923", business="102290129340399", word="y")
    steps, _left = await desk.unlink()
    assert states(steps)["subscription"] == "done"
    assert await desk.subscribed(phone="106540352242923", business="102290129340399", word="y")


async def test_what_meta_does_not_let_be_undone_is_said(desk: Desk) -> None:
    await desk.link()
    desk.fail(FailureKind.SERVER_ERROR, "subscribed_apps", status=500)
    steps, left = await desk.unlink()
    assert states(steps) == {"subscription": "missing", "claim": "done", "credential": "done", "access": "missing"}
    assert left is not None
    assert "Remove the app" in left
    assert await desk.connections.list("cus_a") == []


async def test_only_who_may_looks_again(desk: Desk) -> None:
    await desk.link()
    with pytest.raises(NotFound):
        await desk.connections.check_steps(a_caller("cus_b"), "whatsapp")
    with pytest.raises(NotGranted):
        await desk.connections.check_steps(a_caller("cus_a", "whatsapp:read"), "whatsapp")
    await desk.link(label="second", phone="106540352242923", word="y")
    with pytest.raises(InvalidArguments, match="second"):
        await desk.connections.check_steps(a_caller("cus_a"), "whatsapp")
    await desk.connections.mark_needs_reconnect("cus_a", "whatsapp", "second", "gone")
    with pytest.raises(NeedsReconnect):
        await desk.connections.check_steps(a_caller("cus_a"), "whatsapp", "second")
