"""From a credential's name to a caller: process memory (five seconds), then Redis (a minute), then SQL.

API keys, sessions and OAuth tokens go the same way; what SQL knows of each is a `Reader` (readers.py). A verifier
checks what a request brings, takes the name from it and asks `recognise`; the pipeline asks `refresh` when a caller's
version is not the one served. What revokes a credential wraps its transaction in `CustomerChanges.change` (changes.py),
and is then effective everywhere within five seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, NamedTuple

from redis.asyncio import Redis

from hermes.errors import NotAuthenticated, Suspended
from hermes.identity.approval_rules import ApprovalRules
from hermes.identity.caller import Caller, Via
from hermes.identity.key_cache import KeyCache, KnownKey
from hermes.identity.memory import Background, Clock, Memory, SingleFlight
from hermes.identity.models import Customer
from hermes.identity.readers import USED_EVERY, Read, Reader
from hermes.identity.versions import Versions
from hermes.storage.sql import Database

MEMORY_SECONDS: Final = 5.0
_MEMORY_SIZE: Final = 5_000
_REFUSED_SIZE: Final = 1_000
_REFRESH_TRIES: Final = 3

_Name = tuple[Via, str]


class _Remembered(NamedTuple):
    caller: Caller
    active: bool
    expires_at: float | None


class KnownCallers:
    """Says whom a credential stands for.

    With the caller in memory nothing is asked; otherwise Redis is asked once, and SQL at most once. Filling Redis and
    noting when a credential was used happen behind the answer.
    """

    def __init__(
        self,
        database: Database,
        redis: Redis,
        public_url: str,
        *,
        clock: Clock = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            clock: by which memory ends.
            now: seconds since 1970, by which credentials expire.
        """
        self._database = database
        self._cache = KeyCache(redis)
        self._versions = Versions(redis)
        self._public_url = public_url
        self._clock = clock
        self._now = now
        self._readers: dict[Via, Reader] = {}
        self._memory: Memory[_Name, _Remembered] = Memory(_MEMORY_SIZE, clock)
        self._refused: Memory[_Name, bool] = Memory(_REFUSED_SIZE, clock)
        self._look_ups: SingleFlight[_Name, _Remembered | None] = SingleFlight(MEMORY_SECONDS, clock)
        self._refreshes: SingleFlight[tuple[Via, str, str, str | None], Caller] = SingleFlight(MEMORY_SECONDS, clock)
        self._background = Background()

    def register(self, reader: Reader) -> None:
        """Say who reads credentials of the reader's kind."""
        self._readers[reader.via] = reader

    def recall(self, via: Via, name: str) -> Caller | None:
        """Whom this process remembers under this name; none if it has to look.

        Raises:
            NotAuthenticated, Suspended: as `recognise`.
        """
        remembered = self._memory.get((via, name))
        return None if remembered is None else self._valid(remembered)

    async def recognise(self, via: Via, name: str) -> Caller:
        """The customer whom the credential of this name stands for.

        Raises:
            NotAuthenticated: it is unknown, revoked or expired.
            Suspended: the customer is suspended.
        """
        key = (via, name)
        remembered = self._memory.get(key)
        if remembered is None and not self._refused.get(key):
            remembered = await self._look_ups.do(key, lambda: self._find(key))
        if remembered is None:
            raise self._readers[via].refusal()
        return self._valid(remembered)

    async def refresh(self, caller: Caller) -> Caller:
        """Read from SQL what the caller's credential and customer are now.

        Raises:
            NotAuthenticated: the credential was revoked or has expired, or the customer is gone.
            Suspended: the customer is suspended.
        """
        if caller.kind == "customer" and caller.via in self._readers:
            key = (caller.via, caller.customer_id, caller.key_id, caller.credential)
            fresh = await self._refreshes.do(key, lambda: self._refresh(caller))
            return replace(fresh, client=caller.client or fresh.client, credential=caller.credential)
        return await self._refresh_customer(caller)

    async def customer(self, customer_id: str) -> Customer | None:
        """The customer's row as it is now."""
        async with self._database.reading() as session:
            return await session.get(Customer, customer_id)

    async def close(self) -> None:
        """Finish what goes on behind the answers. To be called before Redis and SQL are closed."""
        await self._background.finish()

    def _valid(self, remembered: _Remembered) -> Caller:
        if remembered.expires_at is not None and remembered.expires_at <= self._now():
            raise self._readers[remembered.caller.via].refusal()
        if not remembered.active:
            raise self._suspended()
        return remembered.caller

    async def _find(self, key: _Name) -> _Remembered | None:
        until = self._clock() + MEMORY_SECONDS  # counted from before the read: it may be overtaken while under way
        via, name = key
        known = await self._cache.lookup(name, via)
        if known is None:
            read = await self._readers[via].named(name)
            if read is None or read.revoked:
                self._refused.put(key, True, until)
                return None
            known = read.known
            self._background.start("fill the key cache", self._fill(key, read))
        return self._remember(key, known, until)

    def _remember(self, key: _Name, known: KnownKey, until: float) -> _Remembered:
        remembered = _Remembered(known.caller(key[1]), known.active, known.expires_at)
        self._memory.put(key, remembered, until)
        return remembered

    async def _fill(self, key: _Name, read: Read) -> None:
        via, name = key
        if not await self._cache.fill(name, read.known):
            await self._read_current(read.known.id, read.known.key_id, via, name)
        if read.last_used_at is None or read.last_used_at <= datetime.now(UTC) - USED_EVERY:
            await self._readers[via].note_use(read.known.id, read.known.key_id)

    async def _refresh(self, caller: Caller) -> Caller:
        until = self._clock() + MEMORY_SECONDS
        via = caller.via
        read = await self._read_current(caller.customer_id, caller.key_id, via, caller.credential)
        if read is None:
            raise self._readers[via].refusal()
        name = read.name
        if read.revoked:
            if name is not None:
                self._memory.forget((via, name))
                self._refused.put((via, name), True, until)
            raise self._readers[via].refusal()
        if name is None:
            return self._valid(_Remembered(read.known.caller(""), read.known.active, read.known.expires_at))
        return self._valid(self._remember((via, name), read.known, until))

    async def _read_current(self, customer_id: str, key_id: str, via: Via, name: str | None) -> Read | None:
        """Read a credential, and make Redis agree with what was read unless changes keep overtaking it.

        Args:
            name: of the credential; none when only the id is known, by which it is read then.
        """
        reader, read = self._readers[via], None
        for _ in range(_REFRESH_TRIES):
            state = await self._versions.observe(customer_id)
            read = await (reader.numbered(customer_id, key_id) if name is None else reader.named(name))
            if read is None or read.known.id != customer_id:
                return None
            if read.revoked or read.name is None:
                current = await self._cache.confirm(customer_id, read.known.version, state)
            else:
                current = await self._cache.fill(read.name, read.known, state)
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
            raise NotAuthenticated("This customer is no longer there; sign in as another.", reason="invalid")
        caller = replace(
            caller,
            plan=customer.plan,
            version=customer.version,
            default_accounts=customer.default_accounts or {},
            approval_rules=ApprovalRules.stored(customer.approval_rules),
        )
        if caller.kind == "operator":
            return caller
        if customer.status != "active":
            raise self._suspended()
        return replace(caller, role=customer.role, email=customer.email)

    async def _read_current_customer(self, customer_id: str) -> Customer | None:
        customer = None
        for _ in range(_REFRESH_TRIES):
            state = await self._versions.observe(customer_id)
            customer = await self.customer(customer_id)
            if customer is None:
                return None
            current = await self._cache.confirm(customer_id, customer.version, state)
            if current or await self._is_ahead(customer_id, state, customer.version):
                break
        return customer

    def _suspended(self) -> Suspended:
        return Suspended(
            f"This account is suspended, so nothing is called for it; ask whoever runs {self._public_url} to resume it."
        )
