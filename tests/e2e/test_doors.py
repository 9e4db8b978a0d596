"""Every tool of the catalogue stands behind every door, under its name and route."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from hermes.gateway.own_tools import own_platform
from hermes.platforms.catalog import load_catalog
from hermes.sandbox_mode import demo_credentials

MODERN = "2026-07-28"
TOOLS = load_catalog().tools
OWN = {tool.name for tool in own_platform().tools.values()}


@pytest.fixture
def http(shared_hermes: Any) -> Any:
    headers = {"x-api-key": shared_hermes.api_key, "accept": "application/json, text/event-stream"}
    with httpx2.Client(base_url=shared_hermes.url, headers=headers) as client:
        yield client


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25", MODERN])
def test_mcp_lists_every_tool(http: Any, version: str) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"_meta": meta} if version == MODERN else {}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params}
    headers = {"mcp-protocol-version": version, "mcp-method": "tools/list"}
    listed = http.post("/mcp", json=message, headers=headers).json()["result"]["tools"]
    assert {tool["name"] for tool in listed} == TOOLS.keys() | OWN


def test_rest_has_a_route_for_every_tool(http: Any) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    platforms = tuple(f"/api/{platform}/" for platform in demo_credentials())
    described = {
        f"{method.upper()} {path}" for path, item in paths.items() if path.startswith(platforms) for method in item
    }
    assert described == {f"{tool.rest_method} {tool.rest_path}" for tool in TOOLS.values()}
    assert {tool["name"] for tool in http.get("/tools").json()["tools"]} == TOOLS.keys()
    assert http.get("/health").json()["toolCount"] == len(TOOLS)


def test_the_command_line_lists_every_tool(shared_hermes: Any) -> None:
    listed = json.loads(shared_hermes.run("tools", "list", "--json").stdout)
    assert {tool["name"] for tool in listed} == TOOLS.keys()
