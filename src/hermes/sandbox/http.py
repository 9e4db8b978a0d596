"""What reaches a stand-in and what it answers, without a framework in between: the path of load tests is short."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import Receive, Scope

JSON_TYPE = "application/json"


class MalformedBody(ValueError):
    """The body is not what its content type says."""


@dataclass(slots=True)
class Upload:
    """One file of a multipart body."""

    name: str
    content_type: str
    content: bytes = field(repr=False)


@dataclass(slots=True)
class Incoming:
    """A request as it came. `path` is the part below the stand-in's prefix; header names are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    origin: str
    gone: Callable[[], Awaitable[None]]
    """Returns when the client has closed its connection."""
    raw_path: str = ""
    """The whole path as it came, with what was quoted in it still quoted."""

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def bearer(self) -> str | None:
        """The token of `Authorization: Bearer`, or None."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None

    def query_args(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True)) if self.query else {}

    async def body_args(self) -> tuple[dict[str, Any], dict[str, Upload]]:
        """The body's fields and files, whether JSON, form or multipart; an unknown type has none.

        Raises:
            MalformedBody: the body is not of its declared type, or the JSON is no object.
        """
        kind = self.content_type
        if not self.body:
            return {}, {}
        if kind == JSON_TYPE:
            return self.json_object(), {}
        if kind == "multipart/form-data":
            return await self._multipart()
        if kind == "application/x-www-form-urlencoded":
            try:
                return dict(parse_qsl(self.body.decode(), keep_blank_values=True)), {}
            except UnicodeDecodeError as error:
                raise MalformedBody("the form is not UTF-8") from error
        return {}, {}

    def json_object(self) -> dict[str, Any]:
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise MalformedBody("the body is not JSON") from error
        if not isinstance(value, dict):
            raise MalformedBody("the body is no JSON object")
        return value

    async def _multipart(self) -> tuple[dict[str, Any], dict[str, Upload]]:
        async def once() -> AsyncGenerator[bytes, None]:
            yield self.body

        parser = MultiPartParser(Headers(dict(self.headers)), once(), max_part_size=len(self.body) + 1)
        args: dict[str, Any] = {}
        files: dict[str, Upload] = {}
        try:
            form = await parser.parse()
        except (MultiPartException, KeyError, ValueError) as error:
            raise MalformedBody("the multipart body is broken") from error
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files[name] = Upload(value.filename or "", value.content_type or "", await value.read())
            else:
                args[name] = value
        await form.close()
        return args, files


@dataclass(slots=True)
class Answer:
    """A whole answer; `headers` come beside content type and length."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()

    def raw_headers(self, length: int | None = None) -> list[tuple[bytes, bytes]]:
        size = len(self.body) if length is None else length
        raw = [(b"content-type", self.content_type.encode()), (b"content-length", b"%d" % size)]
        raw.extend((name.lower().encode(), value.encode("latin-1", "replace")) for name, value in self.headers)
        return raw


def json_answer(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """`value` as compact JSON, non-ASCII as it is."""
    return Answer(status, orjson.dumps(value), headers=headers)


def html_error(status: int, reason: str) -> Answer:
    """The page that a vendor's front server gives when what is behind it is down: HTML, not JSON."""
    page = (
        f"<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n<center><h1>{status} {reason}</h1>"
        f"</center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return Answer(status, page.encode(), "text/html")


async def read_incoming(scope: Scope, receive: Receive, path: str, limit: int) -> tuple[Incoming | None, bool]:
    """Read a whole request.

    Returns:
        The request (None when the client left while sending) and whether its body is over `limit` bytes; a body
        that is too big is read to its end but not kept, so that the client sees the answer.
    """
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None, False
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    incoming = Incoming(
        method=scope["method"],
        path=path,
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=b"".join(chunks) if size <= limit else b"",
        origin=f"{scope.get('scheme', 'http')}://{headers.get('host', '127.0.0.1')}",
        gone=gone,
        raw_path=scope.get("raw_path", b"").decode("latin-1"),
    )
    return incoming, size > limit


def is_web_url(text: Any) -> bool:
    """True for an http or https URL with a host."""
    try:
        parts = urlsplit(text) if isinstance(text, str) else None
    except ValueError:
        return False
    return parts is not None and parts.scheme in ("http", "https") and bool(parts.hostname)


def account_key(token: str) -> str:
    """A short name for a token that does not give it away."""
    return hashlib.sha256(token.encode()).hexdigest()[:12]


def mask_token(token: str) -> str:
    """A token for people's eyes: its beginning, and a name that tells two tokens with that beginning apart."""
    return f"{token[:8]}…{account_key(token)[:6]}"


def derived_digits(token: str, purpose: str, length: int = 15) -> str:
    """A numeric id that follows from the token, of `length` digits, never with a leading zero."""
    number = int.from_bytes(hashlib.sha256(f"{purpose}:{token}".encode()).digest()[:12], "big")
    span = 10 ** (length - 1)
    return str(span + number % (9 * span))
