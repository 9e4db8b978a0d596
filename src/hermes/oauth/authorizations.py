"""What people agreed to: asked for, remembered, and given to the client as a code."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.identity.actions import ActionAudit, audit_action
from hermes.identity.caller import Caller, Grants, Via
from hermes.identity.changes import CustomerChanges
from hermes.identity.ids import new_id
from hermes.identity.models import Customer
from hermes.oauth.authorize import Answer, AuthorizationRequest, AuthorizeReader, Pairs
from hermes.oauth.errors import AuthorizeError, AuthorizeRefused
from hermes.oauth.models import OAuthAuthorization, OAuthCode
from hermes.oauth.refusals import REFUSALS
from hermes.oauth.scopes import ScopeCatalogue, scope_text
from hermes.oauth.secrets import CODE, digest, new_secret
from hermes.storage.rates import Rates, household
from hermes.storage.sql import Database, insert_once

CODE_SECONDS: Final = 60


class Authorizations:
    """From an authorization request to the answer that the browser carries to the client.

    Nothing is kept between `begin` and `approve`: the page sends the request's parameters again, so any replica can
    take either step.
    """

    def __init__(
        self,
        database: Database,
        changes: CustomerChanges,
        audit: ActionAudit,
        reader: AuthorizeReader,
        scopes: ScopeCatalogue,
        issuer: str,
        rates: Rates,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._changes = changes
        self._audit = audit
        self._reader = reader
        self._scopes = scopes
        self._issuer = issuer
        self._rates = rates
        self._clock = clock

    async def begin(self, parameters: Pairs, *, address: str) -> AuthorizationRequest:
        """Check a request: when the page is opened, and again when it is answered.

        Args:
            parameters: of the request, repeated ones repeated (`request.query_params.multi_items()`).
            address: of the browser.

        Raises:
            AuthorizeRefused: to be shown, never redirected.
            AuthorizeError: to be redirected to its `location`.
            RateLimited: too many refused requests came from this address, or too many with new clients' documents.
        """
        try:
            return await self._reader.read(parameters, address=address)
        except (AuthorizeRefused, AuthorizeError):
            await self._rates.take(REFUSALS, household(address))
            raise

    async def agreed(self, customer_id: str, request: AuthorizationRequest) -> Grants:
        """Of what is asked, what the customer gave this client before."""
        async with self._database.reading() as session:
            row = await _authorization(session, customer_id, request.client.id)
        return Grants(frozenset()) if row is None else Grants.parse(row.grants).both(request.grants)

    async def remembered(self, customer_id: str, request: AuthorizationRequest) -> Grants | None:
        """With what to `approve` without asking, as the customer gave all of it before; none: ask.

        Always asked when the client wants it (`prompt`), and when any program on the person's machine could have sent
        the request in the client's name.
        """
        if request.borrowable or request.prompt & {"consent", "select_account"}:
            return None
        agreed = await self.agreed(customer_id, request)
        return request.grants if agreed.covers(request.grants) else None

    async def approve(self, customer_id: str, request: AuthorizationRequest, grants: Grants) -> str:
        """Give the client a code, and remember what the customer agreed to.

        Of what was asked, exactly `grants` is remembered; what was agreed to before and is not asked now stays.

        Args:
            grants: what the person ticked; what was not asked is left away. Nothing at all is a no.

        Returns:
            Where to send the browser.

        Raises:
            NotFound: there is no such customer.
        """
        given = grants.both(request.grants)
        if not given.pairs:
            return self.deny(request)
        code, now = new_secret(CODE), self._clock()
        async with self._changes.change(customer_id) as session:  # tokens may lose what is no longer agreed to
            customer = await session.get(Customer, customer_id)
            assert customer is not None  # noqa: S101  (its version was counted up just now)
            if customer.status != "active":
                return self.deny(request)
            authorization_id = await self._agree(session, customer_id, request, given, now)
            session.add(_code_row(customer_id, authorization_id, code, request, given, now))
        await self._note(customer, request, authorization_id, given)
        return self._answer(request).location(code=code)

    def deny(self, request: AuthorizationRequest, error: str = "access_denied") -> str:
        """Where to send the browser with a no.

        Args:
            error: `access_denied`, or what `prompt=none` forbids to mend: `login_required`, `consent_required`.
        """
        return self._answer(request).location(error=error)

    async def _agree(
        self, session: AsyncSession, customer_id: str, request: AuthorizationRequest, given: Grants, now: datetime
    ) -> str:
        """Remember what was agreed to; returns the authorization's id."""
        client = request.client
        values = {
            "client_name": client.name,
            "client_host": client.host,
            "client_verified": client.verified,
            "grants": given.words(),
            "created_at": now,
        }
        new_row = {"id": new_id("oau"), "customer_id": customer_id, "client_id": client.id, "used_at": None, **values}
        if await insert_once(session, OAuthAuthorization, **new_row):
            return str(new_row["id"])
        row = await _authorization(session, customer_id, client.id)
        assert row is not None  # noqa: S101  (a row of this customer and client stands in the way of the new one)
        after = self._scopes.after(Grants.parse(row.grants), request.grants, given)
        mine = (OAuthAuthorization.customer_id == customer_id, OAuthAuthorization.id == row.id)
        await session.execute(update(OAuthAuthorization).where(*mine).values({**values, "grants": after.words()}))
        return row.id

    async def _note(
        self, customer: Customer, request: AuthorizationRequest, authorization_id: str, given: Grants
    ) -> None:
        person = Caller(
            "customer", customer.id, Via.SESSION, authorization_id, given, customer.plan, client=request.client.name
        )
        await audit_action(
            self._audit,
            customer.id,
            person,
            "oauth.authorize",
            client=request.client.id,
            redirect=request.redirect_host,
            scope=scope_text(given),
        )

    def _answer(self, request: AuthorizationRequest) -> Answer:
        return Answer(request.redirect_uri, request.state, self._issuer)


async def _authorization(session: AsyncSession, customer_id: str, client_id: str) -> OAuthAuthorization | None:
    mine = (OAuthAuthorization.customer_id == customer_id, OAuthAuthorization.client_id == client_id)
    return (await session.scalars(select(OAuthAuthorization).where(*mine))).one_or_none()


def _code_row(
    customer_id: str, authorization_id: str, code: str, request: AuthorizationRequest, given: Grants, now: datetime
) -> OAuthCode:
    return OAuthCode(
        digest=digest(code),
        authorization_id=authorization_id,
        customer_id=customer_id,
        client_id=request.client.id,
        redirect_uri=request.redirect_uri,
        code_challenge=request.code_challenge,
        resource=request.resource,
        grants=given.words(),
        refreshable=request.client.refreshes,
        created_at=now,
        expires_at=now + timedelta(seconds=CODE_SECONDS),
        chain_id=None,
    )
