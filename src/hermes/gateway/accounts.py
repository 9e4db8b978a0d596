"""Which account a call uses, and the platform's API opened with that account's credential.

The customer's id is bound in here, from the caller; no argument can name another customer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from hermes.crypto import Undecryptable
from hermes.errors import HermesError, NeedsReconnect, NotConnected, PlatformUnavailable
from hermes.gateway.arguments import check_account
from hermes.identity.caller import Caller
from hermes.net.upstream import BoundUpstream, Upstream
from hermes.platforms.base import DEFAULT_ACCOUNT, ApiContext, Credentials, Effect, Env, Tool
from hermes.platforms.catalog import AnyPlatform, Catalog
from hermes.platforms.ports import Ports
from hermes.settings import Settings

STORE_ERRORS = (RedisError, SQLAlchemyError, TimeoutError)

log = structlog.get_logger(__name__)


class CredentialStore(Protocol):
    """What the pipeline needs of `hermes.connections.store`."""

    async def load(self, customer_id: str, platform: str, label: str) -> str | None:
        """Read the sealed credential from SQL and fill Redis with it; None when there is none.

        Raises `NeedsReconnect` when it is known not to work any more."""
        ...

    async def open(self, name: str, sealed: str) -> bytes:
        """Decrypt; raises `Undecryptable`."""
        ...


class Linked(Protocol):
    """What the pipeline needs of `hermes.connections.service`."""

    async def accounts(self, customer_id: str) -> Mapping[str, Sequence[str]]:
        """Platform → labels of the customer's linked accounts, the default first."""
        ...

    async def mark_needs_reconnect(
        self, customer_id: str, platform: str, label: str, reason: str, used: str | None = None
    ) -> None:
        """Remember that the platform refused the sealed credential `used`, unless another one was linked meanwhile."""
        ...


class Links(Protocol):
    """What the pipeline needs of `hermes.connections.links`."""

    def url(self, customer_id: str, platform: str, label: str | None = None) -> str:
        """Where this customer links an account of the platform in a browser."""
        ...


class Renewing(Protocol):
    """What the pipeline needs of `hermes.connections.renewal`."""

    def is_late(self, platform: str, credentials: Any) -> bool:
        """Whether the access token is about to end, by the credential's own word."""
        ...

    async def fresh(self, customer_id: str, platform: str, label: str, sealed: str) -> str:
        """The sealed credential with tokens that last; raises `NeedsReconnect` or `PlatformUnavailable`."""
        ...

    async def after_refusal(self, customer_id: str, platform: str, label: str, sealed: str) -> str | None:
        """The same after the vendor refused the access token; None when it cannot be renewed."""
        ...


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """A platform's API, opened for one call on one account with one credential."""

    label: str
    api: Any
    http: BoundUpstream
    sealed: str


