"""A pipeline of real parts over a toy platform whose behaviour each test scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from mcp_types import ElicitResult
from pydantic import BaseModel, Field, SecretStr
from redis.asyncio import Redis

from hermes.audit.trail import Trail
from hermes.billing.quota import Quotas
from hermes.billing.usage import UsageLedger
from hermes.connections.defaults import DefaultAccounts
from hermes.connections.links import ConnectLinks
from hermes.connections.names import key_name
from hermes.connections.store import CredentialStore
from hermes.crypto import Keyring
from hermes.gateway.accounts import Accounts
from hermes.gateway.actions import ActionTrail
from hermes.gateway.admission import Admissions
from hermes.gateway.asking import RequestStates
from hermes.gateway.call import Gateway
from hermes.gateway.idempotency import Answers
from hermes.gateway.lookup import CallLookup
from hermes.gateway.results import CallOptions
from hermes.identity.caller import Caller, Grants
from hermes.identity.callers import Callers
from hermes.identity.changes import CustomerChanges
from hermes.identity.service import ApiKeys, Customers
from hermes.identity.versions import Versions
from hermes.net.upstream import Upstream
from hermes.platforms import content
from hermes.platforms.asks import form
from hermes.platforms.base import Account, ApiContext, Credentials, Effect, PasteToken, Plain, Platform, RateLimit
from hermes.platforms.catalog import Catalog
from hermes.platforms.context import ToolContext
from hermes.platforms.ports import Ports
from hermes.settings import Settings, load_settings
from hermes.storage.sql import Database

OPERATOR_KEY = "sq_op_test"


class ToyCredentials(Credentials):
    token: SecretStr


class Echo(BaseModel):
    text: str
    token: str
    customer_id: str
    account: str
    nothing: str | None = None


class Shown(content.Content):
    seen: str


@dataclass
class ToyApi:
    """What the toy platform does next is scripted by the test."""

    context: ApiContext
    credentials: ToyCredentials
    script: Callable[[ToyApi, str], Awaitable[str]]


Script = Callable[[ToyApi, str], Awaitable[str]]


async def plainly(api: ToyApi, text: str) -> str:
    return text


@dataclass
class House:
    """The wired pipeline, and what a test needs to look behind it."""

    gateway: Gateway
    admissions: Admissions
    customers: Customers
    api_keys: ApiKeys
    callers: Callers
    store: CredentialStore
    ledger: UsageLedger
    quotas: Quotas
    trail: Trail
    lookup: CallLookup
    redis: Redis
    defaults: DefaultAccounts
    met: list[tuple[Any, ...]]
    """What the pipeline told of accounts."""
    script: dict[str, Script] = field(default_factory=dict)
    clock: list[float] = field(default_factory=list)

    async def customer(self, plan: str = "growth", **accounts: str) -> Caller:
        """A new customer with a toy account per keyword (label → token), as a caller."""
        created = await self.customers.create(f"{len(self.clock)}-{id(accounts)}@example.com", plan=plan)
        self.clock.append(0)
        for label, token in (accounts or {"default": "secret"}).items():
            plaintext = ToyCredentials(token=SecretStr(token)).to_json()
            await self.store.put(created.row.id, "toy", label, plaintext, Account(id=token))
        return await self.callers.from_api_key(created.key.secret)

    async def lines(self, caller: Caller) -> list[dict[str, Any]]:
        """The audit lines of the caller's calls, newest first."""
        today = self.admissions.now().date()
        page = await self.trail.page(caller.customer_id, limit=1000, cursor=None, since=today, until=today)
        return [entry for entry in page.entries if "." not in entry["tool"]]

    async def used(self, caller: Caller) -> int:
        """Usage rows of this month, after flushing."""
        await self.ledger.flush()
        return await self.ledger.count(caller.customer_id, f"{self.admissions.now():%Y-%m}")


def options(**changes: Any) -> CallOptions:
    return CallOptions(**{"transport": "mcp", "request_id": "req-1", **changes})


@pytest.fixture(name="options")
def _options() -> Callable[..., CallOptions]:
    return options


SURE = {"type": "object", "properties": {"yes": {"type": "boolean"}}}


