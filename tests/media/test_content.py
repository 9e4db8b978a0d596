"""What a file is, by its content: real formats, hostile ones, and whatever bytes come."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hermes.errors import HermesError, InvalidArguments
from hermes.media.content import Found, examine
from hermes.media.names import clean_filename, clean_type


def look(content: bytes, said: str = "") -> Found:
    return examine(io.BytesIO(content), len(content), said, "photo")


def picture(kind: str, width: int = 30, height: int = 20, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, kind, **options)
    return file.getvalue()


def box(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def track(handler: bytes, width: int = 0, height: int = 0, *, turned: bool = False) -> bytes:
    matrix = (
        (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
        if turned
        else (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    )
    header = bytes(40) + struct.pack(">9i", *matrix) + struct.pack(">II", width << 16, height << 16)
    return box(b"trak", box(b"tkhd", header) + box(b"mdia", box(b"hdlr", bytes(8) + handler + bytes(12))))


def movie(*tracks: bytes, brand: bytes = b"isom", seconds: float = 12.5, wide: bool = False, **more: bytes) -> bytes:
    if wide:
        header = b"\x01" + bytes(19) + struct.pack(">IQ", 1000, int(seconds * 1000)) + bytes(80)
    else:
        header = bytes(12) + struct.pack(">II", 1000, int(seconds * 1000)) + bytes(80)
    moov = box(b"moov", box(b"mvhd", header) + b"".join(tracks) + more.get("inside", b""))
    media = box(b"mdat", b"x" * 5000)
    parts = [box(b"ftyp", brand + bytes(4) + brand), moov, media]
    return b"".join(parts if more.get("front") else [parts[0], media, moov])


def element(number: int, content: bytes) -> bytes:
    name = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return name + (0x10000000 | len(content)).to_bytes(4, "big") + content


def webm(kind: bytes = b"webm", width: int = 640, height: int = 360, milliseconds: float = 4200.0) -> bytes:
    info = element(
        0x1549A966, element(0x2AD7B1, (1_000_000).to_bytes(3, "big")) + element(0x4489, struct.pack(">d", milliseconds))
    )
    video = element(0xE0, element(0xB0, width.to_bytes(2, "big")) + element(0xBA, height.to_bytes(2, "big")))
    tracks = element(0x1654AE6B, element(0xAE, element(0x83, b"\x01") + video))
    cluster = element(0x1F43B675, b"\xe7\x81\x00")
    return element(0x1A45DFA3, element(0x4282, kind)) + element(0x18538067, info + tracks + cluster)


def png_of(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that claims any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100_000)))
        + chunk(b"IEND", b"")
    )


FRAGMENTS = box(b"mvex", box(b"mehd", bytes(4) + struct.pack(">I", 7000)))
HUGE_WEBP = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\xff\x3f\x00" * 2
VIDEO = track(b"vide", 1280, 720)
SOUND = track(b"soun")

KNOWN: list[tuple[str, bytes, Found]] = [
    ("jpeg", picture("JPEG"), Found("image/jpeg", 30, 20)),
    ("png", picture("PNG"), Found("image/png", 30, 20)),
    ("gif", picture("GIF"), Found("image/gif", 30, 20)),
    ("webp", picture("WEBP"), Found("image/webp", 30, 20)),
    ("webp without loss", picture("WEBP", lossless=True), Found("image/webp", 30, 20)),
    ("jpeg with a tail", picture("JPEG") + bytes(500), Found("image/jpeg", 30, 20)),
    ("gif that is a script, too", picture("GIF") + b"*/alert(1)/*<script>", Found("image/gif", 30, 20)),
    ("jpeg that is an archive, too", picture("JPEG") + b"PK\x03\x04" + bytes(90), Found("image/jpeg", 30, 20)),
    ("mp4", movie(SOUND, VIDEO), Found("video/mp4", 1280, 720, 12.5)),
    ("mp4 with its movie in front", movie(VIDEO, front=b"1"), Found("video/mp4", 1280, 720, 12.5)),
    ("mp4 with times of 64 bits", movie(VIDEO, wide=True), Found("video/mp4", 1280, 720, 12.5)),
    ("mp4 held upright", movie(track(b"vide", 1280, 720, turned=True)), Found("video/mp4", 720, 1280, 12.5)),
    ("quicktime", movie(VIDEO, brand=b"qt  "), Found("video/quicktime", 1280, 720, 12.5)),
    ("fragmented", movie(VIDEO, seconds=0, inside=FRAGMENTS), Found("video/mp4", 1280, 720, 7.0)),
    ("mp4 of unknown duration", movie(VIDEO, seconds=0), Found("video/mp4", 1280, 720, None)),
    ("sound only", movie(SOUND), Found("audio/mp4", None, None, 12.5)),
    ("avif", box(b"ftyp", b"avif" + bytes(8)), Found("image/avif")),
    ("webm", webm(), Found("video/webm", 640, 360, 4.2)),
    ("matroska", webm(b"matroska"), Found("video/x-matroska", 640, 360, 4.2)),
    ("pdf", b"%PDF-1.7\n...", Found("application/pdf")),
    ("svg", b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>", Found("image/svg+xml")),
    ("html", b" <!DOCTYPE html><script>x()</script>", Found("text/html")),
]  # fmt: skip


@pytest.mark.parametrize(("content", "found"), [case[1:] for case in KNOWN], ids=[case[0] for case in KNOWN])
@pytest.mark.parametrize("said", ["", "image/png", "video/mp4", "text/html"])
def test_a_file_is_what_its_content_says(content, found, said) -> None:
    assert look(content, said) == found


def test_what_is_neither_photo_nor_video_is_what_its_sender_says() -> None:
    assert look(b"name,age\n", "text/csv") == Found("text/csv")
    assert look(b"{}", "application/xhtml+xml") == Found("application/octet-stream")


HOSTILE: list[tuple[str, bytes, str]] = [
    ("a bomb of pixels", png_of(60_000, 60_000), "pixels"),
    ("a canvas of webp", HUGE_WEBP, "pixels"),
    ("jpeg cut short", picture("JPEG", 600, 600)[:-400], "cut short"),
    ("png cut short", picture("PNG", 600, 600)[:-100], "cut short"),
    ("webp cut short", picture("WEBP", 600, 600)[:-40], "cut short"),
    ("png with a changed byte", picture("PNG").replace(b"IDAT", b"IDAT\x00", 1), "damaged"),
    ("gif by name only", b"GIF89a", "damaged"),
    ("gif that is only a script", b"GIF89a=1;alert(1)", "damaged"),
    ("mp4 cut short", movie(VIDEO)[:-40], "cut short"),
    ("mp4 without its end", movie(VIDEO)[:4000], "cut short"),
    ("mp4 without a movie", box(b"ftyp", b"isom" + bytes(8)), "cut short"),
    ("box smaller than its header", box(b"ftyp", b"isom" + bytes(8)) + struct.pack(">I", 3) + b"moov", "cut short"),
    ("more boxes than anyone needs", movie(VIDEO, inside=box(b"free") * 30_000), "too many"),
    ("webm cut short", webm()[:-10], "cut short"),
    ("ebml of another kind", element(0x1A45DFA3, element(0x4282, b"other")), "cut short"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "problem"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_a_damaged_or_hostile_file_is_refused_by_name(content, problem) -> None:
    with pytest.raises(InvalidArguments) as raised:
        look(content)
    assert raised.value.data["fields"][0]["field"] == "photo"
    assert problem in raised.value.data["fields"][0]["problem"]


@pytest.mark.parametrize("said", ["image/png", "video/mp4"])
def test_a_photo_or_video_that_is_none_is_refused(said) -> None:
    with pytest.raises(InvalidArguments, match="its content is not"):
        look(b"just text", said)


@given(st.sampled_from([case[1] for case in KNOWN]), st.data())
def test_whatever_is_changed_in_a_file_ends_in_an_answer(content: bytes, data: st.DataObject) -> None:
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        changed[data.draw(st.integers(0, min(len(changed) - 1, 400)))] = data.draw(st.integers(0, 255))
    try:
        found = look(bytes(changed[: data.draw(st.integers(1, len(changed)))]))
    except HermesError as error:
        assert error.data["fields"]
    else:
        assert found.content_type


@given(st.text())
def test_a_cleaned_filename_is_harmless(name: str) -> None:
    clean = clean_filename(name)
    assert 0 < len(clean) <= 120
    assert not set(clean) & set('/\\"<>|:*?\r\n\0')
    assert clean not in (".", "..")
    assert clean_filename(clean) == clean


@pytest.mark.parametrize(
    ("given_type", "clean"),
    [
        ("Image/PNG; charset=x", "image/png"),
        ("nonsense", "application/octet-stream"),
        ("a/b\r\nX: y", "application/octet-stream"),
    ],
)
def test_a_cleaned_type_is_a_type(given_type: str, clean: str) -> None:
    assert clean_type(given_type) == clean
