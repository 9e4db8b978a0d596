"""`?platforms=`, `?tools=` and `?mode=search` on the MCP URL: for assistants that pay for every schema they see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, get_args
from urllib.parse import parse_qs

from hermes.errors import InvalidArguments
from hermes.gateway.own_tools import GATEWAY
from hermes.gateway.results import ToolView
from hermes.identity.caller import Access, Caller, Grants
from hermes.platforms.base import Tool
from hermes.platforms.catalog import Catalog

SEARCH: Final = "search"
_LONGEST_QUERY: Final = 4096
_MOST_FIELDS: Final = 20


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of the caller's tools a connection wants. It only ever narrows; what is left out is unknown there. The
    gateway's own tools stay: without them nobody finds out what became of a call.

    Attributes:
        platforms: only these; None for all.
        tools: these too, whatever their platform; None with `platforms` None for all.
        search: three tools to search, describe and call, in place of all.
    """

    platforms: frozenset[str] | None = None
    tools: frozenset[str] | None = None
    search: bool = False

    def includes(self, tool: Tool) -> bool:
        if tool.platform == GATEWAY or (self.platforms is None and self.tools is None):
            return True
        return tool.platform in (self.platforms or ()) or tool.name in (self.tools or ())

    def caller(self, caller: Caller) -> Caller:
        """The caller with the grants of the selected platforms only: what else there is than tools goes by those."""
        if self.platforms is None and self.tools is None:
            return caller
        wanted = (self.platforms or frozenset()) | {name.partition("_")[0] for name in self.tools or ()}
        chosen = Grants(frozenset((platform, access) for platform in wanted for access in get_args(Access)))
        obtainable = caller.obtainable.both(chosen) if caller.obtainable is not None else None
        return replace(caller, grants=caller.grants.both(chosen), obtainable=obtainable)

    def narrow(self, views: Iterable[ToolView]) -> list[ToolView]:
        return [view for view in views if self.includes(view.tool)]


EVERYTHING: Final = Selection()


def read_selection(query: bytes, catalog: Catalog) -> Selection:
    """The selection that a URL's query asks for; other parameters are left alone.

    Raises:
        InvalidArguments: a platform, tool or mode that there is not, so that a typing error does not look like an
            account without tools; or more parameters than any client needs.
    """
    if not query:
        return EVERYTHING
    try:
        given = parse_qs(query[:_LONGEST_QUERY].decode("ascii", "replace"), max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise InvalidArguments(f"The MCP URL has more than {_MOST_FIELDS} parameters in its query.") from None
    platforms, tools = _words(given.get("platforms")), _words(given.get("tools"))
    _check("platforms", platforms, catalog.platforms)
    _check("tools", tools, catalog.tools)
    mode = given.get("mode", [""])[-1]
    _check("mode", frozenset({mode} - {""}), (SEARCH,))
    return Selection(platforms, tools, mode == SEARCH)


def _words(values: list[str] | None) -> frozenset[str] | None:
    if not values:
        return None
    return frozenset(word.strip() for value in values for word in value.split(",") if word.strip())


def _check(parameter: str, given: frozenset[str] | None, known: Iterable[str]) -> None:
    wrong = sorted((given or frozenset()) - set(known))
    if wrong:
        problem = f"has no {wrong[0][:64]!r}; there are {', '.join(known)}"
        raise InvalidArguments(
            f"`{parameter}` in the MCP URL {problem}.", fields=[{"field": parameter, "problem": problem}]
        )
