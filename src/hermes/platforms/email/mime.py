"""Reading what mail is written in: header fields, encoded words, transfer encodings and charsets, right or wrong.

Nothing here raises on content: mail is read as well as it can be.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import quopri
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header
from email.parser import HeaderParser
from email.utils import getaddresses, parsedate_to_datetime
from typing import Final
from urllib.parse import unquote_to_bytes

_MAX_FIELD: Final = 65536
_MAX_ADDRESSES: Final = 200
_MESSAGE_ID: Final = re.compile(r"<[^<>\s]{1,500}>")
_BASE64_JUNK: Final = re.compile(rb"[^A-Za-z0-9+/]")
_UU_BEGIN: Final = re.compile(rb"^begin [0-7]{3,4} [^\r\n]*\r?\n", re.MULTILINE)
_SUPERSETS: Final = {
    # Mail says the smaller charset and uses the larger one.
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "iso-2022-jp": "iso2022_jp_ext",
    "unicode-1-1-utf-7": "utf-7",
    "x-unknown": "utf-8",
    "unknown-8bit": "utf-8",
    "default": "utf-8",
}
_ONLY_TEXT: Final = re.compile(r"[A-Za-z0-9._:-]{1,40}", re.ASCII)


def decode_bytes(content: bytes, charset: str | None) -> str:
    """Text from bytes: by the charset that is said, else UTF-8, else Windows-1252 with a mark for what is left."""
    said = (charset or "").strip().strip("\"'").lower()
    for name in (_SUPERSETS.get(said, said), "utf-8"):
        if not _ONLY_TEXT.fullmatch(name):
            continue
        try:
            if not codecs.lookup(name)._is_text_encoding:
                continue
            return content.decode(name)
        except (LookupError, UnicodeError, ValueError):
            continue
    known = _SUPERSETS.get(said, said)
    # Bytes with a fault or two in a known charset are read in it; without one, Windows-1252 takes nearly everything.
    try:
        if known not in ("", "utf-8") and codecs.lookup(known)._is_text_encoding:
            return content.decode(known, "replace")
    except (LookupError, UnicodeError, ValueError):
        pass
    if known == "utf-8" and said == "utf-8":
        return content.decode("utf-8", "replace")
    return content.decode("cp1252", "replace")


def decode_transfer(content: bytes, encoding: str) -> bytes:
    """Content from what was transferred, also if that was cut off in the middle."""
    encoding = encoding.strip().lower()
    if encoding == "base64":
        return _base64(content)
    if encoding == "quoted-printable":
        return quopri.decodestring(content)
    if encoding in ("x-uuencode", "uuencode", "x-uue", "uue"):
        return _uudecode(content)
    return content


def _base64(content: bytes) -> bytes:
    clean = _BASE64_JUNK.sub(b"", content)
    clean = clean[: len(clean) - 1] if len(clean) % 4 == 1 else clean
    return base64.b64decode(clean + b"=" * (-len(clean) % 4))


def _uudecode(content: bytes) -> bytes:
    begin = _UU_BEGIN.search(content)
    lines = content[begin.end() :].splitlines() if begin else content.splitlines()
    decoded = bytearray()
    for line in lines:
        if line.strip() in (b"end", b"`"):
            break
        try:
            decoded += binascii.a2b_uu(line)
        except binascii.Error:
            wanted = (((line[0] - 32) & 63) * 4 + 5) // 3 if line else 0
            try:
                decoded += binascii.a2b_uu(line[:wanted])
            except binascii.Error:
                continue
    return bytes(decoded)


def unflow(text: str) -> str:
    """Join the lines of `format=flowed` (RFC 3676)."""
    joined: list[list[str]] = []
    open_quote: str | None = None
    for line in text.split("\n"):
        line = line.removesuffix("\r")  # noqa: PLW2901  (the line without its end is the line)
        depth = re.match(r">*", line)
        quote = depth[0] if depth else ""
        rest = line[len(quote) :].removeprefix(" ")
        if open_quote == quote and rest != "-- " and joined:
            joined[-1].append(rest)
        else:
            joined.append([f"{quote} {rest}" if quote else rest])
        open_quote = quote if rest.endswith(" ") and rest != "-- " else None
    return "\n".join("".join(pieces) for pieces in joined)


def decode_text(value: bytes | str) -> str:
    """A header field's text: encoded words decoded, raw 8-bit text guessed, folding and control characters out."""
    text = decode_bytes(value, None) if isinstance(value, bytes) else value
    text = text[:_MAX_FIELD]
    if "=?" in text:
        text = _decode_words(text)
    return " ".join("".join(c if c >= " " and c != "\x7f" else " " for c in text).split())


