"""A toy house for the transports' tests: a small catalogue, a gateway that runs it, two customers, real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Query
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic import BaseModel, SecretStr
from pydantic import ValidationError as PydanticError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import BaseRoute

from harness.serving import serving
from hermes import errors
from hermes.crypto import Keyring
from hermes.errors import HermesError, InvalidArguments, NotAuthenticated, Suspended, UnknownTool
from hermes.gateway.asking import RequestStates
from hermes.gateway.call import Gateway
from hermes.gateway.grants import require_grant, shows
from hermes.gateway.results import CallOptions, CallResult, ToolView
from hermes.identity.caller import Caller, Grants, Via
from hermes.observability.logs import RequestLog
from hermes.platforms.base import Credentials, Effect, PasteToken, Platform
from hermes.platforms.catalog import Catalog
from hermes.settings import Settings
from hermes.storage.notices import Notices
from hermes.storage.redis import Redis
from hermes.transports.exchange import Exchange
from hermes.transports.guard import Guard
from hermes.transports.mcp import McpTransport
from hermes.transports.mcp_server import McpMethods, build_server
from hermes.transports.problem_handlers import install_problem_handlers
from hermes.transports.rest import RestTransport
from hermes.transports.sse import SseTransport
from hermes.transports.sse_mailbox import Mailbox
from hermes.transports.tool_list import ToolList

ALICE, BOB, SUSPENDED, ASSISTANT = "key-alice", "key-bob", "key-suspended", "sq_at_assistant"
KEYRING = Keyring(b"k" * 32)
METADATA = "http://127.0.0.1:3456/.well-known/oauth-protected-resource/mcp"


class ToyCredentials(Credentials):
    token: SecretStr


class Echo(BaseModel):
    said: str
    times: int | None = None
    tags: list[str] | None = None


def toy_catalog() -> Catalog:
    toy: Platform[Any, Any] = Platform(
        "toy", title="Toy", credentials=ToyCredentials, connect=PasteToken(help_url="", steps=()), open=lambda *_: None
    )

    @toy.tool(Effect.READ, rest="GET /me")
    async def get_me(api: Any) -> Echo:
        """Say who I am."""
        return Echo(said="me")

    @toy.tool(Effect.READ, rest="GET /echo")
    async def get_echo(api: Any, text: str, times: int = 1, tags: list[str] | None = None) -> Echo:
        """Give back what was asked for."""
        return Echo(said=text, times=times, tags=tags)

    @toy.tool(Effect.SEND, rest="POST /message")
    async def send_message(api: Any, text: str) -> Echo:
        """Send a text.

        Source: none."""
        return Echo(said=text)

    @toy.tool(Effect.UPDATE, rest="PUT /message")
    async def edit_message(api: Any, text: str) -> Echo:
        """Change a text."""
        return Echo(said=text)

    return Catalog([toy])


async def _as_they_were(caller: Caller) -> Caller:
    return caller


class ToyGateway(Gateway):
    """Runs the toy tools without anything behind them; `on` replaces one by name."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._states = RequestStates(KEYRING)
        self.calls: list[tuple[Caller, str, dict[str, Any], CallOptions]] = []
        self.hidden: set[str] = set()
        self.again: Callable[[Caller], Awaitable[Caller]] = _as_they_were
        self.on: dict[str, Callable[[dict[str, Any], CallOptions], Awaitable[dict[str, Any]]]] = {}

    async def tools(self, caller: Caller) -> list[ToolView]:
        return [
            ToolView(tool=tool, input_schema=tool.input_schema)
            for tool in self.catalog.tools.values()
            if tool.name not in self.hidden and shows(caller, tool)
        ]

    async def current(self, caller: Caller) -> Caller:
        return await self.again(caller)

    async def call(self, caller: Caller, name: str, arguments: Mapping[str, Any], options: CallOptions) -> CallResult:
        tool = self.catalog.tools.get(name)
        if tool is None or name in self.hidden:
            raise UnknownTool(f"There is no tool {name!r}.")
        require_grant(caller, tool)
        self.calls.append((caller, name, dict(arguments), options))
        if name in self.on:
            return CallResult(call_id="call-1", structured=await self.on[name](dict(arguments), options))
        try:
            checked = tool.validate_query(arguments) if options.query else tool.validate(arguments)
        except PydanticError as error:
            fields = [{"field": str(item["loc"][0]), "problem": item["msg"]} for item in error.errors()]
            raise InvalidArguments("Some arguments do not fit.", fields=fields) from None
        result = await tool.function(None, **{name: getattr(checked, name) for name in type(checked).model_fields})
        return CallResult(call_id="call-1", structured=result.model_dump(mode="json", exclude_none=True))


def raising(error: HermesError) -> Callable[[dict[str, Any], CallOptions], Awaitable[dict[str, Any]]]:
    async def run(_arguments: dict[str, Any], _options: CallOptions) -> dict[str, Any]:
        raise error

    return run


