"""What SQL knows of one kind of credential: the part that differs between API keys, sessions and OAuth tokens.

Everything else (memory, Redis, one look-up for many who ask at once, versions) is the same for all of them and stands
in `known_callers.py`. A new kind of credential is a `Reader` that `app.py` registers, and a verifier (authenticate.py)
that finds the name in what a request brings and asks `KnownCallers.recognise`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute

from hermes.errors import NotAuthenticated
from hermes.identity.approval_rules import ApprovalRules
from hermes.identity.caller import Via
from hermes.identity.key_cache import KnownKey
from hermes.identity.models import ApiKey, Customer
from hermes.storage.sql import Database

USED_EVERY: Final = timedelta(minutes=1)
"""How exact `last_used_at` is."""


@dataclass(frozen=True, slots=True)
class Read:
    """One row of SQL: a credential, with its customer.

    Attributes:
        name: by which it was or would be found; none if there is no such name (an authorization has many tokens).
    """

    name: str | None
    known: KnownKey
    revoked: bool
    last_used_at: datetime | None


class Reader(Protocol):
    """Reads credentials of one kind.

    Attributes:
        via: the kind.
    """

    @property
    def via(self) -> Via: ...

    async def named(self, name: str) -> Read | None:
        """For the house: a request brings a credential, and whose that is must be found out.

        Args:
            name: what identifies a credential of this kind without being it, e.g. the SHA-256 of a key in hex.
        """
        ...

    async def numbered(self, customer_id: str, key_id: str) -> Read | None:
        """The customer's credential with this id, as the audit trail names it; for work that outlives its request."""
        ...

    async def note_use(self, customer_id: str, key_id: str) -> None:
        """Write down that it was used just now, at most once a minute."""
        ...

    def refusal(self) -> NotAuthenticated:
        """What is said of a credential of this kind that is unknown, revoked or expired."""
        ...


class ApiKeyReader:
    """API keys; their name is their SHA-256 in hex."""

    via = Via.API_KEY

    def __init__(self, database: Database, public_url: str) -> None:
        self._database = database
        self._public_url = public_url

    async def named(self, name: str) -> Read | None:
        """For the house: see `Reader.named`."""
        return await self._read(ApiKey.digest == name)

    async def numbered(self, customer_id: str, key_id: str) -> Read | None:
        return await self._read(ApiKey.customer_id == customer_id, ApiKey.id == key_id)

    async def note_use(self, customer_id: str, key_id: str) -> None:
        now = datetime.now(UTC)
        mine = (ApiKey.customer_id == customer_id, ApiKey.id == key_id, not_used_since(ApiKey.last_used_at, now))
        async with self._database.session() as session:
            await session.execute(update(ApiKey).where(*mine).values(last_used_at=now))

    def refusal(self) -> NotAuthenticated:
        return NotAuthenticated(
            "This API key is unknown or was revoked; use another one, or have a new one made by whoever runs "
            f"{self._public_url} (`hermes api-keys create`).",
            reason="invalid",
        )

    async def _read(self, *which: ColumnElement[bool]) -> Read | None:
        """For the house: both ways of asking end here."""
        query = select(ApiKey, Customer).join(Customer, ApiKey.customer_id == Customer.id).where(*which)
        async with self._database.reading() as session:
            row = (await session.execute(query)).one_or_none()
        if row is None:
            return None
        key, customer = row
        known = known_of(customer, Via.API_KEY, key.id, tuple(key.grants))
        return Read(key.digest, known, key.revoked_at is not None, key.last_used_at)


def known_of(
    customer: Customer,
    via: Via,
    key_id: str,
    grants: tuple[str, ...],
    *,
    client: str | None = None,
    obtainable: tuple[str, ...] | None = None,
    expires_at: datetime | None = None,
) -> KnownKey:
    """A credential's customer as they are now, and what the credential is."""
    return KnownKey(
        id=customer.id,
        plan=customer.plan,
        active=customer.status == "active",
        email=customer.email,
        role=customer.role,
        grants=grants,
        key_id=key_id,
        version=customer.version,
        via=via,
        client=client,
        obtainable=obtainable,
        expires_at=None if expires_at is None else expires_at.timestamp(),
        default_accounts=customer.default_accounts or {},
        approval_rules=ApprovalRules.stored(customer.approval_rules).each,
    )


def not_used_since(column: InstrumentedAttribute[datetime | None], now: datetime) -> ColumnElement[bool]:
    """The condition under which a use at `now` is worth writing down."""
    return or_(column.is_(None), column <= now - USED_EVERY)
