"""The pages on which a person links their accounts: a form for each platform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hermes.billing.plans import plan_of
from hermes.connections.models import Connection
from hermes.connections.names import LABEL
from hermes.connections.second_step import Choosing
from hermes.connections.service import Connections
from hermes.connections.sign_in import SignIns
from hermes.errors import (
    Conflict,
    HermesError,
    InvalidArguments,
    NeedsReconnect,
    NotFound,
    PlatformRejected,
    PlatformUnavailable,
    RateLimited,
)
from hermes.platforms.base import DEFAULT_ACCOUNT
from hermes.platforms.catalog import AnyPlatform, Catalog
from hermes.web.base import WebBase
from hermes.web.choosing import after_linking, to_linked
from hermes.web.credential_form import FormField, credentials_from, form_fields, problems_of
from hermes.web.forms import to_login
from hermes.web.link_door import LinkDoor
from hermes.web.visitors import Person, Visitor

_SHOWN_WITH_THE_FORM: Final = (
    InvalidArguments,
    PlatformRejected,
    PlatformUnavailable,
    RateLimited,
    Conflict,
    NotFound,
)


class ConnectPages:
    """`/connect/{platform}`."""

    def __init__(
        self,
        base: WebBase,
        catalog: Catalog,
        connections: Connections,
        door: LinkDoor,
        sign_ins: SignIns,
        choosing: Choosing,
    ) -> None:
        self._base = base
        self._catalog = catalog
        self._connections = connections
        self._door = door
        self._sign_ins = sign_ins
        self._choosing = choosing
        self._fields: Mapping[str, list[FormField]] = {
            platform.id: form_fields(platform.credentials, platform.connect.choices) for platform in catalog
        }

    def routes(self) -> list[Route]:
        return [
            Route("/connect/{platform}", self._show, methods=["GET"]),
            Route("/connect/{platform}", self._take, methods=["POST"]),
            Route("/connect/{platform}/steps", self._look_again, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        platform = self._catalog.named(request.path_params["platform"])
        visitor = await self._base.visitors.of(request)
        if visitor.person is None:
            return to_login(request)
        link = await self._door.open(request, visitor, visitor.person, platform)
        if isinstance(link, Response):
            return link
        label = _label(request.query_params.get("account")) or (link.label if link is not None else None)
        done = request.query_params.get("connected")
        if done is not None:
            return await self._done(visitor, visitor.person, platform, done)
        given = {"account": label or DEFAULT_ACCOUNT, "link": request.query_params.get("link", "")}
        return await self._form(visitor, visitor.person, platform, given, {})

    async def _take(self, request: Request) -> Response:
        platform = self._catalog.named(request.path_params["platform"])
        visitor = await self._base.visitors.of(request)
        if visitor.person is None:
            return to_login(request)
        form = await self._base.forms.read(request, visitor, _purpose(platform))
        credentials = credentials_from(self._fields[platform.id], form)
        label = form.get("account", "").strip() or DEFAULT_ACCOUNT
        try:
            linked = await self._choosing.connect_pasted(visitor.person.caller, platform.id, credentials, label)
        except _SHOWN_WITH_THE_FORM as error:
            return await self._form(
                visitor, visitor.person, platform, form, self._problems(platform, error), error.status
            )
        return after_linking(linked)

    async def _look_again(self, request: Request) -> Response:
        platform = self._catalog.named(request.path_params["platform"])
        visitor = await self._base.visitors.of(request)
        if visitor.person is None:
            return to_login(request)
        form = await self._base.forms.read(request, visitor, _purpose(platform))
        label = form.get("account") or DEFAULT_ACCOUNT
        try:
            await self._connections.check_steps(visitor.person.caller, platform.id, label)
        except NeedsReconnect:
            return RedirectResponse(f"/connect/{platform.id}", 303)
        return to_linked(platform.id, label)

    async def _form(
        self,
        visitor: Visitor,
        person: Person,
        platform: AnyPlatform,
        given: Mapping[str, str],
        errors: Mapping[str, str],
        status: int = 200,
    ) -> Response:
        return self._base.pages.render(
            visitor,
            "connect.html.jinja",
            status=status,
            platform=platform,
            fields=self._fields[platform.id],
            given=given,
            errors=errors,
            default_account=DEFAULT_ACCOUNT,
            ways=self._sign_ins.ways(platform),
            accounts=await self._accounts(person, platform),
            in_plan=plan_of(person.caller.plan).includes(platform.id),
            purpose=_purpose(platform),
            here=f"/connect/{platform.id}",
        )

    async def _done(self, visitor: Visitor, person: Person, platform: AnyPlatform, label: str) -> Response:
        linked = [item for item in await self._accounts(person, platform) if item.label == label and item.usable]
        if not linked:
            return RedirectResponse(f"/connect/{platform.id}", 303)
        return self._base.pages.render(
            visitor,
            "connect_done.html.jinja",
            platform=platform,
            account=linked[0],
            purpose=_purpose(platform),
            here="/connect",
        )

    async def _accounts(self, person: Person, platform: AnyPlatform) -> list[Connection]:
        return [item for item in await self._connections.list(person.customer_id) if item.platform == platform.id]

    def _problems(self, platform: AnyPlatform, error: HermesError) -> dict[str, str]:
        return problems_of(error, platform.credentials, self._fields[platform.id])


def _purpose(platform: AnyPlatform) -> str:
    return f"connect:{platform.id}"


def _label(given: str | None) -> str | None:
    """A label that an address gives; what cannot be one is not shown to anybody."""
    return given if given is not None and LABEL.fullmatch(given) else None
