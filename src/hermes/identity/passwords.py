"""Passwords: hashed with argon2id (RFC 9106) at the cost that pwdlib recommends; bcrypt hashes from elsewhere are taken
and replaced at the next sign-in."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import SecretStr

from hermes.errors import InvalidArguments

if TYPE_CHECKING:
    from pwdlib import PasswordHash

SHORTEST: Final = 12
LONGEST: Final = 256

_THREADS: Final = ThreadPoolExecutor(2, thread_name_prefix="passwords")
"""A hash takes a core and 64 MiB for tens of milliseconds: those who try many passwords wait here for each other."""


class Verdict(NamedTuple):
    """Whether a password is right, and the hash to keep from now on if the old one is out of date."""

    right: bool
    renewed: str | None = None


async def hash_password(password: SecretStr) -> str:
    """The argon2id hash of a new password, in PHC form.

    Raises:
        InvalidArguments: it is too short or too long.
    """
    length = len(password.get_secret_value())
    if not SHORTEST <= length <= LONGEST:
        problem = f"must have {SHORTEST} to {LONGEST} characters, has {length}"
        raise InvalidArguments(f"The password {problem}.", fields=[{"field": "password", "problem": problem}])
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _hash, password.get_secret_value())


async def check_password(password: SecretStr, kept: str | None) -> Verdict:
    """Whether the password is the one of the hash. Without a hash the answer is no, after the same work."""
    verdict = await asyncio.get_running_loop().run_in_executor(_THREADS, _check, password.get_secret_value(), kept)
    return verdict if kept is not None else Verdict(False)


def _hash(password: str) -> str:
    return _hasher().hash(password)


def _check(password: str, kept: str | None) -> Verdict:
    from pwdlib.exceptions import PwdlibError  # noqa: PLC0415

    if len(password) > LONGEST:
        password = ""
    try:
        return Verdict(*_hasher().verify_and_update(password, kept or _nobodys_hash()))
    except (PwdlibError, ValueError):  # bcrypt takes 72 bytes at most
        return Verdict(False)


@cache
def _nobodys_hash() -> str:
    return _hash(secrets.token_hex(32))


@cache
def _hasher() -> PasswordHash:
    # imported at first use: the server's calls never need it
    from pwdlib import PasswordHash  # noqa: PLC0415
    from pwdlib.hashers.argon2 import Argon2Hasher  # noqa: PLC0415
    from pwdlib.hashers.bcrypt import BcryptHasher  # noqa: PLC0415

    return PasswordHash((Argon2Hasher(), BcryptHasher()))
