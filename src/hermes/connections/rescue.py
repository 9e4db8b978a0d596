"""A vendor's answer that SQL could not take yet lies here, sealed, until it can.

A refresh token that rotates is spent when the answer comes: the answer is then all there is of the account's access.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Final

import orjson
import structlog
from pydantic import SecretStr, TypeAdapter
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from hermes.crypto import Keyring, Undecryptable
from hermes.platforms.oauth import Tokens

_KEPT_SECONDS: Final = 2 * 86_400
"""As long as a former encryption key is kept."""
_TRY_SECONDS: Final = 60.0
_TOKENS: Final = TypeAdapter(Tokens)

log = structlog.get_logger(__name__)


class Rescue:
    """Stores tokens in SQL, and in Redis for as long as SQL cannot be reached."""

    def __init__(self, redis: Redis, keyring: Keyring, *, seconds: float = _TRY_SECONDS) -> None:
        """`seconds`: how long storing is tried before the copy in Redis is left to the next renewal."""
        self._redis = redis
        self._keyring = keyring
        self._seconds = seconds

    async def keep(
        self,
        customer_id: str,
        platform: str,
        label: str,
        shown: str,
        tokens: Tokens,
        store: Callable[[], Awaitable[str | None]],
    ) -> str | None:
        """Store tokens by `store`, again and again for a while if SQL does not answer.

        Args:
            customer_id: whose account it is.
            platform: the platform's id.
            label: the account's label.
            shown: what the vendor was shown for them; the copy is only good as its successor.
            tokens: what the vendor gave.
            store: writes them to SQL.

        Returns:
            What `store` returns.

        Raises:
            SQLAlchemyError, TimeoutError: SQL did not take them; the copy lies in Redis.
        """
        name = _name(customer_id, platform, label)
        rescued = False
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((SQLAlchemyError, TimeoutError)),
            stop=stop_after_delay(self._seconds),
            wait=wait_random_exponential(multiplier=0.1, max=5),
            reraise=True,
        ):
            with attempt:
                try:
                    stored = await store()
                except (SQLAlchemyError, TimeoutError):
                    rescued = rescued or await self._put(name, shown, tokens)
                    raise
                await self._forget(name)
                return stored
        raise AssertionError("tenacity raises when it stops")

    async def find(self, customer_id: str, platform: str, label: str, shown: str) -> Tokens | None:
        """Tokens that the vendor gave for `shown` and that were not stored; None: there are none.

        Raises:
            RedisError: it cannot be known.
        """
        name = _name(customer_id, platform, label)
        sealed = await self._redis.get(name)
        if sealed is None:
            return None
        try:
            kept = orjson.loads(await self._keyring.open_stored(str(sealed), name))
        except Undecryptable as error:
            log.error("rescued_tokens_do_not_open", key=name, reason=error.reason)
            return None
        if kept["shown"] != shown:
            await self._forget(name)
            return None
        return _TOKENS.validate_python(kept["tokens"])

    async def _put(self, name: str, shown: str, tokens: Tokens) -> bool:
        plain = orjson.dumps({"shown": shown, "tokens": asdict(tokens)}, default=_revealed)
        try:
            await self._redis.set(name, self._keyring.seal(plain, name), ex=_KEPT_SECONDS)
        except RedisError:
            log.error("tokens_not_rescued", exc_info=True)
            return False
        return True

    async def _forget(self, name: str) -> None:
        try:
            await self._redis.delete(name)
        except RedisError:
            log.warning("rescued_tokens_not_forgotten", exc_info=True)


def _name(customer_id: str, platform: str, label: str) -> str:
    return f"creds_rescue:{customer_id}:{platform}:{label}"


def _revealed(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    raise TypeError(type(value).__name__)
