"""The operator's key and API keys as callers, and the operator acting for a customer."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import replace

from redis.asyncio import Redis

from hermes.errors import NotAuthenticated, NotFound
from hermes.identity.api_key import PREFIX, digest_of, is_well_formed
from hermes.identity.approval_rules import ApprovalRules
from hermes.identity.caller import OPERATOR, Caller, Grants, Via
from hermes.identity.known_callers import MEMORY_SECONDS, KnownCallers
from hermes.identity.readers import ApiKeyReader
from hermes.identity.versions import version_key
from hermes.settings import Settings
from hermes.storage.sql import Database

__all__ = ["MEMORY_SECONDS", "Callers", "is_whole_operator", "version_key"]


def is_whole_operator(caller: Caller) -> bool:
    """Whether the caller may do what operators do. A customer with role `admin` may, but not with a key that was given
    only part of the grants: who holds that key was not meant to have everything. An assistant never may."""
    if caller.via is Via.OAUTH:
        return False
    return caller.kind == "operator" or (caller.role == "admin" and caller.grants == Grants.everything())


class Callers:
    """Says who is calling, by API key or by the operator's key. A verifier (authenticate.py) for both.

    Attributes:
        known: the way from a credential to a caller, which other kinds of credentials share.
    """

    credentials = frozenset({"x-api-key", "bearer"})
    surfaces = frozenset({"mcp", "api"})

    def __init__(
        self, database: Database, redis: Redis, settings: Settings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.known = KnownCallers(database, redis, settings.public_url, clock=clock)
        self.known.register(ApiKeyReader(database, settings.public_url))
        operator_key = settings.mcp_api_key
        self._operator_digest = digest_of(operator_key.get_secret_value()) if operator_key else None

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
        return await self._of_key(token, digest) if token.startswith(PREFIX) else None

    async def from_api_key(self, secret: str) -> Caller:
        """The customer whom an API key stands for.

        Raises:
            NotAuthenticated: the key is malformed (found without any look-up), unknown or revoked.
            Suspended: the customer is suspended.
        """
        return await self._of_key(secret, digest_of(secret))

    async def refresh(self, caller: Caller) -> Caller:
        """Read from SQL what the caller's credential and customer are now: for a caller whose version is not the one
        served.

        The answer is as fresh as SQL is at this moment, so a call may go on with it without comparing versions again
        (they differ for as long as a change is under way).

        Raises:
            NotAuthenticated: the key was revoked, the session has ended, or the customer is gone.
            Suspended: the customer is suspended.
        """
        return caller if caller.single_user else await self.known.refresh(caller)

    async def act_for(self, operator: Caller, customer_id: str) -> Caller:
        """The operator acting for a customer: with the customer's accounts and plan, audited as the operator. Also
        for a suspended one.

        Raises:
            NotFound: there is no such customer.
            ValueError: the caller is no operator.
        """
        if not is_whole_operator(operator):
            raise ValueError("only an operator acts for a customer")
        customer = await self.known.customer(customer_id)
        if customer is None:
            raise NotFound(f"There is no customer {customer_id!r}; `hermes customers list` shows them.")
        return replace(
            operator,
            kind="operator",
            customer_id=customer.id,
            grants=Grants.everything(),
            plan=customer.plan,
            version=customer.version,
            default_accounts=customer.default_accounts or {},
            approval_rules=ApprovalRules.stored(customer.approval_rules),
        )

    async def close(self) -> None:
        """Finish what goes on behind the answers. To be called before Redis and SQL are closed."""
        await self.known.close()

    async def _of_key(self, secret: str, digest: bytes) -> Caller:
        name = digest.hex()
        remembered = self.known.recall(Via.API_KEY, name)
        if remembered is not None:
            return remembered
        if not is_well_formed(secret):
            raise NotAuthenticated(
                "This API key is incomplete or mistyped (its checksum does not fit); copy it again in full.",
                reason="invalid",
            )
        return await self.known.recognise(Via.API_KEY, name)