class Accounts:
    """Finds, opens and reports on the accounts of callers."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        store: CredentialStore,
        linked: Linked,
        links: Links,
        upstream: Upstream,
        ports: Ports,
        *,
        key_name: Any,
        renewals: Renewing | None = None,
    ) -> None:
        """`key_name(customer_id, platform, label)` names a credential's key; `renewals` keeps tokens alive."""
        self._catalog = catalog
        self._settings = settings
        self._store = store
        self._linked = linked
        self._links = links
        self._upstream = upstream
        self._ports = ports
        self._key_name = key_name
        self._renewals = renewals
        self._environ: Mapping[str, Mapping[str, Credentials]] = {
            platform.id: platform.environ_accounts(settings) for platform in catalog
        }

    async def labels(self, caller: Caller) -> Mapping[str, Sequence[str]]:
        """Platform → labels of the caller's accounts, the one that is used by default first."""
        if caller.single_user:
            return {platform: list(accounts) for platform, accounts in self._environ.items() if accounts}
        return await self._linked.accounts(caller.customer_id)

    async def choose(
        self, caller: Caller, platform: str, arguments: Mapping[str, Any]
    ) -> tuple[str | None, Mapping[str, Any]]:
        """The account that the arguments ask for (None: the caller's own default), and the arguments without it.

        `account` is an argument only for a caller with several accounts; for others it stays among the arguments,
        where it is an unknown one.

        Raises:
            InvalidArguments: no such account; the error lists those there are.
        """
        if caller.single_user:
            environ = list(self._environ[platform])
            if len(environ) < 2 or "account" not in arguments:
                return (environ[0] if environ else None), arguments
            labels: Sequence[str] = environ
        elif "account" not in arguments:
            return None, arguments
        else:
            labels = (await self._linked.accounts(caller.customer_id)).get(platform, ())
            if len(labels) < 2:
                return None, arguments
        rest = {name: value for name, value in arguments.items() if name != "account"}
        return check_account(labels, arguments["account"]), rest

    def default(self, caller: Caller, platform: str) -> str:
        """The label of the account that a call means which names none, as far as the caller says: asks nobody."""
        return caller.default_accounts.get(platform, DEFAULT_ACCOUNT)

    def credential_key(self, caller: Caller, platform: str, label: str) -> str:
        """The Redis key that the admitting script reads the credential from; '' when it comes from the environment.

        Raises:
            NotConnected: single-user mode without credentials for the platform.
        """
        if not caller.single_user:
            return str(self._key_name(caller.customer_id, platform, label))
        if label not in self._environ[platform]:
            raise self._nothing_in_environ(self._catalog.platforms[platform])
        return ""

    async def fill(self, caller: Caller, platform: str, label: str | None) -> str:
        """Bring the credential from SQL to Redis after a miss.

        Returns:
            The label of the account to use: the one asked for, else the default one, else the first that is linked.

        Raises:
            NotConnected: there is none; the error says how to link one.
            NeedsReconnect: it is known not to work any more; the error says how to link it again.
        """
        meant = label or self.default(caller, platform)
        if await self._sealed(caller, platform, meant) is not None:
            return meant
        labels = (await self._linked.accounts(caller.customer_id)).get(platform, ())
        if label is None and labels and await self._sealed(caller, platform, labels[0]) is not None:
            return labels[0]
        raise self._not_linked(caller, platform, label)

    async def stored(self, caller: Caller, platform: str, label: str) -> str:
        """The sealed credential of an account, for a call that goes on after a restart; '' in single-user mode.

        Raises:
            NotConnected: it was unlinked meanwhile.
            NeedsReconnect: it is known not to work any more.
        """
        if caller.single_user:
            self.credential_key(caller, platform, label)
            return ""
        sealed = await self._sealed(caller, platform, label)
        if sealed is None:
            raise self._not_linked(caller, platform, label)
        return sealed

    async def _sealed(self, caller: Caller, platform: str, label: str) -> str | None:
        try:
            return await self._store.load(caller.customer_id, platform, label)
        except NeedsReconnect as error:
            url = self._links.url(caller.customer_id, platform, label)
            raise NeedsReconnect(
                f"The linked {self._catalog.platforms[platform].title} account no longer works. Reconnect it: {url}",
                platform=platform,
                account=label,
                connect_url=url,
                nothing_sent=True,
                detail=error.detail,
            ) from None

    async def open(self, caller: Caller, tool: Tool, label: str, sealed: str, deadline: float) -> OpenAccount:
        """Open the platform's API with the account's credential, whose tokens are renewed first if they end now.

        Args:
            sealed: what the admitting script read; '' in single-user mode.
            deadline: in the event loop's time.

        Raises:
            NeedsReconnect: the stored credential cannot be opened (the log says why), or not renewed.
            PlatformUnavailable: its tokens have ended, and new ones cannot be had now.
        """
        platform = self._catalog.platforms[tool.platform]
        if caller.single_user:
            credentials = self._environ[tool.platform][label]
        else:
            credentials = await self._unseal(caller, platform, label, sealed)
            if self._renewals is not None and self._renewals.is_late(platform.id, credentials):
                sealed = await self._renewed(caller, platform, label, sealed, deadline)
                credentials = await self._unseal(caller, platform, label, sealed)
        http = self._upstream.bind(platform.title, tool.effect is not Effect.READ, deadline)
        context = ApiContext(
            customer_id=caller.customer_id,
            account=label,
            http=http,
            base_url=platform.api_base_url(self._settings),
            settings=self._settings,
            ports=self._ports,
        )
        return OpenAccount(label, platform.open(context, credentials), http, sealed)

    async def after_refusal(
        self, caller: Caller, tool: Tool, account: OpenAccount, error: NeedsReconnect
    ) -> HermesError | str:
        """The platform refused the credential: renew it, or tell the way out and remember that it is dead.

        Returns:
            The sealed credential to call again with, or the error for the caller.
        """
        error.data.setdefault("platform", tool.platform)
        if caller.single_user:
            return error
        error.data.setdefault("connect_url", self._links.url(caller.customer_id, tool.platform, account.label))
        where = (caller.customer_id, tool.platform, account.label)
        try:
            renewed = await self._renewals.after_refusal(*where, account.sealed) if self._renewals is not None else None
        except NeedsReconnect as ended:
            ended.data.update(error.data)
            return ended
        except (HermesError, *STORE_ERRORS):
            title = self._catalog.platforms[tool.platform].title
            return PlatformUnavailable(
                f"{title} refused the account's access, and it could not be renewed now. Try again shortly."
            )
        if renewed:
            return renewed
        await self._linked.mark_needs_reconnect(*where, error.message, used=account.sealed)
        return error

    async def _renewed(self, caller: Caller, platform: AnyPlatform, label: str, sealed: str, deadline: float) -> str:
        assert self._renewals is not None  # noqa: S101  (who calls this asked it before)
        try:
            async with asyncio.timeout_at(deadline):
                return await self._renewals.fresh(caller.customer_id, platform.id, label, sealed)
        except NeedsReconnect as ended:
            url = self._links.url(caller.customer_id, platform.id, label)
            ended.message = f"The linked {platform.title} account no longer works. Reconnect it: {url}"
            ended.data.setdefault("connect_url", url)
            raise
        except TimeoutError:
            raise PlatformUnavailable(
                f"{platform.title} did not renew the account's access in time; nothing was sent. Try again shortly.",
                nothing_sent=True,
            ) from None

    async def _unseal(self, caller: Caller, platform: AnyPlatform, label: str, sealed: str) -> Credentials:
        name = self._key_name(caller.customer_id, platform.id, label)
        try:
            credentials: Credentials = platform.credentials.model_validate_json(await self._store.open(name, sealed))
        except (Undecryptable, ValueError) as error:
            reason = error.reason if isinstance(error, Undecryptable) else "its content does not fit the platform"
            log.error("credential_does_not_open", key=name, reason=reason)
            url = self._links.url(caller.customer_id, platform.id, label)
            raise NeedsReconnect(
                f"The stored {platform.title} credential cannot be used any more. Reconnect the account: {url}",
                platform=platform.id,
                account=label,
                connect_url=url,
                nothing_sent=True,
            ) from None
        return credentials

    def _not_linked(self, caller: Caller, platform: str, label: str | None) -> NotConnected:
        title, url = self._catalog.platforms[platform].title, self._links.url(caller.customer_id, platform, label)
        return NotConnected(
            f"No {title} account is linked. Link one within 15 minutes at {url} and try again; programs can use "
            f"POST /api/connect/{platform}.",
            platform=platform,
            connect_url=url,
        )

    def _nothing_in_environ(self, platform: AnyPlatform) -> NotConnected:
        names = [
            mark.name
            for info in platform.credentials.model_fields.values()
            for mark in info.metadata
            if isinstance(mark, Env)
        ]
        return NotConnected(
            f"No {platform.title} account is set up for the operator's own use. Set {', '.join(names)} in the "
            "environment and start hermes again.",
            platform=platform.id,
        )
