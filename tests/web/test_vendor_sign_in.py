"""In a real browser, against the sandbox: linked by signing in, used, renewed, revoked and linked again."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.async_api import Page, async_playwright
from pydantic import SecretStr

from conftest import RedisServer
from hermes.app import House, build_house
from hermes.asgi import App
from hermes.platforms.catalog import load_catalog
from hermes.platforms.email.stand_in import SandboxOpener
from hermes.sandbox.app import Sandbox
from hermes.sandbox.server import RunningSandbox
from hermes.sandbox_mode import on_sandbox
from hermes.settings import load_settings
from hermes.storage.redis import Redis
from hermes.storage.sql import Database
from hermes.storage.stores import Stores

pytestmark = [pytest.mark.storage, pytest.mark.timeout(300)]

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

BROWSER = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


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

    async def sign_in(self, provider: str) -> None:
        await self.start(provider)
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

    async def status(self, provider: str) -> str:
        overview = (await self.http.get("/api/connections")).json()
        (detail,) = [one for one in overview["details"] if one["platform"] == WAYS[provider][0]]
        return str(detail["status"])


@pytest.fixture
async def visit(redis: Redis, valkey: RedisServer, database: Database, tmp_path: Path) -> AsyncIterator[Visit]:
    async with AsyncExitStack() as stack:
        sandbox = Sandbox()
        vendors = await stack.enter_async_context(RunningSandbox(sandbox.app))
        port = _free_port()
        origin = f"http://127.0.0.1:{port}"
        catalog = load_catalog()
        given = {
            "PUBLIC_URL": origin,
            "DATA_DIR": str(tmp_path),
            "CREDENTIAL_ENCRYPTION_KEY": "a" * 64,
            "JWT_SECRET": "b" * 64,
        }
        settings = on_sandbox(load_settings(given, env_file=None), vendors.origin, catalog)
        house = build_house(settings, Stores(database, redis, valkey.url), catalog)
        stack.push_async_callback(house.close)
        app = App(house)
        await stack.enter_async_context(app.run())
        await stack.enter_async_context(RunningSandbox(app.asgi, port=port))
        made = await house.customers.create("ada@example.com", plan="enterprise", password=SecretStr("correct horse"))
        token = await house.sessions.begin(made.row.id, client="the test's browser")
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=BROWSER)
        stack.push_async_callback(browser.close)
        context = await browser.new_context()
        await context.add_cookies([{"name": "session", "value": token, "url": origin}])
        headers = {"Authorization": f"Bearer {made.key.secret}"}
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=origin, headers=headers, timeout=30))
        yield Visit(house, sandbox, await context.new_page(), http, origin, made.row.id)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("provider", WAYS)
async def test_an_account_lives_from_signing_in_to_signing_in_again(visit: Visit, provider: str) -> None:
    platform = WAYS[provider][0]
    await visit.sign_in(provider)
    assert await visit.status(provider) == "connected"
    status, first = await visit.call(provider)
    assert status == 200, first

    # The access token ends sooner than it said; the call that notices it has it renewed, where that can be.
    desk = next(desk for desk in visit.sandbox.services[platform].desks if desk.rules.provider == provider)
    for issued in desk.tokens.values():
        if not issued.refresh and platform not in ("facebook", "instagram", "linkedin"):
            issued.expires = 0.0
    await visit.log_out_of_mail()
    assert await visit.call(provider) == (200, first)
    assert await visit.status(provider) == "connected"

    assert desk.end("alex") >= 1
    await visit.log_out_of_mail()
    status, refused = await visit.call(provider)
    assert (status, refused["code"]) == (409, "needs_reconnect")
    assert f"/connect/{platform}?link=" in refused["connect_url"]
    assert await visit.status(provider) == "needs_reconnect"

    await visit.start(provider)
    await visit.page.get_by_role("button", name="Deny").click()
    await visit.page.wait_for_url(f"{visit.origin}/**")
    assert "did not allow" in await visit.page.inner_text("main")
    await visit.sign_in(provider)
    assert await visit.call(provider) == (200, first)
