"""Linking an account by signing in at its vendor: the way there, back, and the page on which one of several is chosen.

The browser comes back to addresses below `/api/connect` because vendors have those registered; what it gets is pages.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hermes.connections.models import Connection
from hermes.connections.sign_in import SignInRefused, SignIns, ToChoose, nothing_to_choose
from hermes.errors import HermesError, NotFound
from hermes.platforms.base import DEFAULT_ACCOUNT
from hermes.platforms.catalog import AnyPlatform, Catalog
from hermes.web.base import WebBase
from hermes.web.forms import to_login
from hermes.web.link_door import LinkDoor
from hermes.web.visitors import Visitor

_TIKTOK: Final = "tiktok"


class VendorSignInPages:
    """`/api/connect/{platform}/start` and `/callback`, TikTok's own addresses, and `/connect/{platform}/choose`."""

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
            Route("/connect/{platform}/choose", self._show, methods=["GET"]),
            Route("/connect/{platform}/choose", self._take, methods=["POST"]),
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
            return self._problem(visitor, platform, error)
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
            return self._problem(visitor, platform, error)
        if isinstance(linked, ToChoose):
            return RedirectResponse(f"/connect/{platform.id}/choose?{urlencode({'account': linked.label})}", 303)
        return _connected(linked)

    async def _show(self, request: Request) -> Response:
        platform = self._platform(request)
        visitor = await self._base.visitors.of(request)
        if visitor.person is None:
            return to_login(request)
        label = request.query_params.get("account") or DEFAULT_ACCOUNT
        choices = await self._sign_ins.choices(visitor.person.caller, platform.id, label)
        if not choices:
            return self._problem(visitor, platform, nothing_to_choose())
        return self._base.pages.render(
            visitor,
            "connect_choose.html.jinja",
            platform=platform,
            choices=choices,
            label=label,
            purpose=_purpose(platform),
        )

    async def _take(self, request: Request) -> Response:
        platform = self._platform(request)
        visitor = await self._base.visitors.of(request)
        if visitor.person is None:
            return to_login(request)
        form = await self._base.forms.read(request, visitor, _purpose(platform))
        label = form.get("account") or DEFAULT_ACCOUNT
        try:
            linked = await self._sign_ins.choose(visitor.person.caller, platform.id, label, form.get("choice", ""))
        except HermesError as error:
            return self._problem(visitor, platform, error)
        return _connected(linked)

    def _problem(self, visitor: Visitor, platform: AnyPlatform, error: HermesError) -> Response:
        said_no = isinstance(error, SignInRefused) and error.said_no
        return self._base.pages.render(
            visitor,
            "connect_not_done.html.jinja",
            status=200 if said_no else error.status,
            platform=platform,
            message=error.message,
            here=f"/connect/{platform.id}",
        )

    def _platform(self, request: Request) -> AnyPlatform:
        platform = self._catalog.platforms.get(request.path_params.get("platform", _TIKTOK))
        if platform is None or not platform.oauth:
            raise NotFound("No platform's accounts are linked here by signing in.")
        return platform


def _connected(connection: Connection) -> Response:
    return RedirectResponse(f"/connect/{connection.platform}?{urlencode({'connected': connection.label})}", 303)


def _purpose(platform: AnyPlatform) -> str:
    return f"choose:{platform.id}"
