"""The real house with the suite's tools, on loopback only: `python -m conformance.server DATA_DIR [--sessions]`.

Everything is as in `hermes serve` but the catalogue, and that a request without a credential gets a customer's key,
since the suite cannot send one. Its first line says where it is, as JSON. Nothing of this is in the package.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import uvicorn
from pydantic import SecretStr

from conformance.fixtures import Bench, NothingSecret, platforms
from conformance.library import PROMPTS, Shelf
from hermes import app as house_module
from hermes.app import House, open_house
from hermes.asgi import App
from hermes.gateway.prompts import Prompts
from hermes.gateway.resources import Resources
from hermes.platforms.base import Account
from hermes.platforms.catalog import Catalog
from hermes.settings import load_settings, local_url

EMAIL, PASSWORD = "conformance@example.com", "correct horse battery staple"


class Inject:
    """Adds a customer's key to requests of MCP that have none."""

    def __init__(self, app: Any, key: str) -> None:
        self._app = app
        self._header = (b"authorization", b"Bearer " + key.encode())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/mcp":
            headers = scope["headers"]
            if all(name != b"authorization" for name, _ in headers):
                scope = {**scope, "headers": [*headers, self._header]}
        await self._app(scope, receive, send)


async def customer_of(house: House) -> str:
    """A customer with both fixture accounts linked, who can sign in; returns the API key."""
    created = await house.customers.create(EMAIL, plan="enterprise", password=SecretStr(PASSWORD))
    for platform in ("test", "jobs"):
        secret = NothingSecret.model_validate({"token": "t"}).to_json()
        await house.credentials.put(created.row.id, platform, "default", secret, Account(id=platform))
    return created.key.secret


async def main(folder: str, *options: str) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    environ = {
        "DATA_DIR": folder,
        "PUBLIC_URL": local_url(port),
        "MCP_LEGACY_SESSIONS": str("--sessions" in options).lower(),
    }
    settings = load_settings(environ, env_file=None)
    with patch.object(house_module, "load_catalog", lambda: Catalog(platforms())):
        async with open_house(settings, holder="server") as house:
            house.queue.start()
            Bench.changed = house.notices.tell
            prompts, resources = Prompts(PROMPTS, house.states), Resources([Shelf()])
            app = App(replace(house, prompts=prompts, resources=resources))
            served = Inject(app.asgi, await customer_of(house))
            config = uvicorn.Config(served, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1)
            origin = local_url(port)
            about = {"mcp": f"{origin}/mcp", "issuer": origin, "email": EMAIL, "password": PASSWORD}
            print(json.dumps(about), flush=True)  # noqa: T201
            async with app.run():
                await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
