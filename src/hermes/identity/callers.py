"""From a key to a caller: process memory (five seconds), then Redis (a minute), then SQL."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from redis.asyncio import Redis
from sqlalchemy import ColumnElement, or_, select, update

from hermes.errors import NotAuthenticated, NotFound, Suspended
from hermes.identity.api_key import PREFIX, digest_of, is_well_formed
from hermes.identity.caller import OPERATOR, Caller, Grants, Via
from hermes.identity.key_cache import KeyCache, KnownKey
from hermes.identity.memory import Background, Memory, SingleFlight
from hermes.identity.models import ApiKey, Customer
from hermes.identity.versions import Versions, version_key
from hermes.settings import Settings
from hermes.storage.sql import Database

__all__ = ["Callers", "is_whole_operator", "version_key"]

MEMORY_SECONDS: Final = 5.0
_MEMORY_SIZE: Final = 5_000
_REFUSED_SIZE: Final = 1_000
_REFRESH_TRIES: Final = 3
_USED_EVERY: Final = timedelta(minutes=1)


class _Read(NamedTuple):
    """One row of SQL: a key, with its customer."""

    digest: str
    known: KnownKey
    revoked: bool
    last_used_at: datetime | None


def is_whole_operator(caller: Caller) -> bool:
    """Whether the caller may do what operators do. A customer with role `admin` may, but not with a key that was given
    only part of the grants: who holds that key was not meant to have everything. An assistant never may."""
    if caller.via is Via.OAUTH:
        return False
    return caller.kind == "operator" or (caller.role == "admin" and caller.grants == Grants.everything())


class Callers:
    """Says who is calling, by API key or by the operator's key. A verifier (authenticate.py) for both.

    With the caller in memory nothing is asked; otherwise Redis is asked once, and SQL at most once. Filling Redis and
    noting when a key was used happen behind the answer.
    """

    credentials = frozenset({"x-api-key", "bearer"})
    surfaces = frozenset({"mcp", "api"})

    def __init__(
        self, database: Database, redis: Redis, settings: Settings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._cache = KeyCache(redis)
        self._versions = Versions(redis)
        self._clock = clock
        self._public_url = settings.public_url
        operator_key = settings.mcp_api_key
        self._operator_digest = digest_of(operator_key.get_secret_value()) if operator_key else None
        self._memory: Memory[bytes, tuple[Caller, bool]] = Memory(_MEMORY_SIZE, clock)
        self._refused: Memory[bytes, bool] = Memory(_REFUSED_SIZE, clock)
        self._look_ups: SingleFlight[bytes, tuple[Caller, bool] | None] = SingleFlight(MEMORY_SECONDS, clock)
        self._refreshes: SingleFlight[tuple[str, str], Caller] = SingleFlight(MEMORY_SECONDS, clock)
        self._background = Background()

    @property
    def operator(self) -> Caller:
        """The operator's own caller, for commands that run beside the server: single-user mode."""
        return OPERATOR

    async def verify(self, token: str) -> Caller | None:
        """The caller that an operator's or customer's key stands for; none if the text is no such key.

        Raises:
            NotAuthenticated: it looks like an API key, and is malformed, unknown or revoked.
            Suspended: the customer is suspended.
        """
        digest = digest_of(token)
        if self._operator_digest is not None and hmac.compare_digest(digest, self._operator_digest):
            return OPERATOR
        remembered = self._memory.get(digest)
        if remembered is None:
            if not token.startswith(PREFIX):
                return None
            remembered = await self._look_up(token, digest)
        return self._active(remembered)

    async def from_api_key(self, secret: str) -> Caller:
        """The customer whom an API key stands for.

        Raises:
            NotAuthenticated: the key is malformed (found without any look-up), unknown or revoked.
            Suspended: the customer is suspended.
        """
        digest = digest_of(secret)
        return self._active(self._memory.get(digest) or await self._look_up(secret, digest))

    async def refresh(self, caller: Caller) -> Caller:
        """Read from SQL what the caller's key and customer are now: for a caller whose version is not the one served.

        The answer is as fresh as SQL is at this moment, so a call may go on with it without comparing versions again
        (they differ for as long as a change is under way).

        Raises:
            NotAuthenticated: the key was revoked, or the customer is gone.
            Suspended: the customer is suspended.
        """
        if caller.single_user:
            return caller
        if caller.kind == "customer" and caller.via is Via.API_KEY:
            key = (caller.customer_id, caller.key_id)
            fresh = await self._refreshes.do(key, lambda: self._refresh_key(*key))
            return replace(fresh, client=caller.client)
        return await self._refresh_customer(caller)

    async def act_for(self, operator: Caller, customer_id: str) -> Caller:
        """The operator acting for a customer: with the customer's accounts and plan, audited as the operator. Also
        for a suspended one.

        Raises:
            NotFound: there is no such customer.
            ValueError: the caller is no operator.
        """
        if not is_whole_operator(operator):
            raise ValueError("only an operator acts for a customer")
        customer = await self._read_customer(customer_id)
        if customer is None:
            raise NotFound(f"There is no customer {customer_id!r}; `hermes customers list` shows them.")
        return replace(
            operator,
            kind="operator",
            customer_id=customer.id,
            grants=Grants.everything(),
            plan=customer.plan,
            version=customer.version,
        )

    async def close(self) -> None:
        """Finish what goes on behind the answers. To be called before Redis and SQL are closed."""
        await self._background.finish()

    def _active(self, remembered: tuple[Caller, bool]) -> Caller:
        caller, active = remembered
        if not active:
            raise self._suspended()
        return caller

    async def _look_up(self, secret: str, digest: bytes) -> tuple[Caller, bool]:
        if not is_well_formed(secret):
            raise NotAuthenticated(
                "This API key is incomplete or mistyped (its checksum does not fit); copy it again in full.",
                reason="invalid",
            )
        if self._refused.get(digest):
            raise self._unknown_key()
        found = await self._look_ups.do(digest, lambda: self._find(digest))
        if found is None:
            raise self._unknown_key()
        return found

    async def _find(self, digest: bytes) -> tuple[Caller, bool] | None:
        until = self._clock() + MEMORY_SECONDS  # counted from before the read: it may be overtaken while under way
        known = await self._cache.lookup(digest.hex())
        if known is None:
            read = await self._read_key(ApiKey.digest == digest.hex())
            if read is None or read.revoked:
                self._refused.put(digest, True, until)
                return None
            known = read.known
            self._background.start("fill the key cache", self._fill(read))
        return self._remember(digest, known, until)

    def _remember(self, digest: bytes, known: KnownKey, until: float) -> tuple[Caller, bool]:
        remembered = (known.caller(), known.active)
        self._memory.put(digest, remembered, until)
        return remembered

    async def _fill(self, read: _Read) -> None:
        if not await self._cache.fill(read.digest, read.known):
            await self._read_current(read.known.id, read.known.key_id)
        await self._note_use(read)

    async def _refresh_key(self, customer_id: str, key_id: str) -> Caller:
        until = self._clock() + MEMORY_SECONDS
        read = await self._read_current(customer_id, key_id)
        if read is None:
            raise self._unknown_key()
        digest = bytes.fromhex(read.digest)
        if read.revoked:
            self._memory.forget(digest)
            self._refused.put(digest, True, until)
            raise self._unknown_key()
        return self._active(self._remember(digest, read.known, until))

    async def _read_current(self, customer_id: str, key_id: str) -> _Read | None:
        """Read a key, and make Redis agree with what was read unless changes keep overtaking it."""
        read = None
        for _ in range(_REFRESH_TRIES):
            state = await self._versions.observe(customer_id)
            read = await self._read_key(ApiKey.customer_id == customer_id, ApiKey.id == key_id)
            if read is None:
                return None
            if read.revoked:
                current = await self._cache.confirm(customer_id, read.known.version, state)
            else:
                current = await self._cache.fill(read.digest, read.known, state)
            if current or await self._is_ahead(customer_id, state, read.known.version):
                break
        return read

    async def _is_ahead(self, customer_id: str, state: str, version: int) -> bool:
        """Whether Redis was ahead of what SQL said afterwards: SQL was restored from a backup. Mends it."""
        if not (state.isdecimal() and int(state) > version):
            return False
        await self._cache.forget_version(customer_id)
        return True

    async def _refresh_customer(self, caller: Caller) -> Caller:
        customer = await self._read_current_customer(caller.customer_id)
        if customer is None:
            raise self._unknown_key()
        if caller.kind == "operator":
            return replace(caller, plan=customer.plan, version=customer.version)
        if customer.status != "active":
            raise self._suspended()
        return replace(caller, plan=customer.plan, role=customer.role, email=customer.email, version=customer.version)

    async def _read_current_customer(self, customer_id: str) -> Customer | None:
        customer = None
        for _ in range(_REFRESH_TRIES):
            state = await self._versions.observe(customer_id)
            customer = await self._read_customer(customer_id)
            if customer is None:
                return None
            current = await self._cache.confirm(customer_id, customer.version, state)
            if current or await self._is_ahead(customer_id, state, customer.version):
                break
        return customer

    async def _read_customer(self, customer_id: str) -> Customer | None:
        async with self._database.reading() as session:
            return await session.get(Customer, customer_id)

    async def _read_key(self, *which: ColumnElement[bool]) -> _Read | None:
        """For the house: a request brings a key, and whose that is must be found out."""
        query = select(ApiKey, Customer).join(Customer, ApiKey.customer_id == Customer.id).where(*which)
        async with self._database.reading() as session:
            row = (await session.execute(query)).one_or_none()
        if row is None:
            return None
        key, customer = row
        known = KnownKey(
            id=customer.id,
            plan=customer.plan,
            active=customer.status == "active",
            email=customer.email,
            role=customer.role,
            grants=tuple(key.grants),
            key_id=key.id,
            version=customer.version,
        )
        return _Read(key.digest, known, key.revoked_at is not None, key.last_used_at)

    async def _note_use(self, read: _Read) -> None:
        now = datetime.now(UTC)
        if read.last_used_at is not None and read.last_used_at > now - _USED_EVERY:
            return
        stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= now - _USED_EVERY)
        mine = (ApiKey.customer_id == read.known.id, ApiKey.id == read.known.key_id)
        async with self._database.session() as session:
            await session.execute(update(ApiKey).where(*mine, stale).values(last_used_at=now))

    def _unknown_key(self) -> NotAuthenticated:
        return NotAuthenticated(
            "This API key is unknown or was revoked; use another one, or have a new one made by whoever runs "
            f"{self._public_url} (`hermes api-keys create`).",
            reason="invalid",
        )

    def _suspended(self) -> Suspended:
        return Suspended(
            f"This account is suspended, so nothing is called for it; ask whoever runs {self._public_url} to resume it."
        )
