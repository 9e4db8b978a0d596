"""Three tools in place of all (`?mode=search`): find a tool, see how it is called, call it.

They stand in front of the pipeline and add nothing to it: what is called through them has the grants, limits and audit
of a direct call.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from hermes.errors import UnknownTool
from hermes.gateway.results import ToolView
from hermes.platforms.base import Credentials, Effect, PasteToken, Plain, Platform
from hermes.platforms.schema import Schema

_WORD: Final = re.compile(r"[a-z0-9]+")
_MOST: Final = 20

Name = Annotated[Plain, Field(max_length=128, description="A tool's name, as gateway_search_tools gives it.")]


@dataclass(frozen=True, slots=True)
class _Caller:
    """What the three tools may look at: the tools of this caller and connection."""

    views: Sequence[ToolView]

    def find(self, name: str) -> ToolView:
        for view in self.views:
            if view.tool.name == name:
                return view
        raise UnknownTool(f"There is no tool {name!r} for this caller; gateway_search_tools finds those there are.")


class FoundTool(BaseModel):
    name: str
    description: str
    effect: Effect


class FoundTools(BaseModel):
    tools: list[FoundTool] = Field(description="Best match first.")
    total: int = Field(description="How many matched.")


class DescribedTool(BaseModel):
    name: str
    title: str
    description: str
    effect: Effect
    input_schema: Schema
    output_schema: Schema


class CalledTool(BaseModel):
    """Never built: calling goes straight to the pipeline, whose result takes this one's place."""


_search: Platform[Credentials, _Caller] = Platform(
    "gateway",
    title="Gateway",
    credentials=Credentials,
    connect=PasteToken("", ()),
    open=lambda _context, _credentials: _Caller(()),
    open_world=False,
)


@_search.tool(Effect.READ, rest="GET /tools")
async def search_tools(
    caller: _Caller,
    query: Annotated[str, Field(max_length=200, description="What is to be done; empty lists all.")] = "",
    platform: Annotated[Plain | None, Field(description="Only this platform.")] = None,
    limit: Annotated[int, Field(ge=1, le=_MOST, description="At most so many.")] = 8,
) -> FoundTools:
    """Find the tools for a job on the accounts that this customer has linked."""
    views = [view for view in caller.views if platform in (None, view.tool.platform)]
    ranked = _rank(views, query)
    tools = [FoundTool(name=v.tool.name, description=v.tool.description, effect=v.tool.effect) for v in ranked[:limit]]
    return FoundTools(tools=tools, total=len(ranked))


@_search.tool(Effect.READ, rest="GET /tool")
async def describe_tool(caller: _Caller, name: Name) -> DescribedTool:
    """Get a tool's arguments and result as JSON Schema. Do this before calling it."""
    view = caller.find(name)
    return DescribedTool(
        name=name,
        title=view.tool.title,
        description=view.tool.description,
        effect=view.tool.effect,
        input_schema=view.input_schema,
        output_schema=view.tool.output_schema,
    )


@_search.tool(Effect.UPDATE, rest="POST /call")
async def call_tool(
    caller: _Caller,
    name: Name,
    arguments: Annotated[dict[str, Any], Field(description="As the tool's input schema says.")],
) -> CalledTool:
    """Call a tool that gateway_search_tools found, with arguments as gateway_describe_tool says."""
    raise TypeError((caller, name, arguments))


CALL: Final = _search.tools["call_tool"].name
SEARCH_VIEWS: Final = tuple(ToolView(tool, tool.input_schema) for tool in _search.tools.values())
SEARCH_TOOLS: Final = {view.tool.name: view.tool for view in SEARCH_VIEWS}


def looking_at(views: Sequence[ToolView]) -> Any:
    """What `search_tools` and `describe_tool` take as their first argument."""
    return _Caller(views)


def _rank(views: Sequence[ToolView], query: str) -> list[ToolView]:
    """Views that share words with the query, best first: a word in the name counts most, the start of one less."""
    words = _WORD.findall(query.lower())
    if not words:
        return list(views)
    scored = [(sum(_score(view, word) for word in words), -place, view) for place, view in enumerate(views)]
    return [view for score, _, view in sorted(scored, key=lambda item: item[:2], reverse=True) if score > 0]


def _score(view: ToolView, word: str) -> float:
    tool = view.tool
    named = _WORD.findall(tool.name.replace("_", " "))
    told = _WORD.findall(f"{tool.title} {tool.description} {' '.join(tool.input_schema['properties'])}".lower())
    for words, weight in ((named, 4.0), (told, 1.0)):
        if word in words:
            return weight
        if len(word) > 2 and any(other.startswith(word) or word.startswith(other) for other in words if len(other) > 2):
            return weight / 2
    return 0.0
