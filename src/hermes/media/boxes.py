"""MP4 and QuickTime: type, dimensions and duration from the movie's boxes (ISO/IEC 14496-12), nothing decoded.

Only headers are read, wherever they stand, so a file of any size costs the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Final

from hermes.media.video import NotReadable, VideoFacts, duration

_MOST_BOXES: Final = 20_000
_MOST_READ: Final = 256
_CUT_SHORT: Final = "it begins as a video, but is damaged or cut short"
_BRANDS_OF_PHOTOS: Final = {
    b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heif",
}  # fmt: skip
_QUICKTIME_STARTS: Final = frozenset({b"moov", b"mdat", b"wide", b"pnot"})
_CONTAINERS: Final = frozenset({b"moov", b"trak", b"mdia", b"mvex"})


@dataclass(slots=True)
class _Track:
    handler: bytes = b""
    width: int = 0
    height: int = 0


@dataclass(slots=True)
class _Movie:
    scale: int = 0
    units: int = 0
    fragments_units: int = 0
    tracks: list[_Track] = field(default_factory=list)
    found: bool = False


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int
    """Of its content."""
    end: int


def read_boxes(file: IO[bytes], size: int, head: bytes) -> VideoFacts | None:
    """What an MP4 or QuickTime file is; None when it is neither.

    Raises:
        NotReadable: it begins as one and is damaged, cut short or has no movie in it.
    """
    kind = head[4:8]
    if kind != b"ftyp" and kind not in _QUICKTIME_STARTS:
        return None
    brand = head[8:12] if kind == b"ftyp" else b"qt  "
    if brand in _BRANDS_OF_PHOTOS:
        return _BRANDS_OF_PHOTOS[brand], None, None, None
    movie = _Movie()
    budget = _Budget()
    for box in _boxes(file, 0, size, budget):
        if box.kind == b"moov":
            movie.found = True
            _walk(file, box, movie, budget, depth=0)
    if not movie.found:
        raise NotReadable(_CUT_SHORT)
    pictures = [track for track in movie.tracks if track.handler == b"vide"]
    if not pictures:
        return "audio/mp4", None, None, duration(movie.units or movie.fragments_units, movie.scale)
    largest = max(pictures, key=lambda track: track.width * track.height)
    return (
        "video/quicktime" if brand == b"qt  " else "video/mp4",
        largest.width or None,
        largest.height or None,
        duration(movie.units or movie.fragments_units, movie.scale),
    )


class _Budget:
    """How many boxes are looked at, so that a file made of boxes only cannot keep a thread busy."""

    def __init__(self) -> None:
        self._left = _MOST_BOXES

    def take(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise NotReadable("its structure has too many parts")


def _boxes(file: IO[bytes], start: int, end: int, budget: _Budget) -> Iterator[_Box]:
    """The boxes between two offsets."""
    while start + 8 <= end:
        budget.take()
        file.seek(start)
        header = file.read(16)
        if len(header) < 8:
            raise NotReadable(_CUT_SHORT)
        length, kind, inner = int.from_bytes(header[:4], "big"), header[4:8], start + 8
        if length == 1:
            length, inner = int.from_bytes(header[8:16], "big"), start + 16
        elif length == 0:
            length = end - start
        if length < inner - start or start + length > end:
            raise NotReadable(_CUT_SHORT)
        yield _Box(kind, inner, start + length)
        start += length


def _walk(file: IO[bytes], parent: _Box, movie: _Movie, budget: _Budget, depth: int) -> None:
    for box in _boxes(file, parent.start, parent.end, budget):
        if box.kind == b"trak":
            movie.tracks.append(_Track())
        if box.kind in _CONTAINERS and depth < 4:
            _walk(file, box, movie, budget, depth + 1)
        elif box.kind in (b"mvhd", b"tkhd", b"hdlr", b"mehd"):
            file.seek(box.start)
            _note(box.kind, file.read(min(_MOST_READ, box.end - box.start)), parent.kind, movie)


def _note(kind: bytes, content: bytes, parent: bytes, movie: _Movie) -> None:
    wide = content[:1] == b"\x01"
    """Version 1 has times of 64 bits."""
    if kind == b"mvhd":
        at = 20 if wide else 12
        movie.scale = int.from_bytes(content[at : at + 4], "big")
        movie.units = _units(content[at + 4 : at + (12 if wide else 8)])
    elif kind == b"mehd":
        movie.fragments_units = _units(content[4 : 12 if wide else 8])
    elif movie.tracks and kind == b"tkhd":
        _note_size(content[52 if wide else 40 :], movie.tracks[-1])
    elif movie.tracks and kind == b"hdlr" and parent == b"mdia":
        movie.tracks[-1].handler = content[8:12]


def _note_size(content: bytes, track: _Track) -> None:
    """From the matrix (nine numbers) and the size (two, 16.16) of a track's header; a quarter turn swaps the sides."""
    matrix = [int.from_bytes(content[at : at + 4], "big", signed=True) for at in range(0, 36, 4)]
    width = int.from_bytes(content[36:40], "big") >> 16
    height = int.from_bytes(content[40:44], "big") >> 16
    turned = matrix[0] == matrix[4] == 0 != matrix[1]
    track.width, track.height = (height, width) if turned else (width, height)


def _units(content: bytes) -> int:
    """A duration; all ones mean that it is not known."""
    return 0 if content.strip(b"\xff") == b"" else int.from_bytes(content, "big")
