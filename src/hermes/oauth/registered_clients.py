"""Clients that an operator registers: programs of known makers, and headless ones that act for one customer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, select

from hermes.errors import InvalidArguments, NotFound
from hermes.identity.changes import CustomerChanges
from hermes.identity.ids import from_cursor, to_cursor
from hermes.identity.models import Customer
from hermes.oauth.assistants import forget_client
from hermes.oauth.client_details import PUBLIC, SIGNED, AuthMethod, ClientDetails, check_details
from hermes.oauth.client_store import NewClient, OAuthClients
from hermes.oauth.errors import OAuthError
from hermes.oauth.models import OAuthAuthorization, OAuthClient
from hermes.oauth.scopes import ScopeCatalogue
from hermes.storage.sql import Database, rows_matched

LARGEST_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class ClientPage:
    """Clients in the order they were registered, and the cursor of the next page if there is one."""

    rows: list[OAuthClient]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A client to be registered.

    Attributes:
        name: as people are shown it.
        redirect_uris: where answers may go; none for a headless client.
        customer_id: as whom a headless client signs in by itself; then it asks no people.
        scope: the most that it can be given; none: everything.
        auth_method: how it proves who it is.
        jwks: its public keys, for `private_key_jwt`; or `jwks_uri`, where they are found.
    """

    name: str
    redirect_uris: tuple[str, ...] = ()
    customer_id: str | None = None
    scope: str | None = None
    auth_method: AuthMethod | None = None
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None

    @property
    def method(self) -> AuthMethod:
        if self.auth_method is not None:
            return self.auth_method
        return SIGNED if self.jwks or self.jwks_uri else "client_secret_basic"

    def members(self) -> dict[str, Any]:
        """As metadata of RFC 7591."""
        headless = self.customer_id is not None
        return {
            "client_name": self.name,
            "redirect_uris": list(self.redirect_uris),
            "grant_types": ["client_credentials"] if headless else ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": self.method,
            "scope": self.scope,
            "jwks": self.jwks,
            "jwks_uri": self.jwks_uri,
        }


class RegisteredClients:
    """For operators: these clients are everyone's, and deleting one ends it for all customers."""

    def __init__(
        self, database: Database, clients: OAuthClients, changes: CustomerChanges, scopes: ScopeCatalogue
    ) -> None:
        self._database = database
        self._clients = clients
        self._changes = changes
        self._scopes = scopes

    async def create(self, wanted: Wanted) -> NewClient:
        """Register a client. Its secret, if it has one, is in the answer and nowhere else.

        Raises:
            InvalidArguments: something about it is not acceptable; the message names the member.
            NotFound: there is no such customer.
        """
        details = self._check(wanted)
        if wanted.customer_id is not None:
            async with self._database.reading() as session:
                if await session.get(Customer, wanted.customer_id) is None:
                    raise NotFound(f"There is no customer {wanted.customer_id!r}; `hermes customers list` shows them.")
        return await self._clients.register(details, kind="registered", acts_for=wanted.customer_id)

    async def get(self, client_id: str) -> OAuthClient:
        """One client.

        Raises:
            NotFound: there is no such client, or it is not one that an operator registered.
        """
        async with self._database.reading() as session:
            found = await session.get(OAuthClient, client_id)
        if found is None or found.kind != "registered":
            raise NotFound(f"There is no registered client {client_id!r}; `hermes oauth-clients list` shows them.")
        return found

    async def page(self, *, cursor: str | None = None, limit: int = 50) -> ClientPage:
        """Clients in the order they were registered.

        Raises:
            InvalidArguments: the cursor is none of this list.
        """
        wanted = min(max(limit, 1), LARGEST_PAGE)
        query = select(OAuthClient).where(OAuthClient.kind == "registered").order_by(OAuthClient.id).limit(wanted + 1)
        if cursor is not None:
            query = query.where(OAuthClient.id > from_cursor(cursor))
        async with self._database.reading() as session:
            rows = list(await session.scalars(query))
        return ClientPage(rows[:wanted], to_cursor(rows[wanted - 1].id) if len(rows) > wanted else None)

    async def delete(self, client_id: str) -> None:
        """Delete a client and take back all that people let it do; within five seconds everywhere.

        Raises:
            NotFound: there is no such client, or it is not one that an operator registered.
        """
        mine = (OAuthClient.id == client_id, OAuthClient.kind == "registered")
        async with self._database.session() as session:
            if await rows_matched(session, delete(OAuthClient).where(*mine)) == 0:
                raise NotFound(f"There is no registered client {client_id!r}; `hermes oauth-clients list` shows them.")
        agreed = select(OAuthAuthorization.customer_id).where(OAuthAuthorization.client_id == client_id)
        async with self._database.reading() as session:
            customers = list(await session.scalars(agreed))
        for customer_id in customers:
            async with self._changes.change(customer_id) as session:
                await forget_client(session, customer_id, client_id)

    def _check(self, wanted: Wanted) -> ClientDetails:
        unknown = self._scopes.parse(wanted.scope or "").unknown
        if unknown:
            raise _refused("scope", f"{unknown[0][:64]!r} is no scope here; telegram:read or all:write are")
        if wanted.customer_id is not None and wanted.redirect_uris:
            raise _refused("redirect_uris", "a client that signs in by itself has none")
        if wanted.customer_id is not None and wanted.method == PUBLIC:
            raise _refused("token_endpoint_auth_method", "a client that signs in by itself must prove who it is")
        try:
            details = check_details(wanted.members())
        except OAuthError as error:
            raise InvalidArguments(error.description) from None
        if not details.client_name:
            raise _refused("name", "must have at least one visible character")
        return details


def _refused(field: str, problem: str) -> InvalidArguments:
    return InvalidArguments(f"{field}: {problem}.", fields=[{"field": field, "problem": problem}])
