"""Ids of customers and keys, and the cursors by which they are paged."""

from __future__ import annotations

import base64

import uuid_utils

from hermes.errors import InvalidArguments

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26


def new_id(prefix: str) -> str:
    """A new id, e.g. `cus_01jd2m…`: the prefix and 26 characters that sort by the time they were made (UUIDv7)."""
    number = uuid_utils.uuid7().int
    return f"{prefix}_" + "".join(_CROCKFORD[number >> 5 * place & 31] for place in range(_LENGTH - 1, -1, -1))


def to_cursor(last_id: str) -> str:
    """The opaque cursor of the page that follows this id."""
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def from_cursor(cursor: str) -> str:
    """The id that a cursor stands for.

    Raises:
        InvalidArguments: it is none of ours.
    """
    try:
        decoded = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return decoded.decode("ascii")
    except ValueError:
        raise InvalidArguments(
            "cursor is not one that this list gave out; leave it away to begin at the start.",
            fields=[{"field": "cursor", "problem": "not a cursor of this list"}],
        ) from None
