"""Access tokens as callers: what SQL knows of them, and the verifier that asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, select, update

from hermes.errors import NotAuthenticated
from hermes.identity.caller import Caller, Grants, Via
from hermes.identity.key_cache import KnownKey
from hermes.identity.known_callers import KnownCallers
from hermes.identity.models import Customer
from hermes.identity.readers import Read, known_of, not_used_since
from hermes.oauth.client_details import ClientDetails
from hermes.oauth.clients import allowed_to
from hermes.oauth.models import OAuthAccessToken, OAuthAuthorization, OAuthChain, OAuthClient
from hermes.oauth.secrets import ACCESS, digest, looks_like
from hermes.storage.sql import Database


class AccessTokenReader:
    """Reads access tokens; their name is their SHA-256 in hex, and the authorization is what the trail names.

    A token has what it was given and what the customer still agrees to. An assistant is never an operator, whoever
    agreed to it.
    """

    via = Via.OAUTH

    def __init__(self, database: Database, resource: str) -> None:
        """`resource` is ours; tokens that were given for another are unknown here (RFC 8707)."""
        self._database = database
        self._resource = resource

    async def named(self, name: str) -> Read | None:
        """For the house: see `Reader.named`."""
        query = (
            select(OAuthAccessToken, OAuthAuthorization, Customer, OAuthClient)
            .join(OAuthChain, OAuthAccessToken.chain_id == OAuthChain.id)
            .join(OAuthAuthorization, OAuthChain.authorization_id == OAuthAuthorization.id)
            .join(Customer, OAuthAuthorization.customer_id == Customer.id)
            .outerjoin(OAuthClient, OAuthClient.id == OAuthAuthorization.client_id)
            .where(OAuthAccessToken.digest == name, OAuthChain.resource == self._resource)
        )
        async with self._database.reading() as session:
            row = (await session.execute(query)).one_or_none()
        if row is None:
            return None
        token, agreed, customer, client = row
        grants = Grants.parse(token.grants).both(Grants.parse(agreed.grants))
        known = _known(customer, agreed, client, grants, token.expires_at)
        return Read(name, known, revoked=client is None, last_used_at=agreed.used_at)

    async def numbered(self, customer_id: str, key_id: str) -> Read | None:
        mine = (OAuthAuthorization.customer_id == customer_id, OAuthAuthorization.id == key_id)
        query = (
            select(OAuthAuthorization, Customer, OAuthClient)
            .join(Customer, OAuthAuthorization.customer_id == Customer.id)
            .outerjoin(OAuthClient, OAuthClient.id == OAuthAuthorization.client_id)
            .where(*mine)
        )
        async with self._database.reading() as session:
            row = (await session.execute(query)).one_or_none()
        if row is None:
            return None
        agreed, customer, client = row
        known = _known(customer, agreed, client, Grants.parse(agreed.grants), None)
        return Read(None, known, revoked=client is None, last_used_at=agreed.used_at)

    async def note_use(self, customer_id: str, key_id: str) -> None:
        now = datetime.now(UTC)
        mine: tuple[ColumnElement[bool], ...] = (
            OAuthAuthorization.customer_id == customer_id,
            OAuthAuthorization.id == key_id,
            not_used_since(OAuthAuthorization.used_at, now),
        )
        async with self._database.session() as session:
            await session.execute(update(OAuthAuthorization).where(*mine).values(used_at=now))

    def refusal(self) -> NotAuthenticated:
        return NotAuthenticated(
            "This access token is unknown, has expired or was revoked; refresh it, or connect the assistant again.",
            reason="invalid",
        )


class AccessTokens:
    """Says who is calling, by access token. A verifier (identity/authenticate.py)."""

    credentials = frozenset({"bearer"})
    surfaces = frozenset({"mcp", "api"})

    def __init__(self, known: KnownCallers) -> None:
        self._known = known

    async def verify(self, token: str) -> Caller | None:
        """The customer whose assistant brings the token; none if the text is no such token.

        Raises:
            NotAuthenticated: the token is unknown, expired or revoked.
            Suspended: the customer is suspended.
        """
        if not looks_like(ACCESS, token):
            return None
        name = digest(token)
        return self._known.recall(Via.OAUTH, name) or await self._known.recognise(Via.OAUTH, name)


def _known(
    customer: Customer,
    agreed: OAuthAuthorization,
    client: OAuthClient | None,
    grants: Grants,
    expires_at: datetime | None,
) -> KnownKey:
    obtainable = Grants(frozenset()) if client is None else allowed_to(client.kind, ClientDetails(**client.details))
    known = known_of(
        customer,
        Via.OAUTH,
        agreed.id,
        tuple(grants.words()),
        client=agreed.client_name,
        obtainable=tuple(obtainable.words()),
        expires_at=expires_at,
    )
    return replace(known, role="customer")
