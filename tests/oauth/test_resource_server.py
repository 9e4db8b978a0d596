"""What an access token opens, and what it never does: the whole house, with the tokens of a real sign-in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from aiohttp import web
from sqlalchemy import update

from hermes.oauth.models import OAuthChain
from hermes.oauth.registered_clients import Wanted
from hermes.platforms.base import Account
from oauth.conftest import CALLBACK, ISSUER, Gateway, Replica

pytestmark = pytest.mark.storage

MODERN, LEGACY = "2026-07-28", "2025-11-25"
METADATA = f"{ISSUER}/.well-known/oauth-protected-resource/mcp"
BOT = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"
ALL = "all:read all:write"


def call(version: str, tool: str, **arguments: Any) -> tuple[dict[str, Any], dict[str, str]]:
    params: dict[str, Any] = {"name": tool, "arguments": arguments}
    headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": version}
    if version == MODERN:
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        headers |= {"mcp-method": "tools/call", "mcp-name": tool}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, headers


async def post(replica: Replica, token: str, message: tuple[dict[str, Any], dict[str, str]]) -> httpx2.Response:
    body, headers = message
    return await replica.http.post("/mcp", json=body, headers=headers | {"authorization": f"Bearer {token}"})


async def token_of(replica: Replica, customer: Any, *grants: str, scope: str = ALL) -> str:
    client = (await replica.register())["client_id"]
    return str((await replica.sign_in(customer.row.id, client, *grants, scope=scope))["access_token"])


@pytest.mark.parametrize("version", [MODERN, LEGACY])
async def test_what_could_be_had_is_listed_and_asks_for_exactly_that(one: Replica, ada: Any, version: str) -> None:
    token = await token_of(one, ada, "telegram:read")
    body, headers = call(version, "x")
    body = body | {
        "method": "tools/list",
        "params": {name: body["params"][name] for name in ("_meta",) if name in body["params"]},
    }
    headers = {name: value for name, value in headers.items() if name != "mcp-name"}
    listed = await post(one, token, (body, headers | ({"mcp-method": "tools/list"} if version == MODERN else {})))
    names = {tool["name"] for tool in listed.json()["result"]["tools"]}
    assert {"telegram_get_me", "telegram_send_message", "discord_get_messages"} <= names
    for tool, scope in (("telegram_send_message", "telegram:write"), ("discord_get_guilds", "discord:read")):
        refused = await post(one, token, call(version, tool))
        assert refused.status_code == 403
        # An older client asks for exactly what is named, so that names what it has too.
        named = scope if version == MODERN else " ".join(sorted(["telegram:read", scope]))
        assert f'scope="{named}", resource_metadata="{METADATA}"' in refused.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]


async def test_what_the_client_can_never_have_is_unknown(one: Replica, ada: Any) -> None:
    wanted = Wanted("Reader", (CALLBACK,), scope="telegram:read", auth_method="none")
    client = (await one.house.oauth.registered.create(wanted)).client.id
    tokens = await one.sign_in(ada.row.id, client, "telegram:read", scope="telegram:read")
    unknown = await post(one, tokens["access_token"], call(MODERN, "telegram_send_message", chat_id=1, text="x"))
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, -32602)


@pytest.mark.attack("token")
async def test_a_token_for_another_resource_is_refused(one: Replica, other: Replica, ada: Any) -> None:
    token = await token_of(one, ada)
    async with one.house.stores.database.session() as session:
        await session.execute(update(OAuthChain).values(resource="https://elsewhere.example/mcp"))
    for path, body in (("/mcp", {}), ("/api/telegram/me", None)):
        answer = await other.http.request(
            "GET" if body is None else "POST", path, json=body, headers={"authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert f'resource_metadata="{METADATA}"' in answer.headers["www-authenticate"]


@pytest.mark.attack("token")
async def test_a_token_in_the_query_is_none(one: Replica, ada: Any) -> None:
    token = await token_of(one, ada)
    for path in ("/mcp", "/sse", "/messages", "/api/telegram/me", "/api/me"):
        method = "POST" if path in ("/mcp", "/messages") else "GET"
        answer = await one.http.request(
            method, path, params={"access_token": token}, json={} if method == "POST" else None
        )
        assert answer.status_code == 401, path
        assert "invalid_token" not in answer.headers["www-authenticate"]
        assert token not in answer.text


async def test_looking_after_the_account_takes_more_than_a_token(one: Replica, ada: Any) -> None:
    """Every described route refuses an assistant, but those of tools, calls, files, and what calls wait for."""
    token = await token_of(one, ada)
    described = (await one.http.get("/openapi.json")).json()["paths"]
    tools = {tool.rest_path for tool in one.house.catalog.tools.values()}
    own = [
        (method.upper(), path)
        for path, operations in described.items()
        for method, operation in operations.items()
        if path.startswith("/api/")
        and path not in tools
        and not path.startswith(("/api/calls/", "/api/media", "/api/connect/{platform}/callback"))
        and not (method == "get" and path.startswith(("/api/approvals", "/api/approval-rules")))
    ]
    assert {"/api/api-keys", "/api/connections", "/api/audit", "/api/me", "/api/assistants"} <= {
        path for _, path in own
    }
    for method, path in own:
        where = path.replace("{platform}", "telegram").replace("{customer_id}", ada.row.id)
        answer = await one.http.request(
            method, where.replace("{", "").replace("}", ""), json={}, headers={"authorization": f"Bearer {token}"}
        )
        assert answer.status_code in (403, 400), (method, path, answer.text)
        if answer.status_code == 403:
            assert answer.json()["code"] == "not_granted", (method, path)
    assert (await one.http.get("/api/me", headers={"x-api-key": ada.key.secret})).status_code == 200


@dataclass
class Vendor:
    """Plays Telegram, and keeps everything that it was sent."""

    origin: str = ""
    seen: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode("utf-8", "replace")
        self.seen.append("\n".join([request.method, request.path_qs, *map(str, request.headers.items()), body]))
        bot = {"id": 1, "is_bot": True, "first_name": "Bot", "username": "a_bot"}
        return web.json_response({"ok": True, "result": bot})


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    plays, app = Vendor(), web.Application()
    app.router.add_route("*", "/{path:.*}", plays.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    plays.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield plays
    await runner.cleanup()


async def test_the_token_goes_no_further(gateway: Gateway, vendor: Vendor) -> None:
    environ = {**gateway.settings.environ, "TELEGRAM_API_BASE_URL": vendor.origin}
    gateway.settings = gateway.settings.model_copy(update={"environ": environ})
    replica = await gateway.replica()
    customer = await replica.house.customers.create("eve@example.com", "starter")
    secret = replica.house.catalog.platforms["telegram"].credentials.model_validate({"bot_token": BOT}).to_json()
    await replica.house.credentials.put(customer.row.id, "telegram", "default", secret, Account(id="123456789"))
    token = await token_of(replica, customer)
    for version in (MODERN, LEGACY):
        called = await post(replica, token, call(version, "telegram_get_me"))
        assert not called.json()["result"]["isError"], called.text
    rest = await replica.http.get("/api/telegram/me", headers={"authorization": f"Bearer {token}"})
    assert rest.status_code == 200, rest.text
    assert len(vendor.seen) == 3
    for request in vendor.seen:
        assert BOT in request
        assert token not in request
        assert token.removeprefix("sq_at_") not in request
        assert "sq_at_" not in request


async def test_an_assistant_whose_access_ends_hears_no_more(one: Replica, other: Replica, ada: Any) -> None:
    token = await token_of(one, ada)
    body, headers = call(MODERN, "x")
    params = {"notifications": {"toolsListChanged": True}, "_meta": body["params"]["_meta"]}
    del headers["mcp-name"]
    headers["mcp-method"] = "subscriptions/listen"
    message = body | {"method": "subscriptions/listen", "params": params}
    listening = asyncio.create_task(post(one, token, (message, headers)))
    async with asyncio.timeout(10):
        while not one.house.notices._listening:  # noqa: ASYNC110  (nothing tells when it is open)
            await asyncio.sleep(0.01)
    mine = {"x-api-key": ada.key.secret}
    [assistant] = (await other.http.get("/api/assistants", headers=mine)).json()["assistants"]
    gone = await other.http.delete(f"/api/assistants/{assistant['id']}", headers=mine)
    assert gone.status_code == 204
    async with asyncio.timeout(5):
        answer = await listening
    assert '"resultType":"complete"' in answer.text
    assert "list_changed" not in answer.text
    assert (await post(one, token, (message, headers))).status_code == 401
