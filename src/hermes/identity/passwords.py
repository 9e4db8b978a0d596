"""Hashing passwords with argon2id (RFC 9106), at the cost that pwdlib recommends."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from hermes.errors import InvalidArguments

if TYPE_CHECKING:
    from pwdlib import PasswordHash

SHORTEST: Final = 12
LONGEST: Final = 256


async def hash_password(password: SecretStr) -> str:
    """The argon2id hash of a new password, in PHC form.

    Raises:
        InvalidArguments: it is too short or too long.
    """
    length = len(password.get_secret_value())
    if not SHORTEST <= length <= LONGEST:
        problem = f"must have {SHORTEST} to {LONGEST} characters, has {length}"
        raise InvalidArguments(f"The password {problem}.", fields=[{"field": "password", "problem": problem}])
    return await asyncio.to_thread(_hasher().hash, password.get_secret_value())


@cache
def _hasher() -> PasswordHash:
    # imported at first use: the server's calls never need it
    from pwdlib import PasswordHash  # noqa: PLC0415
    from pwdlib.hashers.argon2 import Argon2Hasher  # noqa: PLC0415

    return PasswordHash((Argon2Hasher(),))
