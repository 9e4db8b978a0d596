"""Where credentials are kept: SQL is the truth, Redis serves a copy (design.md, section 5).

Every change is one SQL transaction that gives the account its next version. Just before it commits, Redis is told of
that version: what is served until now goes away by itself (or at once, if nothing is to follow), and nothing older can
come back. After the commit, Redis gets the new ciphertext. So a process that dies in between soon leaves a miss behind,
never an outdated secret, and a miss is filled from SQL.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random

from hermes.connections import rows
from hermes.connections.choosing import choice_name
from hermes.connections.defaults import default_first
from hermes.connections.models import SHOWN, USABLE, Connection, ConnectionRow, Status
from hermes.connections.names import key_name
from hermes.connections.routing import Routing
from hermes.connections.rows import RoutingTaken
from hermes.connections.served import ServedCredentials
from hermes.connections.telling import Telling
from hermes.crypto import Keyring
from hermes.errors import NeedsReconnect
from hermes.identity.models import Customer
from hermes.platforms.base import Account
from hermes.storage.sql import Database

__all__ = ["CredentialStore", "Renewed", "RoutingTaken"]

_MYSQL_LOCK_WAIT, _MYSQL_DEADLOCK = 1205, 1213

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Renewed:
    """What is to be stored in the place of a credential whose tokens were renewed."""

    plaintext: bytes = field(repr=False)
    renew_at: datetime | None
    ends_at: datetime | None


Change = Callable[[bytes], Renewed | None]


def _lost_to_another(error: BaseException) -> bool:
    """Whether MySQL gave this transaction up in favour of another one: it is to be run again from the start."""
    cause = error.orig if isinstance(error, OperationalError) else None
    return cause is not None and cause.args[:1] in ((_MYSQL_DEADLOCK,), (_MYSQL_LOCK_WAIT,))


_run_again = retry(
    retry=retry_if_exception(_lost_to_another), stop=stop_after_attempt(5), wait=wait_random(0, 0.05), reraise=True
)


class CredentialStore:
    """Puts, removes, serves and opens the credentials of customers' accounts.

    Every method takes the customer's id first, and a credential opens only under the name of the account that it was
    sealed for.
    """

    def __init__(self, database: Database, redis: Redis, keyring: Keyring, telling: Telling | None = None) -> None:
        """`telling` writes to customers whose accounts need them; without it only events are written."""
        self._telling = telling or Telling({}, "")
        self._database = database
        self._keyring = keyring
        self._redis = redis
        self._served = ServedCredentials(redis)
        self._routing = Routing(database, redis)

    @_run_again
    async def put(
        self,
        customer_id: str,
        platform: str,
        label: str,
        plaintext: bytes,
        account: Account,
        signed_in: rows.SignedIn | None = None,
    ) -> Connection:
        """Keep a credential that was just proven to work, as the account's next version, and claim its routing id.

        Raises:
            RoutingTaken: another account holds the routing id; nothing was changed.
            ValueError: an id or label that cannot be one.
        """
        name = key_name(customer_id, platform, label)
        sealed = self._keyring.seal(plaintext, name)
        claim = (customer_id, platform, label, account.routing_id)
        try:
            async with self._database.session() as session:
                row = await rows.locked_or_new(session, customer_id, platform, label)
                await rows.refuse_taken(session, *claim)
                affected = rows.routing_ids(row.routing_id, account.routing_id)
                rows.fill_in(row, sealed, account, signed_in)
                await self._announce(session, row, affected)
                await self._served.announce(name, row.version)
        except IntegrityError:
            # Two claims of one id at the same moment: both saw it free, and the unique constraint chose the other.
            async with self._database.reading() as session:
                await rows.refuse_taken(session, *claim)
            raise
        await self._settle(platform, affected, self._served.offer(name, row.version, sealed))
        return Connection.of(row)

    @_run_again
    async def renew(self, customer_id: str, platform: str, label: str, change: Change) -> str | None:
        """Compare and set: replace a credential by what `change` makes of the one that is there now.

        Args:
            customer_id: whose account it is.
            platform: the platform's id.
            label: the account's label.
            change: what was stored, as JSON → what is to be stored; None: it is not the one that was renewed.

        Returns:
            The sealed credential that is stored now. None: the account was changed or unlinked meanwhile.
        """
        name = key_name(customer_id, platform, label)
        async with self._database.session() as session:
            row = await rows.locked(session, customer_id, platform, label)
            if row is None or row.ciphertext is None:
                return None
            renewed = change(await self._keyring.open_stored(row.ciphertext, name))
            if renewed is None:
                return None
            sealed = self._keyring.seal(renewed.plaintext, name)
            rows.renew(row, sealed, renewed.renew_at, renewed.ends_at)
            await self._announce(session, row, ())
            await self._told(self._served.announce(name, row.version))
        await self._settle(platform, (), self._served.offer(name, row.version, sealed))
        return sealed

    @_run_again
    async def put_incomplete(self, customer_id: str, platform: str, label: str, provider: str | None) -> bool:
        """Show an account that waits for a choice, and where the person signed in, if they did. False: it works as it
        is, and stays so."""
        async with self._database.session() as session:
            row = await rows.locked_or_new(session, customer_id, platform, label)
            if row.status in USABLE:
                return False
            if row.status == Status.DISCONNECTED:
                rows.begin(row, provider)
                await session.flush()
        return True

    @_run_again
    async def remove(self, customer_id: str, platform: str, label: str) -> bool:
        """Forget a credential in SQL and Redis, and an open choice, and give its routing id back. False: there was
        none."""
        name = key_name(customer_id, platform, label)
        async with self._database.session() as session:
            row = await rows.locked(session, customer_id, platform, label)
            if row is None or row.status == Status.DISCONNECTED:
                return False
            affected = rows.routing_ids(row.routing_id)
            rows.empty(row)
            await self._announce(session, row, affected)
            await self._redis.delete(choice_name(customer_id, platform, label))
            await self._served.announce(name, row.version, stop=True)
        await self._settle(platform, affected, self._served.withdraw(name, row.version))
        return True

    @_run_again
    async def mark_needs_reconnect(
        self, customer_id: str, platform: str, label: str, reason: str, used: str | None = None
    ) -> bool:
        """Stop serving a credential that its platform no longer accepts. False: there is none in use.

        Args:
            customer_id: whose account it is.
            platform: the platform's id.
            label: the account's label.
            reason: shown to the customer; no secret.
            used: the sealed value that failed. If the account has another one by now, it is left alone.
        """
        name = key_name(customer_id, platform, label)
        async with self._database.session() as session:
            row = await rows.locked(session, customer_id, platform, label)
            if row is None or row.status not in USABLE or (used is not None and row.ciphertext != used):
                return False
            rows.fail(row, reason)
            await self._announce(session, row, ())
            mail_id = await self._telling.needs_reconnect(session, customer_id, platform, label, str(row.last_error))
            await self._served.announce(name, row.version, stop=True)
        await self._settle(platform, (), self._served.withdraw(name, row.version))
        await self._telling.dispatch(mail_id)
        return True

    async def load(self, customer_id: str, platform: str, label: str) -> str | None:
        """Read the sealed credential from SQL and serve it from Redis again. None: no such account is linked.

        Use what it returns: Redis may refuse the copy while the account is being changed.

        Raises:
            NeedsReconnect: the account is linked, but its credential no longer works.
            ValueError: an id or label that cannot be one.
        """
        name = key_name(customer_id, platform, label)
        row = await self._sealed(customer_id, platform, label)
        if row is not None and not await self._offered(name, row):
            # Somebody announced a newer version than the one just read: by now it may be there.
            row = await self._sealed(customer_id, platform, label)
        return None if row is None else str(row.ciphertext)

    async def open(self, name: str, sealed: str) -> bytes:
        """Decrypt what lies under `name` (from `key_name`): the JSON of the platform's credentials.

        Raises:
            Undecryptable: it does not open; `reason` is for the log.
        """
        return await self._keyring.open_stored(sealed, name)

    async def connections(self, customer_id: str) -> list[Connection]:
        """All linked accounts of a customer, by platform and label. One query."""
        query = (
            select(*SHOWN, Customer.default_accounts, ConnectionRow.ciphertext.is_not(None).label("sealed"))
            .outerjoin(Customer, Customer.id == ConnectionRow.customer_id)
            .where(ConnectionRow.customer_id == customer_id, ConnectionRow.status != Status.DISCONNECTED)
            .order_by(ConnectionRow.platform, ConnectionRow.label)
        )
        async with self._database.reading() as session:
            found = (await session.execute(query)).all()
        defaults = {
            (platform, labels[0]) for platform, labels in _by_platform(row for row in found if row.sealed).items()
        }
        return [replace(Connection.of(row), default=(row.platform, row.label) in defaults) for row in found]

    async def labels(self, customer_id: str) -> Mapping[str, Sequence[str]]:
        """Platform → labels of the accounts that have a credential, working or not, the default first. One query."""
        query = (
            select(ConnectionRow.platform, ConnectionRow.label, Customer.default_accounts)
            .outerjoin(Customer, Customer.id == ConnectionRow.customer_id)
            .where(ConnectionRow.customer_id == customer_id, ConnectionRow.ciphertext.is_not(None))
            .order_by(ConnectionRow.platform)
        )
        async with self._database.reading() as session:
            return _by_platform((await session.execute(query)).all())

    async def _sealed(self, customer_id: str, platform: str, label: str) -> Any:
        query = select(ConnectionRow.ciphertext, ConnectionRow.version, ConnectionRow.status).where(
            *rows.is_account(customer_id, platform, label), ConnectionRow.ciphertext.is_not(None)
        )
        async with self._database.reading() as session:
            row = (await session.execute(query)).one_or_none()
        if row is not None and row.status not in USABLE:
            raise NeedsReconnect("The linked account no longer works; connect it again.", platform=platform)
        return row

    async def _told(self, announce: Awaitable[bool]) -> None:
        """Announce as far as Redis can be reached: what a vendor gave is kept in SQL in any case."""
        try:
            await announce
        except RedisError:
            log.warning("redis_not_told", exc_info=True)

    async def _offered(self, name: str, row: Any) -> bool:
        try:
            return await self._served.offer(name, row.version, row.ciphertext)
        except RedisError:
            log.warning("credential_copy_not_filled", credential=name, exc_info=True)
            return True

    async def _announce(self, session: AsyncSession, row: ConnectionRow, routing_ids: Sequence[str]) -> None:
        """Write the row, so that what forbids it does so now, and keep readers from filling what is about to change."""
        await session.flush()
        for routing_id in routing_ids:
            await self._routing.changing(row.platform, routing_id)

    async def _settle(self, platform: str, routing_ids: Sequence[str], serve: Awaitable[bool]) -> None:
        """Bring Redis up to what was committed. If it cannot be reached, what was announced before holds."""
        try:
            await serve
            for routing_id in routing_ids:
                await self._routing.changed(platform, routing_id)
                await self._routing.customer_of(platform, routing_id)
        except RedisError:
            log.warning("redis_not_settled", platform=platform, exc_info=True)


def _by_platform(found: Iterable[Any]) -> dict[str, list[str]]:
    """Platform → labels, the default one first, of rows with `platform`, `label` and `default_accounts`."""
    labels: dict[str, list[str]] = {}
    chosen: dict[str, str | None] = {}
    for row in found:
        labels.setdefault(row.platform, []).append(row.label)
        chosen[row.platform] = (row.default_accounts or {}).get(row.platform)
    return {platform: default_first(each, chosen[platform]) for platform, each in labels.items()}
