"""What operators do with customers, and what can be done with API keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

from pydantic import SecretStr
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.errors import Conflict, NotFound
from hermes.identity.actions import ActionAudit, audit_action
from hermes.identity.api_key import HINT_LENGTH, digest_of, generate_api_key
from hermes.identity.caller import OPERATOR, Caller, Grants
from hermes.identity.checks import (
    check_email,
    check_grants,
    check_key_name,
    check_plan,
    check_role,
    email_key,
    require_covered,
)
from hermes.identity.ids import from_cursor, new_id, to_cursor
from hermes.identity.models import ApiKey, Customer, PlanName, Status
from hermes.identity.passwords import hash_password
from hermes.identity.versions import Versions
from hermes.storage.sql import Database, insert_once

MOST_KEYS: Final = 100
"""Keys that a customer may have at once."""

LARGEST_PAGE: Final = 200
_FIRST_KEY_NAME: Final = "First key"

Row = TypeVar("Row", Customer, ApiKey)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows in the order they were made, and the cursor of the next page if there is one."""

    rows: list[Row]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `secret` is shown to a person once and kept nowhere."""

    row: ApiKey
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewCustomer:
    """A customer just made, with a first key that has all grants."""

    row: Customer
    key: NewKey


class Customers:
    """The tenants. Everything here is for operators."""

    def __init__(self, database: Database, versions: Versions, audit: ActionAudit) -> None:
        self._database = database
        self._versions = versions
        self._audit = audit

    async def create(
        self,
        email: str,
        plan: str = "free",
        role: str = "customer",
        *,
        password: SecretStr | None = None,
        by: Caller = OPERATOR,
    ) -> NewCustomer:
        """Make a customer and a first API key.

        Args:
            password: for signing in; only its argon2id hash is kept.

        Raises:
            InvalidArguments: the address, plan, role or password is not acceptable.
            Conflict: there is a customer with this address, whatever the case of its letters.
        """
        hashed = await hash_password(password) if password is not None else None
        customer = new_customer(email, plan, role, hashed)
        key = _new_key(customer.id, _FIRST_KEY_NAME, Grants.everything().words())
        async with self._versions.change(customer.id) as change, self._database.session() as session:
            if not await add_customer(session, customer):
                raise Conflict(f"There is a customer with the address {customer.email} already.")
            session.add(key.row)
            change.version = customer.version
        await audit_action(self._audit, customer.id, by, "customer.create", plan=customer.plan, role=customer.role)
        return NewCustomer(customer, key)

    async def get(self, customer_id: str) -> Customer:
        """One customer.

        Raises:
            NotFound: there is no such customer.
        """
        async with self._database.reading() as session:
            return await _customer(session, customer_id)

    async def find(self, id_or_email: str) -> Customer:
        """One customer, by id or by address.

        Raises:
            NotFound: there is no such customer.
        """
        if "@" not in id_or_email:
            return await self.get(id_or_email)
        query = select(Customer).where(Customer.email_key == email_key(id_or_email))
        async with self._database.reading() as session:
            found = (await session.scalars(query)).one_or_none()
        if found is None:
            raise _no_customer(id_or_email)
        return found

    async def page(self, *, cursor: str | None = None, limit: int = 50) -> Page[Customer]:
        """Customers in the order they came.

        Raises:
            InvalidArguments: the cursor is none of this list.
        """
        wanted = min(max(limit, 1), LARGEST_PAGE)
        query = select(Customer).order_by(Customer.id).limit(wanted + 1)
        if cursor is not None:
            query = query.where(Customer.id > from_cursor(cursor))
        async with self._database.reading() as session:
            return _page(list(await session.scalars(query)), wanted)

    async def suspend(self, customer_id: str, *, by: Caller = OPERATOR) -> Customer:
        """Refuse everything that is called for the customer. Effective everywhere within five seconds.

        Raises:
            NotFound: there is no such customer.
        """
        return await self._set_status(customer_id, "suspended", "customer.suspend", by)

    async def resume(self, customer_id: str, *, by: Caller = OPERATOR) -> Customer:
        """Undo `suspend`.

        Raises:
            NotFound: there is no such customer.
        """
        return await self._set_status(customer_id, "active", "customer.resume", by)

    async def set_plan(self, customer_id: str, plan: str, *, by: Caller = OPERATOR) -> Customer:
        """Put the customer on another plan. Effective everywhere within five seconds.

        Raises:
            NotFound: there is no such customer.
            InvalidArguments: there is no such plan.
        """
        name: PlanName = check_plan(plan)
        async with self._versions.change(customer_id) as change, self._database.session() as session:
            renewed = {Customer.plan: name, Customer.version: Customer.version + 1}
            await session.execute(
                update(Customer).where(Customer.id == customer_id, Customer.plan != name).values(renewed)
            )
            customer = await _customer(session, customer_id)
            change.version = customer.version
        await audit_action(self._audit, customer_id, by, "customer.set_plan", plan=name)
        return customer

    async def _set_status(self, customer_id: str, status: Status, action: str, by: Caller) -> Customer:
        async with self._versions.change(customer_id) as change, self._database.session() as session:
            renewed = {Customer.status: status, Customer.version: Customer.version + 1}
            await session.execute(
                update(Customer).where(Customer.id == customer_id, Customer.status != status).values(renewed)
            )
            customer = await _customer(session, customer_id)
            change.version = customer.version
        await audit_action(self._audit, customer_id, by, action)
        return customer


class ApiKeys:
    """The keys of one customer at a time."""

    def __init__(self, database: Database, versions: Versions, audit: ActionAudit, platforms: Collection[str]) -> None:
        """
        Args:
            platforms: ids of the platforms that a grant may name.
        """
        self._database = database
        self._versions = versions
        self._audit = audit
        self._platforms = frozenset(platforms)

    async def create(
        self, customer_id: str, name: str, grants: Iterable[str] | None = None, *, by: Caller = OPERATOR
    ) -> NewKey:
        """Make a key.

        Args:
            name: by which a person recognises it, 1 to 64 characters.
            grants: words as `telegram:read`, `*:write`; none: all that its maker has.
            by: who makes it; a key never gets grants that its maker lacks.

        Raises:
            InvalidArguments: the name or a grant is not acceptable.
            NotGranted: the maker lacks one of the grants.
            NotFound: there is no such customer.
            Conflict: the customer has as many keys as are allowed.
        """
        asked = check_grants(grants, self._platforms) if grants is not None else by.grants
        require_covered(by.grants, asked, "give")
        key = _new_key(customer_id, check_key_name(name), asked.words())
        mine = (ApiKey.customer_id == customer_id, ApiKey.revoked_at.is_(None))
        async with self._database.session() as session:
            await _customer(session, customer_id)
            if (await session.scalar(select(func.count()).select_from(ApiKey).where(*mine)) or 0) >= MOST_KEYS:
                raise Conflict(f"This customer has {MOST_KEYS} keys, the most there can be; revoke one first.")
            session.add(key.row)
        await audit_action(
            self._audit, customer_id, by, "api_key.create", key=key.row.id, grants=" ".join(key.row.grants)
        )
        return key

    async def get(self, customer_id: str, key_id: str) -> ApiKey:
        """One key, revoked or not.

        Raises:
            NotFound: the customer has no such key.
        """
        async with self._database.reading() as session:
            return await _key(session, customer_id, key_id)

    async def page(
        self, customer_id: str, *, cursor: str | None = None, limit: int = 50, revoked: bool = False
    ) -> Page[ApiKey]:
        """The customer's keys in the order they were made.

        Args:
            revoked: also those that were revoked.

        Raises:
            InvalidArguments: the cursor is none of this list.
        """
        wanted = min(max(limit, 1), LARGEST_PAGE)
        query = select(ApiKey).where(ApiKey.customer_id == customer_id).order_by(ApiKey.id).limit(wanted + 1)
        if not revoked:
            query = query.where(ApiKey.revoked_at.is_(None))
        if cursor is not None:
            query = query.where(ApiKey.id > from_cursor(cursor))
        async with self._database.reading() as session:
            return _page(list(await session.scalars(query)), wanted)

    async def revoke(self, customer_id: str, key_id: str, *, by: Caller = OPERATOR) -> None:
        """End a key. Effective everywhere within five seconds. Revoking it again changes nothing.

        Args:
            by: who revokes it.

        Raises:
            NotFound: the customer has no such key.
            NotGranted: the key has grants that the one who revokes it lacks.
        """
        mine = (ApiKey.customer_id == customer_id, ApiKey.id == key_id)
        async with self._versions.change(customer_id) as change, self._database.session() as session:
            key = await _key(session, customer_id, key_id)
            require_covered(by.grants, Grants.parse(key.grants), "revoke")
            if key.revoked_at is None:
                # counted first: the customer's row is locked before the key's, so two changes cannot wait crosswise
                await session.execute(
                    update(Customer).where(Customer.id == customer_id).values(version=Customer.version + 1)
                )
                await session.execute(
                    update(ApiKey).where(*mine, ApiKey.revoked_at.is_(None)).values(revoked_at=datetime.now(UTC))
                )
            change.version = (await _customer(session, customer_id)).version
        await audit_action(self._audit, customer_id, by, "api_key.revoke", key=key_id)


def new_customer(email: str, plan: str, role: str, password_hash: str | None) -> Customer:
    """The row of a customer to be.

    Raises:
        InvalidArguments: the address, plan or role is not acceptable.
    """
    address = check_email(email)
    return Customer(
        id=new_id("cus"),
        email=address,
        email_key=email_key(address),
        plan=check_plan(plan),
        role=check_role(role),
        status="active",
        version=1,
        password_hash=password_hash,
        created_at=datetime.now(UTC),
        approval_rules=None,
    )


async def add_customer(session: AsyncSession, customer: Customer) -> bool:
    """Put a new customer in, within a transaction; false if the address is taken, whatever the case of its letters."""
    values = {column.name: getattr(customer, column.name) for column in Customer.__table__.columns}
    return await insert_once(session, Customer, **values)


def _new_key(customer_id: str, name: str, grants: list[str]) -> NewKey:
    secret = generate_api_key()
    row = ApiKey(
        id=new_id("key"),
        customer_id=customer_id,
        name=name,
        digest=digest_of(secret).hex(),
        hint=secret[-HINT_LENGTH:],
        grants=grants,
        created_at=datetime.now(UTC),
        last_used_at=None,
        revoked_at=None,
    )
    return NewKey(row, secret)


async def _customer(session: AsyncSession, customer_id: str) -> Customer:
    found = await session.get(Customer, customer_id)
    if found is None:
        raise _no_customer(customer_id)
    return found


async def _key(session: AsyncSession, customer_id: str, key_id: str) -> ApiKey:
    query = select(ApiKey).where(ApiKey.customer_id == customer_id, ApiKey.id == key_id)
    found = (await session.scalars(query)).one_or_none()
    if found is None:
        raise NotFound("There is no such API key; the list of keys shows those that there are.")
    return found


def _no_customer(name: str) -> NotFound:
    return NotFound(f"There is no customer {name!r}; `hermes customers list` shows them.")


def _page(rows: list[Row], wanted: int) -> Page[Row]:
    return Page(rows[:wanted], to_cursor(rows[wanted - 1].id) if len(rows) > wanted else None)
