"""The whole gateway on a socket, in two processes that take turns, and a real browser to look at its pages with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from harness.person import CHROMIUM, FLAGS
from harness.serving import loopback_socket, serving
from hermes.app import House, build_house, open_house
from hermes.asgi import App
from hermes.identity.caller import Caller
from hermes.oauth.client_details import ClientDetails
from hermes.oauth.models import OAuthClient
from hermes.sandbox.app import Sandbox
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.server import RunningSandbox
from hermes.settings import load_settings
from hermes.storage.migrate import migrate
from hermes.storage.stores import open_stores

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""RFC 7636, appendix B."""
TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
"""A bot's token that the sandbox takes."""
PHONE, DESK = {"width": 375, "height": 812}, {"width": 1280, "height": 900}


@dataclass(frozen=True)
class Someone:
    """A customer, and the session of their browser."""

    caller: Caller
    token: str

    @property
    def id(self) -> str:
        return self.caller.customer_id


@dataclass
class Site:
    """The gateway at `origin`, and an assistant that gets its answers at `callback`."""

    house: House
    origin: str
    sandbox: Sandbox
    callback: str = ""
    answers: list[dict[str, str]] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: count(1))

    async def someone(self, plan: str = "enterprise", name: str = "person") -> Someone:
        made = await self.house.customers.create(f"{name}-{next(self._numbers)}@example.com", plan=plan)
        token = await self.house.sessions.begin(made.row.id, client="test")
        caller = await self.house.sessions.verify(token)
        assert caller is not None
        return Someone(caller, token)

    async def client(self, name: str = "Chat", redirect: str | None = None) -> str:
        """An assistant that registered itself; gives its id."""
        details = ClientDetails(
            client_name=name, redirect_uris=(redirect or self.callback,), token_endpoint_auth_method="none"
        )
        return (await self.house.oauth.clients.register(details)).client.id

    async def documented(self, name: str = "Chat", redirect: str | None = None) -> str:
        """An assistant that is known by its document; gives its id, the document's address."""
        host, now = f"chat-{next(self._numbers)}.example", datetime.now(UTC)
        details = ClientDetails(
            client_name=name, redirect_uris=(redirect or f"https://{host}/back",), token_endpoint_auth_method="none"
        )
        row = OAuthClient(
            id=f"https://{host}/client.json", kind="document", name=name, details=details.model_dump(mode="json"),
            secret_digest=None, acts_for=None, created_at=now, used_at=now, fresh_until=now + timedelta(days=1),
        )  # fmt: skip
        async with self.house.stores.database.session() as session:
            session.add(row)
        return f"https://{host}/client.json"

    def authorize(self, client_id: str, scope: str = "all:read all:write", **more: str) -> str:
        """Where the assistant sends the browser."""
        given = {
            "client_id": client_id,
            "response_type": "code",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "scope": scope,
            "state": "s-1",
            "resource": f"{self.origin}/mcp",
        }
        return f"{self.origin}/oauth/authorize?{urlencode(given | more)}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("web")
    sock = loopback_socket()
    origin = f"http://127.0.0.1:{sock.getsockname()[1]}"
    settings = load_settings({}, env_file=None, data_dir=folder, public_url=origin)
    async with open_stores(settings, holder="command") as stores:
        await migrate(stores.database)
    sandbox = Sandbox(SandboxOptions())
    async with (
        RunningSandbox(sandbox.app) as running,
        open_house(settings, holder="server", sandbox=running.origin) as house,
    ):
        other = build_house(house.settings, house.stores, house.catalog)
        first, second = App(house), App(other)
        turns = cycle((first.asgi, second.asgi))

        async def in_turn(scope: Any, receive: Any, send: Any) -> None:
            """Have every request answered by another process than the one before."""
            await next(turns)(scope, receive, send)

        async with first.run(), second.run(), serving(in_turn, sock), assistant() as (callback, answers):
            yield Site(house, origin, sandbox, callback, answers)
        await other.close()


@asynccontextmanager
async def assistant() -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """Somewhere on this machine where answers are received."""
    answers: list[dict[str, str]] = []

    async def receive(request: Request) -> PlainTextResponse:
        answers.append(dict(request.query_params))
        return PlainTextResponse("The assistant got it.")

    async with serving(Starlette(routes=[Route("/callback", receive)])) as base:
        yield f"{base}/callback", answers


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("looking at pages needs Chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        await browser.close()


@dataclass
class Look:
    """Opens pages as somebody's browser would; scripts are off unless a tool of the test needs them."""

    site: Site
    browser: Browser
    contexts: list[BrowserContext] = field(default_factory=list)

    async def page(
        self, who: Someone | None = None, *, size: Any = PHONE, scheme: Any = "light", scripts: bool = False
    ) -> Page:
        context = await self.browser.new_context(
            viewport=size, color_scheme=scheme, java_script_enabled=scripts, locale="en-GB"
        )
        self.contexts.append(context)
        if who is not None:
            await context.add_cookies([{"name": "session", "value": who.token, "url": self.site.origin}])
        page = await context.new_page()
        page.set_default_timeout(20_000)
        return page


@pytest_asyncio.fixture(loop_scope="session")
async def look(site: Site, browser: Browser) -> AsyncIterator[Look]:
    look = Look(site, browser)
    yield look
    await asyncio.gather(*(context.close() for context in look.contexts))


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of the pages are kept, to be looked at."""
    return tmp_path_factory.mktemp("shots")
