"""WebM and Matroska: type, dimensions and duration from the EBML elements (RFC 8794, RFC 9559), nothing decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

from hermes.media.video import NotReadable, VideoFacts, duration

_EBML: Final = 0x1A45DFA3
_DOC_TYPE: Final = 0x4282
_SEGMENT: Final = 0x18538067
_INFO: Final = 0x1549A966
_SCALE: Final = 0x2AD7B1
_DURATION: Final = 0x4489
_TRACKS: Final = 0x1654AE6B
_TRACK: Final = 0xAE
_VIDEO: Final = 0xE0
_WIDTH: Final = 0xB0
_HEIGHT: Final = 0xBA
_CLUSTER: Final = 0x1F43B675

_CONTAINERS: Final = frozenset({_INFO, _TRACKS, _TRACK, _VIDEO})
_MOST_ELEMENTS: Final = 20_000
_CUT_SHORT: Final = "it begins as a video, but is damaged or cut short"


@dataclass(slots=True)
class _Facts:
    scale: int = 1_000_000
    units: float = 0.0
    width: int = 0
    height: int = 0
    left: int = _MOST_ELEMENTS
    clusters: bool = False


def read_ebml(file: IO[bytes], size: int, head: bytes) -> VideoFacts | None:
    """What a WebM or Matroska file is; None when it is neither.

    Raises:
        NotReadable: it begins as one and is damaged or cut short.
    """
    if head[:4] != _EBML.to_bytes(4, "big"):
        return None
    facts = _Facts()
    kind = b""
    for element, start, end in _elements(file, 0, size, facts):
        if element == _EBML:
            for inner, at, until in _elements(file, start, end, facts):
                if inner == _DOC_TYPE:
                    file.seek(at)
                    kind = file.read(min(16, until - at)).rstrip(b"\0")
        elif element == _SEGMENT:
            _walk(file, start, end, facts, depth=0)
    if kind not in (b"webm", b"matroska") or not facts.clusters:
        raise NotReadable(_CUT_SHORT)
    seconds = duration(facts.units * facts.scale, 1e9)
    if not facts.width:
        return "audio/webm" if kind == b"webm" else "audio/x-matroska", None, None, seconds
    return "video/webm" if kind == b"webm" else "video/x-matroska", facts.width, facts.height or None, seconds


def _walk(file: IO[bytes], start: int, end: int, facts: _Facts, depth: int) -> None:
    for element, at, until in _elements(file, start, end, facts):
        if element in _CONTAINERS and depth < 4:
            _walk(file, at, until, facts, depth + 1)
        elif element == _CLUSTER:
            facts.clusters = True
        elif element in (_SCALE, _DURATION, _WIDTH, _HEIGHT):
            file.seek(at)
            _note(element, file.read(min(8, until - at)), facts)


def _note(element: int, content: bytes, facts: _Facts) -> None:
    number = int.from_bytes(content, "big")
    if element == _SCALE:
        facts.scale = number
    elif element == _DURATION and len(content) in (4, 8):
        facts.units = struct.unpack(">f" if len(content) == 4 else ">d", content)[0]
    elif element == _WIDTH:
        facts.width = max(facts.width, number)
    elif element == _HEIGHT:
        facts.height = max(facts.height, number)


def _elements(file: IO[bytes], start: int, end: int, facts: _Facts) -> Iterator[tuple[int, int, int]]:
    """Id, begin and end of the content of each element between two offsets."""
    while start < end:
        facts.left -= 1
        if facts.left < 0:
            # Everything of interest stands in front; the rest of a long recording need not be looked at.
            return
        file.seek(start)
        header = file.read(12)
        element, taken = _number(header, keep_marker=True)
        length, more = _number(header[taken:], keep_marker=False)
        inner = start + taken + more
        unknown = length == (1 << 7 * more) - 1
        if unknown and element == _CLUSTER:
            facts.clusters = True
            return
        until = end if unknown else inner + length
        if until > end:
            raise NotReadable(_CUT_SHORT)
        yield element, inner, until
        start = until


def _number(content: bytes, *, keep_marker: bool) -> tuple[int, int]:
    """A number of variable length, and how many bytes it takes (RFC 8794, 4)."""
    if not content or not content[0]:
        raise NotReadable(_CUT_SHORT)
    length = 9 - content[0].bit_length()
    if len(content) < length:
        raise NotReadable(_CUT_SHORT)
    number = int.from_bytes(content[:length], "big")
    return (number if keep_marker else number & (1 << 7 * length) - 1), length