class ToyAuthenticator:
    """Two customers and a suspended one, by key; `revoked` keys are unknown from then on. ASSISTANT is an access token
    of Alice's for reading, whose client could ask for `toy:write` too."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()
        self.suspended: set[str] = {SUSPENDED}
        self.plans: dict[str, str] = {}

    async def authenticate(self, headers: Headers, surface: str = "mcp", method: str | None = None) -> Caller:
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if key in self.suspended:
            raise Suspended("This customer is suspended.")
        if key not in (ALICE, BOB, ASSISTANT) or key in self.revoked:
            raise NotAuthenticated("Say who you are: send an API key.")
        if key == ASSISTANT:
            grants, obtainable = Grants.parse(["toy:read"]), Grants.parse(["toy:read", "toy:write"])
            return Caller("customer", "alice", Via.OAUTH, "grant-1", grants, "growth", obtainable=obtainable)
        name = key.removeprefix("key-")
        plan = self.plans.get(name, "growth")
        return Caller("customer", name, Via.API_KEY, f"id-{name}", Grants.everything(), plan)

    async def again(self, caller: Caller) -> Caller:
        key = ASSISTANT if caller.via is Via.OAUTH else f"key-{caller.customer_id}"
        return await self.authenticate(Headers({"x-api-key": key}))


class House:
    """The toy parts, and ways to open and reach them."""

    def __init__(self) -> None:
        self.catalog = toy_catalog()
        self.gateway = ToyGateway(self.catalog)
        self.authenticator = ToyAuthenticator()
        self.gateway.again = self.authenticator.again
        self.sse: list[SseTransport] = []
        self.replicas: list[McpTransport] = []
        self.stack = AsyncExitStack()

    async def __aenter__(self) -> House:
        return self

    async def __aexit__(self, *exc: Any) -> None:
        for transport in self.sse:
            transport.end_streams()
        for replica in self.replicas:
            replica.end_streams()
        await self.stack.__aexit__(*exc)

    def mcp(self, **settings: Any) -> McpTransport:
        return McpTransport(
            Settings(**settings),
            self.gateway,
            self.authenticator,
            version="1.2.3",
            resource_metadata=METADATA,
            keyring=KEYRING,
        )

    async def open_mcp(self, **settings: Any) -> str:
        transport = self.mcp(**settings)
        return await self.open(transport.routes(), transport.run)

    async def open_replica(self, redis: Redis) -> str:
        """Serve /mcp with subscriptions, as one more replica over this Redis."""
        notices = Notices(redis, quiet=0.5)
        self.stack.push_async_callback(notices.close)
        transport = McpTransport(Settings(), self.gateway, self.authenticator, version="1.2.3", notices=notices)
        self.replicas.append(transport)
        return await self.open(transport.routes(), transport.run)

    async def open_sse(self, redis: Redis) -> str:
        """Serve /sse and /messages as one more replica over this Redis."""
        methods = McpMethods(self.gateway, ToolList())
        runner = Exchange(build_server(methods, "1.2.3"))
        transport = SseTransport(
            Guard(Settings()), self.authenticator, runner, Mailbox(redis), resource_metadata=METADATA
        )

        @asynccontextmanager
        async def run() -> AsyncIterator[None]:
            yield
            await transport.close()

        self.sse.append(transport)
        return await self.open(transport.routes(), run)

    async def open(self, routes: list[BaseRoute], run: Callable[[], Any] | None = None) -> str:
        """Serve routes; gives the base URL."""
        app = Starlette(routes=routes, lifespan=(lambda _app: run()) if run else None)
        return await self.stack.enter_async_context(serving(RequestLog(app)))

    async def http(self, base: str, key: str | None = ALICE) -> httpx2.AsyncClient:
        headers = {"x-api-key": key} if key else {}
        return await self.stack.enter_async_context(httpx2.AsyncClient(base_url=base, headers=headers, timeout=20))

    async def client(self, base: str, mode: str, key: str = ALICE) -> Client:
        http = await self.http(base, key)
        return await self.stack.enter_async_context(
            Client(streamable_http_client(f"{base}/mcp", http_client=http), mode=mode)
        )


@pytest.fixture
def house() -> House:
    """To be entered by the test itself: the clients' cancel scopes belong to its task."""
    return House()


@pytest.fixture
def fails() -> Callable[[HermesError], Callable[[dict[str, Any], CallOptions], Awaitable[dict[str, Any]]]]:
    return raising


@pytest.fixture
def toy_app(house: House) -> Any:
    """The front of /mcp without a server around it."""
    return RequestLog(Starlette(routes=house.mcp().routes()))


@pytest.fixture
async def direct(toy_app: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that talks to /mcp in-process, as Alice."""
    transport = httpx2.ASGITransport(app=toy_app)
    base, headers = "http://127.0.0.1:3456", {"x-api-key": ALICE}
    async with httpx2.AsyncClient(transport=transport, base_url=base, headers=headers) as client:
        yield client


class Body(BaseModel):
    email: str


@pytest.fixture
async def rest(house: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """The application with the tools' routes and two of another room's, called in-process as Alice."""
    app = FastAPI(openapi_url=None)
    install_problem_handlers(app, resource_metadata=METADATA)

    @app.post("/api/other")
    async def other(body: Body, limit: int = Query(5)) -> Body:
        return body

    @app.get("/api/broken")
    async def broken() -> None:
        raise RuntimeError("a secret detail")

    @app.get("/api/refused")
    async def refused() -> None:
        raise errors.QuotaExceeded("No calls are left this month.", retry_after=59.2, limit=100)

    app.router.routes[:0] = RestTransport(
        house.catalog, house.gateway, house.authenticator, resource_metadata=METADATA
    ).routes()
    transport = httpx2.ASGITransport(app=RequestLog(app), raise_app_exceptions=False)
    headers = {"x-api-key": "key-alice"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://h", headers=headers) as client:
        yield client
