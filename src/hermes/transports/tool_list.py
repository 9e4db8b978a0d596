"""`tools/list`: each tool shown as MCP shows tools, in pages, built once per set of tools and version."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from mcp_types import SERVER_INFO_META_KEY
from mcp_types.methods import serialize_server_result
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from hermes.gateway.results import ToolView
from hermes.platforms.base import Effect, Tool
from hermes.transports.paging import PAGE_SIZE, bad_cursor, page_cursor, page_number

TTL_MS: Final = 5_000
"""As long as a revoked grant may be remembered (design.md, section 4)."""

_REMEMBERED: Final = 256


@dataclass(frozen=True, slots=True)
class Page:
    """One page: as the handler gives it to the SDK, and as the SDK would write it."""

    result: dict[str, Any]
    written: orjson.Fragment


Pages = list[Page]


def hints(tool: Tool) -> dict[str, bool]:
    """The MCP hints that follow from a tool's effect. What equals the specification's default is left out, but
    `readOnlyHint`, which clients look for; the two about writing mean nothing for a tool that only reads.

    Source: MCP 2026-07-28, ToolAnnotations.
    """
    hinted = {"readOnlyHint": tool.effect is Effect.READ}
    # Only what overwrites or removes is destructive, which is the default.
    if tool.effect in (Effect.SEND, Effect.CREATE):
        hinted["destructiveHint"] = False
    # An update may be an append, so only what is certainly harmless to repeat says so.
    if tool.effect is Effect.DELETE:
        hinted["idempotentHint"] = True
    if not tool.open_world:
        hinted["openWorldHint"] = False
    return hinted


def shown(view: ToolView) -> dict[str, Any]:
    """One tool as `tools/list` shows it."""
    tool = view.tool
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": view.input_schema,
        **({"outputSchema": tool.structured_schema} if tool.structured_schema is not None else {}),
        "annotations": hints(tool),
    }


class ToolList:
    """Gives the pages of `tools/list`, remembering those of callers who see the same tools.

    Args:
        page_size: tools on a page.
        server_info: what the SDK stamps on modern results.
    """

    def __init__(self, page_size: int = PAGE_SIZE, server_info: dict[str, Any] | None = None) -> None:
        self._server_info = server_info or {}
        self._page_size = page_size
        self._known: OrderedDict[tuple[str, bytes], Pages] = OrderedDict()

    def page(self, views: Sequence[ToolView], version: str, cursor: str | None) -> Page:
        """One page, in the shape of a protocol version.

        Args:
            views: all that the caller may see.
            version: of the protocol.
            cursor: of an earlier page; None or empty for the first.

        Raises:
            MCPError: -32602, the cursor is none of ours.
        """
        pages = self._pages(views, version)
        index = page_number(cursor)
        if not 0 <= index < len(pages):
            raise bad_cursor()
        return pages[index]

    def _pages(self, views: Sequence[ToolView], version: str) -> Pages:
        key = (version, _fingerprint(views))
        pages = self._known.get(key)
        if pages is None:
            pages = self._known[key] = self._build(views, version)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return pages

    def _build(self, views: Sequence[ToolView], version: str) -> Pages:
        tools = [shown(view) for view in views]
        parts = [tools[start : start + self._page_size] for start in range(0, len(tools), self._page_size)] or [[]]
        pages: Pages = []
        for number, part in enumerate(parts, start=1):
            page: dict[str, Any] = {"tools": part, "ttlMs": TTL_MS, "cacheScope": "private", "resultType": "complete"}
            if number < len(parts):
                page["nextCursor"] = page_cursor(number)
            result = serialize_server_result("tools/list", version, page)
            stamp = {"_meta": {SERVER_INFO_META_KEY: self._server_info}} if version in MODERN_PROTOCOL_VERSIONS else {}
            pages.append(Page(result, orjson.Fragment(orjson.dumps(result | stamp))))
        return pages


def _fingerprint(views: Sequence[ToolView]) -> bytes:
    """What distinguishes one caller's list from another's: names, and those schemas that are not the tool's own."""
    own = [
        view.tool.name if view.input_schema is view.tool.input_schema else [view.tool.name, view.input_schema]
        for view in views
    ]
    return orjson.dumps(own)
