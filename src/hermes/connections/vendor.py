"""Asking vendors' OAuth endpoints, and what their answers mean. Nothing is stored here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from hermes.errors import HermesError, NotConnected, PlatformRejected, PlatformUnavailable, RateLimited
from hermes.net.answers import retry_after
from hermes.net.upstream import BoundUpstream, Upstream, UpstreamResponse
from hermes.platforms.oauth import NotTokens, OAuthClient, OAuthConnect, Tokens, VendorRequest, Verdict
from hermes.settings import Settings
from hermes.storage.pace import Pace

VENDOR_SECONDS: Final = 20.0
"""A vendor that takes longer is asked again later."""

log = structlog.get_logger(__name__)


class GrantEnded(Exception):
    """The vendor's own word that the person must sign in again. `reason` is for the customer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class VendorClient:
    """hermes as an OAuth client of the vendors."""

    def __init__(
        self,
        upstream: Upstream,
        settings: Settings,
        pace: Pace,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        seconds: float = VENDOR_SECONDS,
    ) -> None:
        self._upstream = upstream
        self._settings = settings
        self._pace = pace
        self._now = now
        self._seconds = seconds

    def client(self, connect: OAuthConnect) -> OAuthClient:
        """hermes as this vendor knows it.

        Raises:
            NotConnected: the operator has not registered it there.
        """
        client = connect.client(self._settings)
        if client is None:
            name = connect.provider.upper()
            raise NotConnected(
                f"Signing in with {connect.title} is not set up on this server. Its operator has to register an app "
                f"there and set {name}_CLIENT_ID and {name}_CLIENT_SECRET."
            )
        return client

    def authorize_location(self, connect: OAuthConnect, *, state: str, redirect_uri: str, verifier: str) -> str:
        """Where the person's browser is sent. Raises as `client`."""
        return connect.authorize_location(
            self.client(connect), self._settings, state=state, redirect_uri=redirect_uri, verifier=verifier
        )

    async def exchange(self, connect: OAuthConnect, *, code: str, redirect_uri: str, verifier: str) -> Tokens:
        """The tokens for a code; long-lived ones, where a vendor first gives short ones.

        Raises:
            PlatformRejected: the vendor does not take the code; the person has to begin again.
            HermesError: the vendor could not be asked, or gave no clear answer.
        """
        client = self.client(connect)
        http = self._bind(connect, write=True)
        try:
            request = connect.code_request(client, code=code, redirect_uri=redirect_uri, verifier=verifier)
            tokens = await self._tokens(connect, http, request)
            longer = connect.lengthen_request(client, tokens)
            if longer is None:
                return tokens
            long = await self._tokens(connect, http, longer)
        except GrantEnded as ended:
            raise PlatformRejected(f"{ended.reason} Begin again.", nothing_sent=True) from None
        scopes = long.scopes or tokens.scopes
        return replace(long, scopes=scopes, answer={**tokens.answer, **long.answer})

    async def renew(self, connect: OAuthConnect, renewable: str) -> Tokens:
        """New tokens. A rotating refresh token is shown once; whatever comes of it, this does not repeat it by itself.

        Raises:
            GrantEnded: the person must sign in again.
            HermesError: anything else. It says nothing about the account.
        """
        http = self._bind(connect, write=connect.rotates)
        return await self._tokens(connect, http, connect.renew_request(self.client(connect), renewable))

    async def revoke(self, connect: OAuthConnect, credentials: Mapping[str, Any]) -> bool:
        """Take the tokens back at the vendor; returns whether the vendor confirmed it."""
        try:
            request = connect.revoke_request(self.client(connect), credentials)
            if request is None:
                return False
            response = await self._send(connect, self._bind(connect, write=False), request)
        except HermesError as error:
            log.warning("tokens_not_revoked", provider=connect.provider, error=error.code)
            return False
        return 200 <= response.status < 300 and connect.refusal(_object(response) or {}) is None

    def _bind(self, connect: OAuthConnect, *, write: bool) -> BoundUpstream:
        return self._upstream.bind(connect.title, write, asyncio.get_running_loop().time() + self._seconds)

    async def _send(self, connect: OAuthConnect, http: BoundUpstream, request: VendorRequest) -> UpstreamResponse:
        return await http.request(
            request.method,
            connect.located(request.url, self._settings),
            headers={"Accept": "application/json", **request.headers},
            query=request.query,
            form=request.form,
        )

    async def _tokens(self, connect: OAuthConnect, http: BoundUpstream, request: VendorRequest) -> Tokens:
        await self._pace.turn(f"tokens:{connect.provider}", connect.limit)
        response = await self._send(connect, http, request)
        answer = _object(response)
        refused = connect.refusal(answer) if answer is not None else None
        if refused is not None:
            raise self._refusal(connect, response, *refused)
        if answer is None or not 200 <= response.status < 300:
            raise _unclear(connect, response)
        try:
            return connect.read_tokens(answer, self._now())
        except NotTokens:
            raise _unclear(connect, response) from None

    def _refusal(self, connect: OAuthConnect, response: UpstreamResponse, code: str, words: str) -> Exception:
        if response.status == 429:
            return RateLimited(
                f"{connect.title} is asked too often; it will be asked again later.",
                retry_after=retry_after(response.headers),
                limited_by=connect.provider,
            )
        verdict = connect.verdict(code)
        if response.status >= 500 or verdict is Verdict.LATER:
            return _unclear(connect, response)
        if verdict is Verdict.GRANT_ENDED:
            said = f" ({words})" if words else ""
            return GrantEnded(f"{connect.title} says that its permission has ended{said}.")
        log.error("vendor_refuses_us", provider=connect.provider, code=code)
        return PlatformUnavailable(
            f"{connect.title} does not accept how this server is set up there ({code}); its operator has to look at "
            f"{connect.provider.upper()}_CLIENT_ID and {connect.provider.upper()}_CLIENT_SECRET.",
            detail=words,
        )


def _object(response: UpstreamResponse) -> Mapping[str, Any] | None:
    try:
        answer = response.json()
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _unclear(connect: OAuthConnect, response: UpstreamResponse) -> PlatformUnavailable:
    wait = retry_after(response.headers)
    detail = f"token endpoint answered {response.status}, {len(response.body)} bytes"
    return PlatformUnavailable(f"{connect.title} could not give new tokens now.", retry_after=wait, detail=detail)
