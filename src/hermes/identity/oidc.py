"""Signing in through a provider of OpenID Connect: the code flow with PKCE (OpenID Connect Core 1.0, section 3.1).

A flow is kept in Redis under the SHA-256 of its state, sealed, for ten minutes; it is taken out by the first who brings
the state, and counts only in the browser that began it (RFC 9700, section 4.7).
"""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import orjson
import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from hermes.crypto import Keyring, Undecryptable
from hermes.errors import Conflict, HermesError, PlatformUnavailable
from hermes.identity.api_key import digest_of
from hermes.net.guarded import GuardedClient
from hermes.settings import Settings
from hermes.storage.redis import Redis

CALLBACK: Final = "/login/provider/callback"
ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
"""Signatures only a provider can make: never `none`, and never an HMAC (RFC 8725, section 3.1)."""

_FLOW_SECONDS: Final = 600
_KNOWN_SECONDS: Final = 3600.0
_LEEWAY: Final = 60
_LONGEST_SUBJECT: Final = 255
_MOST_BYTES: Final = 256 * 1024
_OK: Final = 200

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Flow:
    """A sign-in under way at the provider.

    Attributes:
        return_to: where it leads on.
        customer_id: who links an account of the provider to their own; none when somebody signs in.
    """

    return_to: str
    customer_id: str | None
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    binding: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """Who the provider says it is. `email` is there only if the provider vouches for it."""

    issuer: str
    subject: str
    email: str | None
    flow: Flow


@dataclass(frozen=True, slots=True)
class _Provider:
    """What the provider publishes about itself."""

    authorize: str
    token: str
    keys: KeySet
    until: float


