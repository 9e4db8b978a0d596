"""The public keys of clients that sign: registered with them, or fetched from the address that they registered."""

from __future__ import annotations

import hashlib
import time
from typing import Any, Final

import orjson
from redis.asyncio import Redis

from hermes.errors import HermesError
from hermes.net.guarded import GuardedClient
from hermes.oauth.client_details import check_keys
from hermes.oauth.clients import Client
from hermes.oauth.errors import OAuthError

_MOST_BYTES: Final = 64 * 1024
_FETCH_SECONDS: Final = 5.0
_KEPT_SECONDS: Final = 600
_AGAIN_SECONDS: Final = 60
"""A key that is not known is looked for again, but not more often."""


class ClientKeys:
    """Keys, kept in Redis for ten minutes when they had to be fetched."""

    def __init__(self, redis: Redis, guarded: GuardedClient) -> None:
        self._redis = redis
        self._guarded = guarded

    async def of(self, client: Client, kid: str | None) -> dict[str, Any]:
        """The client's JWK set.

        Args:
            kid: of the key that is looked for, if that is known.

        Raises:
            OAuthError: `invalid_client`: they cannot be fetched.
        """
        uri = client.details.jwks_uri
        if uri is None:
            return client.details.jwks or {"keys": []}
        name = f"oauth:jwks:{hashlib.sha256(uri.encode()).hexdigest()}"
        kept = await self._redis.get(name)
        if kept is not None:
            entry: dict[str, Any] = orjson.loads(kept)
            known = kid is None or any(key.get("kid") == kid for key in entry["jwks"]["keys"])
            if known or entry["at"] > time.time() - _AGAIN_SECONDS:
                return dict(entry["jwks"])
        jwks = await self._fetch(uri)
        await self._redis.set(name, orjson.dumps({"at": time.time(), "jwks": jwks}), ex=_KEPT_SECONDS)
        return jwks

    async def _fetch(self, uri: str) -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        try:
            answer = await self._guarded.fetch(
                uri, name="jwks_uri", max_bytes=_MOST_BYTES, seconds=_FETCH_SECONDS, headers=headers
            )
            keys: dict[str, Any] | None = check_keys(orjson.loads(answer.body)) if answer.status == 200 else None
        except (HermesError, ValueError):
            keys = None
        if keys is None:
            raise OAuthError("invalid_client", "The client's keys cannot be fetched from its jwks_uri.", status=401)
        return keys
