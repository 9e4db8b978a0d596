"""Pages of `tools/list`: complete, in order, and one caller's never another's."""

from __future__ import annotations

from typing import Any

import pytest
from mcp import MCPError

from hermes.gateway.results import ToolView
from hermes.transports.tool_list import Page, ToolList


def names(page: Page) -> list[str]:
    return [tool["name"] for tool in page.result["tools"]]


@pytest.mark.parametrize("version", ["2025-03-26", "2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
def test_pages_hold_every_tool_once(house: Any, size: int, version: str) -> None:
    views = [ToolView(tool, tool.input_schema) for tool in house.catalog.tools.values()]
    tools, cursor, seen = ToolList(size), None, []
    while True:
        page = tools.page(views, version, cursor)
        seen += names(page)
        cursor = page.result.get("nextCursor")
        if cursor is None:
            break
    assert seen == list(house.catalog.tools)
    assert names(tools.page(views, version, "")) == seen[:size]


@pytest.mark.parametrize("cursor", ["x", "cGFnZTo5", "cGFnZTotMQ==", "cGFnZTox\n", "ü", "cGFnZTo5OTk5OTk5OTk5"])
def test_other_cursors_are_refused(house: Any, cursor: str) -> None:
    views = [ToolView(tool, tool.input_schema) for tool in house.catalog.tools.values()]
    with pytest.raises(MCPError) as error:
        ToolList(100).page(views, "2026-07-28", cursor)
    assert error.value.error.code == -32602


def test_lists_that_differ_only_in_accounts_are_kept_apart(house: Any) -> None:
    tool = house.catalog.tools["toy_get_me"]
    tools = ToolList()

    def shown(*labels: str) -> Any:
        schema = {**tool.input_schema, "properties": {"account": {"enum": list(labels)}}}
        return tools.page([ToolView(tool, schema)], "2026-07-28", None).result["tools"][0]["inputSchema"]

    assert shown("a", "b")["properties"]["account"]["enum"] == ["a", "b"]
    assert shown("c", "d")["properties"]["account"]["enum"] == ["c", "d"]
    plain = tools.page([ToolView(tool, tool.input_schema)], "2026-07-28", None).result["tools"][0]["inputSchema"]
    assert plain == {"type": "object", "properties": {}, "additionalProperties": False}
    assert tools.page([], "2026-07-28", None).result["tools"] == []
