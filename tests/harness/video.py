"""A video of ten seconds without pictures: the boxes that say what it is, and bytes that are never decoded."""

from __future__ import annotations

import struct


def small_video(seconds: int = 10, width: int = 1080, height: int = 1920, size: int = 200_000) -> bytes:
    """An MP4 (ISO/IEC 14496-12) with one picture track, `size` bytes of media, duration and dimensions in its head."""
    matrix = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    movie = _full(
        "mvhd", struct.pack(">4I", 0, 0, 1000, seconds * 1000) + struct.pack(">IHH8x", 0x10000, 0x100, 0) + matrix
    )
    times = struct.pack(">5I8xhhhH", 0, 0, 1, 0, seconds * 1000, 0, 0, 0, 0)
    head = _full("tkhd", times + matrix + struct.pack(">II", width << 16, height << 16), flags=3)
    handler = _full("hdlr", struct.pack(">I4s12x", 0, b"vide") + b"video\0")
    clock = _full("mdhd", struct.pack(">4IHH", 0, 0, 1000, seconds * 1000, 0x55C4, 0))
    track = _box("trak", head + _box("mdia", clock + handler))
    return _box("ftyp", b"isom\0\0\2\0isomiso2mp41") + _box("moov", movie + track) + _box("mdat", b"\x5a" * size)


def _box(kind: str, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind.encode()) + content


def _full(kind: str, content: bytes, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", flags) + content)
