"""Renewing tokens: each in time, once, and never lost.

One renewal of an account goes on at a time: calls of one process share it, replicas take turns by a lock. Whoever has
the turn reads the account again first, for somebody may have renewed it. Then the vendor is asked, and its answer is
stored before anything else is done with it: in SQL, and while SQL cannot be reached, sealed, in Redis. A process that
dies before the vendor answered leaves the refresh token as it was; if the vendor had spent it all the same, it says so
the next time, and the customer is told once to sign in again.

Only the vendor's own word ends an account. Whatever else goes wrong is tried again later, in growing pauses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import structlog
from pydantic import ValidationError
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from hermes.connections.models import USABLE
from hermes.connections.names import key_name
from hermes.connections.renewal_rows import Renewable, RenewalRows
from hermes.connections.rescue import Rescue
from hermes.connections.store import CredentialStore, Renewed
from hermes.connections.vendor import GrantEnded, VendorClient
from hermes.crypto import Undecryptable
from hermes.errors import HermesError, NeedsReconnect, PlatformUnavailable
from hermes.platforms.catalog import Catalog
from hermes.platforms.oauth import OAuthConnect, Tokens
from hermes.storage.leases import RedisLeases

_TURN_SECONDS: Final = 30.0
"""So long after a process died in its turn, the next one has it."""
_WAIT_SECONDS: Final = 60.0
LATEST: Final = timedelta(seconds=60)
"""A call that finds its access token this near its end renews it first."""
_STORE_ERRORS: Final = (RedisError, SQLAlchemyError, TimeoutError)

log = structlog.get_logger(__name__)


class Renewals:
    """Keeps the tokens of accounts alive that were linked by signing in."""

    def __init__(
        self,
        catalog: Catalog,
        store: CredentialStore,
        rows: RenewalRows,
        vendor: VendorClient,
        leases: RedisLeases,
        rescue: Rescue,
        mark_needs_reconnect: Callable[[str, str, str, str, str], Awaitable[None]],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        turn_seconds: float = _TURN_SECONDS,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._rows = rows
        self._vendor = vendor
        self._leases = leases
        self._rescue = rescue
        self._mark = mark_needs_reconnect
        self._now = now
        self._turn_seconds = turn_seconds
        self._under_way: dict[str, asyncio.Task[str | None]] = {}

    def is_late(self, platform: str, credentials: Any) -> bool:
        """Whether a call should renew the account's tokens before it uses them. Costs no round trip."""
        ends: datetime | None = getattr(credentials, "expires_at", None)
        return bool(self._catalog.platforms[platform].oauth) and ends is not None and ends - self._now() < LATEST

    async def fresh(self, customer_id: str, platform: str, label: str, sealed: str) -> str:
        """For a call: the account's credential with tokens that last, renewed if nobody else has meanwhile.

        Args:
            customer_id: whose account it is.
            platform: the platform's id.
            label: the account's label.
            sealed: the credential that is about to end.

        Returns:
            The sealed credential to use: `sealed` itself, if it cannot be renewed and has not ended yet.

        Raises:
            NeedsReconnect: the vendor says that the person must sign in again.
            PlatformUnavailable: the tokens have ended, and new ones cannot be had now.
        """
        try:
            return await self._renewed(customer_id, platform, label, sealed) or sealed
        except _STORE_ERRORS as error:
            log.warning("tokens_not_renewed", customer_id=customer_id, platform=platform, error=type(error).__name__)
            unavailable = PlatformUnavailable("The account's access could not be renewed now; nothing was sent.")
        except NeedsReconnect:
            raise
        except HermesError as error:
            unavailable = PlatformUnavailable(
                f"The account's access has to be renewed first, and that did not work: {error.message} Nothing was "
                "sent. Try again shortly.",
                retry_after=error.retry_after,
            )
        if await self._still_works(customer_id, platform, label, sealed):
            return sealed
        unavailable.nothing_sent = True
        raise unavailable

    async def after_refusal(self, customer_id: str, platform: str, label: str, sealed: str) -> str | None:
        """For a call whose access token was refused: the credential with new ones; None when they cannot be had.

        Raises:
            NeedsReconnect: the vendor says that the person must sign in again; the account is marked.
            PlatformUnavailable: new tokens cannot be had now; the account stays as it is.
        """
        account = await self._rows.read(customer_id, platform, label)
        if account is None or self._connect(account).renewable(await self._open(account)) is None:
            return None
        return await self._renewed(customer_id, platform, label, sealed, refused=True)

    async def renew(self, connection_id: str) -> None:
        """For the house: renew one account's tokens if they are due: what a job does."""
        named = await self._rows.named(connection_id)
        if named is None:
            return
        customer_id, platform, label = named
        try:
            await self._renewed(customer_id, platform, label, None)
        except HermesError as error:
            # It is written down: the account is marked, or will be tried again.
            log.info("tokens_not_renewed", customer_id=customer_id, platform=platform, account=label, error=error.code)

    def seconds_each(self, provider: str) -> float:
        """How long a renewal takes at least, by the vendor's limit."""
        limits = [one.limit for platform in self._catalog for one in platform.oauth if one.provider == provider]
        return limits[0].seconds / limits[0].requests if limits else 0.0

    async def close(self) -> None:
        """Wait for the renewals under way: a vendor's answer is never thrown away."""
        while self._under_way:
            await asyncio.wait(set(self._under_way.values()))

    async def _renewed(
        self, customer_id: str, platform: str, label: str, sealed: str | None, *, refused: bool = False
    ) -> str | None:
        """Join the renewal that is under way in this process, or begin one. It goes on when its callers go away."""
        name = key_name(customer_id, platform, label)
        task = self._under_way.get(name)
        if task is None:
            work = self._in_turn(customer_id, platform, label, sealed, refused=refused)
            task = self._under_way[name] = asyncio.create_task(work, name=f"renew {platform}")
            task.add_done_callback(lambda done: self._done(name, done))
        return await asyncio.shield(task)

    def _done(self, name: str, task: asyncio.Task[str | None]) -> None:
        del self._under_way[name]
        if not task.cancelled():
            task.exception()  # whoever waits has it; a job that went away does not ask

    async def _in_turn(
        self, customer_id: str, platform: str, label: str, sealed: str | None, *, refused: bool
    ) -> str | None:
        async with self._leases.turn(
            customer_id, f"renew:{platform}:{label}", self._turn_seconds, wait=_WAIT_SECONDS
        ) as mine:
            if not mine:
                raise PlatformUnavailable("Another server is renewing the account's access.", retry_after=1)
            account = await self._rows.read(customer_id, platform, label)
            if account is None or account.status not in USABLE:
                return None
            return await self._renew(account, sealed, refused=refused)

    async def _renew(self, account: Renewable, sealed: str | None, *, refused: bool) -> str | None:
        connect, credentials = self._connect(account), await self._open(account)
        shown = connect.renewable(credentials)
        if shown is None:
            return None
        rescued = await self._rescue.find(account.customer_id, account.platform, account.label, shown)
        if rescued is not None:
            return await self._keep(account, connect, shown, rescued)
        if not self._is_due(connect, credentials, refused=refused and sealed == account.sealed):
            return account.sealed
        try:
            tokens = await self._vendor.renew(connect, shown)
        except GrantEnded as ended:
            raise await self._ended(account, ended) from None
        except HermesError as error:
            await self._rows.postpone(account, self._now(), error.retry_after)
            raise
        return await self._keep(account, connect, shown, tokens)

    def _is_due(self, connect: OAuthConnect, credentials: dict[str, Any], *, refused: bool) -> bool:
        ends = connect.access_ends(credentials)
        return refused or (ends is not None and ends - self._now() <= connect.renew_before)

    async def _keep(self, account: Renewable, connect: OAuthConnect, shown: str, tokens: Tokens) -> str | None:
        """Store what the vendor gave, whatever else has happened to the account's row meanwhile."""
        where = (account.customer_id, account.platform, account.label)

        def change(plaintext: bytes) -> Renewed | None:
            stored = orjson.loads(plaintext)
            return self._changed(account, connect, stored, tokens) if connect.renewable(stored) == shown else None

        sealed = await self._rescue.keep(*where, shown, tokens, lambda: self._store.renew(*where, change))
        log.info("tokens_renewed", customer_id=account.customer_id, platform=account.platform, account=account.label)
        return sealed

    def _changed(
        self, account: Renewable, connect: OAuthConnect, stored: dict[str, Any], tokens: Tokens
    ) -> Renewed | None:
        fields = connect.renewed(stored, tokens)
        model = self._catalog.platforms[account.platform].credentials
        try:
            plaintext = model.model_validate(fields).to_json()
        except ValidationError:
            # The vendor's token is not of the form that it always had: better kept as it came than lost.
            plaintext = orjson.dumps(fields)
            log.error("renewed_tokens_look_odd", provider=connect.provider)
        return Renewed(plaintext, connect.renew_at(fields, self._now()), connect.ends_at(fields, tokens))

    async def _ended(self, account: Renewable, ended: GrantEnded) -> NeedsReconnect:
        where = (account.customer_id, account.platform, account.label)
        await self._mark(*where, ended.reason, account.sealed)
        return NeedsReconnect(ended.reason, platform=account.platform, account=account.label, nothing_sent=True)

    def _connect(self, account: Renewable) -> OAuthConnect:
        connect = self._catalog.platforms[account.platform].sign_in(account.provider)
        if connect is None:
            raise PlatformUnavailable(f"This server no longer knows how to sign in with {account.provider}.")
        return connect

    async def _open(self, account: Renewable) -> dict[str, Any]:
        name = key_name(account.customer_id, account.platform, account.label)
        try:
            return dict(orjson.loads(await self._store.open(name, account.sealed)))
        except Undecryptable as error:
            log.error("credential_does_not_open", key=name, reason=error.reason)
            raise PlatformUnavailable("The stored credential cannot be opened by this server.") from None

    async def _still_works(self, customer_id: str, platform: str, label: str, sealed: str) -> bool:
        stored = orjson.loads(await self._store.open(key_name(customer_id, platform, label), sealed))
        ends = stored.get("expires_at")
        return ends is None or datetime.fromisoformat(ends) > self._now()
