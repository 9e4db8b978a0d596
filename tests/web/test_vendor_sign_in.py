"""In a real browser, against the sandbox: linked by signing in, used, expired, renewed, revoked and linked again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from ephemeral_port_reserve import reserve
from playwright.async_api import Browser, Page
from pydantic import SecretStr
from sqlalchemy import URL, func, select

from conftest import RedisServer, empty_redis, unfilled_database
from connections.oauth_bench import Time
from hermes.app import House, build_house
from hermes.asgi import App
from hermes.connections.renewal_rows import RenewalRows
from hermes.connections.telling import Telling
from hermes.events.models import EventRow, MailRow
from hermes.platforms.catalog import load_catalog
from hermes.platforms.email.stand_in import SandboxOpener
from hermes.sandbox.app import Sandbox
from hermes.sandbox.oauth import OAuthDesk
from hermes.sandbox.server import RunningSandbox
from hermes.sandbox_mode import on_sandbox
from hermes.settings import load_settings
from hermes.storage.stores import Stores

pytestmark = [pytest.mark.storage, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="session")]

WAYS = {
    "discord": ("discord", "/api/discord/guilds"),
    "facebook": ("facebook", "/api/facebook/page"),
    "gmail": ("email", "/api/email/profile"),
    "instagram": ("instagram", "/api/instagram/profile"),
    "linkedin": ("linkedin", "/api/linkedin/profile"),
    "outlook": ("email", "/api/email/profile"),
    "snapchat": ("snapchat", "/api/snapchat/ad-accounts"),
    "tiktok": ("tiktok", "/api/tiktok/profile"),
    "twitter": ("twitter", "/api/twitter/profile"),
}
"""Where the person signs in → the platform, and a tool that only reads."""

LONG_LIVED = ("facebook", "instagram", "linkedin")
"""Their access tokens live for sixty days, and are renewed in the background before that."""


@dataclass
class Visit:
    """A person with a browser, and their assistant with a key."""

    house: House
    sandbox: Sandbox
    page: Page
    http: httpx2.AsyncClient
    origin: str
    customer_id: str

    async def start(self, provider: str) -> None:
        platform = WAYS[provider][0]
        path = "/auth/tiktok/start" if provider == "tiktok" else f"/api/connect/{platform}/start?provider={provider}"
        await self.page.goto(f"{self.origin}{path}")
        assert self.page.url.startswith(self.house.sandbox_origin or "-"), "at the vendor"

    async def sign_in(self, provider: str, person: str | None = None) -> None:
        await self.start(provider)
        # Of LinkedIn's apps only those of partners get refresh tokens.
        await self.page.get_by_label("You are").fill(person or ("partner" if provider == "linkedin" else "alex"))
        await self.page.get_by_role("button", name="Allow").click()
        await self.page.wait_for_url(f"{self.origin}/connect/**")
        assert f"/connect/{WAYS[provider][0]}?connected=default" in self.page.url

    async def call(self, provider: str) -> tuple[int, dict[str, Any]]:
        answer = await self.http.get(WAYS[provider][1])
        return answer.status_code, answer.json()

    async def log_out_of_mail(self) -> None:
        """A mailbox's session goes on with the token that it began with."""
        opener = self.house.catalog.platforms["email"].open
        assert isinstance(opener, SandboxOpener)
        await opener.end_sessions()

    def desk(self, provider: str) -> OAuthDesk:
        desks = self.sandbox.services[WAYS[provider][0]].desks
        return next(desk for desk in desks if desk.rules.provider == provider)

    async def expire(self, provider: str) -> None:
        """The access token comes to its end: sooner than it said, or, where it lives long, in its own time."""
        if provider not in LONG_LIVED:
            for issued in self.desk(provider).tokens.values():
                if not issued.refresh:
                    issued.expires = 0.0
            await self.log_out_of_mail()
            return
        before = self.renewals(provider)
        await self.pass_days(54)
        assert self.renewals(provider) == before + 1, "in time"
        await self.pass_days(10)

    def renewals(self, provider: str) -> int:
        """How often the vendor gave new tokens in the place of others."""
        return sum({id(one.grant): one.grant.renewed for one in self.desk(provider).tokens.values()}.values())

    async def pass_days(self, days: int) -> None:
        """Time goes by, and the worker does what is due then."""
        self.sandbox.clock.advance(timedelta(days=days).total_seconds())
        rows, now = self.rows(), Time(self.sandbox)()
        for connection_id, _provider in await rows.claim_due(now, 10):
            await self.house.renewals.renew(connection_id)
        while await rows.announce_ends(now, 10):
            pass

    def rows(self) -> RenewalRows:
        titles = {platform.id: platform.title for platform in self.house.catalog}
        return RenewalRows(self.house.stores.database, Telling(titles, self.origin, self.house.mail))

    async def told(self) -> tuple[list[str], int]:
        """What happened to the customer's accounts, and how many mails were written about it."""
        mails = select(func.count()).select_from(MailRow).where(MailRow.kind == "connection")
        async with self.house.stores.database.reading() as session:
            events = await session.execute(select(EventRow.type).where(EventRow.customer_id == self.customer_id))
            return list(events.scalars()), (await session.execute(mails)).scalar_one()

    async def status(self, provider: str) -> str:
        overview = (await self.http.get("/api/connections")).json()
        (detail,) = [one for one in overview["details"] if one["platform"] == WAYS[provider][0]]
        return str(detail["status"])


