"""A house over the tests' stores, browsers that fill in its forms, and the mails that it writes."""

from __future__ import annotations

import email
import email.policy
import html
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from hermes.app import House, build_house
from hermes.asgi import App
from hermes.events.models import MailRow, MailState
from hermes.platforms.catalog import load_catalog
from hermes.settings import Settings, load_settings
from hermes.storage.redis import Redis
from hermes.storage.sql import Database
from hermes.storage.stores import Stores

ORIGIN = "https://hermes.example"
PASSWORD = "correct horse battery staple"


@dataclass
class Browser:
    """A browser on one address: keeps cookies, sends forms as they were shown."""

    http: httpx2.AsyncClient
    page: httpx2.Response | None = None

    async def open(self, path: str) -> httpx2.Response:
        self.page = await self.http.get(path)
        return self.page

    async def send(self, action: str, *, origin: str = ORIGIN, follow: bool = False, **fields: str) -> httpx2.Response:
        """Fill in and send the form that leads to `action` on the page that is open."""
        assert self.page is not None
        hidden = hidden_fields(self.page.text, action)
        answer = await self.http.post(action, data={**hidden, **fields}, headers={"origin": origin})
        self.page = answer
        if answer.status_code == 303 and follow:
            return await self.open(answer.headers["location"])
        return answer

    async def sign_in(self, address: str, password: str = PASSWORD) -> httpx2.Response:
        await self.open("/login")
        return await self.send("/login", email=address, password=password)

    @property
    def signed_in(self) -> bool:
        return bool(self.http.cookies.get("session"))


def hidden_fields(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the form that leads to `action`."""
    form = re.search(rf'<form[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>', page, re.S)
    assert form is not None, f"no form leads to {action} in:\n{page}"
    inputs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[1])
    return {name: html.unescape(value) for name, value in inputs}


@dataclass
class Town:
    """One or more replicas of a house, and their visitors."""

    database: Database
    redis: Redis
    folder: Path
    settings: Settings
    stack: AsyncExitStack
    house: House
    app: Any
    seen: set[str] = field(default_factory=set)

    def replica(self) -> tuple[House, Any]:
        """Another process over the same stores."""
        stores = Stores(self.database, self.redis, "redis://127.0.0.1:1/0")
        house = build_house(self.settings, stores, load_catalog([]))
        self.stack.push_async_callback(house.close)
        return house, App(house).asgi

    async def browser(self, address: str = "203.0.113.7", app: Any = None) -> Browser:
        transport = httpx2.ASGITransport(app=app or self.app, client=(address, 4711))
        http = httpx2.AsyncClient(
            transport=transport,
            base_url=ORIGIN,
            headers={"accept": "text/html", "user-agent": f"Firefox/145 (Linux) at {address}"},
        )
        return Browser(await self.stack.enter_async_context(http))

    async def customer(self, address: str = "ada@example.com", password: str = PASSWORD) -> str:
        return (await self.house.customers.create(address, password=SecretStr(password))).row.id

    async def mails(self) -> list[EmailMessage]:
        """The mails that were written since the last time, in their order."""
        query = select(MailRow.id).where(MailRow.state == MailState.WAITING).order_by(MailRow.id)
        async with self.database.reading() as session:
            waiting = list(await session.scalars(query))
        for mail_id in waiting:
            await self.house.mail.send(mail_id)
        files = sorted(path for path in (self.folder / "mail").glob("*.eml") if path.name not in self.seen)
        self.seen |= {path.name for path in files}
        return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in files]  # type: ignore[misc]

    async def link(self) -> str:
        """The path of the link in the only new mail."""
        (mail,) = await self.mails()
        return link_in(mail)

    async def trail(self, customer_id: str) -> list[tuple[str, str]]:
        """Actions and outcomes in the customer's trail, oldest first."""
        today = datetime.now(UTC).date()
        lines = self.house.trail.export(customer_id, today - timedelta(days=1), today)
        return [(entry["tool"], entry["outcome"]) async for entry in lines]


def link_in(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    found = re.search(rf"{re.escape(ORIGIN)}(/\S+token=\S+)", body.get_content())
    assert found is not None, body.get_content()
    return found[1]


@pytest.fixture
def environ() -> dict[str, str]:
    """The settings of the house; a test may replace them."""
    return {"SIGNUP": "open"}


@pytest.fixture
async def town(redis: Redis, database: Database, tmp_path: Path, environ: dict[str, str]) -> AsyncIterator[Town]:
    given = {
        "PUBLIC_URL": ORIGIN,
        "DATA_DIR": str(tmp_path),
        "CREDENTIAL_ENCRYPTION_KEY": "a" * 64,
        "JWT_SECRET": "b" * 64,
        "MCP_API_KEY": "operator",
    }
    settings = load_settings(given | environ, env_file=None)
    stores = Stores(database, redis, "redis://127.0.0.1:1/0")
    async with AsyncExitStack() as stack:
        house = build_house(settings, stores, load_catalog([]))
        stack.push_async_callback(house.close)
        yield Town(database, redis, tmp_path, settings, stack, house, App(house).asgi)
