"""The way to mail servers: public hosts only, their three TLS ports only, the checked address and no other."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from hermes.errors import InvalidArguments, PlatformUnavailable
from hermes.net.guarded import Resolve, public_addresses, system_resolve

IMAPS: Final = 993
SUBMISSIONS: Final = 465
SUBMISSION: Final = 587
PORTS: Final = frozenset({IMAPS, SUBMISSIONS, SUBMISSION})
CONNECT_SECONDS: Final = 8.0
_MAX_ADDRESSES: Final = 4

Connect = Callable[[str, int], Awaitable[socket.socket]]
"""Address and port → a connected TCP socket. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A mail server: its name, for which its certificate must be, and its port."""

    host: str
    port: int


async def tcp_connect(address: str, port: int) -> socket.socket:
    """A connected socket in non-blocking mode.

    Raises:
        OSError: nobody answers there.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(made, (address, port))
    except BaseException:
        made.close()
        raise
    return made


class Network:
    """Connects to mail servers. Its parts are given from outside for tests; no setting changes them."""

    def __init__(
        self, *, resolve: Resolve = system_resolve, connect: Connect = tcp_connect, tls: ssl.SSLContext | None = None
    ) -> None:
        """Set how hosts are found and reached.

        Args:
            resolve: finds a host's addresses; what it finds must be public.
            connect: opens a connection to a checked address.
            tls: whom to trust; default: the system's authorities.
        """
        self._resolve = resolve
        self._connect = connect
        self.tls = tls or _default_tls()

    async def dial(self, endpoint: Endpoint, *, field: str, seconds: float = CONNECT_SECONDS) -> socket.socket:
        """Connect to one of a server's public addresses. TLS is the caller's next step.

        Args:
            endpoint: the server.
            field: the credential's field that names it, for errors.
            seconds: for all of it.

        Raises:
            InvalidArguments: the host or port is not allowed.
            PlatformUnavailable: it cannot be found or reached now; nothing was sent.
        """
        reason = "not found"
        try:
            async with asyncio.timeout(seconds):
                for address in (await self._addresses(endpoint, field))[:_MAX_ADDRESSES]:
                    try:
                        return await self._connect(address, endpoint.port)
                    except OSError as error:
                        reason = type(error).__name__
        except TimeoutError:
            reason = "time-out"
        raise PlatformUnavailable(
            f"The mail server {endpoint.host} could not be reached on port {endpoint.port}. Try again later, or check "
            f"{field}.",
            detail=reason,
            nothing_sent=True,
        )

    async def reachable(self, endpoint: Endpoint, *, seconds: float) -> bool:
        """Whether a public server answers there."""
        try:
            (await self.dial(endpoint, field="", seconds=seconds)).close()
        except (InvalidArguments, PlatformUnavailable):
            return False
        return True

    async def _addresses(self, endpoint: Endpoint, field: str) -> list[str]:
        if endpoint.port not in PORTS:
            raise _refused(field, "its port must be 993 for IMAP, 465 or 587 for SMTP")
        try:
            return list(await public_addresses(endpoint.host, endpoint.port, self._resolve))
        except OSError:
            return []
        except ValueError as error:
            problem = str(error)
        raise _refused(field, problem)


def _refused(field: str, problem: str) -> InvalidArguments:
    return InvalidArguments(
        f"`{field}` cannot be used: {problem}.", fields=[{"field": field, "problem": problem}], nothing_sent=True
    )


def _default_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
