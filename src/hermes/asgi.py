"""The ASGI application: every route of contract.md that this house has, behind one front door."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hermes.app import House
from hermes.audit import routes as audit_routes
from hermes.billing import routes as billing_routes
from hermes.connections import routes as connection_routes
from hermes.errors import Internal
from hermes.identity import routes as identity_routes
from hermes.identity.dependencies import Doors
from hermes.identity.invitation_routes import build_invitation_router
from hermes.identity.session_routes import build_session_router
from hermes.media import routes as media_routes
from hermes.media.limits import limit_of
from hermes.oauth import routes as oauth_routes
from hermes.oauth.customer_routes import build_assistants_router, build_clients_router
from hermes.observability.health import About, Health
from hermes.observability.logs import RequestLog
from hermes.settings import Settings
from hermes.storage.revisions import require_newest_schema
from hermes.transports import call_routes
from hermes.transports.approval_routes import build_approvals_router, build_rules_router
from hermes.transports.body_limit import BodyLimit
from hermes.transports.guard import Guard
from hermes.transports.mcp import McpTransport
from hermes.transports.openapi import Descriptions
from hermes.transports.problem_handlers import STORE_ERRORS, install_problem_handlers, store_away
from hermes.transports.problems import problem
from hermes.transports.rest import RestTransport
from hermes.transports.sse import SseTransport
from hermes.transports.sse_mailbox import Mailbox
from hermes.web.approvals import ApprovalPages
from hermes.web.base import WebBase, build_base
from hermes.web.choosing import ChoicePages
from hermes.web.connect import ConnectPages
from hermes.web.connections import ConnectionPages
from hermes.web.consent import ConsentPages
from hermes.web.error_pages import ErrorPages
from hermes.web.link_door import LinkDoor
from hermes.web.people_routes import people_routes
from hermes.web.vendor_sign_in import VendorSignInPages
from hermes.webhooks.inbound import WhatsAppWebhook

VERSION = version("squaremcp-hermes")

log = structlog.get_logger(__name__)


class App:
    """The application, and what must be told when the server is about to stop."""

    def __init__(self, house: House) -> None:
        settings = house.settings
        guard, metadata = Guard(settings), _resource_metadata(settings)
        sse_metadata = _resource_metadata(settings, "sse")
        self._long_calls = house.long_calls
        self._mcp = McpTransport(
            settings,
            house.gateway,
            house.authenticator,
            version=VERSION,
            resource_metadata=metadata,
            long_calls=house.long_calls,
            notices=house.notices,
            keyring=house.keyring,
            prompts=house.prompts,
            resources=house.resources,
        )
        mailbox = Mailbox(house.stores.redis)
        self._sse = SseTransport(guard, house.authenticator, self._mcp.runner, mailbox, resource_metadata=sse_metadata)
        rest = RestTransport(house.catalog, house.gateway, house.authenticator, resource_metadata=metadata)
        json_routes = _json_routes(house)
        descriptions = Descriptions(house.catalog, settings.public_url, VERSION, lambda: _describe(json_routes))
        webhook = WhatsAppWebhook(settings, house.inbound)
        json_routes.router.routes.extend(
            [*rest.routes(), *descriptions.routes(), *_health(house).routes(), *webhook.routes()]
        )
        web = build_base(settings, house.keyring, house.sessions.of_browser, house.callers.refresh)
        json_routes.router.routes.extend([*web.routes(), *_page_routes(house, web)])
        rooms = ErrorPages(BodyLimit(json_routes), web.pages)
        self.asgi: ASGIApp = RequestLog(FrontDoor([*self._mcp.routes(), *self._sse.routes()], rooms))

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Serve as long as this is entered."""
        async with self._mcp.run():
            try:
                yield
            finally:
                await self._sse.close()

    def end_streams(self) -> None:
        """Close streams that would stay open for as long as their clients like, and give long calls back."""
        self._sse.end_streams()
        self._mcp.end_streams()
        self._long_calls.stop()


class FrontDoor:
    """Sends the paths of MCP straight to their transports, everything else to the JSON routes."""

    def __init__(self, direct: list[BaseRoute], rest: ASGIApp) -> None:
        self._direct: Mapping[str, ASGIApp] = {route.path: route.app for route in direct if isinstance(route, Route)}
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        door = self._direct.get(scope["path"])
        if door is None:
            await self._rest(scope, receive, send)
        else:
            await _without_detail(door, scope, receive, send)


