"""Reading an authorization request: everything that can be said about it before a person is asked.

Sources: RFC 6749, 4.1.1 and 4.1.2.1; RFC 7636, 4.3; RFC 8707, 2; RFC 9207, 2; OpenID Connect Core, 3.1.2.1 (`prompt`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from hermes.identity.caller import Grants
from hermes.oauth.client_details import PUBLIC
from hermes.oauth.clients import Client
from hermes.oauth.errors import AuthorizeError, AuthorizeRefused, OAuthError, described
from hermes.oauth.models import CLIENT_ID_LENGTH
from hermes.oauth.redirects import is_loopback, is_web, matching, shown_host, with_answer
from hermes.oauth.resources import Audience
from hermes.oauth.scopes import BASELINE, ScopeCatalogue

Pairs = Iterable[tuple[str, str]]

LONGEST_STATE: Final = 2048
_MOST_PARAMETERS: Final = 40
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
"""A SHA-256 in base64url (RFC 7636, 4.2)."""
_PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})
_REPEATABLE: Final = "resource"  # RFC 8707, 2


class ClientFinder(Protocol):
    """Finds the client of a request."""

    async def resolve(self, client_id: str, *, address: str) -> Client:
        """
        Raises:
            OAuthError: there is no such client, or its document cannot be used.
            RateLimited: too many documents were asked for from this address.
        """
        ...


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that may be shown to a person.

    Attributes:
        client: who asks.
        redirect_uri: where the answer goes.
        grants: what is asked for, cut to what there is and what the client may have at most.
        state: the client's own, given back unread.
        code_challenge: of PKCE, S256.
        resource: what the tokens will be for.
        prompt: the words of OpenID Connect's `prompt`: `login`, `consent`, `none`, `select_account`.
        parameters: the request as it came, for a form that sends it again with the person's answer.
    """

    client: Client
    redirect_uri: str
    grants: Grants
    state: str | None
    code_challenge: str
    resource: str
    prompt: frozenset[str]
    parameters: tuple[tuple[str, str], ...]

    @property
    def redirect_host(self) -> str:
        """Where the answer goes, as a person is told: a host, or `scheme:` of a native app."""
        return shown_host(self.redirect_uri)

    @property
    def redirect_is_loopback(self) -> bool:
        """Whether the answer goes to a program on the person's own machine, whichever listens there."""
        return is_loopback(self.redirect_uri)

    @property
    def borrowable(self) -> bool:
        """Whether another program on the person's machine could have sent this in the client's name: it has no secret,
        its id is no secret either, and the answer stays on that machine (RFC 8252, 8.6)."""
        public = self.client.details.token_endpoint_auth_method == PUBLIC
        return public and not is_web(self.redirect_uri)


class AuthorizeReader:
    """Turns parameters into a request, or says what is wrong with them to whom may hear it."""

    def __init__(self, clients: ClientFinder, scopes: ScopeCatalogue, audience: Audience) -> None:
        self._clients = clients
        self._scopes = scopes
        self._audience = audience

    async def read(self, pairs: Pairs, *, address: str) -> AuthorizationRequest:
        """Check a request.

        Scopes that are not known here, or that the client may not have, are left away, and the token's `scope` says
        what remains (RFC 6749, 3.3); if nothing remains of what was asked, that is `invalid_scope`.

        Args:
            pairs: its parameters, repeated ones repeated.
            address: of the browser, which is counted when a client's document has to be fetched.

        Raises:
            AuthorizeRefused: client or redirect URI are not to be trusted. Not to be redirected.
            AuthorizeError: anything else is wrong; says where to redirect.
            RateLimited: too many documents of clients were asked for from this address.
        """
        kept = tuple((name, value) for name, value in pairs if value)
        if len(kept) > _MOST_PARAMETERS:
            raise AuthorizeRefused("This request to sign in has too many parameters; start again in the program.")
        given = dict(reversed(kept))
        repeated = {name for name in given if [key for key, _ in kept].count(name) > 1}
        client = await self._client(given, repeated, address)
        redirect_uri = _redirect_uri(client, given, repeated)
        answer = Answer(redirect_uri, _state(given, repeated), self._audience.issuer)
        _check_protocol(given, repeated, client, answer)
        resources = [value for name, value in kept if name == _REPEATABLE]
        if not self._audience.accepts_all(resources):
            raise answer.error("invalid_target", f"The only resource here is {self._audience.resource}.")
        return AuthorizationRequest(
            client=client,
            redirect_uri=redirect_uri,
            grants=self._grants(client, given.get("scope", ""), answer),
            state=answer.state,
            code_challenge=given["code_challenge"],
            resource=self._audience.resource,
            prompt=_prompt(given.get("prompt", ""), answer),
            parameters=kept,
        )

    async def _client(self, given: Mapping[str, str], repeated: set[str], address: str) -> Client:
        client_id = given.get("client_id", "")
        if not client_id or "client_id" in repeated or len(client_id) > CLIENT_ID_LENGTH:
            raise AuthorizeRefused("This request to sign in does not say which program sent it; start again there.")
        try:
            return await self._clients.resolve(client_id, address=address)
        except OAuthError as error:
            raise AuthorizeRefused(f"The program that sent you here cannot be trusted: {error.description}") from None

    def _grants(self, client: Client, scope: str, answer: Answer) -> Grants:
        asked = self._scopes.parse(scope)
        wanted = asked.grants
        if not wanted.pairs and not asked.unknown:
            wanted = self._scopes.parse(client.details.scope or "").grants
            wanted = wanted if wanted.pairs else self._scopes.parse(BASELINE).grants
        grants = wanted.both(client.allowed)
        if not grants.pairs:
            raise answer.error("invalid_scope", "None of the scopes can be given to this client; the metadata has all.")
        return grants


