"""How a video is cut for TikTok. Source: Content Posting API, "Media Transfer Guide", and what its service accepts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

WHOLE: Final = 64_000_000
"""Up to here a video goes in one piece; its declared chunk size must then be its own size."""

CHUNK: Final = 10_000_000
"""The vendor's own example. The count is rounded down, so the last chunk takes the rest and is the largest."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes from `first` to `last`, both included, of `total`."""

    first: int
    last: int
    total: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    @property
    def content_range(self) -> str:
        return f"bytes {self.first}-{self.last}/{self.total}"


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """What is declared when an upload is begun."""

    size: int
    chunk_size: int
    count: int

    def chunks(self) -> Iterator[Chunk]:
        """The chunks in the order in which they must be sent."""
        for number in range(self.count):
            first = number * self.chunk_size
            last = self.size - 1 if number == self.count - 1 else first + self.chunk_size - 1
            yield Chunk(first, last, self.size)


def plan_chunks(size: int) -> ChunkPlan:
    """The plan for a file of `size` bytes, at least one."""
    if size <= WHOLE:
        return ChunkPlan(size, size, 1)
    return ChunkPlan(size, CHUNK, size // CHUNK)