async def _without_detail(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what nobody expected with a problem document that says nothing about it."""
    began = False

    async def watched(message: Message) -> None:
        nonlocal began
        began = True
        await send(message)

    try:
        await app(scope, receive, watched)
    except Exception as error:
        log.error("request_failed", path=scope["path"], error=type(error).__name__, exc_info=error)
        if began:
            raise
        unexpected = Internal("Something went wrong inside the gateway. Try again shortly.")
        answer = store_away() if isinstance(error, STORE_ERRORS) else problem(unexpected)
        await answer(scope, receive, send)


def _json_routes(house: House) -> FastAPI:
    """The routes of the rooms: what customers and operators do besides calling tools."""
    doors = Doors(house.authenticator, house.callers)
    app = FastAPI(title="hermes", version=VERSION, docs_url=None, redoc_url=None, openapi_url=None)
    install_problem_handlers(app, resource_metadata=_resource_metadata(house.settings))
    caller, tool_caller, acting_for = doors.current_caller, doors.tool_caller, doors.acting_for
    routers = (
        identity_routes.build_router(doors, house.customers, house.api_keys),
        build_invitation_router(doors, house.people.sign_up),
        build_session_router(doors, house.sessions, house.csrf),
        connection_routes.build_router(house.connections, house.connection_checks, house.catalog, caller, acting_for),
        billing_routes.build_router(house.ledger, house.quotas, caller, acting_for),
        audit_routes.build_router(house.trail, caller, acting_for),
        call_routes.build_router(house.lookup, tool_caller, acting_for),
        build_approvals_router(house.approvals, tool_caller, doors.customer_only),
        build_rules_router(house.rules, tool_caller, doors.customer_only, acting_for),
        media_routes.build_router(house.media, limit_of, house.actions, tool_caller),
        oauth_routes.build_router(house.oauth.endpoints, house.oauth.metadata, house.settings.public_url),
        build_assistants_router(house.oauth.assistants, doors.customer_only, acting_for),
        build_clients_router(house.oauth.registered, doors.operator_only),
    )
    # `include_router` would build every route a second time, at the first request.
    app.router.routes.extend(route for router in routers for route in router.routes)
    return app


def _resource_metadata(settings: Settings, resource: str = "mcp") -> str:
    """Where a client that is refused learns which authorization server to ask (RFC 9728, 5.1)."""
    return f"{settings.public_url}/.well-known/oauth-protected-resource/{resource}"


def _page_routes(house: House, web: WebBase) -> list[Route]:
    catalog, connections = house.catalog, house.connections
    door = LinkDoor(web, house.connect_links, connections)
    connect = ConnectPages(web, catalog, connections, door, house.sign_ins, house.choosing)
    choose = ChoicePages(web, catalog, house.choosing)
    listed = ConnectionPages(web, catalog, connections, house.connection_checks)
    vendors = VendorSignInPages(web, catalog, door, house.sign_ins)
    consent = ConsentPages(web, catalog, connections, house.oauth.authorizations)
    people = people_routes(web, house.people, house.oauth.assistants, house.settings)
    approvals = ApprovalPages(web, catalog, house.approvals, house.rules, connections)
    pages = (listed, connect, choose, vendors, consent, approvals)
    return [*people, *(route for each in pages for route in each.routes())]


def _describe(app: FastAPI) -> dict[str, Any]:
    return get_openapi(title=app.title, version=app.version, routes=app.routes)


def _health(house: House) -> Health:
    origin = house.settings.public_url
    about = About(
        version=VERSION,
        tool_count=len(house.catalog.tools),
        transports=("streamable-http", "sse", "rest"),
        endpoints={"mcp": f"{origin}/mcp", "sse": f"{origin}/sse", "api": f"{origin}/api"},
    )

    async def redis() -> None:
        await house.stores.redis.ping()

    async def schema() -> None:
        await require_newest_schema(house.stores.database)

    checks = {"redis": redis, "database": house.stores.database.ping, "schema": schema}

    async def gauges() -> None:
        house.metrics.show_connections(await house.health_rows.counts(datetime.now(UTC)))

    return Health(about, checks, house.metrics, house.settings.mcp_api_key, gauges)
