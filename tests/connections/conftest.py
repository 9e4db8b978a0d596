"""A store, a platform of one's own, and a Redis whose commands can be held back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from hermes.connections.checks import ConnectionChecks
from hermes.connections.defaults import DefaultAccounts
from hermes.connections.health import Health
from hermes.connections.health_rows import HealthRows
from hermes.connections.links import ConnectLinks
from hermes.connections.probing import Prober
from hermes.connections.service import Connections
from hermes.connections.store import CredentialStore
from hermes.crypto import Keyring
from hermes.errors import NeedsReconnect
from hermes.identity.caller import OPERATOR_ID, Caller, Grants, Via
from hermes.identity.changes import CustomerChanges
from hermes.identity.versions import Versions
from hermes.net.upstream import Upstream
from hermes.platforms.base import Account, ApiContext, Credentials, Effect, Env, PasteToken, Platform
from hermes.platforms.catalog import Catalog
from hermes.platforms.ports import Ports
from hermes.settings import Settings, load_settings
from hermes.storage.rates import Rates
from hermes.storage.redis import Redis
from hermes.storage.sql import Database

KEY = bytes(range(32))
NEXT_KEY = bytes(range(1, 33))


class GatedRedis:
    """A Redis client that waits for `before` ahead of each script it runs."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.before: Callable[[str], Awaitable[None]] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)

    async def evalsha(self, sha: str, count: int, *rest: Any) -> Any:
        if self.before is not None:
            await self.before(str(rest[0]))
        return await self._redis.evalsha(sha, count, *rest)


class PhoneCredentials(Credentials):
    """A token and the number that it controls."""

    access_token: Annotated[SecretStr, Env("PHONE_ACCESS_TOKEN")] = Field(alias="accessToken", min_length=4)
    phone_number_id: Annotated[str, Env("PHONE_NUMBER_ID")] = Field(alias="phoneNumberId", pattern=r"^\d+$")


class NoteCredentials(Credentials):
    """A token alone."""

    token: Annotated[SecretStr, Env("NOTES_TOKEN")]


@dataclass
class PhoneApi:
    """The API object of the test's platform: the token says how the platform answers."""

    context: ApiContext
    credentials: PhoneCredentials


class Nothing(BaseModel):
    """No result."""


def phone_platform() -> Platform[PhoneCredentials, PhoneApi]:
    """A platform with routing ids, called whatsapp because only its numbers are routed."""
    platform = Platform(
        "whatsapp",
        title="WhatsApp",
        credentials=PhoneCredentials,
        connect=PasteToken("https://example.com/help", ("get a token",)),
        open=PhoneApi,
        base_url="https://phones.example.com",
    )

    @platform.probe
    async def probe(api: PhoneApi) -> Account:
        token = api.credentials.access_token.get_secret_value()
        if "expired" in token:
            raise NeedsReconnect("The access token is no longer valid\u202e.")
        number = api.credentials.phone_number_id
        return Account(id=number, name=f"+{number}\u200b", scopes=("send",), routing_id=number)

    @platform.tool(Effect.SEND, rest="POST /send")
    async def send_message(api: PhoneApi) -> Nothing:
        """Send nothing."""
        return Nothing()

    return platform


def notes_platform() -> Platform[NoteCredentials, NoteCredentials]:
    """A platform without a probe."""
    return Platform(
        "notes",
        title="Notes",
        credentials=NoteCredentials,
        connect=PasteToken("https://example.com/notes", ()),
        open=lambda _context, credentials: credentials,
    )


@dataclass
class RecordedAudit:
    """What was left in the trail."""

    lines: list[tuple[str, str, str, str | None, str]] = field(default_factory=list)

    async def record(
        self,
        customer_id: str,
        caller: Caller,
        action: str,
        account: str | None = None,
        outcome: str = "success",
        **details: str,
    ) -> None:
        self.lines.append((customer_id, action, details["platform"], account, outcome))


def a_caller(customer_id: str = "cus_a", grants: str = "*:read *:write", plan: str = "growth") -> Caller:
    kind = "operator" if customer_id == OPERATOR_ID else "customer"
    return Caller(kind, customer_id, Via.API_KEY, f"key_{customer_id}", Grants.parse(grants.split()), plan)


@pytest.fixture
def make_caller() -> Callable[..., Caller]:
    return a_caller


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(KEY)


@pytest.fixture
def next_keyring() -> Keyring:
    return Keyring(NEXT_KEY, [KEY])


@pytest.fixture
def store(database: Database, redis: Redis, keyring: Keyring) -> CredentialStore:
    return CredentialStore(database, redis, keyring)


@pytest.fixture
def gated(redis: Redis) -> GatedRedis:
    return GatedRedis(redis)


@pytest.fixture
def slow_store(database: Database, gated: GatedRedis, keyring: Keyring) -> CredentialStore:
    """The store of another replica, whose Redis commands can be held back."""
    return CredentialStore(database, gated, keyring)  # type: ignore[arg-type]  # it stands in for a client


@pytest.fixture
def toy_catalog() -> Catalog:
    return Catalog([phone_platform(), notes_platform()])


@pytest.fixture
def toy_settings() -> Settings:
    return load_settings({"PUBLIC_URL": "https://hermes.example.com"}, env_file=None)


@pytest.fixture
def audit() -> RecordedAudit:
    return RecordedAudit()


@pytest.fixture
async def make_connections(
    toy_catalog: Catalog, store: CredentialStore, audit: RecordedAudit, database: Database, redis: Redis
) -> AsyncIterator[Callable[[Settings], Connections]]:
    """A service for given settings; the plan `free` does not include WhatsApp."""
    upstream = Upstream()
    ports = Ports(message_statuses=None, leases=None, media=None)  # type: ignore[arg-type]  # no platform here uses them

    def make(settings: Settings) -> Connections:
        prober = Prober(upstream, settings, ports)
        return Connections(
            toy_catalog,
            store,
            prober,
            audit,
            settings,
            DefaultAccounts(database, CustomerChanges(database, Versions(redis))),
            ConnectLinks(Keyring(KEY), settings.public_url),
            plan_includes=lambda caller, platform: caller.plan != "free" or platform != "whatsapp",
        )

    yield make
    await upstream.close()


@pytest.fixture
def connections(make_connections: Callable[[Settings], Connections], toy_settings: Settings) -> Connections:
    return make_connections(toy_settings)


class NoRenewals:
    """Nothing here was linked by signing in."""

    def is_late(self, platform: str, credentials: Any) -> bool:
        return False

    async def after_refusal(self, customer_id: str, platform: str, label: str, sealed: str) -> None:
        return None


@pytest.fixture
async def checks(
    toy_catalog: Catalog, toy_settings: Settings, store: CredentialStore, connections: Connections,
    database: Database, redis: Redis,
) -> AsyncIterator[ConnectionChecks]:  # fmt: skip
    upstream = Upstream()
    health = Health(
        toy_catalog,
        store,
        HealthRows(database),
        Prober(upstream, toy_settings, Ports(None, None, None)),  # type: ignore[arg-type]  # no platform here uses them
        NoRenewals(),  # type: ignore[arg-type]  # what is needed of them
        redis,
        connections.mark_needs_reconnect,
        every=timedelta(hours=6),
        per_second=100,
    )
    yield ConnectionChecks(connections, health, Rates(redis))
    await upstream.close()
