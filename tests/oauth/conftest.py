"""Two houses on one store, people who agree, and clients whose documents are on a real https server."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from aiohttp import web

from harness.tls import Authority
from hermes.app import House, build_house
from hermes.asgi import App
from hermes.audit.trail import new_call_id
from hermes.identity.caller import Grants
from hermes.identity.service import NewCustomer
from hermes.net.guarded import GuardedClient
from hermes.platforms.catalog import load_catalog
from hermes.settings import Settings, load_settings
from hermes.storage.redis import Redis, connect_redis
from hermes.storage.sql import Database
from hermes.storage.stores import Stores

ISSUER = "https://gateway.example"
RESOURCE = f"{ISSUER}/mcp"
CALLBACK = "https://client.example/callback"
DOCUMENT_HOST = "client.example"
OPERATOR_KEY = "operator-key-of-the-tests"


@dataclass
class Pkce:
    """A verifier and its challenge."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def challenge(self) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Documents:
    """An https server on this machine under a public name, which the houses' resolver and CA know."""

    guarded: GuardedClient
    port: int
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    hits: dict[str, int] = field(default_factory=dict)

    def url(self, path: str) -> str:
        return f"https://{DOCUMENT_HOST}:{self.port}{path}"

    def say(self, path: str, body: Any, *, status: int = 200, **headers: str) -> str:
        """Answer at this path from now on; returns its URL."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        self.answers[path] = (status, given, content)
        return self.url(path)

    def client(self, path: str = "/client.json", **members: Any) -> str:
        """Serve a client's document; returns its id."""
        document = {"client_id": self.url(path), "client_name": "Example", "redirect_uris": [CALLBACK], **members}
        return self.say(path, {name: value for name, value in document.items() if value is not None})

    async def serve(self, request: web.Request) -> web.Response:
        self.hits[request.path] = self.hits.get(request.path, 0) + 1
        status, headers, body = self.answers.get(request.path, (404, {}, b""))
        return web.Response(status=status, headers=headers, body=body)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.make()


@pytest.fixture
async def documents(authority: Authority, tmp_path: Path) -> AsyncIterator[Documents]:
    async def resolve(host: str, port: int) -> Sequence[str]:
        if host != DOCUMENT_HOST:
            raise OSError(host)
        return ["127.0.0.1"]

    served = Documents(GuardedClient(), 0)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue(tmp_path, DOCUMENT_HOST))
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    served.port = runner.addresses[0][1]
    served.guarded = GuardedClient(resolve=resolve, trusted=[(DOCUMENT_HOST, served.port)], tls=authority.trusting())
    yield served
    await runner.cleanup()


@dataclass
class Replica:
    """One process of the gateway."""

    house: House
    http: httpx2.AsyncClient

    async def register(self, **members: Any) -> dict[str, Any]:
        """Register a client; public unless said otherwise."""
        asked = {"client_name": "Example", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"} | members
        answer = await self.http.post("/oauth/register", json=asked)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def token(self, auth: tuple[str, str] | None = None, **form: str | None) -> httpx2.Response:
        data = {name: value for name, value in form.items() if value is not None}
        return await self.http.post("/oauth/token", data=data, auth=auth)

    async def agree(
        self, customer_id: str, client_id: str, pkce: Pkce, *grants: str, **parameters: str
    ) -> dict[str, str]:
        """What the browser brings back to the client when the customer agrees to all or to some of what is asked."""
        authorizations = self.house.oauth.authorizations
        request = await authorizations.begin(asking(client_id, pkce, **parameters).items(), address="192.0.2.1")
        given = Grants.parse(grants) if grants else request.grants
        return answer_of(await authorizations.approve(customer_id, request, given))

    async def sign_in(self, customer_id: str, client_id: str, *grants: str, **parameters: str) -> dict[str, Any]:
        """The tokens of a whole sign-in of a public client."""
        pkce = Pkce()
        answer = await self.agree(customer_id, client_id, pkce, *grants, **parameters)
        given = await self.token(
            grant_type="authorization_code", client_id=client_id, code=answer["code"], code_verifier=pkce.verifier
        )
        assert given.status_code == 200, given.text
        return dict(given.json())

    async def refresh(self, client_id: str, token: str, **form: str) -> httpx2.Response:
        return await self.token(grant_type="refresh_token", client_id=client_id, refresh_token=token, **form)

    async def me(self, token: str) -> httpx2.Response:
        """A tool's REST route, which any assistant may ask for."""
        return await self.http.get(f"/api/calls/{new_call_id()}", headers={"authorization": f"Bearer {token}"})

    async def works(self, token: str) -> bool:
        """Whether the token stands for somebody."""
        status = (await self.me(token)).status_code
        assert status in (401, 404), status
        return status == 404


def asking(client_id: str, pkce: Pkce, **parameters: str) -> dict[str, str]:
    """The parameters of an authorization request."""
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
        "state": "the client's state",
        "resource": RESOURCE,
    }
    return {name: value for name, value in (asked | parameters).items() if value}


def answer_of(location: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(location).query))


@dataclass
class Gateway:
    """The stores, and processes over them."""

    stack: AsyncExitStack
    settings: Settings
    database_url: str
    redis_url: str
    documents: Documents

    async def replica(self) -> Replica:
        """Another process: the same stores, empty memory."""
        database, redis = Database(self.database_url), connect_redis(self.redis_url)
        self.stack.push_async_callback(database.close)
        self.stack.push_async_callback(redis.aclose)
        stores = Stores(database, redis, self.redis_url)
        house = build_house(self.settings, stores, load_catalog(), documents=self.documents.guarded)
        self.stack.push_async_callback(house.close)
        app = App(house)
        await self.stack.enter_async_context(app.run())
        transport = httpx2.ASGITransport(app=app.asgi, client=("192.0.2.7", 4711))
        http = await self.stack.enter_async_context(httpx2.AsyncClient(transport=transport, base_url=ISSUER))
        return Replica(house, http)


@pytest.fixture
async def gateway(
    database: Database, redis: Redis, valkey: Any, documents: Documents, tmp_path: Path
) -> AsyncIterator[Gateway]:
    settings = load_settings(
        {
            "PUBLIC_URL": ISSUER,
            "MCP_API_KEY": OPERATOR_KEY,
            "CREDENTIAL_ENCRYPTION_KEY": "11" * 32,
            "JWT_SECRET": "a secret that only the tests of this room know",
            "DATA_DIR": str(tmp_path),
        },
        env_file=None,
    )
    async with AsyncExitStack() as stack:
        url = database.url.render_as_string(hide_password=False)
        yield Gateway(stack, settings, url, valkey.url, documents)


@pytest.fixture
async def one(gateway: Gateway) -> Replica:
    return await gateway.replica()


@pytest.fixture
async def other(gateway: Gateway) -> Replica:
    return await gateway.replica()


@pytest.fixture
async def ada(one: Replica) -> NewCustomer:
    return await one.house.customers.create("ada@example.com", "starter")


@pytest.fixture
async def bob(one: Replica) -> NewCustomer:
    return await one.house.customers.create("bob@example.com")


OPERATOR: Mapping[str, str] = {"x-api-key": OPERATOR_KEY}