@dataclass(frozen=True, slots=True)
class Answer:
    """Where an answer to the client goes, and what every one holds."""

    redirect_uri: str
    state: str | None
    issuer: str

    def location(self, **members: str) -> str:
        return with_answer(self.redirect_uri, {**members, "state": self.state, "iss": self.issuer})

    def error(self, error: str, description: str) -> AuthorizeError:
        return AuthorizeError(self.location(error=error, error_description=described(description)), error, description)


def _redirect_uri(client: Client, given: Mapping[str, str], repeated: set[str]) -> str:
    registered = client.details.redirect_uris
    uri = given.get("redirect_uri")
    if uri is None and len(registered) == 1:
        uri = registered[0]
    if uri is None or "redirect_uri" in repeated or not matching(uri, registered):
        raise AuthorizeRefused(
            f"The program {client.name!r} wants the answer sent to an address that it did not register. "
            "Do not go on; if you know the program, tell its makers."
        )
    return uri


def _state(given: Mapping[str, str], repeated: set[str]) -> str | None:
    return None if "state" in repeated else given.get("state")


def _check_protocol(given: Mapping[str, str], repeated: set[str], client: Client, answer: Answer) -> None:
    if repeated - {_REPEATABLE}:
        raise answer.error("invalid_request", "A parameter is given more than once.")
    if answer.state is not None and len(answer.state) > LONGEST_STATE:
        raise Answer(answer.redirect_uri, None, answer.issuer).error("invalid_request", "state is too long.")
    if "request" in given or "request_uri" in given:
        name = "request" if "request" in given else "request_uri"
        raise answer.error(f"{name}_not_supported", "Requests as JWT are not taken here.")
    if "response_type" not in given:
        raise answer.error("invalid_request", "response_type is missing; it must be code.")
    if given["response_type"] != "code":
        raise answer.error("unsupported_response_type", "response_type must be code.")
    if "authorization_code" not in client.details.grant_types:
        raise answer.error("unauthorized_client", "This client may not ask people.")
    if given.get("response_mode", "query") != "query":
        raise answer.error("invalid_request", "response_mode must be query.")
    if given.get("code_challenge_method") != "S256":
        raise answer.error("invalid_request", "PKCE is needed: code_challenge_method must be S256.")
    if _CHALLENGE.fullmatch(given.get("code_challenge", "")) is None:
        raise answer.error("invalid_request", "code_challenge must be a SHA-256 in base64url, 43 characters.")


def _prompt(text: str, answer: Answer) -> frozenset[str]:
    words = frozenset(text.split())
    if not words <= _PROMPTS or ("none" in words and len(words) > 1):
        raise answer.error("invalid_request", "prompt must be none alone, or of login, consent and select_account.")
    return words
