"""Secrets that the authorization server gives out, and the names under which it knows them."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final, Literal

Prefix = Literal["sq_at_", "sq_rt_", "sq_ac_", "sq_cs_"]

ACCESS: Final = "sq_at_"
REFRESH: Final = "sq_rt_"
CODE: Final = "sq_ac_"
CLIENT_SECRET: Final = "sq_cs_"  # noqa: S105  (the beginning of every one, by which leaked ones are found)

_BYTES: Final = 32
_LONGEST: Final = 128


def new_secret(prefix: Prefix) -> str:
    """A new secret: the prefix and 32 random bytes in base64url, 49 characters. Keep `digest` of it."""
    return prefix + secrets.token_urlsafe(_BYTES)


def digest(secret: str) -> str:
    """The SHA-256 in hex under which a secret is kept. Any text is accepted. The secrets are random and long, so they
    need no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def looks_like(prefix: Prefix, text: str) -> bool:
    """Whether a text has the form of such a secret. Says nothing about whether there is one."""
    return text.startswith(prefix) and len(text) <= _LONGEST and text.isascii()
