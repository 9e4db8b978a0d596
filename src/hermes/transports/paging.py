"""Pages of MCP's lists. Source: MCP 2026-07-28, server/utilities/pagination."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Final, TypeVar

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

PAGE_SIZE: Final = 100

T = TypeVar("T")


def page_of(items: Sequence[T], cursor: str | None, size: int = PAGE_SIZE) -> tuple[list[T], str | None]:
    """One page of a list, and the cursor of the next; None after the last.

    Raises:
        MCPError: -32602, the cursor is none of ours.
    """
    number = page_number(cursor)
    start = number * size
    if number < 0 or (start >= len(items) and number > 0):
        raise bad_cursor()
    more = start + size < len(items)
    return list(items[start : start + size]), page_cursor(number + 1) if more else None


def page_cursor(number: int) -> str:
    """The cursor of a page, which clients do not look into."""
    return base64.urlsafe_b64encode(f"page:{number}".encode()).decode()


def page_number(cursor: str | None) -> int:
    """The page that a cursor names: 0 without one or for an empty one, -1 when it is none of ours."""
    if not cursor:
        return 0
    try:
        word, _, number = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return -1
    return int(number) if word == "page" and number.isascii() and number.isdigit() and len(number) < 6 else -1


def bad_cursor() -> MCPError:
    return MCPError(code=INVALID_PARAMS, message="Invalid cursor: start again without one")
