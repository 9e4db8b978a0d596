"""Who may reach the sandbox: this machine, and pages that the sandbox itself served."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


class LoopbackOnly:
    """Refuses any client that is not on this machine, any Host that is no loopback name, and anything proxied.

    The Host check keeps a web page elsewhere from reaching the sandbox by a name that it rebinds to 127.0.0.1.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _from_here(scope):
            refusal = PlainTextResponse("The sandbox answers this machine only.\n", status_code=403)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def same_origin(request: Request) -> bool:
    """True unless a browser says that another site's page sent the request."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or origin == f"{request.url.scheme}://{request.headers.get('host')}"


def _from_here(scope: Scope) -> bool:
    client = scope.get("client")
    if client is None or not _is_loopback_address(client[0]):
        return False
    headers = Headers(scope=scope)
    if any(name in headers for name in FORWARDED):
        return False
    return _is_loopback_host(headers.get("host", ""))


def _is_loopback_address(address: str) -> bool:
    if address == "127.0.0.1":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_loopback_host(host: str) -> bool:
    if host.startswith("127.0.0.1:"):
        return host[10:].isdigit()
    try:
        return urlsplit(f"//{host}").hostname in LOOPBACK_NAMES
    except ValueError:
        return False
