"""Clients that sign in by themselves, without a person: `client_credentials` (RFC 6749, 4.4).

Only clients that an operator registered may, each for the one customer it was registered for (MCP's extension
oauth-client-credentials).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.identity.caller import Grants
from hermes.identity.ids import new_id
from hermes.oauth.clients import Client
from hermes.oauth.errors import OAuthError
from hermes.oauth.grants import TokenAnswer, give_access, is_active, new_chain
from hermes.oauth.models import OAuthAuthorization
from hermes.oauth.resources import Audience
from hermes.oauth.scopes import ScopeCatalogue
from hermes.storage.sql import Database, insert_once


class HeadlessTokens:
    """Gives tokens to such clients once they have proved who they are."""

    def __init__(
        self,
        database: Database,
        scopes: ScopeCatalogue,
        audience: Audience,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._scopes = scopes
        self._audience = audience
        self._clock = clock

    async def give(self, client: Client, scope: str, resources: Sequence[str]) -> TokenAnswer:
        """An access token, and no refresh token: the client can always ask again.

        Args:
            scope: what it is to be able to do; nothing: all that the operator allowed.

        Raises:
            OAuthError: `unauthorized_client`, `invalid_scope`, `invalid_target` or `invalid_grant`.
        """
        if "client_credentials" not in client.details.grant_types or client.acts_for is None:
            raise OAuthError("unauthorized_client", "This client may not sign in by itself.")
        if not self._audience.accepts_all(resources):
            raise OAuthError("invalid_target", f"The only resource here is {self._audience.resource}.")
        asked = self._scopes.parse(scope)
        grants = (asked.grants if scope.strip() else client.allowed).both(client.allowed)
        if not grants.pairs:
            raise OAuthError("invalid_scope", "None of the scopes may be given to this client.")
        return await self._give(client.acts_for, client, grants)

    async def _give(self, customer_id: str, client: Client, grants: Grants) -> TokenAnswer:
        now = self._clock()
        async with self._database.session() as session:
            if not await is_active(session, customer_id):
                raise OAuthError("invalid_grant", "The customer's account is suspended; nothing is given out for it.")
            authorization_id = await _authorization(session, customer_id, client, now)
            chain = new_chain(customer_id, authorization_id, client.id, self._audience.resource, grants, now)
            session.add(chain)
            await session.flush()
            return give_access(session, chain, grants, now)


async def _authorization(session: AsyncSession, customer_id: str, client: Client, now: datetime) -> str:
    """The entry by which the customer sees the client among the connected assistants, and can revoke it."""
    allowed = {"client_name": client.name, "grants": client.allowed.words()}
    made = {"customer_id": customer_id, "client_id": client.id, "client_host": None, "client_verified": True}
    new = new_id("oau")
    if await insert_once(session, OAuthAuthorization, id=new, created_at=now, used_at=None, **made, **allowed):
        return new
    mine = (OAuthAuthorization.customer_id == customer_id, OAuthAuthorization.client_id == client.id)
    await session.execute(update(OAuthAuthorization).where(*mine).values(allowed))
    return (await session.scalars(select(OAuthAuthorization.id).where(*mine))).one()
