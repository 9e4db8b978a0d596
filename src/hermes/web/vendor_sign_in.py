"""Linking an account by signing in at its vendor: the way there, and back.

The browser comes back to addresses below `/api/connect` because vendors have those registered; what it gets is pages.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hermes.connections.sign_in import SignIns
from hermes.errors import HermesError, NotFound
from hermes.platforms.base import DEFAULT_ACCOUNT
from hermes.platforms.catalog import AnyPlatform, Catalog
from hermes.web.base import WebBase
from hermes.web.choosing import after_linking, not_linked
from hermes.web.forms import to_login
from hermes.web.link_door import LinkDoor

_TIKTOK: Final = "tiktok"


class VendorSignInPages:
    """`/api/connect/{platform}/start` and `/callback`, and TikTok's own addresses."""

    def __init__(self, base: WebBase, catalog: Catalog, door: LinkDoor, sign_ins: SignIns) -> None:
        self._base = base
        self._catalog = catalog
        self._door = door
        self._sign_ins = sign_ins

    def routes(self) -> list[Route]:
        return [
            Route("/api/connect/{platform}/start", self._start, methods=["GET"]),
            Route("/api/connect/{platform}/callback", self._back, methods=["GET"]),
            Route("/auth/tiktok/start", self._start, methods=["GET"]),
            Route("/auth/tiktok/callback", self._back, methods=["GET"]),
        ]

    async def _start(self, request: Request) -> Response:
        platform = self._platform(request)
        visitor = await self._base.visitors.of(request)
        if visitor.person is None:
            return to_login(request)
        link = await self._door.open(request, visitor, visitor.person, platform)
        if isinstance(link, Response):
            return link
        provider, label = request.query_params.get("provider"), request.query_params.get("account")
        label = label or (link.label if link is not None else None) or DEFAULT_ACCOUNT
        try:
            location = await self._sign_ins.begin(
                visitor.person.caller, platform.id, provider, label or DEFAULT_ACCOUNT
            )
        except HermesError as error:
            return not_linked(self._base, visitor, platform, error)
        return RedirectResponse(location, 303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})

    async def _back(self, request: Request) -> Response:
        platform = self._platform(request)
        visitor = await self._base.visitors.of(request)
        if visitor.person is None:
            # What the vendor sent counts only in the session that asked for it, so it does not go through the login.
            return RedirectResponse(f"/login?{urlencode({'return_to': f'/connect/{platform.id}'})}", 303)
        try:
            linked = await self._sign_ins.finish(visitor.person.caller, platform.id, request.query_params)
        except HermesError as error:
            return not_linked(self._base, visitor, platform, error)
        return after_linking(linked)

    def _platform(self, request: Request) -> AnyPlatform:
        platform = self._catalog.platforms.get(request.path_params.get("platform", _TIKTOK))
        if platform is None or not platform.oauth:
            raise NotFound("No platform's accounts are linked here by signing in.")
        return platform