def toy_platform(script: dict[str, Script]) -> Platform[ToyCredentials, ToyApi]:
    """A platform whose tools do what `script["next"]` says."""

    def open_api(context: ApiContext, credentials: ToyCredentials) -> ToyApi:
        return ToyApi(context, credentials, script.get("next", plainly))

    toy = Platform(
        "toy",
        title="Toy",
        credentials=ToyCredentials,
        connect=PasteToken("https://toy.test", ("Take one.",)),
        open=open_api,
        base_url="https://toy.test",
        limits=(RateLimit(1000, 1.0, "https://toy.test/limits"),),
    )

    async def echo(api: ToyApi, text: str) -> Echo:
        return Echo(
            text=await api.script(api, text),
            token=api.credentials.token.get_secret_value(),
            customer_id=api.context.customer_id,
            account=api.context.account,
        )

    @toy.tool(Effect.READ, rest="GET /echo", timeout=0.5)
    async def read(api: ToyApi, text: str, folder: Plain = "inbox") -> Echo:
        """Read something."""
        return await echo(api, text)

    @toy.tool(Effect.SEND, rest="POST /message", timeout=0.5)
    async def send(api: ToyApi, text: str, count: int = Field(1, ge=1, le=9)) -> Echo:
        """Send something."""
        return await echo(api, text)

    @toy.tool(Effect.SEND, rest="POST /confirmed", timeout=0.5)
    async def send_confirmed(api: ToyApi, context: ToolContext, text: str) -> Echo:
        """Send something after the person agreed twice."""
        for key in ("first", "second"):
            answers = await context.ask({key: form("Sure?", SURE)}, keep=text)
            sure = answers[key]
            if not isinstance(sure, ElicitResult) or sure.action != "accept":
                return await echo(api, "declined")
        return await echo(api, f"{text} {context.kept}")

    @toy.tool(Effect.READ, rest="GET /show", timeout=0.5)
    async def show(api: ToyApi, text: Plain) -> Shown:
        """Show something."""
        file = bytes(range(256)) * 1000
        document = content.document(f"toy://{text}", file, "application/pdf")
        blocks = [content.text(text), content.image(file, "image/png"), document, content.audio(b"", "audio/wav")]
        return Shown(content=blocks, seen=text)

    return toy


class Linked:
    """The connections room as the pipeline sees it."""

    def __init__(self, store: CredentialStore) -> None:
        self._store = store
        self.marked: list[tuple[str, str, str]] = []

    async def accounts(self, customer_id: str) -> Mapping[str, Sequence[str]]:
        return await self._store.labels(customer_id)

    async def mark_needs_reconnect(
        self, customer_id: str, platform: str, label: str, reason: str, used: str | None = None
    ) -> None:
        self.marked.append((customer_id, platform, label))


class NoPorts:
    async def latest(self, customer_id: str, platform: str, message_id: str) -> None:
        return None

    def hold(self, customer_id: str, name: str, seconds: float) -> Any:
        raise NotImplementedError


@pytest.fixture
def settings() -> Settings:
    return load_settings({"MCP_API_KEY": OPERATOR_KEY, "TOY_TOKEN": "t"}, env_file=None)


@pytest.fixture
async def house(database: Database, redis: Redis, settings: Settings) -> AsyncIterator[House]:
    script: dict[str, Script] = {}
    catalog = Catalog([toy_platform(script)])
    keyring = Keyring(b"k" * 32)
    store = CredentialStore(database, redis, keyring)
    callers = Callers(database, redis, settings)
    versions = Versions(redis)
    ledger = UsageLedger(database, redis, consumer="test")
    quotas = Quotas(redis, ledger)
    admissions = Admissions(redis)
    upstream = Upstream()
    linked = Linked(store)
    ports = NoPorts()
    links = ConnectLinks(keyring, settings.public_url)
    accounts = Accounts(
        catalog, settings, store, linked, links, upstream, Ports(ports, ports, ports), key_name=key_name
    )
    states, met = RequestStates(keyring), list[tuple[Any, ...]]()
    gateway = Gateway(
        catalog,
        accounts,
        admissions,
        quotas,
        callers,
        Answers(keyring),
        states=states,
        witness=lambda *told: met.append(told),
    )
    trail = Trail(redis)
    yield House(
        gateway,
        admissions,
        Customers(database, versions, ActionTrail(admissions)),
        ApiKeys(database, versions, ActionTrail(admissions), ["toy"]),
        callers,
        store,
        ledger,
        quotas,
        trail,
        CallLookup(redis, trail),
        redis,
        DefaultAccounts(database, CustomerChanges(database, versions)),
        met,
        script,
    )
    await gateway.close()
    await upstream.close()


@pytest.fixture
def everything() -> Grants:
    return Grants.everything()


@pytest.fixture
def gate() -> asyncio.Event:
    """An event that a scripted platform can wait for."""
    return asyncio.Event()
