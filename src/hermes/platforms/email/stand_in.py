"""Mailboxes at the sandbox: whatever host an account names, its connections go to the stand-in's servers.

Only `--sandbox` puts this in place of the real way (`hermes.sandbox_mode`); no setting does.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any, Final

from hermes.errors import HermesError, PlatformUnavailable
from hermes.net.upstream import Upstream
from hermes.platforms.base import ApiContext
from hermes.platforms.email.api import EmailApi, Opener
from hermes.platforms.email.credentials import EmailCredentials
from hermes.platforms.email.network import Endpoint, Network, tcp_connect

_SECONDS: Final = 10.0


class SandboxNetwork(Network):
    """Connects to the stand-in at one origin, and trusts its certificate only."""

    def __init__(self, origin: str) -> None:
        super().__init__()
        self._origin = origin
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # The one certificate stands for every host that an account may name.
        self.tls.check_hostname = False
        self._ports: dict[str, Any] = {}

    async def dial(self, endpoint: Endpoint, *, field: str, seconds: float = 10.0) -> socket.socket:
        """Connect to the stand-in's server for this port. See `Network.dial`."""
        del field, seconds
        try:
            if not self._ports:
                await self._ask()
            return await tcp_connect("127.0.0.1", int(self._ports[str(endpoint.port)]))
        except (HermesError, OSError, ValueError, KeyError) as error:
            self._ports = {}
            reason = type(error).__name__
        raise PlatformUnavailable(
            "The sandbox's mail servers could not be reached. Is the sandbox running?", detail=reason, nothing_sent=True
        )

    async def _ask(self) -> None:
        upstream = Upstream()
        try:
            http = upstream.bind("Email", False, asyncio.get_running_loop().time() + _SECONDS)
            told = (await http.request("GET", f"{self._origin}/email/servers")).json()
        finally:
            await upstream.close()
        self.tls.load_verify_locations(cadata=told["certificate"])
        self._ports = told


class SandboxOpener:
    """In place of `Opener`: one for each sandbox that this process uses."""

    def __init__(self) -> None:
        self._openers: dict[str, Opener] = {}

    async def end_sessions(self) -> None:
        """Log out of every mailbox, as the stand-in's servers might have it: the next call logs in again."""
        openers, self._openers = self._openers, {}
        for opener in openers.values():
            await opener.pool.close()

    def __call__(self, context: ApiContext, credentials: EmailCredentials) -> EmailApi:
        origin = context.settings.environ["SANDBOX_ORIGIN"]
        opener = self._openers.get(origin)
        if opener is None:
            opener = self._openers[origin] = Opener(SandboxNetwork(origin))
        return opener(context, credentials)
