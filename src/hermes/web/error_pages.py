"""What is a problem document for programs is a page for people.

Every error of every room reaches the front door as a problem document (RFC 9457). For a browser that opens a page, or
sends one of our forms, it is shown as a page with the same status and headers.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hermes.web.pages import Pages

_PROBLEM: Final = "application/problem+json"
_PROGRAMS: Final = ("/api/", "/oauth/", "/.well-known/", "/webhook/")
"""Below these paths everything is JSON, whoever asks."""
_PEOPLE: Final = ("/oauth/authorize",)

_TITLES: Final = {
    400: "That request can’t be read",
    401: "Please sign in",
    403: "You can’t do that here",
    404: "There is nothing here",
    405: "That doesn’t work here",
    413: "That is too long",
    429: "Too many tries",
}


class ErrorPages:
    """ASGI middleware around everything that pages and JSON routes share."""

    def __init__(self, app: ASGIApp, pages: Pages) -> None:
        self._app = app
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _for_a_person(scope):
            await self._app(scope, receive, send)
            return
        held: Message | None = None
        body = bytearray()

        async def shown(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _is_problem(message):
                held = message
            elif held is None:
                await send(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    await self._page(held, bytes(body))(scope, receive, send)

        await self._app(scope, receive, shown)

    def _page(self, start: Message, body: bytes) -> ASGIApp:
        problem: dict[str, Any] = orjson.loads(body)
        status = start["status"]
        page = self._pages.render(
            None,
            "error.html.jinja",
            status=status,
            title=_TITLES.get(status, "Something went wrong"),
            # The JSON routes' own words for an unknown address are for programs.
            message="Check the address, or go back to where you came from." if status == 404 else problem["message"],
        )
        for name, value in MutableHeaders(raw=list(start["headers"])).items():
            if name.lower() not in ("content-type", "content-length"):
                page.headers.setdefault(name, value)
        return page


def _for_a_person(scope: Scope) -> bool:
    path: str = scope["path"]
    if path.startswith(_PROGRAMS) and path not in _PEOPLE:
        return False
    return "text/html" in Headers(scope=scope).get("accept", "")


def _is_problem(start: Message) -> bool:
    return Headers(raw=list(start.get("headers", []))).get("content-type", "").startswith(_PROBLEM)
