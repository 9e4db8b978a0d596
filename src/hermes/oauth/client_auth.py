"""How a client proves who it is at the token and revocation endpoints.

Sources: RFC 6749, 2.3 and 3.2.1; RFC 7523, 2.2 and 3; OpenID Connect Core, 9 (names of the methods).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote_plus

from hermes.oauth.assertions import Assertions, client_of
from hermes.oauth.client_details import PUBLIC, SIGNED
from hermes.oauth.client_store import OAuthClients
from hermes.oauth.clients import Client
from hermes.oauth.errors import OAuthError
from hermes.oauth.secrets import digest

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class TokenForm:
    """A request of a client: its form, and what its headers say about it.

    Attributes:
        members: the form's members, without empty ones.
        resources: the values of `resource`, which alone may be repeated.
        authorization: the header of that name.
        address: where the request came from.
    """

    members: Mapping[str, str] = field(repr=False)
    resources: tuple[str, ...]
    authorization: str | None = field(repr=False)
    address: str


class _Proof(NamedTuple):
    client_id: str
    kind: Literal["none", "secret", "signed"]
    value: str


class ClientAuthenticator:
    """Finds the client that a request comes from, and checks its proof."""

    def __init__(self, clients: OAuthClients, assertions: Assertions) -> None:
        self._clients = clients
        self._assertions = assertions

    async def authenticate(self, form: TokenForm) -> Client:
        """The client, which has proved who it is in the way that it registered.

        Raises:
            OAuthError: `invalid_client` (401), or `invalid_request` when it proves itself in two ways at once.
            RateLimited: too many documents of clients were asked for from this address.
        """
        proof = _proof(form)
        client = await self._clients.resolve(proof.client_id, address=form.address, signed_in=True)
        method = client.details.token_endpoint_auth_method
        if method == SIGNED and proof.kind == "signed":
            await self._assertions.check(client, proof.value)
        elif client.secret_digest is not None and proof.kind == "secret":
            if not hmac.compare_digest(digest(proof.value), client.secret_digest):
                raise _wrong("The client's secret is wrong.")
        elif method != PUBLIC or proof.kind != "none":
            raise _wrong(f"This client proves who it is by {method}, and only so.")
        return client


def _proof(form: TokenForm) -> _Proof:
    members = form.members
    proofs = [
        _basic(form.authorization) if form.authorization is not None else None,
        _in_body(members, "client_secret", "secret"),
        _signed(members),
    ]
    given = [proof for proof in proofs if proof is not None]
    if len(given) > 1:
        raise OAuthError("invalid_request", "The client proves who it is in more than one way; send one of them.")
    named = members.get("client_id")
    if not given:
        if named is None:
            raise _wrong("The request does not say which client sends it; client_id is missing.")
        return _Proof(named, "none", "")
    if named is not None and named != given[0].client_id:
        raise OAuthError("invalid_request", "client_id is not the client that the proof is about.")
    return given[0]


def _in_body(members: Mapping[str, str], name: str, kind: Literal["secret"]) -> _Proof | None:
    return _Proof(members.get("client_id", ""), kind, members[name]) if name in members else None


def _signed(members: Mapping[str, str]) -> _Proof | None:
    if "client_assertion" not in members and "client_assertion_type" not in members:
        return None
    if members.get("client_assertion_type") != ASSERTION_TYPE or "client_assertion" not in members:
        raise OAuthError("invalid_request", f"client_assertion needs client_assertion_type {ASSERTION_TYPE}.")
    assertion = members["client_assertion"]
    return _Proof(members.get("client_id") or client_of(assertion), "signed", assertion)


def _basic(header: str) -> _Proof:
    """Id and secret, each form-encoded before they were joined (RFC 6749, 2.3.1)."""
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        raise _wrong("The Authorization header must be of the form Basic.")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise _wrong("The Authorization header is not base64 of id and secret.") from None
    name, colon, secret = text.partition(":")
    if not colon or not name:
        raise _wrong("The Authorization header does not hold an id and a secret.")
    return _Proof(unquote_plus(name), "secret" if secret else "none", unquote_plus(secret))


def _wrong(description: str) -> OAuthError:
    return OAuthError("invalid_client", description, status=401)
