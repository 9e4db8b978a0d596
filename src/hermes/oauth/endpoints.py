"""What the endpoints for programs do: token, revoke and register. How they look over HTTP stands in routes.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from hermes.oauth.assistants import Assistants
from hermes.oauth.client_auth import ClientAuthenticator, TokenForm
from hermes.oauth.client_details import check_details
from hermes.oauth.client_store import NewClient, OAuthClients
from hermes.oauth.clients import Client
from hermes.oauth.errors import OAuthError
from hermes.oauth.grants import TokenAnswer
from hermes.oauth.headless import HeadlessTokens
from hermes.oauth.refusals import REFUSALS
from hermes.oauth.tokens import OAuthTokens
from hermes.storage.rates import Rate, Rates, household

FORM_BYTES: Final = 32 * 1024
METADATA_BYTES: Final = 32 * 1024
_MOST_MEMBERS: Final = 40

REGISTRATIONS: Final = Rate("oauth.register", 60, 600)
"""Clients that may register from one address."""
HEADLESS: Final = Rate("oauth.headless", 120, 60)
"""Tokens that a client may ask for by itself; each lasts an hour."""


def read_form(body: bytes, authorization: str | None, address: str) -> TokenForm:
    """The form of a request.

    Args:
        body: `application/x-www-form-urlencoded`.
        authorization: the header of that name.
        address: where the request came from.

    Raises:
        OAuthError: `invalid_request`: it is no form, or a member other than `resource` is repeated (RFC 6749, 3.2).
    """
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_MEMBERS, errors="strict")
    except ValueError:
        raise OAuthError("invalid_request", "The body must be application/x-www-form-urlencoded.") from None
    members: dict[str, str] = {}
    for name, value in pairs:
        if name in members and name != "resource":
            raise OAuthError("invalid_request", "A parameter is given more than once.")
        members[name] = value
    resources = tuple(value for name, value in pairs if name == "resource" and value)
    filled = {name: value for name, value in members.items() if value and name != "resource"}
    return TokenForm(filled, resources, authorization, address)


class Endpoints:
    """The three endpoints. Each raises OAuthError for what it refuses, and RateLimited."""

    def __init__(
        self,
        clients: OAuthClients,
        authenticator: ClientAuthenticator,
        tokens: OAuthTokens,
        headless: HeadlessTokens,
        assistants: Assistants,
        rates: Rates,
    ) -> None:
        self._clients = clients
        self._authenticator = authenticator
        self._tokens = tokens
        self._headless = headless
        self._assistants = assistants
        self._rates = rates

    async def token(self, form: TokenForm) -> TokenAnswer:
        """Answer a token request (RFC 6749, 3.2)."""
        grant_type = _needed(form.members, "grant_type")
        client = await self._authenticator.authenticate(form)
        answer = await self._give(grant_type, client, form)
        await self._clients.note_use(client)
        return answer

    async def revoke(self, form: TokenForm) -> None:
        """Take a token back (RFC 7009). What is no token of this client's is taken for done."""
        token = _needed(form.members, "token")
        client = await self._authenticator.authenticate(form)
        await self._assistants.revoke_token(client, token)

    async def register(self, members: Any, address: str) -> NewClient:
        """Keep a client that registers itself (RFC 7591)."""
        details = check_details(members)
        if not details.redirect_uris or "authorization_code" not in details.grant_types:
            raise OAuthError("invalid_client_metadata", "grant_types: must hold authorization_code.")
        await self._rates.take(REGISTRATIONS, household(address))
        kept = tuple(grant for grant in details.grant_types if grant != "client_credentials")
        return await self._clients.register(details.model_copy(update={"grant_types": kept}))

    async def note_refusal(self, address: str) -> None:
        """Count a refusal.

        Raises:
            RateLimited: there were too many from this address.
        """
        await self._rates.take(REFUSALS, household(address))

    async def _give(self, grant_type: str, client: Client, form: TokenForm) -> TokenAnswer:
        members = form.members
        if grant_type == "client_credentials":
            await self._rates.take(HEADLESS, client.id)
            return await self._headless.give(client, members.get("scope", ""), form.resources)
        if grant_type not in ("authorization_code", "refresh_token"):
            raise OAuthError("unsupported_grant_type", "grant_type must be one of those in the metadata.")
        if grant_type not in client.details.grant_types:
            raise OAuthError("unauthorized_client", f"This client did not register for {grant_type}.")
        if grant_type == "refresh_token":
            token = _needed(members, "refresh_token")
            return await self._tokens.refresh(client, token, members.get("scope", ""), form.resources)
        return await self._tokens.redeem(
            client,
            _needed(members, "code"),
            _needed(members, "code_verifier"),
            members.get("redirect_uri"),
            form.resources,
        )


def registered(new: NewClient) -> dict[str, Any]:
    """The answer to a registration (RFC 7591, 3.2.1): the client's id, its secret if it has one, and its metadata as
    they are kept."""
    answer: dict[str, Any] = {
        "client_id": new.client.id,
        "client_id_issued_at": int(new.created_at.timestamp()),
        **new.client.details.to_json(),
    }
    return answer if new.secret is None else answer | {"client_secret": new.secret, "client_secret_expires_at": 0}


def _needed(members: Mapping[str, str], name: str) -> str:
    if name not in members:
        raise OAuthError("invalid_request", f"{name} is missing.")
    return members[name]
