"""The descriptions: valid, complete, and what a custom GPT takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel
from starlette.applications import Starlette

from hermes.platforms.base import Credentials, Effect, PasteToken, Platform
from hermes.platforms.catalog import Catalog
from hermes.transports.openapi import Descriptions


class Secret(Credentials):
    token: str


class Note(BaseModel):
    path: str
    tags: list[str] | None = None


class Thing(BaseModel):
    name: str


def with_obsidian(catalog: Catalog) -> Catalog:
    obsidian: Platform[Any, Any] = Platform(
        "obsidian",
        title="Obsidian",
        credentials=Secret,
        connect=PasteToken(help_url="", steps=()),
        open=lambda *_: None,
    )

    async def read_note(api: Any, path: str, tags: list[str] | None = None, limit: int | None = None) -> Note:
        return Note(path=path, tags=tags)

    read_note.__doc__ = "Read a note. " + "It can be long. " * 40
    obsidian.tool(Effect.READ, rest="GET /note")(read_note)
    return Catalog([*catalog, obsidian])


@pytest.fixture
async def described(house: Any) -> AsyncIterator[httpx2.AsyncClient]:
    other = FastAPI()

    @other.post("/api/things")
    async def make(thing: Thing) -> Thing:
        """Make a thing."""
        return thing

    descriptions = Descriptions(with_obsidian(house.catalog), "https://h.example", "1.2.3", other.openapi)
    transport = httpx2.ASGITransport(app=Starlette(routes=descriptions.routes()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://h") as client:
        yield client


async def test_openapi_is_valid_and_has_every_route(described: Any) -> None:
    document = (await described.get("/openapi.json")).json()
    OpenAPIV31SpecValidator(document).validate()
    assert {"/api/toy/me", "/api/toy/message", "/api/obsidian/note", "/api/things", "/tools", "/health"} <= set(
        document["paths"]
    )
    message = document["paths"]["/api/toy/message"]
    assert set(message) == {"post", "put"}
    assert message["post"]["requestBody"]["content"]["application/json"]["schema"]["required"] == ["text"]
    assert [item["name"] for item in message["post"]["parameters"]] == ["Idempotency-Key"]
    note = {item["name"]: item for item in document["paths"]["/api/obsidian/note"]["get"]["parameters"]}
    assert (note["path"]["required"], note["tags"]["schema"]["type"], note["limit"]["schema"]["type"]) == (
        True,
        "array",
        "integer",
    )
    operations = [op for item in document["paths"].values() for op in item.values()]
    assert len({op["operationId"] for op in operations}) == len(operations)
    assert set(document["paths"]["/api/things"]["post"]["responses"]) == {"200", "default"}
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_living_brief_fits_a_custom_gpt(described: Any) -> None:
    document = (await described.get("/openapi-living-brief.json")).json()
    OpenAPIV31SpecValidator(document).validate()
    assert document["servers"] == [{"url": "https://h.example"}]
    assert list(document["paths"]) == ["/api/obsidian/note"]
    operation = document["paths"]["/api/obsidian/note"]["get"]
    assert len(operation["operationId"]) <= 64
    assert 200 < len(operation["description"]) <= 300
    assert list(document["components"]["securitySchemes"]) == ["bearer"]


async def test_catalogue_and_manifest(house: Any, described: Any) -> None:
    tools = (await described.get("/tools")).json()["tools"]
    assert [tool["name"] for tool in tools] == [*house.catalog.tools, "obsidian_read_note"]
    assert tools[2]["effect"] == "send"
    assert tools[2]["rest"] == {"method": "POST", "path": "/api/toy/message"}
    manifest = (await described.get("/.well-known/ai-plugin.json")).json()
    assert manifest["api"] == {"type": "openapi", "url": "https://h.example/openapi.json"}
    assert manifest["contact_email"] == "support@h.example"
