"""Finding out whether accounts still work: each from time to time, by the platform's own cheap probe.

Only the vendor's own word that a credential no longer counts ends an account, on the same way as when a call meets it:
tokens that can be renewed are renewed first, and if that fails for good the account is marked once, with one event and
one mail. Whatever else goes wrong (no answer, 5xx, asked too often) is written down and tried again later.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import orjson
import structlog
from pydantic import ValidationError
from redis.asyncio import Redis

from hermes.connections.health_rows import HealthRows, Watched
from hermes.connections.names import health_name, key_name, printable
from hermes.connections.probing import Prober
from hermes.connections.renewal import Renewals
from hermes.connections.store import CredentialStore
from hermes.crypto import Undecryptable
from hermes.errors import HermesError, NeedsReconnect, PlatformUnavailable
from hermes.platforms.base import Credentials, RateLimit
from hermes.platforms.catalog import AnyPlatform, Catalog
from hermes.storage.leases import RedisLeases
from hermes.storage.pace import Pace

Outcome = Literal["works", "ended", "trouble"]

_LEASE_SECONDS: Final = 120.0
_SOON: Final = timedelta(minutes=15)
"""When an account is looked at again of which nothing could be found out."""
_KEPT_SECONDS: Final = 600
_IN_A_ROW: Final = 5
"""So many failures of a vendor in a row mean that it is the vendor who has trouble; then nobody asks for a while."""
_PAUSE: Final = timedelta(minutes=10)
_TROUBLE: Final = "health_trouble:"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at an account gave.

    Attributes:
        outcome: `works`; `ended`: the person must connect again; `trouble`: it could not be found out.
        error: why it does not work or is not known, in words for the customer; no secret.
        checked_at: when.
        retry_after: seconds, when the vendor said so.
    """

    outcome: Outcome
    checked_at: datetime
    error: str | None = None
    retry_after: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As it is kept and shown."""
        return {"outcome": self.outcome, "error": self.error, "checked_at": self.checked_at.isoformat()}


class Health:
    """Looks at accounts."""

    def __init__(
        self,
        catalog: Catalog,
        store: CredentialStore,
        rows: HealthRows,
        prober: Prober,
        renewals: Renewals,
        redis: Redis,
        mark_needs_reconnect: Callable[[str, str, str, str, str], Awaitable[None]],
        *,
        every: timedelta,
        per_second: int,
        observe: Callable[[str, str], object] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Args:
            every: how long after a look the next one comes, more or less.
            per_second: how many accounts of one platform are looked at in a second, over all replicas.
            observe: told the platform and the outcome of each look.
        """
        self._catalog = catalog
        self._store = store
        self._rows = rows
        self._prober = prober
        self._renewals = renewals
        self._redis = redis
        self._pace, self._leases = Pace(redis), RedisLeases(redis)
        self._mark = mark_needs_reconnect
        self._every = every
        self._limit = RateLimit(per_second, 1.0, source="the setting HEALTH_CHECKS_PER_SECOND")
        self._observe = observe
        self._now = now
        self.unasked = frozenset(one.id for one in catalog if one.probe_function is not None and not one.probe_costs)
        """The platforms whose accounts are looked at without anybody asking."""

    @property
    def seconds_each(self) -> float:
        """How long a look takes at least, by the pace."""
        return 1 / self._limit.requests

    async def check(self, connection_id: str, claimed: int) -> None:
        """For the house: look at one account if nobody has since it was claimed: what a job does.

        Args:
            connection_id: of the row.
            claimed: when, in milliseconds since 1970.
        """
        account = await self._due(connection_id, claimed)
        if account is None:
            return
        await self._pace.turn(f"health:{account.platform}", self._limit)
        lease = f"health:{account.platform}:{account.label}"
        async with self._leases.hold(account.customer_id, lease, _LEASE_SECONDS) as mine:
            if not mine:
                return
            account = await self._due(connection_id, claimed)
            if account is not None:
                await self._look(account)

    async def look(self, customer_id: str, platform: str, label: str) -> Finding | None:
        """Look at one account now, because somebody wants to know. None: it is not in use."""
        account = await self._rows.read(customer_id, platform, label)
        return None if account is None else await self._look(account)

    async def last(self, customer_id: str, platform: str, label: str) -> dict[str, Any] | None:
        """What the last look found, as `Finding.as_dict`, if it was a few minutes ago at most."""
        kept = await self._redis.get(health_name(customer_id, platform, label))
        return None if kept is None else dict(orjson.loads(kept))

    async def _due(self, connection_id: str, claimed: int) -> Watched | None:
        """For the house: the account that a job names, if it is to be looked at; else it is scheduled anew."""
        account, now = await self._rows.named(connection_id), self._now()
        if account is None:
            return None
        if account.last_checked_at is not None and account.last_checked_at.timestamp() * 1000 > claimed:
            return None
        where = (account.customer_id, account.platform, account.label)
        if account.last_success_at is not None and now - account.last_success_at < self._every / 2:
            await self._rows.schedule(*where, account.last_success_at + _about(self._every))
            return None
        if int(await self._redis.get(_TROUBLE + account.platform) or 0) >= _IN_A_ROW:
            await self._rows.schedule(*where, now + _about(_PAUSE))
            return None
        return account

    async def _look(self, account: Watched) -> Finding:
        where = (account.customer_id, account.platform, account.label)
        platform = self._catalog.platforms[account.platform]
        found, tried = await self._find_out(platform, account)
        if found.outcome != "ended":
            wait = _about(self._every if found.outcome == "works" else min(self._every, _SOON))
            again = found.checked_at + max(wait, timedelta(seconds=found.retry_after or 0))
            await self._rows.found(*where, tried.sealed, at=found.checked_at, error=found.error, check_at=again)
        await self._redis.set(health_name(*where), orjson.dumps(found.as_dict()), ex=_KEPT_SECONDS)
        await self._note_vendor(platform, found.outcome)
        if self._observe is not None:
            self._observe(platform.id, found.outcome)
        log.info("account_checked", customer_id=account.customer_id, platform=platform.id, outcome=found.outcome)
        return found

    async def _find_out(self, platform: AnyPlatform, account: Watched) -> tuple[Finding, Watched]:
        """What is so, and of the account with which credential."""
        where = (account.customer_id, account.platform, account.label)
        try:
            if self._renewals.is_late(platform.id, await self._open(platform, account)):
                account = replace(account, sealed=await self._renewals.fresh(*where, account.sealed))
            refused = await self._refused(platform, account)
            renewed = await self._renewals.after_refusal(*where, account.sealed) if refused is not None else None
            if renewed is not None:
                account = replace(account, sealed=renewed)
                refused = await self._refused(platform, account)
        except NeedsReconnect as ended:  # it is marked
            return Finding("ended", self._now(), printable(ended.message)), account
        except HermesError as error:
            return Finding("trouble", self._now(), printable(error.message), error.retry_after), account
        if refused is None:
            return Finding("works", self._now()), account
        await self._mark(*where, refused.message, account.sealed)
        return Finding("ended", self._now(), printable(refused.message)), account

    async def _refused(self, platform: AnyPlatform, account: Watched) -> NeedsReconnect | None:
        """The vendor's word that it does not take the credential; None: it does. Raises what leaves that open."""
        probe = platform.probe_function
        if probe is None:
            return None
        credentials = await self._open(platform, account)
        try:
            await self._prober.ask(
                account.customer_id, platform, account.label, lambda context: probe(platform.open(context, credentials))
            )
        except NeedsReconnect as refused:
            return refused
        return None

    async def _open(self, platform: AnyPlatform, account: Watched) -> Credentials:
        name = key_name(account.customer_id, account.platform, account.label)
        try:
            credentials: Credentials = platform.credentials.model_validate_json(
                await self._store.open(name, account.sealed)
            )
        except (Undecryptable, ValidationError) as error:
            log.error("credential_does_not_open", key=name, reason=type(error).__name__)
            raise PlatformUnavailable("The stored credential cannot be opened by this server.") from None
        return credentials

    async def _note_vendor(self, platform: AnyPlatform, outcome: Outcome) -> None:
        """Count the failures of a vendor in a row. Where each account has a server of its own they say nothing."""
        if not platform.base_url:
            return
        name = _TROUBLE + platform.id
        if outcome == "trouble":
            await self._redis.incr(name)
            await self._redis.expire(name, _PAUSE)
        else:
            await self._redis.delete(name)


def _about(wait: timedelta) -> timedelta:
    return wait * random.uniform(0.8, 1.2)  # noqa: S311  (spreads load, guards nothing)
