"""From a request's headers to a caller, in the order of contract.md. Nothing is ever read from the query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol, get_args

from hermes.errors import NotAuthenticated
from hermes.identity.caller import Caller
from hermes.identity.cookies import session_of
from hermes.identity.csrf import SAFE_METHODS, Csrf

CredentialKind = Literal["x-api-key", "bearer", "cookie"]
Surface = Literal["mcp", "api"]


class Verifier(Protocol):
    """Knows one kind of secret.

    Attributes:
        credentials: where such a secret may stand.
        surfaces: on which doors it counts.
    """

    @property
    def credentials(self) -> frozenset[str]: ...

    @property
    def surfaces(self) -> frozenset[str]: ...

    async def verify(self, token: str) -> Caller | None:
        """The caller that the token stands for; none if the token is not of this verifier's kind.

        Raises:
            HermesError: the token is of this kind and is refused.
        """
        ...


class Authenticator:
    """Asks the verifiers, in their order, about the first credential of a request."""

    def __init__(self, verifiers: Iterable[Verifier], csrf: Csrf | None = None) -> None:
        """
        Args:
            csrf: checks changes that a cookie vouches for; without it no cookie counts.
        """
        self._csrf = csrf
        asked = tuple(verifiers)
        self._verifiers: Mapping[tuple[str, str], tuple[Verifier, ...]] = {
            (surface, kind): tuple(v for v in asked if surface in v.surfaces and kind in v.credentials)
            for surface in get_args(Surface)
            for kind in get_args(CredentialKind)
        }

    async def authenticate(self, headers: Mapping[str, str], surface: str, method: str | None = None) -> Caller:
        """Say who sent a request.

        Of several credentials the first counts, also when it is refused: `x-api-key`, then `Authorization`, then the
        cookie `session`.

        Args:
            headers: asked for `x-api-key`, `authorization` and `cookie`, in lower case; for a change by cookie also for
                `origin` and `x-csrf-token`.
            surface: `mcp` for /mcp, /sse and /messages; `api` for everything else. No credential counts on another.
            method: the request's; without it no cookie counts.

        Raises:
            NotAuthenticated: no credential (`reason` is `missing`), or one that stands for nobody (`invalid`).
            NotGranted: a change by cookie that may be another site's doing (csrf.py).
            HermesError: the verifier's own refusal, e.g. `Suspended`.
        """
        kind: CredentialKind = "x-api-key"
        token = headers.get("x-api-key")
        if not token and not headers.get("authorization") and self._csrf is not None and method is not None:
            cookie = session_of(headers) if surface == "api" else None
            if cookie is not None:
                return await self._by_cookie(self._csrf, cookie, headers, method)
        if not token:
            kind, token = "bearer", _bearer(headers.get("authorization"))
        for verifier in self._verifiers.get((surface, kind), ()):
            caller = await verifier.verify(token)
            if caller is not None:
                return caller
        raise NotAuthenticated(
            f"The {'x-api-key' if kind == 'x-api-key' else 'bearer token'} of this request stands for nobody here; "
            "send a valid API key (sq_live_…) as x-api-key or as Authorization: Bearer.",
            reason="invalid",
        )

    async def _by_cookie(self, csrf: Csrf, cookie: str, headers: Mapping[str, str], method: str) -> Caller:
        for verifier in self._verifiers["api", "cookie"]:
            caller = await verifier.verify(cookie)
            if caller is not None:
                if method not in SAFE_METHODS:
                    csrf.check(headers, caller.key_id)
                return caller
        raise NotAuthenticated(
            "The session cookie of this request is not one of ours; sign in again.", reason="invalid"
        )


def _bearer(authorization: str | None) -> str:
    if not authorization:
        raise NotAuthenticated(
            "This request does not say who sends it; send an API key as x-api-key or as Authorization: Bearer.",
            reason="missing",
        )
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated(
            "The Authorization header is not of the form `Bearer <key>`; send an API key that way or as x-api-key.",
            reason="invalid",
        )
    return token