async def close_contexts(browser: Browser) -> None:
    """Nothing of a test's people is left to the next one."""
    await asyncio.gather(*(context.close() for context in browser.contexts))


@pytest_asyncio.fixture(loop_scope="session")
async def visit(valkey: RedisServer, schema: URL, browser: Browser, tmp_path: Path) -> AsyncIterator[Visit]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(empty_redis(valkey))
        database = await stack.enter_async_context(unfilled_database(schema, tmp_path))
        sandbox = Sandbox()
        vendors = await stack.enter_async_context(RunningSandbox(sandbox.app))
        port = reserve()
        origin = f"http://127.0.0.1:{port}"
        catalog = load_catalog()
        given = {
            "PUBLIC_URL": origin,
            "DATA_DIR": str(tmp_path),
            "CREDENTIAL_ENCRYPTION_KEY": "a" * 64,
            "JWT_SECRET": "b" * 64,
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(reserve()),
            "SMTP_SECURITY": "none",
            "SMTP_FROM": "hello@example.com",
        }
        settings = on_sandbox(load_settings(given, env_file=None), vendors.origin, catalog)
        house = build_house(settings, Stores(database, redis, valkey.url), catalog, now=Time(sandbox))
        stack.push_async_callback(house.close)
        app = App(house)
        await stack.enter_async_context(app.run())
        await stack.enter_async_context(RunningSandbox(app.asgi, port=port))
        made = await house.customers.create("ada@example.com", plan="enterprise", password=SecretStr("correct horse"))
        token = await house.sessions.begin(made.row.id, client="the test's browser")
        stack.push_async_callback(close_contexts, browser)
        context = await browser.new_context()
        await context.add_cookies([{"name": "session", "value": token, "url": origin}])
        headers = {"Authorization": f"Bearer {made.key.secret}"}
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=origin, headers=headers, timeout=30))
        yield Visit(house, sandbox, await context.new_page(), http, origin, made.row.id)


@pytest.mark.parametrize("provider", WAYS)
async def test_an_account_lives_from_signing_in_to_signing_in_again(visit: Visit, provider: str) -> None:
    platform = WAYS[provider][0]
    await visit.sign_in(provider)
    assert await visit.status(provider) == "connected"
    status, first = await visit.call(provider)
    assert status == 200, first

    await visit.expire(provider)
    assert await visit.call(provider) == (200, first)
    assert await visit.status(provider) == "connected"
    assert await visit.told() == ([], 0)

    assert visit.desk(provider).end("partner" if provider == "linkedin" else "alex") >= 1
    for _ in range(2):
        await visit.log_out_of_mail()
        status, refused = await visit.call(provider)
        assert (status, refused["code"]) == (409, "needs_reconnect")
        assert f"/connect/{platform}?link=" in refused["connect_url"]
    assert await visit.status(provider) == "needs_reconnect"
    assert await visit.told() == (["connection.needs_reconnect"], 1)

    await visit.start(provider)
    await visit.page.get_by_role("button", name="Deny").click()
    await visit.page.wait_for_url(f"{visit.origin}/**")
    assert "did not allow" in await visit.page.inner_text("main")
    await visit.sign_in(provider)
    assert await visit.call(provider) == (200, first)
    assert await visit.told() == (["connection.needs_reconnect"], 1)


