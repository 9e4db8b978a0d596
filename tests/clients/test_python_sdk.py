"""The official Python client through the whole of OAuth: registers, signs in, refreshes, asks for more, is revoked."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

pytestmark = pytest.mark.timeout(240)

MESSAGE = {"chat_id": 987654321, "text": "Hello from the Python client"}


class Kept:
    """What the client keeps between its runs."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def provider(desk: Any, kept: Kept, document: str | None = None) -> OAuthClientProvider:
    """The client's sign-in: known by its document's address if it has one, else it registers."""

    async def answered() -> AuthorizationCodeResult:
        answer = await desk.answers.get()
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer["iss"])

    metadata = OAuthClientMetadata.model_validate(
        {
            "client_name": "Python client",
            "redirect_uris": [desk.callback],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        }
    )
    return OAuthClientProvider(f"{desk.hermes.url}/mcp", metadata, kept, desk.agree, answered, document)


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_the_whole_way(desk: Any, mode: str) -> None:
    kept = Kept()
    auth = provider(desk, kept)
    desk.untick = ("telegram:write",)
    api = {"x-api-key": desk.hermes.api_key}
    async with (
        httpx2.AsyncClient(auth=auth, timeout=60) as http,
        Client(streamable_http_client(f"{desk.hermes.url}/mcp", http_client=http), mode=mode) as client,
    ):
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert {"telegram_get_me", "telegram_send_message"} <= tools
        assert len(desk.asked) == 1
        me = await client.call_tool("telegram_get_me", {})
        assert not me.is_error, me.content

        # What was left out is asked for when it is needed, and the call goes through.
        desk.untick = ()
        sent = await client.call_tool("telegram_send_message", MESSAGE)
        assert not sent.is_error, sent.content
        assert len(desk.asked) == 2
        assert "telegram%3Awrite" in desk.asked[1]

        # An expired token is renewed without anybody being asked.
        before = kept.tokens
        auth.context.token_expiry_time = 1
        assert not (await client.call_tool("telegram_get_me", {})).is_error
        assert kept.tokens != before
        assert len(desk.asked) == 2

        async with httpx2.AsyncClient(base_url=desk.hermes.url, headers=api) as rest:
            line = (await rest.get("/api/audit?limit=1")).json()["entries"][0]
            assert "Python client" in json.dumps(line["caller"])
            connected = (await rest.get("/api/assistants")).json()["assistants"]
            mine = [one["id"] for one in connected if one["client_id"] == (kept.client and kept.client.client_id)]
            assert len(mine) == 1
            assert (await rest.delete(f"/api/assistants/{mine[0]}")).status_code == 204

    # Revoked, it knows nothing within five seconds: neither its token nor what renews it.
    assert kept.tokens is not None
    headers = {"authorization": f"Bearer {kept.tokens.access_token}", "content-type": "application/json"}
    async with httpx2.AsyncClient(base_url=desk.hermes.url) as plain:
        for _ in range(60):
            answer = await plain.post("/mcp", headers=headers, json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
            if answer.status_code == 401:
                break
            await asyncio.sleep(0.1)
        assert answer.status_code == 401
        assert "resource_metadata" in answer.headers["www-authenticate"]
        assert kept.client is not None
        again = {
            "grant_type": "refresh_token",
            "refresh_token": kept.tokens.refresh_token or "",
            "client_id": kept.client.client_id or "",
        }
        refused = await plain.post("/oauth/token", data=again)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
