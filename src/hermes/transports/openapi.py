"""What there is, described for programs: `/openapi.json`, `/openapi-living-brief.json`, `ai-plugin.json`, `/tools`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hermes.platforms.base import Tool
from hermes.platforms.catalog import Catalog
from hermes.transports.openapi_parts import (
    COMPONENTS,
    PUBLIC_PATHS,
    SECURITY,
    merged_components,
    problem_responses,
    tool_operation,
)

Document = dict[str, Any]

LONGEST_BRIEF: Final = 300
"""Characters that a custom GPT's action takes per description
(https://platform.openai.com/docs/actions/production: limits)."""

BRIEF_PLATFORM: Final = "obsidian"


class Descriptions:
    """Describes the house to programs.

    Args:
        catalog: the tools.
        public_url: where clients reach us.
        version: of hermes.
        json_routes: FastAPI's own document of the other JSON routes, made when first asked for.
    """

    def __init__(
        self, catalog: Catalog, public_url: str, version: str, json_routes: Callable[[], Document] | None = None
    ) -> None:
        self._catalog = catalog
        self._public_url = public_url
        self._version = version
        self._json_routes = json_routes

    def routes(self) -> list[BaseRoute]:
        return [
            _json_route("/openapi.json", self.openapi),
            _json_route("/openapi-living-brief.json", self.living_brief),
            _json_route("/.well-known/ai-plugin.json", self.ai_plugin),
            _json_route("/tools", self.tools),
        ]

    def openapi(self) -> Document:
        """OpenAPI 3.1 of every public JSON route."""
        other = self._json_routes() if self._json_routes is not None else {}
        paths: Document = {path: dict(item) for path, item in PUBLIC_PATHS.items()}
        for path, item in other.get("paths", {}).items():
            paths.setdefault(path, {}).update(_with_problems(item))
        for path, item in self._tool_paths(self._catalog.tools.values()).items():
            paths.setdefault(path, {}).update(item)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "SquareMCP hermes",
                "version": self._version,
                "description": "Every tool of the linked accounts as a route, and the customer's and operator's API.",
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": self._public_url}],
            "security": SECURITY,
            "tags": [{"name": platform.id, "description": f"Tools of {platform.title}"} for platform in self._catalog],
            "paths": paths,
            "components": merged_components(other.get("components", {})),
        }

    def living_brief(self) -> Document:
        """The Obsidian tools alone, in the form a custom GPT's actions take."""
        tools = [tool for tool in self._catalog.tools.values() if tool.platform == BRIEF_PLATFORM]
        document: Document = {
            "openapi": "3.1.0",
            "info": {
                "title": "Living brief",
                "version": self._version,
                "description": "Search, read and keep up to date the notes of one Obsidian vault.",
            },
            "servers": [{"url": self._public_url}],
            "security": [{"bearer": []}],
            "paths": self._tool_paths(tools),
            "components": {**COMPONENTS, "securitySchemes": {"bearer": COMPONENTS["securitySchemes"]["bearer"]}},
        }
        shortened: Document = _shortened(document)
        return shortened

    def ai_plugin(self) -> Document:
        """The manifest that older ChatGPT plugins and some agents look for."""
        return {
            "schema_version": "v1",
            "name_for_human": "SquareMCP hermes",
            "name_for_model": "hermes",
            "description_for_human": "Use the accounts you have linked: messaging, social, mail and notes.",
            "description_for_model": "Tools that read and send on the accounts that the user has linked to hermes. "
            "Sending is done at most once per call; look before repeating a call whose outcome is unknown.",
            "auth": {"type": "user_http", "authorization_type": "bearer"},
            "api": {"type": "openapi", "url": f"{self._public_url}/openapi.json"},
            "logo_url": f"{self._public_url}/favicon.ico",
            # RFC 2142 names this mailbox for every service.
            "contact_email": f"support@{urlsplit(self._public_url).hostname}",
            "legal_info_url": self._public_url,
        }

    def tools(self) -> Document:
        """The catalogue: what every tool is called, takes and gives."""
        return {
            "tools": [
                {
                    "name": tool.name,
                    "title": tool.title,
                    "description": tool.description,
                    "platform": tool.platform,
                    "effect": tool.effect.value,
                    "input_schema": tool.input_schema,
                    "output_schema": tool.output_schema,
                    "rest": {"method": tool.rest_method, "path": tool.rest_path},
                }
                for tool in self._catalog.tools.values()
            ]
        }

    @staticmethod
    def _tool_paths(tools: Iterable[Tool]) -> Document:
        paths: Document = {}
        for tool in tools:
            paths.setdefault(tool.rest_path, {})[tool.rest_method.lower()] = tool_operation(tool)
        return paths


def _json_route(path: str, make: Callable[[], Document]) -> Route:
    """A document that is made once, when it is first asked for."""
    body = cache(lambda: orjson.dumps(make()))

    async def endpoint(_request: Request) -> Response:
        return Response(body(), media_type="application/json", headers={"Cache-Control": "public, max-age=60"})

    return Route(path, endpoint, methods=["GET"])


def _with_problems(item: Document) -> Document:
    """FastAPI's operations, with our error answer in place of its own."""
    fixed: Document = {}
    for method, operation in item.items():
        if isinstance(operation, dict) and "responses" in operation:
            kept = {code: answer for code, answer in operation["responses"].items() if code != "422"}
            fixed[method] = {**operation, "responses": {**kept, **problem_responses()}}
        else:
            fixed[method] = operation
    return fixed


def _shortened(node: Any) -> Any:
    if isinstance(node, list):
        return [_shortened(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _cut(value) if key in ("description", "summary") and isinstance(value, str) else _shortened(value)
        for key, value in node.items()
    }


def _cut(text: str) -> str:
    """The text, or as many whole words of it as fit."""
    if len(text) <= LONGEST_BRIEF:
        return text
    return text[: LONGEST_BRIEF - 1].rsplit(" ", 1)[0] + "…"
