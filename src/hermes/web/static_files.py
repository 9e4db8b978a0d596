"""The stylesheet and the icon, under names that hold a fingerprint of their content, so that browsers may keep them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hermes.errors import NotFound

_TYPES: Final = {"css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
_HEADERS: Final = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str


class StaticFiles:
    """Everything in `web/static`, read once."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._urls: dict[str, str] = {}
        for entry in files("hermes.web").joinpath("static").iterdir():
            stem, _, suffix = entry.name.rpartition(".")
            if suffix in _TYPES:
                content = entry.read_bytes()
                name = f"{stem}.{hashlib.sha256(content).hexdigest()[:16]}.{suffix}"
                self._files[name] = _File(content, _TYPES[suffix])
                self._urls[entry.name] = f"/static/{name}"

    def url(self, name: str) -> str:
        """The path under which `name` (e.g. `site.css`) is served.

        Raises:
            KeyError: there is no such file.
        """
        return self._urls[name]

    def routes(self) -> list[Route]:
        return [Route("/static/{name}", self._serve, methods=["GET"])]

    async def _serve(self, request: Request) -> Response:
        file = self._files.get(request.path_params["name"])
        if file is None:
            raise NotFound("There is no such file; reload the page that named it.")
        return Response(file.content, media_type=file.media_type, headers=_HEADERS)
