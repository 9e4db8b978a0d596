"""Bodies of requests, in the forms that vendors want."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson

MEBIBYTE = 1024 * 1024

Body = bytes | AsyncIterator[bytes]
Content = bytes | io.BytesIO | AsyncIterator[bytes] | None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart form.

    Attributes:
        name: the form field.
        value: the text or the file's bytes, or an iterator of them (sent chunked, nothing kept in memory).
        filename: makes the part a file.
        content_type: default: aiohttp's (text/plain for text, application/octet-stream for bytes).
    """

    name: str
    value: str | Body = field(repr=False)
    filename: str | None = None
    content_type: str | None = None


def payload(
    headers: Mapping[str, str] | None, json: Any, form: Mapping[str, str] | None, body: Body | None
) -> tuple[Mapping[str, str] | None, Content]:
    """The headers and the content of a request with one of these bodies, or with none."""
    if json is not None:
        return {"Content-Type": "application/json", **(headers or {})}, _sized(orjson.dumps(json))
    if form is not None:
        content = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return content, _sized(urlencode(form).encode())
    return headers, _sized(body) if isinstance(body, bytes) else body


def _sized(content: bytes) -> bytes | io.BytesIO:
    """Large bodies as a file, which aiohttp writes piece by piece instead of at once."""
    return content if len(content) <= MEBIBYTE else io.BytesIO(content)


def multipart_form(parts: Sequence[Part]) -> aiohttp.FormData:
    """A fresh `multipart/form-data` body; one of them can be sent once only."""
    form = aiohttp.FormData(default_to_multipart=True)
    for part in parts:
        form.add_field(part.name, part.value, filename=part.filename, content_type=part.content_type)
    return form
