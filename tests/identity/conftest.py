"""Stores, services and a clock for the tests of identity."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.crypto import Keyring
from hermes.identity.caller import Caller
from hermes.identity.callers import Callers
from hermes.identity.changes import CustomerChanges
from hermes.identity.csrf import Csrf
from hermes.identity.service import ApiKeys, Customers
from hermes.identity.sessions import Sessions
from hermes.identity.versions import Versions
from hermes.settings import Settings, load_settings
from hermes.storage.redis import Redis
from hermes.storage.sql import Database

OPERATOR_KEY = "operator-key-for-tests"
JWT_SECRET = "a secret of the tests, long enough for HS256"
EPOCH = 1_800_000_000.0
PLATFORMS = ("telegram", "email", "obsidian")


class WatchedDatabase(Database):
    """A database that counts its reads and can be overtaken: `after_read` runs between a read and its use."""

    reads = 0
    after_read: Callable[[], Awaitable[object]] | None = None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        async with super().reading() as session:
            yield session
        self.reads += 1
        overtake, self.after_read = self.after_read, None
        if overtake is not None:
            await overtake()


@dataclass
class Clock:
    """A clock that only moves when told."""

    now: float = EPOCH

    def __call__(self) -> float:
        return self.now


@dataclass
class RecordedActions:
    """What was left in customers' trails: customer, who did it, what, and its names and ids."""

    lines: list[tuple[str, str, str, dict[str, str]]] = field(default_factory=list)

    async def record(
        self,
        customer_id: str,
        caller: Caller,
        action: str,
        account: str | None = None,
        outcome: str = "success",
        **details: str,
    ) -> None:
        self.lines.append((customer_id, caller.key_id, action, details))


@dataclass
class Identity:
    """The room over real stores. `process()` is another replica: the same stores, an empty memory."""

    database: WatchedDatabase
    redis: Redis
    settings: Settings
    versions: Versions
    customers: Customers
    api_keys: ApiKeys
    audit: RecordedActions
    clock: Clock = field(default_factory=Clock)
    replicas: list[Callers] = field(default_factory=list)

    def process(self) -> Callers:
        callers = Callers(self.database, self.redis, self.settings, clock=self.clock)
        self.replicas.append(callers)
        return callers

    def sessions(self, callers: Callers) -> Sessions:
        """The sessions as the process of these callers sees them."""
        changes = CustomerChanges(self.database, self.versions)
        return Sessions(self.database, changes, callers.known, self.settings, self.audit, now=self.clock)

    @property
    def csrf(self) -> Csrf:
        return Csrf(Keyring(b"k" * 32), self.settings)


@pytest.fixture
async def identity(redis: Redis, database: Database) -> AsyncIterator[Identity]:
    watched = WatchedDatabase(database.url.render_as_string(hide_password=False))
    settings = load_settings({"MCP_API_KEY": OPERATOR_KEY, "JWT_SECRET": JWT_SECRET}, env_file=None)
    versions = Versions(redis)
    audit = RecordedActions()
    customers, api_keys = Customers(watched, versions, audit), ApiKeys(watched, versions, audit, PLATFORMS)
    identity = Identity(watched, redis, settings, versions, customers, api_keys, audit)
    yield identity
    for callers in identity.replicas:
        await callers.close()
    await watched.close()
