"""Adding a platform: its file, its stand-in's file, and its line in the catalogue. Everything else follows."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

import hermes

PLATFORM = '''
"""Toy: a service that greets."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, SecretStr

from hermes.platforms.base import Account, ApiContext, Credentials, Effect, Env, PasteToken, Plain, Platform


class ToyCredentials(Credentials):
    """A toy's token."""

    token: Annotated[SecretStr, Env("TOY_TOKEN")]


class ToyApi:
    def __init__(self, context: ApiContext, credentials: ToyCredentials) -> None:
        self.context = context
        self._token = credentials.token

    async def get(self, path: str) -> dict[str, str]:
        headers = {"authorization": f"Bearer {self._token.get_secret_value()}"}
        response = await self.context.http.request("GET", f"{self.context.base_url}/{path}", headers=headers)
        if response.status != 200:
            raise self.context.http.unclear(response)
        return response.json()


class Greeting(BaseModel):
    """What the toy says."""

    greeting: str
    by: str = Field(description="whose toy it is")


toy = Platform(
    "toy",
    title="Toy",
    credentials=ToyCredentials,
    connect=PasteToken(help_url="https://toy.example/help", steps=("Take any token that begins with toy-.",)),
    open=ToyApi,
    base_url="https://api.toy.example",
)


@toy.probe
async def probe(api: ToyApi) -> Account:
    """Source: the toy's manual."""
    return Account(id=(await api.get("me"))["by"])


@toy.tool(Effect.READ, rest="GET /greeting")
async def get_greeting(api: ToyApi, name: Annotated[Plain, Field(min_length=1, max_length=20)]) -> Greeting:
    """Have the toy greet somebody.

    Source: the toy's manual."""
    return Greeting.model_validate(await api.get(f"greet/{name}"))
'''

STAND_IN = '''
"""The toy's API."""

from __future__ import annotations

from typing import Any

from hermes.sandbox.base import ActionError, Service, Stage, StandIn
from hermes.sandbox.http import Answer, Incoming, json_answer


class ToyService(Service):
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def token_of(self, incoming: Incoming) -> str | None:
        return incoming.bearer

    async def answer(self, incoming: Incoming) -> Answer:
        token = incoming.bearer or ""
        if not token.startswith("toy-"):
            return json_answer({"error": "unknown token"}, 401)
        name = incoming.path.rpartition("/")[2]
        return json_answer({"greeting": f"Hello, {name}!", "by": token.removeprefix("toy-")})

    def rate_limited(self, retry_after: int | None) -> Answer:
        return json_answer({"error": "too fast"}, 429)

    def error(self, code: int, message: str | None) -> Answer:
        return json_answer({"error": message}, code)

    def account(self, token: str) -> dict[str, Any]:
        if not token.startswith("toy-"):
            raise ActionError("token: begins with toy-")
        return {"by": token.removeprefix("toy-")}

    def reset(self) -> None:
        pass


stand_in = StandIn("toy", "Toy", ToyService, demo={"token": "toy-demo"})
'''


@pytest.fixture
def with_toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of hermes with the toy in it, which every process of the test runs."""
    source = tmp_path / "src"
    shutil.copytree(Path(hermes.__file__).parent, source / "hermes", ignore=shutil.ignore_patterns("__pycache__"))
    (source / "hermes/platforms/toy.py").write_text(PLATFORM)
    (source / "hermes/sandbox/toy.py").write_text(STAND_IN)
    catalog = source / "hermes/platforms/catalog.py"
    listed = catalog.read_text()
    catalog.write_text(listed.replace('    "telegram",\n', '    "telegram",\n    "toy",\n'))
    assert catalog.read_text() != listed
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(source), *filter(None, [os.environ.get("PYTHONPATH")])]))
    return source


async def test_a_toy_platform(with_toy: Path, new_hermes: Callable[..., Any]) -> None:
    server = new_hermes(fresh=True).start()
    arguments = {"name": "Ann"}
    async with httpx2.AsyncClient(base_url=server.url, headers={"x-api-key": server.api_key}) as http:
        transport = streamable_http_client(f"{server.url}/mcp", http_client=http)
        async with Client(transport, mode="2026-07-28") as client:
            shown = {tool.name: tool for tool in (await client.list_tools()).tools}["toy_get_greeting"]
            assert shown.input_schema["properties"]["name"]["maxLength"] == 20
            called = await client.call_tool("toy_get_greeting", arguments)
            assert called.structured_content == {"greeting": "Hello, Ann!", "by": "demo"}
        operation = (await http.get("/openapi.json")).json()["paths"]["/api/toy/greeting"]["get"]
        assert operation["parameters"][0]["name"] == "name"
        assert "toy_get_greeting" in (await http.get("/tools")).text
        connected = await http.post("/api/connect/toy", json={"token": "toy-mine"})
        assert connected.json()["external_id"] == "mine", connected.text
        greeted = await http.get("/api/toy/greeting", params=arguments)
        assert greeted.json() == {"greeting": "Hello, Ann!", "by": "mine"}
        assert (await http.get("/api/connections")).json()["connections"]["toy"] is True
        refused = await http.get("/api/toy/greeting", params={"name": "A" * 21})
        assert refused.status_code == 400
        lines = (await http.get("/api/audit")).json()["entries"]
        calls = [(line["outcome"], line["arguments"]) for line in lines if line["tool"] == "toy_get_greeting"]
        assert calls[1:] == [("success", arguments), ("success", arguments)]
        assert (await http.get("/api/usage")).json()["by_tool"]["toy_get_greeting"] == 2
        own = await http.get("/api/toy/greeting", params=arguments, headers={"x-api-key": server.operator_key})
        assert own.json() == {"greeting": "Hello, Ann!", "by": "demo"}
        page = (await http.get(f"{server.sandbox}/", params={"platform": "toy"})).text
        assert "/greet/Ann" in page
        assert "toy-mine" not in page
    called_by_command = server.run("tools", "call", "toy_get_greeting", "name=Bob", "--json")
    assert json.loads(called_by_command.stdout)["result"] == {"greeting": "Hello, Bob!", "by": "demo"}
    # Live, with the operator's own token from the environment; the other server's stand-in plays the vendor.
    vendor = {"TOY_API_BASE_URL": f"{server.sandbox.rstrip('/')}/toy", "TOY_TOKEN": "toy-operators-own"}
    live = new_hermes("--live", folder="live", env=vendor, fresh=True).start()
    async with httpx2.AsyncClient(base_url=live.url, headers={"x-api-key": live.operator_key}) as http:
        own = await http.get("/api/toy/greeting", params=arguments)
        assert own.json() == {"greeting": "Hello, Ann!", "by": "operators-own"}, own.text
