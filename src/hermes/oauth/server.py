"""The authorization server's parts, wired."""

from __future__ import annotations

from redis.asyncio import Redis

from hermes.crypto import Keyring
from hermes.identity.actions import ActionAudit
from hermes.identity.changes import CustomerChanges
from hermes.identity.known_callers import KnownCallers
from hermes.net.guarded import GuardedClient
from hermes.oauth.access import AccessTokenReader, AccessTokens
from hermes.oauth.assertions import Assertions
from hermes.oauth.assistants import Assistants
from hermes.oauth.authorizations import Authorizations
from hermes.oauth.authorize import AuthorizeReader
from hermes.oauth.client_auth import ClientAuthenticator
from hermes.oauth.client_keys import ClientKeys
from hermes.oauth.client_store import OAuthClients
from hermes.oauth.endpoints import Endpoints
from hermes.oauth.expiry import Expiry
from hermes.oauth.headless import HeadlessTokens
from hermes.oauth.metadata import Metadata
from hermes.oauth.registered_clients import RegisteredClients
from hermes.oauth.resources import Audience
from hermes.oauth.reuse import Reuse
from hermes.oauth.scopes import ScopeCatalogue
from hermes.oauth.tokens import OAuthTokens
from hermes.platforms.catalog import Catalog
from hermes.settings import Settings
from hermes.storage.queue import JobQueue
from hermes.storage.rates import Rates
from hermes.storage.sql import Database


class AuthorizationServer:
    """The room.

    Attributes:
        clients: the programs that ask for access.
        registered: those of them that operators registered.
        authorizations: from a request to the answer that a browser carries back; for the consent page.
        endpoints: token, revoke and register.
        assistants: what customers let clients do.
        access: says who is calling by access token.
        metadata: what clients must know.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        redis: Redis,
        keyring: Keyring,
        catalog: Catalog,
        *,
        known: KnownCallers,
        changes: CustomerChanges,
        audit: ActionAudit,
        guarded: GuardedClient,
    ) -> None:
        """
        Args:
            known: learns to read access tokens.
            guarded: for what clients publish about themselves.
        """
        audience, scopes, rates = Audience(settings.public_url), ScopeCatalogue(catalog.platforms), Rates(redis)
        known.register(AccessTokenReader(database, audience.resource))
        self._client_days = settings.oauth_client_days
        self._expiry = Expiry(database)
        self.access = AccessTokens(known)
        self.clients = OAuthClients(database, guarded, rates)
        self.registered = RegisteredClients(database, self.clients, changes, scopes)
        self.assistants = Assistants(database, changes, audit)
        self.authorizations = Authorizations(
            database, changes, audit, AuthorizeReader(self.clients, scopes, audience), scopes, audience.issuer, rates
        )
        self.endpoints = Endpoints(
            self.clients,
            ClientAuthenticator(self.clients, Assertions(redis, ClientKeys(redis, guarded), audience)),
            OAuthTokens(database, keyring, Reuse(changes, audit), scopes, audience),
            HeadlessTokens(database, scopes, audience),
            self.assistants,
            rates,
        )
        self.metadata = Metadata(settings.public_url, scopes)

    def register_tasks(self, queue: JobQueue) -> None:
        """Delete what has ended every hour, and every night clients that nobody uses."""

        async def forget_clients() -> None:
            await self.clients.expire(self._client_days)

        queue.cron("oauth.expire", "23 * * * *", self._expiry.sweep)
        queue.cron("oauth.expire_clients", "37 3 * * *", forget_clients)
