"""Prompts, resources and subscriptions of the real house: its catalogue, its pipeline, a vault on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from hermes.app import House, build_house
from hermes.asgi import App
from hermes.identity.service import NewCustomer
from hermes.platforms.catalog import load_catalog
from hermes.settings import load_settings
from hermes.storage.redis import Redis
from hermes.storage.sql import Database
from hermes.storage.stores import Stores

pytestmark = pytest.mark.storage

MODERN = "2026-07-28"
META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
NOTE = "obsidian://default/Plans/Trip%20to%20K%C3%B6ln.md"


@dataclass
class Client:
    """Speaks the modern era as one customer, or the legacy one."""

    http: httpx2.AsyncClient
    key: str
    path: str = "/mcp"

    async def send(self, method: str, name: str | None = None, /, **params: Any) -> httpx2.Response:
        headers = {
            "x-api-key": self.key,
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": MODERN,
            "mcp-method": method,
            **({"mcp-name": name} if name is not None else {}),
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
        return await self.http.post(self.path, json=body, headers=headers)

    async def result(self, method: str, name: str | None = None, /, **params: Any) -> Any:
        answer = await self.send(method, name, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def legacy_error(self, method: str, **params: Any) -> Any:
        headers = {"x-api-key": self.key, "mcp-protocol-version": "2025-11-25"}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return (await self.http.post("/mcp", json=body, headers=headers)).json()["error"]

    async def call(self, tool: str, **arguments: Any) -> Any:
        result = await self.result("tools/call", tool, name=tool, arguments=arguments)
        assert not result["isError"], result
        return result["structuredContent"]

    async def uris(self) -> list[str]:
        return [resource["uri"] for resource in (await self.result("resources/list"))["resources"]]

    async def prompts(self) -> list[str]:
        return [prompt["name"] for prompt in (await self.result("prompts/list"))["prompts"]]


@dataclass
class Whole:
    """The house, and ways into it."""

    house: House
    app: App
    http: httpx2.AsyncClient

    async def customer(self, name: str, plan: str = "growth", *, vault: bool = True) -> NewCustomer:
        made = await self.house.customers.create(f"{name}@example.com", plan)
        if vault:
            await self.link(made, "obsidian", vault="vault")
        return made

    async def link(self, customer: NewCustomer, platform: str, label: str = "default", **credentials: str) -> None:
        caller = await self.house.callers.from_api_key(customer.key.secret)
        await self.house.connections.connect(caller, platform, credentials, label)
        await asyncio.gather(*self.house.notices._publishing)  # so that nobody who listens later hears of it

    def client(self, customer: NewCustomer) -> Client:
        return Client(self.http, customer.key.secret)

    async def narrow(self, customer: NewCustomer, *grants: str) -> Client:
        return Client(self.http, (await self.house.api_keys.create(customer.row.id, "some", grants)).secret)


@pytest.fixture
async def whole(database: Database, redis: Redis, valkey: Any, tmp_path: Path) -> AsyncIterator[Whole]:
    environ = {
        "CREDENTIAL_ENCRYPTION_KEY": "11" * 32,
        "JWT_SECRET": "a secret that only this test of the house knows",
        "DATA_DIR": str(tmp_path),
        "OBSIDIAN_VAULTS_ROOT": str(tmp_path / "vaults"),
    }
    house = build_house(load_settings(environ, env_file=None), Stores(database, redis, valkey.url), load_catalog())
    app = App(house)
    transport = httpx2.ASGITransport(app=app.asgi)
    async with app.run(), httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:3456") as http:
        yield Whole(house, app, http)
    await house.close()


async def used(whole: Whole, customer: NewCustomer) -> dict[str, int]:
    await whole.house.ledger.flush()
    answer = await whole.http.get("/api/usage", headers={"x-api-key": customer.key.secret})
    return dict(answer.json()["by_tool"])


async def trail(whole: Whole, customer: NewCustomer) -> list[tuple[str, str]]:
    answer = await whole.http.get("/api/audit", headers={"x-api-key": customer.key.secret})
    return [(entry["tool"], entry["outcome"]) for entry in reversed(answer.json()["entries"])]


async def test_notes_are_listed_and_read_as_the_calls_they_are(whole: Whole) -> None:
    ada = await whole.customer("ada")
    client = whole.client(ada)
    path = "Plans/Trip to Köln.md"
    await client.call("obsidian_append_to_note", path=path, content="Pack\u202e the\u200b bag.", create=True)
    assert (await client.uris())[-1] == NOTE
    read = (await client.result("resources/read", NOTE, uri=NOTE))["contents"]
    assert read == [{"uri": NOTE, "mimeType": "text/markdown", "text": "Pack the bag.\n"}]
    assert await used(whole, ada) == {"obsidian_append_to_note": 1, "obsidian_read_note": 1}
    assert await trail(whole, ada) == [
        ("customer.create", "success"),
        ("connection.connect", "success"),
        ("obsidian_append_to_note", "success"),
        ("obsidian_recent_notes", "success"),
        ("obsidian_read_note", "success"),
    ]


async def test_the_last_changed_notes_come_first_and_lists_have_pages(whole: Whole) -> None:
    ada = await whole.customer("ada")
    client = whole.client(ada)
    for number in range(3):
        await client.call("obsidian_append_to_note", path=f"{number}.md", content="x", create=True)
    await client.call("obsidian_append_to_note", path="0.md", content="y")
    notes = [uri for uri in await client.uris() if uri.startswith("obsidian://")]
    assert notes == [f"obsidian://default/{name}.md" for name in (0, 2, 1)]
    for listed in ("resources/list", "resources/templates/list", "prompts/list"):
        result = await client.result(listed)
        assert (result["ttlMs"] >= 0, result["cacheScope"]) == (True, "private")
        refused = await client.send(listed, cursor="bm90aGluZw==")
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32602)


@pytest.mark.parametrize(
    "uri",
    [
        "obsidian://default/Nothing.md",
        "obsidian://other/Plans/Trip%20to%20K%C3%B6ln.md",
        "obsidian://default/../../secrets.md",
        "obsidian://default/%FF.md",
        "obsidian://default/",
        "obsidian:///x.md",
        "obsidian://default/" + "x" * 3000,
        "hermes://platforms/nothing",
        "hermes://platforms/",
        "file:///etc/passwd",
        "https://example.com/",
    ],
)
async def test_what_there_is_not(whole: Whole, uri: str) -> None:
    client = whole.client(await whole.customer("ada"))
    await client.call("obsidian_append_to_note", path="Plans/Trip to Köln.md", content="x", create=True)
    answer = await client.send("resources/read", uri, uri=uri)
    error = answer.json()["error"]
    assert "contents" not in answer.text
    if ".." not in uri:
        assert (answer.status_code, error["code"], error["data"]) == (400, -32602, {"uri": uri[:2048]})
        assert (await client.legacy_error("resources/read", uri=uri))["code"] == -32002


async def test_nobody_reads_anothers_notes(whole: Whole) -> None:
    ada, bob, eve = await whole.customer("ada"), await whole.customer("bob"), await whole.customer("eve", vault=False)
    await whole.client(ada).call("obsidian_append_to_note", path="Plans/Trip to Köln.md", content="Ada's", create=True)
    assert NOTE not in await whole.client(bob).uris()
    refused = await whole.client(bob).send("resources/read", NOTE, uri=NOTE)
    assert refused.json()["error"]["code"] == -32602
    unlinked = (await whole.client(eve).send("resources/read", NOTE, uri=NOTE)).json()["error"]
    assert (unlinked["code"], unlinked["data"]["code"]) == (-32603, "not_connected")
    assert unlinked["data"]["connect_url"] in unlinked["message"]
    assert [uri for uri in await whole.client(eve).uris() if uri.startswith("obsidian")] == []


async def test_several_vaults_are_told_apart(whole: Whole) -> None:
    ada = await whole.customer("ada")
    await whole.link(ada, "obsidian", "work", vault="work")
    client = whole.client(ada)
    for account in ("default", "work"):
        await client.call("obsidian_append_to_note", path="A.md", content=account, create=True, account=account)
    assert (await client.uris())[-2:] == ["obsidian://default/A.md", "obsidian://work/A.md"]
    uri = "obsidian://work/A.md"
    assert (await client.result("resources/read", uri, uri=uri))["contents"][0]["text"] == "work\n"


async def test_only_what_the_grants_and_the_plan_reach(whole: Whole) -> None:
    ada = await whole.customer("ada")
    everything = whole.client(ada)
    await everything.call("obsidian_append_to_note", path="A.md", content="x", create=True)
    telegram = await whole.narrow(ada, "telegram:read")
    assert await telegram.uris() == ["hermes://platforms/telegram"]
    assert (await telegram.result("resources/templates/list"))["resourceTemplates"] == []
    assert (await telegram.send("resources/read", "x", uri="obsidian://default/A.md")).json()["error"]["code"] != 0
    uri = "obsidian://default/A.md"
    assert (await telegram.send("resources/read", uri, uri=uri)).json()["error"]["code"] == -32602
    assert await telegram.prompts() == []
    reader = await whole.narrow(ada, "obsidian:read", "email:read", "telegram:write")
    assert await reader.prompts() == ["summarise_unread_mail", "post_to_networks", "find_in_notes"]
    assert len(await everything.prompts()) == 7
    free = whole.client(await whole.customer("bob", "free", vault=False))
    assert "whatsapp_template_message" not in await free.prompts()
    assert "hermes://platforms/whatsapp" not in await free.uris()


async def test_a_selection_in_the_address_narrows_them_too(whole: Whole) -> None:
    client = whole.client(await whole.customer("ada"))
    await client.call("obsidian_append_to_note", path="A.md", content="x", create=True)
    client.path = "/mcp?platforms=email,telegram&tools=discord_get_messages"
    assert await client.uris() == [f"hermes://platforms/{name}" for name in ("discord", "email", "telegram")]
    assert await client.prompts() == [
        "summarise_unread_mail",
        "draft_a_reply",
        "post_to_networks",
        "catch_up_on_discord",
    ]
    uri = "obsidian://default/A.md"
    assert (await client.send("resources/read", uri, uri=uri)).json()["error"]["code"] == -32602


async def test_the_catalogue_names_tools_limits_and_the_way_to_connect(whole: Whole) -> None:
    client = whole.client(await whole.customer("ada"))
    uri = "hermes://platforms/telegram"
    [page] = (await client.result("resources/read", uri, uri=uri))["contents"]
    assert page["mimeType"] == "text/markdown"
    platform = whole.house.catalog.platforms["telegram"]
    assert all(f"`{tool.name}`" in page["text"] for tool in platform.tools.values())
    assert platform.limits[0].source in page["text"]
    assert platform.connect.help_url in page["text"]


async def test_each_prompt_can_be_had_and_names_only_tools_there_are(whole: Whole) -> None:
    client = whole.client(await whole.customer("ada"))
    for prompt in (await client.result("prompts/list"))["prompts"]:
        given = {argument["name"]: "Köln {x} %s" for argument in prompt["arguments"] if argument["required"]}
        got = await client.result("prompts/get", prompt["name"], name=prompt["name"], arguments=given)
        text = got["messages"][0]["content"]["text"]
        assert all(value in text for value in given.values())
        words = {word.strip(".,:;()") for word in text.split()}
        named = {word for word in words if word.split("_")[0] in whole.house.catalog.platforms and "_" in word}
        assert named
        assert named <= whole.house.catalog.tools.keys()
        if given:
            refused = await client.send("prompts/get", prompt["name"], name=prompt["name"], arguments={})
            assert refused.json()["error"]["code"] == -32602


async def test_arguments_are_completed_where_that_is_cheap(whole: Whole) -> None:
    client = whole.client(await whole.customer("ada"))

    async def values(prompt: str, argument: str, begun: str) -> list[str]:
        ref = {"type": "ref/prompt", "name": prompt}
        given = {"name": argument, "value": begun}
        return list((await client.result("completion/complete", ref=ref, argument=given))["completion"]["values"])

    assert await values("post_to_networks", "networks", "l") == ["linkedin"]
    assert await values("post_to_networks", "networks", "linkedin,t") == ["linkedin,twitter", "linkedin,telegram"]
    assert await values("draft_a_reply", "tone", "fr") == ["friendly"]
    assert await values("draft_a_reply", "message", "x") == []


async def listened(whole: Whole, client: Client, changes: Callable[[], Awaitable[Any]], **wanted: Any) -> list[Any]:
    """All that a subscription was told while something was changed, until the server stopped."""
    task = asyncio.create_task(client.send("subscriptions/listen", notifications=wanted))
    subscriptions = whole.app._mcp._subscriptions
    assert subscriptions is not None
    async with asyncio.timeout(20):
        while not subscriptions._open and not task.done():  # noqa: ASYNC110  (nothing tells when it is open)
            await asyncio.sleep(0.01)
        await changes()
        # What was published before this has been heard when this is heard.
        heard = asyncio.Event()
        customer = next(iter(subscriptions._count), None)
        if customer is not None:
            await whole.house.notices.listen(customer, lambda notice: heard.set() if notice.name == "end" else None)
            whole.house.notices.tell(customer, "call", "end")
            await heard.wait()
            await asyncio.sleep(0.05)
        whole.app.end_streams()
        answer = await task
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    frames = [orjson.loads(line) for line in lines]
    assert frames[0]["method"] == "notifications/subscriptions/acknowledged"
    assert frames[-1]["result"]["resultType"] == "complete"
    return [(frame["method"], frame["params"].get("uri")) for frame in frames[1:-1]]


LISTS = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
UPDATED = "notifications/resources/updated"
TOOLS, PROMPTS, RESOURCES = (f"notifications/{kind}/list_changed" for kind in ("tools", "prompts", "resources"))


async def test_a_note_that_changes_is_told_of(whole: Whole) -> None:
    ada, bob = await whole.customer("ada"), await whole.customer("bob")
    client = whole.client(ada)
    path = "Plans/Trip to Köln.md"
    await client.call("obsidian_append_to_note", path=path, content="a", create=True)

    async def change() -> None:
        await whole.client(bob).call("obsidian_append_to_note", path=path, content="bob's", create=True)
        await client.call("obsidian_append_to_note", path="Other.md", content="x", create=True)
        await client.call("obsidian_append_to_note", path=path, content="b", dry_run=True)
        await client.call("obsidian_read_note", path=path)
        await client.call("obsidian_append_to_note", path=path, content="b")

    told = await listened(whole, client, change, resourceSubscriptions=[NOTE], resourcesListChanged=True)
    assert told == [(RESOURCES, None), (UPDATED, NOTE)]


async def test_plans_and_accounts_that_change_are_told_of(whole: Whole) -> None:
    ada, bob = await whole.customer("ada", "free"), await whole.customer("bob")

    async def change() -> None:
        await whole.house.customers.set_plan(bob.row.id, "enterprise")
        await whole.house.customers.set_plan(ada.row.id, "growth")
        await whole.house.connections.mark_needs_reconnect(bob.row.id, "obsidian", "default", "gone")

    told = await listened(whole, whole.client(ada), change, **LISTS)
    assert told == [(TOOLS, None), (PROMPTS, None), (RESOURCES, None)]


async def test_disconnecting_is_told_of(whole: Whole) -> None:
    ada = await whole.customer("ada")
    caller = await whole.house.callers.from_api_key(ada.key.secret)

    async def change() -> None:
        await whole.house.connections.disconnect(caller, "obsidian")

    assert await listened(whole, whole.client(ada), change, **LISTS) == [(TOOLS, None), (RESOURCES, None)]


@pytest.mark.parametrize("how", ["suspend", "revoke"])
async def test_it_ends_with_the_right_to_call(whole: Whole, how: str) -> None:
    ada = await whole.customer("ada")
    made = await whole.house.api_keys.create(ada.row.id, "second", ["*:read"])
    client = Client(whole.http, made.secret)
    task = asyncio.create_task(client.send("subscriptions/listen", notifications=LISTS))
    subscriptions = whole.app._mcp._subscriptions
    assert subscriptions is not None
    async with asyncio.timeout(20):
        while not subscriptions._open:  # noqa: ASYNC110  (nothing tells when it is open)
            await asyncio.sleep(0.01)
        if how == "suspend":
            await whole.house.customers.suspend(ada.row.id)
        else:
            await whole.house.api_keys.revoke(ada.row.id, made.row.id)
        answer = await task
    assert "notifications/tools/list_changed" not in answer.text
    assert not subscriptions._open
