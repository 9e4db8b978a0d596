"""Clients that prove who they are by a signed JWT (`private_key_jwt`).

Sources: RFC 7523, 3; RFC 7517; RFC 8725 (algorithms are ours to choose, never the token's).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, cast

import orjson
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization
from redis.asyncio import Redis

from hermes.oauth.client_keys import ClientKeys
from hermes.oauth.clients import Client
from hermes.oauth.errors import OAuthError
from hermes.oauth.resources import Audience

ALGORITHMS: Final = ("ES256", "ES384", "PS256", "PS384", "RS256", "RS384", "EdDSA", "Ed25519")
LONGEST_LIFE: Final = 600
"""Seconds that an assertion may last: so long is remembered that it was used."""
_LEEWAY: Final = 30
_LONGEST_ID: Final = 200


class Assertions:
    """Checks such JWTs. Each counts once, on all replicas."""

    def __init__(
        self,
        redis: Redis,
        keys: ClientKeys,
        audience: Audience,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._audiences = (audience.issuer, f"{audience.issuer}/oauth/token")
        self._clock = clock

    async def check(self, client: Client, assertion: str) -> None:
        """Check that the client itself made this assertion, for us, for now, and for once.

        Raises:
            OAuthError: `invalid_client`.
        """
        now = int(self._clock().timestamp())
        claims = await self._verified(client, assertion)
        try:
            self._registry(client.id, now).validate(claims)
        except (JoseError, ValueError, TypeError):
            raise _wrong("Its claims do not fit: iss, sub, aud, exp or jti.") from None
        audience, expires, jti = claims["aud"], claims["exp"], claims["jti"]
        if isinstance(audience, list) and not set(audience) <= set(self._audiences):
            raise _wrong("It is for others as well.")
        if expires > now + LONGEST_LIFE:
            raise _wrong(f"It lasts longer than {LONGEST_LIFE} seconds.")
        if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_ID:
            raise _wrong(f"jti must be a text of at most {_LONGEST_ID} characters.")
        used = hashlib.sha256(orjson.dumps([client.id, jti])).hexdigest()
        if not await self._redis.set(f"oauth:jti:{used}", b"1", ex=LONGEST_LIFE + 2 * _LEEWAY, nx=True):
            raise _wrong("It was used before.")

    async def _verified(self, client: Client, assertion: str) -> dict[str, Any]:
        kid = _header(assertion).get("kid")
        keys = cast(KeySetSerialization, await self._keys.of(client, kid if isinstance(kid, str) else None))
        try:
            return dict(jwt.decode(assertion, KeySet.import_key_set(keys), algorithms=list(ALGORITHMS)).claims)
        except (JoseError, ValueError, TypeError, KeyError):
            raise _wrong("Its signature is not of one of the client's keys, or its algorithm is not taken.") from None

    def _registry(self, client_id: str, now: int) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=now,
            leeway=_LEEWAY,
            iss={"essential": True, "value": client_id},
            sub={"essential": True, "value": client_id},
            aud={"essential": True, "values": list(self._audiences)},
            exp={"essential": True},
            jti={"essential": True},
        )


def client_of(assertion: str) -> str:
    """The client that an assertion says it is of, to find its keys; proves nothing.

    Raises:
        OAuthError: `invalid_client`: it is no JWT, or says nothing.
    """
    try:
        subject = orjson.loads(jws.extract_compact(assertion.encode()).payload).get("sub")
    except (JoseError, ValueError, TypeError, AttributeError):
        raise _wrong("It is no JWT.") from None
    if not isinstance(subject, str) or not subject:
        raise _wrong("It does not say which client it is of; sub is missing.")
    return subject


def _header(assertion: str) -> dict[str, Any]:
    try:
        return dict(jws.extract_compact(assertion.encode()).headers())
    except (JoseError, ValueError, TypeError):
        raise _wrong("It is no JWT.") from None


def _wrong(problem: str) -> OAuthError:
    return OAuthError("invalid_client", f"client_assertion is not valid. {problem}", status=401)
