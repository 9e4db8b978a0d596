"""The clients: where each kind comes from, and the only writer of their table."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import delete, exists, or_, update

from hermes.errors import RateLimited
from hermes.identity.ids import new_id
from hermes.identity.memory import SingleFlight
from hermes.net.guarded import GuardedClient
from hermes.oauth.client_details import UNNAMED, ClientDetails
from hermes.oauth.client_documents import FETCH_SECONDS, ClientDocument, fetch_document, is_document_id
from hermes.oauth.clients import Client
from hermes.oauth.errors import OAuthError
from hermes.oauth.models import CLIENT_ID_LENGTH, ClientKind, OAuthAuthorization, OAuthClient
from hermes.oauth.secrets import CLIENT_SECRET, digest, new_secret
from hermes.storage.rates import Rate, Rates, household
from hermes.storage.sql import Database, insert_once, rows_matched

DOCUMENTS: Final = Rate("oauth.documents", 30, 600)
"""Documents fetched because of one address."""

STALE: Final = timedelta(days=7)
"""How long a client that people signed in with goes on working while its document cannot be fetched."""

_USED_EVERY: Final = timedelta(hours=1)
_UNSEEN: Final = timedelta(days=1)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NewClient:
    """A client just registered. `secret` is shown once and kept nowhere."""

    client: Client
    created_at: datetime
    secret: str | None = field(repr=False)


class OAuthClients:
    """For the house: clients belong to no customer, and whoever asks for one names it."""

    def __init__(
        self,
        database: Database,
        guarded: GuardedClient,
        rates: Rates,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._guarded = guarded
        self._rates = rates
        self._clock = clock
        self._fetches: SingleFlight[str, ClientDocument] = SingleFlight(FETCH_SECONDS, time.monotonic)

    async def resolve(self, client_id: str, *, address: str, signed_in: bool = False) -> Client:
        """The client with this id. If it is known by a document, that is fetched unless it is known and fresh.

        Args:
            address: of whoever named it, which is counted when its document has to be fetched.
            signed_in: whether it holds something that people gave it: then a document that cannot be fetched at
                present is good enough for a week.

        Raises:
            OAuthError: `invalid_client`: there is no such client, or its document cannot be used.
            RateLimited: too many documents were asked for from this address.
        """
        if len(client_id) > CLIENT_ID_LENGTH:
            raise _unknown()
        row = await self._row(client_id)
        if not is_document_id(client_id):
            if row is None:
                raise _unknown()
            return Client.of(row)
        if row is not None and _fresh_at(row, self._clock()):
            return Client.of(row)
        try:
            document = await self._fetches.do(client_id, lambda: self._fetch(client_id, address))
        except (OAuthError, RateLimited):
            if row is not None and signed_in and _fresh_at(row, self._clock() - STALE):
                return Client.of(row)
            raise
        return Client(client_id, "document", document.details.client_name, document.details)

    async def register(
        self, details: ClientDetails, *, kind: ClientKind = "dynamic", acts_for: str | None = None
    ) -> NewClient:
        """Keep a new client, and make its secret if it is to have one.

        Args:
            details: what it says of itself, checked.
            kind: who registers it.
            acts_for: the customer as whom it may sign in by itself.
        """
        now = self._clock()
        secret = new_secret(CLIENT_SECRET) if details.has_secret else None
        name = details.client_name or UNNAMED
        client = Client(
            new_id("ocl"), kind, name, details, None if secret is None else digest(secret), acts_for=acts_for
        )
        async with self._database.session() as session:
            session.add(OAuthClient(**_values(client), created_at=now, used_at=now, fresh_until=None))
        return NewClient(client, now, secret)

    async def note_use(self, client: Client) -> None:
        """Write down that people sign in with it, at most once an hour."""
        now = self._clock()
        stale = (OAuthClient.id == client.id, OAuthClient.used_at < now - _USED_EVERY)
        async with self._database.session() as session:
            await session.execute(update(OAuthClient).where(*stale).values(used_at=now))

    async def expire(self, unused_days: int) -> int:
        """Delete clients that registered themselves and that nobody uses, and documents that led to nothing.

        Args:
            unused_days: how long a client may be unused.

        Returns:
            How many were deleted.
        """
        now = self._clock()
        agreed = exists().where(OAuthAuthorization.client_id == OAuthClient.id)
        unused = or_(
            (OAuthClient.kind == "dynamic") & (OAuthClient.used_at < now - timedelta(days=unused_days)),
            (OAuthClient.kind == "document") & (OAuthClient.fresh_until < now - _UNSEEN),
        )
        async with self._database.session() as session:
            return await rows_matched(session, delete(OAuthClient).where(unused, ~agreed))

    async def _row(self, client_id: str) -> OAuthClient | None:
        async with self._database.reading() as session:
            return await session.get(OAuthClient, client_id)

    async def _fetch(self, client_id: str, address: str) -> ClientDocument:
        now = self._clock()
        row = await self._row(client_id)  # who asked before may have fetched it meanwhile
        if row is not None and _fresh_at(row, now):
            return ClientDocument(ClientDetails(**row.details), row.fresh_until or now)
        await self._rates.take(DOCUMENTS, household(address))
        try:
            document = await fetch_document(self._guarded, client_id, now)
        except OAuthError as error:
            log.info("client_document_refused", client_id=client_id[:200], problem=error.description)
            raise
        values = _values(Client(client_id, "document", document.details.client_name, document.details))
        async with self._database.session() as session:
            if not await insert_once(
                session, OAuthClient, **values, created_at=now, used_at=now, fresh_until=document.fresh_until
            ):
                renewed = update(OAuthClient).where(OAuthClient.id == client_id)
                await session.execute(renewed.values({**values, "fresh_until": document.fresh_until}))
        return document


def _fresh_at(row: OAuthClient, moment: datetime) -> bool:
    return row.fresh_until is not None and row.fresh_until > moment


def _values(client: Client) -> dict[str, Any]:
    return {
        "id": client.id,
        "kind": client.kind,
        "name": client.name,
        "details": client.details.to_json(),
        "secret_digest": client.secret_digest,
        "acts_for": client.acts_for,
    }


def _unknown() -> OAuthError:
    return OAuthError("invalid_client", "This client is not known here; it must register again.", status=401)