def _decode_words(text: str) -> str:
    try:
        pieces = decode_header(text)
    except (HeaderParseError, binascii.Error, ValueError, LookupError, AssertionError):
        return text
    decoded = [
        piece if isinstance(piece, str) else decode_bytes(piece, charset) if charset else _raw(piece)
        for piece, charset in pieces
    ]
    return "".join(decoded)


def _raw(piece: bytes) -> str:
    # decode_header gives what was no encoded word as raw-unicode-escape.
    try:
        return piece.decode("raw-unicode-escape")
    except UnicodeError:
        return decode_bytes(piece, None)


def decode_parameters(pairs: Sequence[tuple[str, bytes]]) -> Mapping[str, str]:
    """A header field's parameters, with RFC 2231's charsets and continuations, and RFC 2047's misuse, undone."""
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[bytes, bool]]] = {}
    for name, value in pairs:
        base, star, rest = name.partition("*")
        if not star:
            plain.setdefault(base, decode_text(value))
            continue
        number = rest.rstrip("*")
        if number.isdigit() or not number:
            at = int(number[:4]) if number else 0
            pieces.setdefault(base, {})[at] = (value, rest.endswith("*") or not rest)
    for base, found in pieces.items():
        charset: str | None = None
        content = b""
        for at, (value, encoded) in sorted(found.items()):
            if encoded and at == min(found) and value.count(b"'") >= 2:
                said, _, value = value.split(b"'", 2)  # noqa: PLW2901  (the value without what stands before it)
                charset = said.decode("ascii", "replace")
            content += unquote_to_bytes(value) if encoded else value
        plain[base] = decode_text(decode_bytes(content, charset))
    return plain


def clean_filename(name: str) -> str:
    """A file name without path and control characters, at most 200 characters."""
    name = "".join(c for c in name if c.isprintable()).replace("\\", "/").rpartition("/")[2].strip().strip(".")
    return name[:200] or "file"


class Headers:
    """A message's header fields."""

    def __init__(self, raw: bytes) -> None:
        text = decode_bytes(raw, None).replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
        self._fields = HeaderParser().parsestr(text, headersonly=True)

    def raw(self, name: str) -> str:
        """The first field of this name as it stands, unfolded; empty when there is none."""
        value = next((str(v) for k, v in self._fields.raw_items() if k.lower() == name), "")
        return value[:_MAX_FIELD].replace("\n", "")

    def text(self, name: str) -> str | None:
        return decode_text(self.raw(name)) or None

    def addresses(self, name: str) -> list[tuple[str, str]]:
        """Names and addresses of all fields of this name; at most 200."""
        raw = [str(v)[:_MAX_FIELD].replace("\n", "") for k, v in self._fields.raw_items() if k.lower() == name]
        return list(_addresses(raw))[:_MAX_ADDRESSES]

    def message_ids(self, name: str) -> list[str]:
        return _MESSAGE_ID.findall(self.raw(name))

    def date(self, name: str = "date") -> datetime | None:
        """In UTC; None when it is missing or cannot be read."""
        try:
            found = parsedate_to_datetime(self.raw(name))
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, TypeError, OverflowError, IndexError):
            return None


def _addresses(raw: Sequence[str]) -> Iterator[tuple[str, str]]:
    for value in raw:
        try:
            found = getaddresses([value])
        except (ValueError, IndexError, TypeError, RecursionError):
            found = []
        given = [(decode_text(name), decode_text(address)) for name, address in found if name or address]
        if given:
            yield from given
        elif value.strip():
            yield decode_text(value)[:300], ""