class SignInProvider:
    """The provider of `OIDC_ISSUER`."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        keyring: Keyring,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        issuer = urlsplit(settings.oidc_issuer or "")
        self._issuer = settings.oidc_issuer or ""
        self._client_id = settings.oidc_client_id or ""
        self._client_secret = settings.oidc_client_secret
        self._redirect_uri = settings.public_url + CALLBACK
        self._redis = redis
        self._keyring = keyring
        self._clock = clock
        port = issuer.port or (80 if issuer.scheme == "http" else 443)
        # the operator names the issuer, which may well be inside; what it points to elsewhere must be public
        self._http = GuardedClient(trusted=[(issuer.hostname or "", port)])
        self._provider: _Provider | None = None
        self.enabled = settings.oidc_issuer is not None
        self.name = settings.oidc_name or issuer.hostname or ""

    async def start(self, binding: str, *, return_to: str, customer_id: str | None = None) -> str:
        """Begin a flow.

        Args:
            binding: what only this browser holds.

        Returns:
            Where to send the browser.

        Raises:
            Conflict: no provider is set up.
            PlatformUnavailable: the provider does not answer as it should.
        """
        if not self.enabled:
            raise Conflict("No other way of signing in is set up here; sign in with your password.")
        provider = await self._discover()
        state = secrets.token_urlsafe(32)
        flow = Flow(return_to, customer_id, secrets.token_urlsafe(32), secrets.token_urlsafe(48), binding)
        members = {name: getattr(flow, name) for name in Flow.__slots__}
        key = _key(state)
        await self._redis.set(key, self._keyring.seal(orjson.dumps(members), key), ex=_FLOW_SECONDS)
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "scope": "openid email",
            "state": state,
            "nonce": flow.nonce,
            "code_challenge": _challenge(flow.verifier),
            "code_challenge_method": "S256",
        }
        return f"{provider.authorize}{'&' if '?' in provider.authorize else '?'}{urlencode(asked)}"

    async def finish(self, answer: Mapping[str, str], binding: str) -> ProviderAccount:
        """Take the provider's answer, as the browser brings it.

        Raises:
            Conflict: it is not the answer to a flow that this browser began, or says no, or proves nothing.
            PlatformUnavailable: the provider does not answer as it should.
        """
        flow = await self._take(answer.get("state", ""))
        if flow is None or not secrets.compare_digest(flow.binding, binding):
            raise _refused("it took too long, or was begun in another browser")
        if answer.get("iss", self._issuer) != self._issuer:  # RFC 9207, section 2.4
            raise _refused("the answer is another provider's")
        code = answer.get("code")
        if not code:
            raise _refused("it did not sign you in there")
        claims = await self._claims(await self._exchange(code, flow), flow.nonce)
        vouched = claims.get("email_verified") is True and isinstance(claims.get("email"), str)
        return ProviderAccount(self._issuer, claims["sub"], claims["email"] if vouched else None, flow)

    async def _take(self, state: str) -> Flow | None:
        key = _key(state)
        sealed = await self._redis.getdel(key)
        if not isinstance(sealed, str):
            return None
        try:
            return Flow(**orjson.loads(self._keyring.open(sealed, key)))
        except Undecryptable:
            return None

    async def _exchange(self, code: str, flow: Flow) -> str:
        provider = await self._discover()
        body = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "client_id": self._client_id,
            "code_verifier": flow.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if self._client_secret is not None:
            headers["Authorization"] = _basic(self._client_id, self._client_secret.get_secret_value())
        members = await self._json(provider.token, method="POST", headers=headers, body=urlencode(body).encode())
        token = members.get("id_token")
        if not isinstance(token, str):
            raise _refused("the provider did not say who you are")
        return token

    async def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        rules = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = (await self._verified(token)).claims
            rules.validate(claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            log.warning("id_token_refused", issuer=self._issuer, error=type(error).__name__)
            raise _refused("the provider's answer does not prove who you are") from None
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if several else self._client_id) != self._client_id:
            raise _refused("the provider's answer is meant for another program")
        if not 0 < len(claims["sub"]) <= _LONGEST_SUBJECT:
            raise _refused("the provider's answer does not prove who you are")
        return claims

    async def _verified(self, token: str) -> jwt.Token:
        """The token, by the keys that the provider has now: it may have changed them since they were asked for."""
        known = self._provider
        try:
            return jwt.decode(token, (await self._discover()).keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError):
            if self._provider is not known:
                raise
        return jwt.decode(token, (await self._discover(anew=True)).keys, algorithms=ALGORITHMS)

    async def _discover(self, *, anew: bool = False) -> _Provider:
        """What the provider publishes (OpenID Connect Discovery 1.0, section 4), at most an hour old."""
        known = self._provider
        if known is not None and not anew and known.until > self._clock():
            return known
        until = self._clock() + _KNOWN_SECONDS
        found = await self._json(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != self._issuer:
            raise _away("its discovery document is for another issuer than OIDC_ISSUER")
        try:
            keys = KeySet.import_key_set(await self._json(str(found.get("jwks_uri"))))  # type: ignore[arg-type]
            self._provider = _Provider(str(found["authorization_endpoint"]), str(found["token_endpoint"]), keys, until)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise _away(type(error).__name__) from None
        return self._provider

    async def _json(self, url: str, **request: Any) -> dict[str, Any]:
        try:
            answer = await self._http.fetch(url, name="OIDC_ISSUER", max_bytes=_MOST_BYTES, seconds=10.0, **request)
            members = orjson.loads(answer.body)
        except (HermesError, ValueError) as error:
            raise _away(type(error).__name__) from None
        if answer.status != _OK or not isinstance(members, dict):
            raise _away(f"status {answer.status}")
        return members


def _key(state: str) -> str:
    return f"signin:{digest_of(state).hex()}"


def _challenge(verifier: str) -> str:
    """RFC 7636, section 4.2."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _basic(client_id: str, secret: str) -> str:
    """RFC 6749, section 2.3.1: both parts form-encoded first."""
    return "Basic " + b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


def _refused(why: str) -> Conflict:
    return Conflict(f"Signing in through the provider did not work: {why}. Begin again.")


def _away(detail: str) -> PlatformUnavailable:
    log.warning("sign_in_provider_away", error=detail)
    return PlatformUnavailable("The sign-in provider does not answer as it should; sign in with your password.")
