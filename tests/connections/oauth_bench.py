"""A bench for signing in and renewing: the sandbox's vendors on a socket, and houses that use them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import select

from hermes.connections import rows
from hermes.connections.models import ConnectionRow
from hermes.connections.names import key_name
from hermes.connections.renewal import Renewals
from hermes.connections.renewal_rows import RenewalRows
from hermes.connections.rescue import Rescue
from hermes.connections.rows import SignedIn
from hermes.connections.store import CredentialStore
from hermes.connections.telling import Telling
from hermes.connections.vendor import VendorClient
from hermes.crypto import Keyring
from hermes.events.models import EventRow
from hermes.net.upstream import Upstream
from hermes.platforms.base import Account
from hermes.platforms.catalog import Catalog, load_catalog
from hermes.platforms.oauth import OAuthConnect
from hermes.sandbox.app import Sandbox
from hermes.sandbox.oauth import OAuthDesk
from hermes.sandbox_mode import on_sandbox
from hermes.settings import Settings
from hermes.storage.leases import RedisLeases
from hermes.storage.pace import Pace
from hermes.storage.redis import Redis
from hermes.storage.sql import Database

KEY = bytes(range(32))


@dataclass
class Time:
    """The time that everything on the bench goes by: the sandbox's."""

    sandbox: Sandbox

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(self.sandbox.clock.now(), UTC)


@dataclass
class Replica:
    """What one process has of its own."""

    store: CredentialStore
    rows: RenewalRows
    vendor: VendorClient
    renewals: Renewals
    upstream: Upstream


@dataclass
class Bench:
    """Vendors, stores, and as many replicas as a test wants."""

    sandbox: Sandbox
    settings: Settings
    catalog: Catalog
    database: Database
    redis: Redis
    redis_url: str
    now: Time
    keyring: Keyring = field(default_factory=lambda: Keyring(KEY))
    replicas: list[Replica] = field(default_factory=list)
    telling: Telling | None = None

    def replica(
        self,
        *,
        database: Database | None = None,
        catalog: Catalog | None = None,
        seconds: float = 20.0,
        storing: float = 60.0,
        turn_seconds: float = 1.0,
        now: Callable[[], datetime] | None = None,
    ) -> Replica:
        """Another process on the same stores."""
        upstream = Upstream()
        database, catalog, now = database or self.database, catalog or self.catalog, now or self.now
        store = CredentialStore(database, self.redis, self.keyring, self.telling)
        rows = RenewalRows(database, self.telling)
        vendor = VendorClient(upstream, self.settings, Pace(self.redis), now=now, seconds=seconds)
        renewals = Renewals(
            catalog,
            store,
            rows,
            vendor,
            RedisLeases(self.redis),
            Rescue(self.redis, self.keyring, seconds=storing),
            store.mark_needs_reconnect,  # type: ignore[arg-type]  # as the service does, without its notices
            now=now,
            turn_seconds=turn_seconds,
        )
        made = Replica(store, rows, vendor, renewals, upstream)
        self.replicas.append(made)
        return made

    def desk(self, platform: str, number: int = 0) -> OAuthDesk:
        return self.sandbox.services[platform].desks[number]

    def connect(self, platform: str, number: int = 0) -> OAuthConnect:
        return self.catalog.platforms[platform].oauth[number]

    async def link(
        self, platform: str, customer_id: str = "cus_a", person: str = "alex", number: int = 0, **more: Any
    ) -> str:
        """Link a person's account as if they had signed in; returns the row's id."""
        plaintext, signed_in = self._signed_in(platform, person, number, **more)
        store = CredentialStore(self.database, self.redis, self.keyring)
        await store.put(customer_id, platform, "default", plaintext, Account(id=person), signed_in)
        return (await self.row(customer_id, platform)).id

    async def link_many(self, platform: str, people: Mapping[str, str]) -> None:
        """Link one account for each customer's person, all at once; Redis is filled by whoever needs one."""
        async with self.database.session() as session:
            for customer_id, person in people.items():
                plaintext, signed_in = self._signed_in(platform, person)
                row = await rows.locked_or_new(session, customer_id, platform, "default")
                sealed = self.keyring.seal(plaintext, key_name(customer_id, platform, "default"))
                rows.fill_in(row, sealed, Account(id=person), signed_in)

    def _signed_in(self, platform: str, person: str, number: int = 0, **more: Any) -> tuple[bytes, SignedIn]:
        """A credential as signing in gives it, and what the row says of it."""
        connect, desk = self.connect(platform, number), self.desk(platform, number)
        tokens = connect.read_tokens(desk.sign_in(person, connect.scopes), self.now())
        fields = {**connect.renewed(more, tokens), **more}
        plaintext = self.catalog.platforms[platform].credentials.model_validate(fields).to_json()
        return plaintext, SignedIn(
            connect.provider, connect.renew_at(fields, self.now()), connect.ends_at(fields, tokens)
        )

    async def row(self, customer_id: str, platform: str) -> Any:
        query = select(ConnectionRow).where(
            ConnectionRow.customer_id == customer_id, ConnectionRow.platform == platform
        )
        async with self.database.reading() as session:
            return (await session.execute(query)).scalar_one()

    async def credential(self, customer_id: str, platform: str) -> Mapping[str, Any]:
        row = await self.row(customer_id, platform)
        return orjson.loads(self.keyring.open(row.ciphertext, key_name(customer_id, platform, "default")))

    async def events(self) -> list[EventRow]:
        async with self.database.reading() as session:
            return list((await session.execute(select(EventRow).order_by(EventRow.at))).scalars())

    def advance(self, **lengths: float) -> None:
        self.sandbox.clock.advance(timedelta(**lengths).total_seconds())


def bench_settings(settings: Settings, origin: str) -> tuple[Settings, Catalog]:
    catalog = load_catalog()
    return on_sandbox(settings, origin, catalog), catalog
