"""What is uploaded to the Snapchat stand-in: parts, their order and completeness, and what they decrypt to."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

LARGEST_PART: Final = 32_000_000 + 2_000_000
"""A little more than the documented 32 MB, which is said both with and without 1024."""
IMAGES: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


class SnapError(Exception):
    """A refusal in Snap's words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(slots=True)
class Medium:
    """One photo or video, from the start of its upload on."""

    id: str
    kind: str
    owner: str
    secret: tuple[bytes, bytes] | None = field(default=None, repr=False)
    upload_id: str = field(default_factory=lambda: uuid4().hex)
    parts: dict[int, bytes] = field(default_factory=dict, repr=False)
    expected: tuple[int, int] | None = None
    finished_at: float | None = None
    start: bytes = field(default=b"", repr=False)

    def expect(self, size: int, parts: int) -> None:
        if size < 1 or not 1 <= parts <= 1000:
            raise SnapError(400, "E2004", "file_size and number_of_parts are required")
        self.expected = (size, parts)

    def receive(self, number: int, content: bytes) -> None:
        """Take a part; the same number again replaces it."""
        if self.finished_at is not None:
            raise SnapError(400, "E2009", "Media was uploaded already")
        if number < 1 or not content:
            raise SnapError(400, "E2005", "part_number begins at 1, and a part is not empty")
        self.parts[number] = content

    def finish(self, now: float) -> None:
        """Put the parts together, if all are there and they are as many and as long as was said."""
        if self.finished_at is not None:
            raise SnapError(400, "E2009", "Media was uploaded already")
        numbers = sorted(self.parts)
        if numbers != list(range(1, len(numbers) + 1)) or not numbers:
            raise SnapError(400, "E2010", "Parts are missing")
        size = sum(len(part) for part in self.parts.values())
        if self.expected is not None and self.expected != (size, len(numbers)):
            raise SnapError(400, "E2010", "Size or number of parts is not what was announced")
        self.start = self._opened()[:16]
        self.parts.clear()
        self.finished_at = now

    def _opened(self) -> bytes:
        content = b"".join(self.parts[number] for number in sorted(self.parts))
        if self.secret is None:
            return content
        key, iv = self.secret
        unpadder = PKCS7(128).unpadder()
        decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
        try:
            return unpadder.update(decryptor.update(content) + decryptor.finalize()) + unpadder.finalize()
        except ValueError:
            return b""  # told when it is to be published, as Snap does


def looks_like(medium: Medium) -> bool:
    """Whether the content begins as its kind does."""
    if medium.kind == "IMAGE":
        return medium.start.startswith(IMAGES)
    return medium.start[4:8] == b"ftyp"


def read_key(key: Any, iv: Any) -> tuple[bytes, bytes]:
    """The key and IV of an encrypted upload, in base64: 32 and 16 bytes."""
    try:
        read = base64.b64decode(str(key), validate=True), base64.b64decode(str(iv), validate=True)
    except (binascii.Error, ValueError):
        raise SnapError(400, "E3001", "key and iv must be base64") from None
    if (len(read[0]), len(read[1])) != (32, 16):
        raise SnapError(400, "E3001", "key must have 32 bytes and iv 16")
    return read
