"""Files that are encrypted at rest and can be read from anywhere in the middle.

A file lies in a place (places.py). It has a random key of its own and is cut into chunks of one mebibyte, each sealed
with AES-256-GCM:

    chunk i of the file = ciphertext ‖ tag (16 bytes), at offset i · (1 MiB + 16)

The nonce is the chunk's number, which is safe because a key seals one file and no chunk twice. The associated data
names the customer, the file and the chunk's number, so that no chunk can take the place of another.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Final, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hermes.media.places import Place, Sink
from hermes.net.bodies import MEBIBYTE

CHUNK: Final = MEBIBYTE
_TAG: Final = 16

T = TypeVar("T")


class DamagedFile(Exception):
    """A file is missing, cut short or changed."""


class FileCipher:
    """Seals and opens the chunks of one file."""

    __slots__ = ("_cipher", "_name")

    def __init__(self, key: bytes, customer_id: str, file_id: str) -> None:
        self._cipher = AESGCM(key)
        self._name = f"{customer_id}/{file_id}/".encode()

    def seal(self, number: int, content: bytes) -> bytes:
        return self._cipher.encrypt(number.to_bytes(12, "big"), content, self._name + str(number).encode())

    def open(self, number: int, sealed: bytes) -> bytes:
        """The content of a chunk.

        Raises:
            DamagedFile: it is not the chunk that was sealed there.
        """
        try:
            return self._cipher.decrypt(number.to_bytes(12, "big"), sealed, self._name + str(number).encode())
        except InvalidTag:
            raise DamagedFile(f"chunk {number} does not open") from None


class SealedWriter:
    """Writes a new file piece by piece; holds one chunk in memory.

    Attributes:
        size: bytes taken so far.
    """

    def __init__(self, place: Place, at: str, cipher: FileCipher) -> None:
        self._place = place
        self._at = at
        self._cipher = cipher
        self._waiting = bytearray()
        self._number = 0
        self._hash = hashlib.sha256()
        self._sink: Sink | None = None
        self.size = 0

    @property
    def sha256(self) -> str:
        """Of all that was taken."""
        return self._hash.hexdigest()

    def reader(self) -> SealedReader:
        """What was written, once it is finished."""
        return SealedReader(self._place, self._at, self._cipher, self.size)

    async def write(self, piece: bytes) -> None:
        """Take the next piece, of any size."""
        self.size += len(piece)
        self._waiting += piece
        if len(self._waiting) >= CHUNK:
            await in_thread(self._place.threads, self._flush, False)

    async def finish(self) -> None:
        """Write what is left and make it durable."""
        await in_thread(self._place.threads, self._flush, True)

    async def abandon(self) -> None:
        """Remove the file; nothing happens when none was begun."""
        if self._sink is not None:
            await in_thread(self._place.threads, self._sink.abandon)

    def _flush(self, last: bool) -> None:
        if self._sink is None:
            self._sink = self._place.create(self._at)
        while len(self._waiting) >= CHUNK or (last and self._waiting):
            content = bytes(self._waiting[:CHUNK])
            del self._waiting[:CHUNK]
            self._hash.update(content)
            self._sink.write(self._cipher.seal(self._number, content))
            self._number += 1
        if last:
            self._sink.finish()


class SealedReader:
    """Reads a file from anywhere, any number of times; holds one chunk in memory."""

    def __init__(self, place: Place, at: str, cipher: FileCipher, size: int) -> None:
        self._place = place
        self._at = at
        self._cipher = cipher
        self.size = size

    async def read(self, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start`, at most `length` of them.

        Raises:
            DamagedFile: they are not what was written.
        """
        end = self.size if length is None else min(self.size, start + length)
        while start < end:
            content = await in_thread(self._place.threads, self.chunk, start // CHUNK)
            begin = start % CHUNK
            piece = content[begin : begin + end - start]
            start += len(piece)
            yield piece

    def chunk(self, number: int) -> bytes:
        """One whole chunk; blocks.

        Raises:
            DamagedFile: it is not what was written.
        """
        expected = min(CHUNK, self.size - number * CHUNK)
        try:
            sealed = self._place.read(self._at, number * (CHUNK + _TAG), CHUNK + _TAG)
        except FileNotFoundError:
            raise DamagedFile("the file is gone") from None
        content = self._cipher.open(number, sealed)
        if len(content) != expected:
            raise DamagedFile(f"chunk {number} has another length")
        return content


class SealedStream(io.RawIOBase):
    """A reader as a seekable binary file, for libraries that want one; blocks, so for worker threads."""

    def __init__(self, reader: SealedReader) -> None:
        super().__init__()
        self._reader = reader
        self._at = 0
        self._number = -1
        self._content = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._reader.size}[whence]
        if base + offset < 0:
            raise ValueError("before the start of the file")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed has a wider, private type
        if self._at >= self._reader.size:
            return 0
        number, begin = divmod(self._at, CHUNK)
        if number != self._number:
            self._content, self._number = self._reader.chunk(number), number
        piece = self._content[begin : begin + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


async def in_thread(threads: Executor | None, work: Callable[..., T], *given: object) -> T:
    """Run something that blocks in a place's threads."""
    return await asyncio.get_running_loop().run_in_executor(threads, work, *given)
