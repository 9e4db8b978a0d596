"""`POST GET DELETE /mcp`: Streamable HTTP for every version from 2025-03-26 to 2026-07-28."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from mcp.server.lowlevel import Server
from starlette.routing import BaseRoute, Route

from hermes.crypto import Keyring
from hermes.gateway.call import Gateway
from hermes.gateway.long_calls import LongCalls
from hermes.gateway.prompts import Prompts
from hermes.gateway.resources import Resources
from hermes.settings import Settings
from hermes.storage.notices import Notices
from hermes.transports.asgi import Authenticator
from hermes.transports.direct import DirectPath
from hermes.transports.exchange import Exchange, Runner
from hermes.transports.guard import Guard
from hermes.transports.legacy_sessions import SdkSessions
from hermes.transports.library import McpLibrary
from hermes.transports.mcp_front import McpFront
from hermes.transports.mcp_server import McpMethods, build_server, server_info
from hermes.transports.sealed_sessions import SealedSessions
from hermes.transports.subscriptions import Subscriptions
from hermes.transports.tasks import McpTasks
from hermes.transports.tool_list import ToolList

PATH = "/mcp"


class McpTransport:
    """Everything behind `/mcp`.

    Args:
        settings: hosts, origins, public URL, whether legacy clients get sessions.
        gateway: runs tools.
        authenticator: says who is calling.
        version: of hermes, shown to clients.
        resource_metadata: URL named in challenges (RFC 9728), where there is one.
        traced: whether a span is opened per message.
        long_calls: shown as tasks to clients that know the extension.
        keyring: seals the ids of legacy clients that open pages; without it they get none.
        notices: what subscriptions are told of; without them there are none.
        prompts, resources: what there is beside tools.
    """

    def __init__(
        self,
        settings: Settings,
        gateway: Gateway,
        authenticator: Authenticator,
        *,
        version: str,
        resource_metadata: str | None = None,
        traced: bool = False,
        long_calls: LongCalls | None = None,
        notices: Notices | None = None,
        keyring: Keyring | None = None,
        prompts: Prompts | None = None,
        resources: Resources | None = None,
    ) -> None:
        info = server_info(version)
        tasks = McpTasks(gateway, long_calls) if long_calls is not None else None
        resources = resources or Resources()
        library = McpLibrary(prompts or Prompts(), resources)
        self._subscriptions = (
            Subscriptions(
                notices,
                gateway.current,
                # What a caller could read after asking for more is nothing to be told of before.
                lambda caller, uri: resources.reaches(replace(caller, obtainable=None), uri),
                tasks,
            )
            if notices
            else None
        )
        methods = McpMethods(gateway, ToolList(server_info=info), tasks)
        self.server: Server[Any] = build_server(methods, version, traced=traced, tasks=tasks, library=library)
        if self._subscriptions is not None:
            self._subscriptions.register(self.server)
        kernel = Exchange(self.server)
        # With tracing the kernel does everything: it opens the spans.
        self.runner: Runner = kernel if traced else DirectPath(kernel, methods, info)
        self._sessions = SdkSessions(self.server) if settings.mcp_legacy_sessions else None
        self.front = McpFront(
            Guard(settings),
            authenticator,
            self.runner,
            catalog=gateway.catalog,
            sessions=self._sessions,
            sealed=SealedSessions(keyring) if keyring is not None else None,
            needs_status=methods.lacks_scope,
            resource_metadata=resource_metadata,
        )

    def routes(self) -> list[BaseRoute]:
        return [Route(PATH, self.front)]

    def end_streams(self) -> None:
        """End every subscription, so that a server which stops need not wait for its clients to go."""
        if self._subscriptions is not None:
            self._subscriptions.end()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Serve as long as this is entered (only legacy sessions need it)."""
        if self._sessions is None:
            yield
            return
        async with self._sessions.run():
            yield
