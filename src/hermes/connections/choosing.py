"""What a person can choose from, until they have chosen: sealed in Redis, for an hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

import orjson
import structlog
from pydantic import SecretStr, TypeAdapter
from redis.asyncio import Redis

from hermes.crypto import Keyring, Undecryptable
from hermes.platforms.oauth import Choice, Tokens

CHOICE_SECONDS: Final = 3600

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in, or pasted credentials (without provider and tokens), that waits for a choice. All of it is secret but
    the choices' ids and names."""

    provider: str | None
    tokens: Tokens | None = field(repr=False)
    choices: Sequence[Choice] = field(repr=False)


_PENDING: Final = TypeAdapter(Pending)


class PendingChoices:
    """Keeps them per customer, platform and label."""

    def __init__(self, redis: Redis, keyring: Keyring) -> None:
        self._redis = redis
        self._keyring = keyring

    async def keep(self, customer_id: str, platform: str, label: str, pending: Pending) -> None:
        """Keep what can be chosen, in the place of what could be before."""
        name = choice_name(customer_id, platform, label)
        plain = orjson.dumps(asdict(pending), default=_revealed)
        await self._redis.set(name, self._keyring.seal(plain, name), ex=CHOICE_SECONDS)

    async def of(self, customer_id: str, platform: str, label: str) -> Pending | None:
        """What can be chosen now."""
        name = choice_name(customer_id, platform, label)
        sealed = await self._redis.get(name)
        if sealed is None:
            return None
        try:
            return _PENDING.validate_json(await self._keyring.open_stored(str(sealed), name))
        except Undecryptable as error:
            log.error("choices_do_not_open", key=name, reason=error.reason)
            return None

    async def forget(self, customer_id: str, platform: str, label: str) -> None:
        """Nothing is to be chosen any more."""
        await self._redis.delete(choice_name(customer_id, platform, label))


def choice_name(customer_id: str, platform: str, label: str) -> str:
    """The Redis key under which it lies, and the name that it is sealed for."""
    return f"connect_choice:{customer_id}:{platform}:{label}"


def _revealed(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    raise TypeError(type(value).__name__)
