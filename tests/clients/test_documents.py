"""Clients that are known by a document on https: the official Python one signs in without registering."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr

from clients.conftest import EMAIL, at_a_desk
from clients.test_python_sdk import Kept, provider
from harness.serving import loopback_socket, serving
from hermes.app import build_house, open_house
from hermes.asgi import App
from hermes.demo import PASSWORD_FILE
from hermes.settings import load_settings
from hermes.storage.migrate import migrate
from hermes.storage.stores import open_stores
from oauth import conftest as oauth
from oauth.conftest import Documents

pytestmark = pytest.mark.timeout(240)

authority, documents = oauth.authority, oauth.documents


@dataclass
class Gateway:
    """A gateway on a socket, whose resolver and CA know where the document is."""

    url: str
    data_dir: Path


@pytest.fixture
async def gateway(tmp_path: Path, documents: Documents) -> AsyncIterator[Gateway]:
    folder = tmp_path / "data"
    folder.mkdir()
    sock = loopback_socket()
    origin = f"http://127.0.0.1:{sock.getsockname()[1]}"
    settings = load_settings({}, env_file=None, data_dir=folder, public_url=origin)
    async with open_stores(settings, holder="command") as stores:
        await migrate(stores.database)
    async with open_house(settings, holder="server") as shipped:
        house = build_house(shipped.settings, shipped.stores, shipped.catalog, documents=documents.guarded)
        app = App(house)
        password = "a person's long password"
        (folder / PASSWORD_FILE).write_text(password)
        await house.customers.create(EMAIL, "enterprise", password=SecretStr(password))
        async with app.run(), serving(app.asgi, sock):
            yield Gateway(origin, folder)
        await house.close()


async def test_python(gateway: Gateway, documents: Documents) -> None:
    kept = Kept()
    async with at_a_desk(gateway) as desk:
        address = documents.client(
            client_name="Documented client", redirect_uris=[desk.callback], token_endpoint_auth_method="none"
        )
        auth: OAuthClientProvider = provider(desk, kept, address)
        async with (
            httpx2.AsyncClient(auth=auth, timeout=60) as http,
            Client(streamable_http_client(f"{gateway.url}/mcp", http_client=http)) as client,
        ):
            tools = {tool.name for tool in (await client.list_tools()).tools}
            assert "telegram_send_message" in tools
            before = kept.tokens
            auth.context.token_expiry_time = 1
            called = await client.call_tool("gateway_get_call", {"call_id": "none"})
            assert called.is_error
            assert kept.tokens != before
        assert len(desk.asked) == 1
    assert kept.client is not None
    assert kept.client.client_id == address
    assert documents.hits == {"/client.json": 1}
