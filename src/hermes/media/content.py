"""What a file is, by its content: its type, and the dimensions and duration of photos and videos.

Photos are read by Pillow, headers only: nothing is decoded, so a small file that unpacks to gigabytes costs nothing.
Videos are read by our own readers of the two container formats (boxes.py, ebml.py): libraries that do it either decode
(ffmpeg) or follow references in the file to other files and URLs (MediaInfo), which a stranger's file must not do.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Final

from hermes.errors import InvalidArguments
from hermes.media.boxes import read_boxes
from hermes.media.ebml import read_ebml
from hermes.media.names import OCTETS, clean_type
from hermes.media.video import NotReadable

MAX_PIXELS: Final = 100_000_000
_HEAD: Final = 4096
_LARGEST_PHOTO: Final = 64 * 1024 * 1024
"""Pillow takes a whole WebP into memory."""

_PHOTOS: Final = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"))
_OTHERS: Final = (
    (b"%PDF-", "application/pdf"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
)
_MARKUP: Final = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:\?xml|!doctype|!--|html|svg|script|head|body)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in a file."""

    content_type: str
    width: int | None = None
    height: int | None = None
    seconds: float | None = None


def examine(file: IO[bytes], size: int, said: str, field: str) -> Found:
    """Say what a file is. Blocks; holds a mebibyte or two (a WebP: its size).

    Args:
        file: seekable.
        size: of the file.
        said: the type that whoever gave it says it has. Counts only for what is neither photo nor video.
        field: the argument that it came in, for errors.

    Raises:
        InvalidArguments: it begins as a photo or video, or is said to be one, but cannot be read as one.
    """
    head, said = file.read(_HEAD), clean_type(said)
    try:
        found = _photo(file, size, head) or read_boxes(file, size, head) or read_ebml(file, size, head)
    except NotReadable as error:
        raise _unfit(field, str(error)) from None
    if found is not None:
        return Found(*found)
    known = next((kind for magic, kind in _OTHERS if head.startswith(magic)), None)
    if known is None and _MARKUP.match(head):
        known = "image/svg+xml" if b"<svg" in head.lower() else "text/html"
    if known is None and said.startswith(("image/", "video/")):
        raise _unfit(field, f"it is said to be {said}, but its content is not")
    if known is None:
        # A claim that would make a browser run it is not passed on.
        known = OCTETS if said in ("text/html", "application/xhtml+xml", "text/xml", "application/xml") else said
    return Found(known)


def _photo(file: IO[bytes], size: int, head: bytes) -> tuple[str, int, int, None] | None:
    kind = next((name for magic, name in _PHOTOS if head.startswith(magic)), None)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        kind = "WEBP"
        _refuse_huge(*_webp_canvas(head))
        if size > _LARGEST_PHOTO:
            raise NotReadable(f"a WebP of more than {_LARGEST_PHOTO:,} bytes is not taken")
    if kind is None:
        return None
    from PIL import Image  # noqa: PLC0415  (at first use: few processes ever see a photo)

    file.seek(0)
    try:
        with Image.open(file, formats=(kind,)) as image:
            width, height = image.size
            _refuse_huge(width, height)
            if kind == "PNG":
                image.verify()
    except Image.DecompressionBombError:
        raise NotReadable(f"it has more than {MAX_PIXELS:,} pixels") from None
    except NotReadable:
        raise
    except Exception:  # noqa: BLE001  (Pillow raises anything on a damaged file)
        raise NotReadable(f"it begins as a {kind}, but is damaged or cut short") from None
    if not _complete(file, size, kind):
        raise NotReadable(f"it begins as a {kind}, but is cut short")
    return f"image/{kind.lower()}", width, height, None


def _complete(file: IO[bytes], size: int, kind: str) -> bool:
    """Whether the end that the format demands is there, as far as that can be told without decoding."""
    if kind == "WEBP":
        file.seek(4)
        return int.from_bytes(file.read(4), "little") + 8 <= size
    if kind == "JPEG":
        # Cameras put more behind the end of the image, so the mark may stand anywhere near the end.
        file.seek(max(0, size - 1024 * 1024))
        return b"\xff\xd9" in file.read(1024 * 1024)
    return True


def _webp_canvas(head: bytes) -> tuple[int, int]:
    """Width and height from the first chunk. Source: RFC 9649, 2.3 to 2.7."""
    with suppress(IndexError):
        kind = head[12:16]
        if kind == b"VP8X":
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
        if kind == b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if kind == b"VP8 ":
            return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    raise NotReadable("it begins as a WebP, but is damaged")


def _refuse_huge(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise NotReadable(f"it has {width} x {height} pixels; at most {MAX_PIXELS:,} in all are taken")


def _unfit(field: str, problem: str) -> InvalidArguments:
    return InvalidArguments(
        f"`{field}` cannot be used: {problem}.", fields=[{"field": field, "problem": problem}], nothing_sent=True
    )
