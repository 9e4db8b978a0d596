"""Processes of a gateway with one long tool, over a vendor whose every request the test can stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp_types import ElicitResult
from pydantic import BaseModel, SecretStr
from redis.asyncio import Redis
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from hermes.audit.trail import Trail
from hermes.billing.quota import Quotas
from hermes.billing.usage import UsageLedger
from hermes.connections.links import ConnectLinks
from hermes.connections.names import key_name
from hermes.connections.store import CredentialStore
from hermes.crypto import Keyring
from hermes.gateway.accounts import Accounts
from hermes.gateway.admission import Admissions
from hermes.gateway.asking import RequestStates
from hermes.gateway.call import Gateway
from hermes.gateway.idempotency import Answers
from hermes.gateway.long_calls import LongCalls, Run
from hermes.gateway.long_rows import LongCallRows
from hermes.gateway.lookup import CallLookup
from hermes.gateway.models import LongCallRow
from hermes.gateway.own_tools import OwnTools
from hermes.gateway.results import CallOptions
from hermes.identity.caller import Caller
from hermes.identity.callers import Callers
from hermes.identity.service import Customers
from hermes.identity.versions import Versions
from hermes.media.limits import limit_of
from hermes.media.places import FolderPlace
from hermes.media.store import MediaStore
from hermes.net.guarded import GuardedClient
from hermes.net.upstream import Upstream
from hermes.platforms.asks import form
from hermes.platforms.base import Account, Credentials, Effect, PasteToken, Platform
from hermes.platforms.catalog import Catalog
from hermes.platforms.context import ToolContext
from hermes.platforms.ports import Ports, PublishState
from hermes.settings import load_settings
from hermes.storage.sql import Database


class VendorCredentials(Credentials):
    token: SecretStr


class Published(BaseModel):
    id: str
    container: str


class Gate:
    """Where the vendor stops until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.open.wait()


@dataclass
class Vendor:
    """Remembers what it received, and does at a request what the test says."""

    received: list[str] = field(default_factory=list)
    before: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    after: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)

    async def request(self, name: str) -> str:
        if name in self.before:
            await self.before.pop(name)()
        self.received.append(name)
        if name in self.after:
            await self.after.pop(name)()
        return f"{name}#{self.received.count(name)}"


class Mortal(LongCallRows):
    """The rows as a process sees them; once it is dead, nothing it writes arrives."""

    dead = False

    def __getattribute__(self, name: str) -> Any:
        if name not in ("dead", "_database") and object.__getattribute__(self, "dead"):
            raise OperationalError("the process is dead", None, Exception())
        return object.__getattribute__(self, name)


class Unaudited:
    async def record(self, *_: Any, **__: Any) -> None:
        return


@dataclass
class Process:
    """One process of the gateway."""

    gateway: Gateway
    long_calls: LongCalls
    rows: Mortal
    lookup: CallLookup

    async def die(self) -> None:
        """As by kill -9: from here on it neither writes nor goes on."""
        self.rows.dead = True
        runs = list(self.long_calls._runs.values())
        for run in runs:
            run.work.cancel()
        await asyncio.gather(*(run.work for run in runs), return_exceptions=True)


@dataclass
class Bench:
    database: Database
    redis: Redis
    vendor: Vendor
    customers: Customers
    callers: Callers
    store: CredentialStore
    admissions: Admissions
    ledger: UsageLedger
    trail: Trail
    start_process: Callable[[], Process]

    def gate(self) -> Gate:
        """A place for the vendor to stop at."""
        return Gate()

    def options(self, **changes: Any) -> CallOptions:
        return CallOptions(**{"transport": "mcp", "request_id": "r", **changes})

    async def begin(self, process: Process, caller: Caller, **changes: Any) -> Run:
        """Begin the long call and give its run."""
        given = {"title": "Hello"}
        run = await process.gateway.start(caller, "vendor_upload_video", given, self.options(**changes))
        assert isinstance(run, Run)
        return run

    async def customer(self, email: str = "a@example.com") -> Caller:
        created = await self.customers.create(email, plan="growth")
        token = VendorCredentials(token=SecretStr("t")).to_json()
        await self.store.put(created.row.id, "vendor", "default", token, Account(id=email))
        return await self.callers.from_api_key(created.key.secret)

    async def abandon(self) -> None:
        """Let every claim run out."""
        async with self.database.session() as session:
            await session.execute(update(LongCallRow).values(claimed_until=datetime.now(UTC) - timedelta(seconds=1)))

    async def take_over(self, process: Process) -> Run | None:
        """Have a process take over what was abandoned; its run."""
        await self.abandon()
        ids: list[str] = []

        async def note(call_id: str) -> None:
            ids.append(call_id)

        await process.long_calls.sweep(note)
        for call_id in ids:
            await process.long_calls.take_over(call_id)
        return next(iter(process.long_calls._runs.values()), None)

    async def outcomes(self, caller: Caller) -> list[str]:
        today = self.admissions.now().date()
        page = await self.trail.page(caller.customer_id, limit=100, cursor=None, since=today, until=today)
        return [line["outcome"] for line in page.entries if line["tool"].startswith("vendor")]

    async def charged(self, caller: Caller) -> int:
        await self.ledger.flush()
        return await self.ledger.count(caller.customer_id, f"{self.admissions.now():%Y-%m}")