async def test_linkedins_sixty_days_are_announced_and_end_in_signing_in_again(visit: Visit) -> None:
    await visit.sign_in("linkedin", "alex")
    status, first = await visit.call("linkedin")
    assert status == 200, first
    await visit.pass_days(50)
    assert await visit.told() == ([], 0)
    await visit.pass_days(4)
    assert await visit.told() == (["connection.expiring"], 1)
    await visit.pass_days(5)
    assert await visit.call("linkedin") == (200, first)
    await visit.pass_days(2)
    status, refused = await visit.call("linkedin")
    assert (status, refused["code"]) == (409, "needs_reconnect")
    assert await visit.status("linkedin") == "needs_reconnect"
    assert await visit.told() == (["connection.expiring", "connection.needs_reconnect"], 2)
    await visit.page.goto(refused["connect_url"])
    await visit.page.get_by_role("link", name="Continue with LinkedIn").click()
    await visit.page.get_by_role("button", name="Allow").click()
    await visit.page.wait_for_url(f"{visit.origin}/connect/linkedin?connected=default")
    assert await visit.call("linkedin") == (200, first)


async def another_person(visit: Visit) -> tuple[Page, str]:
    """Somebody else's browser, and their id."""
    made = await visit.house.customers.create("eve@example.com", plan="enterprise", password=SecretStr("correct horse"))
    token = await visit.house.sessions.begin(made.row.id, client="another browser")
    browser = visit.page.context.browser
    assert browser is not None
    context = await browser.new_context()
    await context.add_cookies([{"name": "session", "value": token, "url": visit.origin}])
    return await context.new_page(), made.row.id


async def refusals(visit: Visit) -> list[dict[str, Any]]:
    """What the trail of the first person has of refused connecting."""
    today = datetime.now(UTC).date()
    entries = [entry async for entry in visit.house.trail.export(visit.customer_id, today, today)]
    return [one for one in entries if one["tool"] == "connection.connect" and one["outcome"] == "denied"]


@pytest.mark.parametrize("place", ["/connect/twitter", "/api/connect/twitter/start"])
async def test_a_stolen_link_begins_no_sign_in(visit: Visit, place: str) -> None:
    stolen = visit.house.connect_links.url(visit.customer_id, "twitter").replace("/connect/twitter", place)
    page, thief = await another_person(visit)
    answer = await page.goto(stolen)
    assert answer is not None
    assert (answer.status, page.url.startswith(visit.origin)) == (403, True)
    assert await page.get_by_role("link", name="Continue with").count() == 0
    (denied,) = await refusals(visit)
    assert denied["arguments"]["platform"] == "twitter"
    assert thief not in str(denied)
    assert "eve@example.com" not in str(denied)


async def test_a_sign_in_that_one_person_began_is_not_finished_by_another(visit: Visit) -> None:
    """The address with the vendor's answer, in another person's browser: nothing is linked, for nobody, ever."""
    await visit.start("twitter")
    decided = {"person": "alex", "decision": "allow"}
    async with httpx2.AsyncClient() as vendor:
        stolen = (await vendor.post(visit.page.url, data=decided)).headers["location"]
    page, thief = await another_person(visit)
    answer = await page.goto(stolen)
    assert answer is not None
    assert answer.status == 403
    assert "begun by another person" in await page.inner_text("main")
    (denied,) = await refusals(visit)
    assert (denied["arguments"]["platform"], thief in str(denied)) == ("twitter", False)
    again = await visit.page.goto(stolen)
    assert again is not None
    assert again.status == 400
    for customer_id in (visit.customer_id, thief):
        assert await visit.house.connections.list(customer_id) == []
