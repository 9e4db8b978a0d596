"""API keys as text: `sq_live_`, 32 random bytes in base62, and a checksum, so that leaked ones can be scanned for.

The checksum is the CRC32 of what stands before it, in base62. It tells a mistyped or cut-off key from an unknown one
without a look-up, and protects nothing.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from typing import Final

PREFIX: Final = "sq_live_"

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_BYTES: Final = 32
_RANDOM_LENGTH: Final = 43  # 62 ** 43 > 2 ** 256
_CHECKSUM_LENGTH: Final = 6  # 62 ** 6 > 2 ** 32
_FORM: Final = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM_LENGTH + _CHECKSUM_LENGTH}}}")

KEY_LENGTH: Final = len(PREFIX) + _RANDOM_LENGTH + _CHECKSUM_LENGTH
HINT_LENGTH: Final = 4


def generate_api_key() -> str:
    """A new key. Whoever holds it is the customer: show it once, keep `digest_of` it."""
    body = PREFIX + _base62(int.from_bytes(secrets.token_bytes(_RANDOM_BYTES)), _RANDOM_LENGTH)
    return body + _checksum(body)


def is_well_formed(text: str) -> bool:
    """Whether the text has the form and the checksum of a key. Says nothing about whether such a key exists."""
    return _FORM.fullmatch(text) is not None and _checksum(text[:-_CHECKSUM_LENGTH]) == text[-_CHECKSUM_LENGTH:]


def digest_of(secret: str) -> bytes:
    """The SHA-256 under which a secret is known. Any text is accepted, lone surrogates from odd headers too."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
