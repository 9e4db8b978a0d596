"""The page on which a person chooses one of several accounts, and where linking an account leads to."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hermes.connections.models import Connection
from hermes.connections.second_step import Choosing, ToChoose, nothing_to_choose
from hermes.connections.sign_in import SignInRefused
from hermes.errors import HermesError
from hermes.platforms.base import DEFAULT_ACCOUNT
from hermes.platforms.catalog import AnyPlatform, Catalog
from hermes.web.base import WebBase
from hermes.web.forms import to_login
from hermes.web.visitors import Person, Visitor


class ChoicePages:
    """`/connect/{platform}/choose`."""

    def __init__(self, base: WebBase, catalog: Catalog, choosing: Choosing) -> None:
        self._base = base
        self._catalog = catalog
        self._choosing = choosing

    def routes(self) -> list[Route]:
        return [
            Route("/connect/{platform}/choose", self._show, methods=["GET"]),
            Route("/connect/{platform}/choose", self._take, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        platform = self._catalog.named(request.path_params["platform"])
        visitor = await self._base.visitors.of(request)
        if visitor.person is None:
            return to_login(request)
        label = request.query_params.get("account") or DEFAULT_ACCOUNT
        return await self._page(visitor, visitor.person, platform, label, None)

    async def _take(self, request: Request) -> Response:
        platform = self._catalog.named(request.path_params["platform"])
        visitor = await self._base.visitors.of(request)
        if visitor.person is None:
            return to_login(request)
        form = await self._base.forms.read(request, visitor, _purpose(platform))
        label = form.get("account") or DEFAULT_ACCOUNT
        try:
            linked = await self._choosing.choose(visitor.person.caller, platform.id, label, form.get("choice", ""))
        except HermesError as error:
            return await self._page(visitor, visitor.person, platform, label, error)
        return after_linking(linked)

    async def _page(
        self, visitor: Visitor, person: Person, platform: AnyPlatform, label: str, error: HermesError | None
    ) -> Response:
        """What can be chosen, as long as there is something, and what was wrong with what was chosen."""
        choices = await self._choosing.choices(person.caller, platform.id, label)
        if not choices:
            return not_linked(self._base, visitor, platform, error or nothing_to_choose())
        return self._base.pages.render(
            visitor,
            "connect_choose.html.jinja",
            status=200 if error is None else error.status,
            platform=platform,
            choices=choices,
            label=label,
            problem=None if error is None else error.message,
            purpose=_purpose(platform),
        )


def after_linking(linked: Connection | ToChoose) -> Response:
    """To the page that says what was linked, or on which the person has to choose."""
    if isinstance(linked, ToChoose):
        return RedirectResponse(f"/connect/{linked.platform}/choose?{urlencode({'account': linked.label})}", 303)
    return to_linked(linked.platform, linked.label)


def to_linked(platform: str, label: str) -> Response:
    """To the page that says what was linked."""
    return RedirectResponse(f"/connect/{platform}?{urlencode({'connected': label})}", 303)


def not_linked(base: WebBase, visitor: Visitor, platform: AnyPlatform, error: HermesError) -> Response:
    """The page that says why nothing was linked, and leads back to the beginning."""
    said_no = isinstance(error, SignInRefused) and error.said_no
    return base.pages.render(
        visitor,
        "connect_not_done.html.jinja",
        status=200 if said_no else error.status,
        platform=platform,
        message=error.message,
        here=f"/connect/{platform.id}",
    )


def _purpose(platform: AnyPlatform) -> str:
    return f"choose:{platform.id}"
