"""Signing in: with a password, then with a code where the customer wants one.

Whether there is an account with an address cannot be told from outside: an unknown address, an account without a
password and a wrong password get the same answer after the same work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from pydantic import SecretStr
from sqlalchemy import select, update

from hermes.crypto import Keyring, Undecryptable
from hermes.errors import Conflict, NotAuthenticated, Suspended
from hermes.identity.actions import ActionAudit, audit_action
from hermes.identity.browsers import Browser, Devices, person
from hermes.identity.checks import email_key
from hermes.identity.models import Customer
from hermes.identity.passwords import check_password
from hermes.identity.second_factor import SecondFactors
from hermes.identity.sessions import Sessions
from hermes.identity.throttle import Throttle
from hermes.storage.sql import Database

STEP_SECONDS: Final = 600
_NAME: Final = "sign-in step"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Done: the session's JWT, and the cookie by which this browser is known from now on."""

    customer_id: str
    session: str = field(repr=False)
    device: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CodeNeeded:
    """The first factor was right; `step` says so to `with_code`, for ten minutes and in this browser."""

    step: str = field(repr=False)


class SignIn:
    """Signs people in."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        sessions: Sessions,
        factors: SecondFactors,
        throttle: Throttle,
        audit: ActionAudit,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            now: seconds since 1970.
        """
        self._database = database
        self._keyring = keyring
        self._sessions = sessions
        self._factors = factors
        self._throttle = throttle
        self._audit = audit
        self._devices = Devices(keyring)
        self._now = now

    async def with_password(self, email: str, password: SecretStr, browser: Browser) -> SignedIn | CodeNeeded:
        """Sign in with an address and its password.

        Raises:
            NotAuthenticated: they do not belong together, whatever the reason.
            Suspended: they do, and the customer is suspended.
            RateLimited: there were too many tries.
        """
        customer = await self._find(email)
        await self._throttle.try_account(email_key(email), customer.id if customer else None, browser)
        verdict = await check_password(password, customer.password_hash if customer else None)
        if customer is None or not verdict.right:
            raise NotAuthenticated("The address or the password is wrong.", reason="invalid")
        if verdict.renewed is not None:
            await self._renew_hash(customer.id, customer.password_hash, verdict.renewed)
        return await self.accept(customer.id, browser)

    async def accept(self, customer_id: str, browser: Browser) -> SignedIn | CodeNeeded:
        """Go on with a customer who has proved who they are by something else than a code.

        Raises:
            NotAuthenticated: they are gone.
            Suspended: they are.
        """
        await self._active(customer_id)
        if (await self._factors.state(customer_id)).on:
            step = {"customer": customer_id, "binding": browser.binding, "until": self._now() + STEP_SECONDS}
            return CodeNeeded(self._keyring.seal(orjson.dumps(step), _NAME))
        return await self._begin(customer_id, browser)

    async def with_code(self, step: str, code: str, browser: Browser) -> SignedIn:
        """Finish with a code of the authenticator app, or a recovery code.

        Raises:
            Conflict: the first step was too long ago, or in another browser: begin again.
            NotAuthenticated: the code is wrong, or was used before.
            Suspended: the customer is suspended.
            RateLimited: there were too many tries.
        """
        customer = await self._active(self._open(step, browser))
        await self._throttle.try_account(f"{customer.email_key} code", customer.id, browser)
        if not await self._factors.check(customer.id, code):
            who = person(customer, browser)
            await audit_action(self._audit, customer.id, who, "session.begin", outcome="denied", factor="code")
            raise NotAuthenticated("The code is wrong or was used already; wait for the next one.", reason="invalid")
        return await self._begin(customer.id, browser)

    async def _begin(self, customer_id: str, browser: Browser) -> SignedIn:
        session = await self._sessions.begin(customer_id, client=browser.client)
        return SignedIn(customer_id, session, self._devices.issue(customer_id))

    def _open(self, step: str, browser: Browser) -> str:
        try:
            members: dict[str, Any] = orjson.loads(self._keyring.open(step, _NAME))
        except Undecryptable:
            raise _begin_again() from None
        if members["binding"] != browser.binding or members["until"] <= self._now():
            raise _begin_again()
        return str(members["customer"])

    async def _active(self, customer_id: str) -> Customer:
        async with self._database.reading() as session:
            customer = await session.get(Customer, customer_id)
        if customer is None:
            raise NotAuthenticated("This account is no longer there.", reason="invalid")
        if customer.status != "active":
            raise Suspended("This account is suspended; ask whoever runs this server to resume it.")
        return customer

    async def _find(self, email: str) -> Customer | None:
        async with self._database.reading() as session:
            return (await session.scalars(select(Customer).where(Customer.email_key == email_key(email)))).one_or_none()

    async def _renew_hash(self, customer_id: str, old: str | None, new: str) -> None:
        same = (Customer.id == customer_id, Customer.password_hash == old)
        async with self._database.session() as session:
            await session.execute(update(Customer).where(*same).values(password_hash=new))


def _begin_again() -> Conflict:
    return Conflict("Signing in took too long, or went on in another browser; begin again with your password.")