def platform(vendor: Vendor) -> Platform[VendorCredentials, Vendor]:
    declared: Platform[VendorCredentials, Vendor] = Platform(
        "vendor",
        title="Vendor",
        credentials=VendorCredentials,
        connect=PasteToken("https://vendor.test", ("Take one.",)),
        open=lambda _context, _credentials: vendor,
    )

    @declared.tool(Effect.CREATE, rest="POST /video", timeout=20, long=True)
    async def upload_video(api: Vendor, context: ToolContext, title: str) -> Published:
        """Publish a video."""
        container = await context.step("container", lambda: api.request("container"))
        await context.state(PublishState.UPLOADING)
        for number in range(3):
            name = f"chunk-{number}"
            await context.step(name, lambda name=name: api.request(name), repeatable=True)
            await context.progress(number + 1, 3, f"part {number + 1}")
        await context.state(PublishState.PROCESSING)
        published = await context.step("publish", lambda: api.request("publish"))
        await context.step("confirm", lambda: api.request("confirm"), repeatable=True)
        await context.state(PublishState.PUBLISHED)
        return Published(id=published, container=container)

    @declared.tool(Effect.DELETE, rest="DELETE /video", timeout=20, long=True)
    async def delete_video(api: Vendor, context: ToolContext, title: str) -> Published:
        """Delete a video, once the person has agreed and said why."""
        looked = await context.step("look", lambda: api.request("look"), repeatable=True) if title == "late" else ""
        answers = await context.ask({"sure": form(f"Delete {title}?", {}), "why": form("Why?", {})})
        again = await context.ask({"really": form("Really?", {})})
        given = [answer.action for answer in (*answers.values(), *again.values()) if isinstance(answer, ElicitResult)]
        deleted = await context.step("delete", lambda: api.request("delete"))
        return Published(id=deleted, container=f"{looked}{' '.join(given)}")

    return declared


class NoPorts:
    async def accounts(self, customer_id: str) -> dict[str, list[str]]:
        return {"vendor": ["default"]}

    async def mark_needs_reconnect(self, *_: Any, **__: Any) -> None:
        return


@asynccontextmanager
async def building(database: Database, redis: Redis, folder: Path, vendor: Vendor) -> AsyncIterator[Bench]:
    settings = load_settings({"MCP_API_KEY": "sq_op"}, env_file=None)
    keyring, upstream = Keyring(b"k" * 32), Upstream()
    catalog = Catalog([platform(vendor)])
    versions, callers = Versions(redis), Callers(database, redis, settings)
    store, trail = CredentialStore(database, redis, keyring), Trail(redis)
    ledger = UsageLedger(database, redis, consumer="t")
    admissions = Admissions(redis, alive=LongCallRows(database).alive)
    nothing: Any = NoPorts()
    ports = Ports(nothing, nothing, nothing)
    links = ConnectLinks(keyring, settings.public_url)
    accounts = Accounts(catalog, settings, store, nothing, links, upstream, ports, key_name=key_name)
    answers, quotas = Answers(keyring), Quotas(redis, ledger)
    media = MediaStore(database, keyring, GuardedClient(), FolderPlace(folder / "media"))
    processes: list[Process] = []

    def start_process() -> Process:
        rows = Mortal(database)
        long_calls = LongCalls(rows, keyring, catalog, accounts, admissions, callers, answers, beat_seconds=0.05)
        lookup = CallLookup(redis, trail, long_calls)
        own = OwnTools(lookup, media, limit_of)
        states = RequestStates(keyring)
        gateway = Gateway(
            catalog, accounts, admissions, quotas, callers, answers, long_calls=long_calls, own=own, states=states
        )
        processes.append(Process(gateway, long_calls, rows, lookup))
        return processes[-1]

    customers = Customers(database, versions, Unaudited())
    yield Bench(database, redis, vendor, customers, callers, store, admissions, ledger, trail, start_process)
    for process in processes:
        process.rows.dead = False
        await process.gateway.close()
    await callers.close()
    await upstream.close()


@pytest.fixture
async def bench(database: Database, redis: Redis, tmp_path: Path) -> AsyncIterator[Bench]:
    async with building(database, redis, tmp_path, Vendor()) as built:
        yield built
