"""A request as the sandbox recorded it, taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qsl

import orjson

from hermes.sandbox.recorder import Record


@dataclass(frozen=True)
class Sent:
    """What a client sent. `body`: the JSON value, a multipart form's fields, or None for none."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    content_type: str
    body: Any

    @classmethod
    def of(cls, record: Record) -> Sent:
        assert record.size == len(record.body), "the recorder keeps small bodies only: send less in these runs"
        query = tuple(parse_qsl(record.query, keep_blank_values=True))
        return cls(record.method, record.path, query, record.content_type, _body(record))


def _body(record: Record) -> Any:
    if not record.body:
        return None
    if record.content_type == "multipart/form-data":
        return _form(record.body)
    return orjson.loads(record.body)


def _form(body: bytes) -> dict[str, str]:
    boundary = body.split(b"\r\n", 1)[0].removeprefix(b"--")
    head = b'Content-Type: multipart/form-data; boundary="' + boundary + b'"\r\n\r\n'
    parts = BytesParser().parsebytes(head + body).get_payload()
    assert isinstance(parts, list)
    fields: dict[str, str] = {}
    for part in parts:
        assert not isinstance(part, str)
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        fields[str(part.get_param("name", header="content-disposition"))] = content.decode("latin-1")
    return fields
