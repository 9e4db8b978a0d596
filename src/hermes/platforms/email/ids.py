"""Ids of messages, and cursors: opaque to callers, checked when they come back."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any, Final

import orjson

from hermes.errors import InvalidArguments, NotFound

MAX_ID: Final = 2000


@dataclass(frozen=True, slots=True)
class Locator:
    """Where a message is."""

    folder: str
    validity: int
    uid: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a search goes on. `before`: how many messages were on the pages before."""

    validity: int
    below: int
    before: int


def account_tag(address: str) -> str:
    """A short mark of the mailbox, so that an id is not used with another one."""
    return hashlib.sha256(address.lower().encode()).hexdigest()[:8]


def write_id(tag: str, place: Locator) -> str:
    return _pack([tag, place.folder, place.validity, place.uid])


def read_id(text: str, tag: str, *, name: str = "id") -> Locator:
    """The message's place.

    Raises:
        InvalidArguments: it is no id that a search gave.
        NotFound: it is of another mailbox.
    """
    match _unpack(text):
        case [str(of), str(folder), int(validity), int(uid)] if uid > 0:
            if of != tag:
                raise NotFound("That message is in another mailbox: give the account that it was found in.")
            return Locator(folder, validity, uid)
    raise _wrong(name, "must be an id that email_search_messages gave")


def write_cursor(cursor: Cursor, search: str) -> str:
    return _pack([cursor.validity, cursor.below, cursor.before, search])


def read_cursor(text: str, search: str) -> Cursor:
    """Where to go on.

    Args:
        search: `digest_of` the present search.

    Raises:
        InvalidArguments: it is no cursor, or one of another search.
    """
    match _unpack(text):
        case [int(validity), int(below), int(before), str(of)] if below > 0 and before >= 0:
            if of == search:
                return Cursor(validity, below, before)
            raise _wrong("cursor", "belongs to another search; repeat all other arguments as they were")
    raise _wrong("cursor", "must be next_cursor of the page before")


def digest_of(value: Any) -> str:
    """A short mark of a search."""
    return hashlib.sha256(orjson.dumps(value)).hexdigest()[:16]


def _pack(value: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


def _unpack(text: str) -> Any:
    try:
        return orjson.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
    except ValueError:
        return None


def _wrong(name: str, problem: str) -> InvalidArguments:
    return InvalidArguments(f"{name}: {problem}.", fields=[{"field": name, "problem": problem}], nothing_sent=True)
