"""Connected assistants: what customers let clients do, as a person sees it, and taking it back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.errors import NotFound
from hermes.identity.actions import ActionAudit, audit_action
from hermes.identity.caller import Caller
from hermes.identity.changes import CustomerChanges
from hermes.identity.models import Customer
from hermes.oauth.clients import Client
from hermes.oauth.grants import as_assistant, end_chain
from hermes.oauth.models import (
    OAuthAccessToken,
    OAuthAuthorization,
    OAuthChain,
    OAuthClient,
    OAuthRefreshToken,
)
from hermes.oauth.secrets import ACCESS, REFRESH, digest, looks_like
from hermes.storage.sql import Database

MOST: Final = 500
"""Assistants that are listed at once."""


@dataclass(frozen=True, slots=True)
class Assistant:
    """A client that a customer agreed to.

    Attributes:
        host: the host of its document, if it has one.
        verified: whether that host or an operator vouches for its name.
        grants: what the customer agreed to, as words.
        connected: whether it holds anything with which it can act now or later.
        last_used_at: to the minute; none: never.
    """

    id: str
    client_id: str
    name: str
    host: str | None
    verified: bool
    grants: list[str]
    connected: bool
    created_at: datetime
    last_used_at: datetime | None


class Assistants:
    """The assistants of one customer at a time."""

    def __init__(self, database: Database, changes: CustomerChanges, audit: ActionAudit) -> None:
        self._database = database
        self._changes = changes
        self._audit = audit

    async def list(self, customer_id: str) -> list[Assistant]:
        """The customer's assistants, in the order in which they agreed to them; at most 500."""
        holds = exists().where(
            OAuthChain.customer_id == customer_id, OAuthChain.authorization_id == OAuthAuthorization.id
        )
        query = select(OAuthAuthorization, holds).where(OAuthAuthorization.customer_id == customer_id)
        async with self._database.reading() as session:
            rows = (await session.execute(query.order_by(OAuthAuthorization.id).limit(MOST))).all()
        return [_assistant(row, connected) for row, connected in rows]

    async def revoke(self, customer_id: str, assistant_id: str, *, by: Caller) -> None:
        """Take back everything that the customer let an assistant do, and forget that they did. Effective everywhere
        within five seconds. A client that signs in by itself cannot do so for this customer any more.

        Args:
            by: who revokes it.

        Raises:
            NotFound: the customer has no such assistant.
        """
        mine = (OAuthAuthorization.customer_id == customer_id, OAuthAuthorization.id == assistant_id)
        async with self._changes.change(customer_id) as session:
            found = (await session.scalars(select(OAuthAuthorization).where(*mine).with_for_update())).one_or_none()
            if found is None:
                raise NotFound("There is no such assistant; the list of assistants shows those that there are.")
            own = (OAuthClient.id == found.client_id, OAuthClient.acts_for == customer_id)
            await session.execute(update(OAuthClient).where(*own).values(acts_for=None))
            await session.execute(delete(OAuthAuthorization).where(*mine))
        await audit_action(self._audit, customer_id, by, "oauth.revoke", client=found.client_id, assistant=assistant_id)

    async def revoke_token(self, client: Client, token: str) -> None:
        """A client gives back one of its own tokens (RFC 7009): with a refresh token goes all that its sign-in gave,
        an access token goes alone. Any other text changes nothing, and nobody learns that."""
        chain = await self._chain_of(token)
        if chain is None or chain.client_id != client.id:
            return
        await self._give_back(chain.customer_id, chain, client, token)

    async def _give_back(self, customer_id: str, chain: OAuthChain, client: Client, token: str) -> None:
        async with self._changes.change(customer_id) as session:
            plan = (await session.get_one(Customer, customer_id)).plan
            if looks_like(REFRESH, token):
                await end_chain(session, customer_id, chain.id)
            else:
                mine = (OAuthAccessToken.customer_id == customer_id, OAuthAccessToken.digest == digest(token))
                await session.execute(delete(OAuthAccessToken).where(*mine))
        caller = as_assistant(customer_id, chain.authorization_id, client.name, plan)
        await audit_action(self._audit, customer_id, caller, "oauth.revoke", client=client.id)

    async def _chain_of(self, token: str) -> OAuthChain | None:
        """For the house: a request brings a token, and whose that is must be found out."""
        if looks_like(REFRESH, token):
            which = select(OAuthRefreshToken.chain_id).where(OAuthRefreshToken.digest == digest(token))
        elif looks_like(ACCESS, token):
            which = select(OAuthAccessToken.chain_id).where(OAuthAccessToken.digest == digest(token))
        else:
            return None
        async with self._database.reading() as session:
            chain_id = await session.scalar(which)
            return None if chain_id is None else await session.get(OAuthChain, chain_id)


async def forget_client(session: AsyncSession, customer_id: str, client_id: str) -> None:
    """Take back what one customer let a client do."""
    mine = (OAuthAuthorization.customer_id == customer_id, OAuthAuthorization.client_id == client_id)
    await session.execute(delete(OAuthAuthorization).where(*mine))


def _assistant(row: OAuthAuthorization, connected: bool) -> Assistant:
    return Assistant(
        id=row.id,
        client_id=row.client_id,
        name=row.client_name,
        host=row.client_host,
        verified=row.client_verified,
        grants=row.grants,
        connected=connected,
        created_at=row.created_at,
        last_used_at=row.used_at,
    )
