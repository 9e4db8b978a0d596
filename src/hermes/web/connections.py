"""The page that lists a person's connections, and what they can do with each there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hermes.billing.plans import plan_of
from hermes.connections.checks import ConnectionChecks
from hermes.connections.models import Connection
from hermes.connections.service import Connections
from hermes.errors import RateLimited
from hermes.platforms.base import DEFAULT_ACCOUNT
from hermes.platforms.catalog import AnyPlatform, Catalog
from hermes.web.base import WebBase
from hermes.web.forms import to_login
from hermes.web.visitors import Person, Visitor

HOME: Final = "/connect"
PURPOSE: Final = "connections"
"""Of every form here."""
_NOTICES: Final = {
    "default": ("success", "Assistants use that account from now on when they name none."),
    "works": ("success", "That account works."),
    "ended": ("warning", "That account no longer works. Connect it again."),
    "trouble": ("warning", "It could not be found out whether that account works. It stays as it is."),
    "often": ("warning", "You have checked many times. Wait a minute before the next."),
}

_Handler = Callable[[Visitor, Person, AnyPlatform, str], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class AccountState:
    """A linked account as the page shows it, with what it lacks in words."""

    account: Connection
    missing: Sequence[str]


@dataclass(frozen=True, slots=True)
class PlatformState:
    """A platform as the page shows it."""

    id: str
    title: str
    in_plan: bool
    accounts: Sequence[AccountState]

    @property
    def next_label(self) -> str:
        """A label for one more account."""
        taken = {item.account.label for item in self.accounts}
        return next(label for number in count(2) if (label := f"account-{number}") not in taken)


class ConnectionPages:
    """`/connect`, and below `/connect/{platform}` what its forms do."""

    def __init__(self, base: WebBase, catalog: Catalog, connections: Connections, checks: ConnectionChecks) -> None:
        self._base = base
        self._catalog = catalog
        self._connections = connections
        self._checks = checks

    def routes(self) -> list[Route]:
        return [
            Route(HOME, self._overview, methods=["GET"]),
            self._sent("default", self._make_default),
            self._sent("check", self._check),
            self._sent("disconnect", self._disconnect),
        ]

    async def _overview(self, request: Request) -> Response:
        visitor = await self._base.visitors.of(request)
        if visitor.person is None:
            return to_login(request)
        return self._base.pages.render(
            visitor,
            "connect_overview.html.jinja",
            platforms=await self._platforms(visitor.person),
            default_account=DEFAULT_ACCOUNT,
            notice=_NOTICES.get(request.query_params.get("done", "")),
            purpose=PURPOSE,
            here=HOME,
        )

    async def _platforms(self, person: Person) -> list[PlatformState]:
        linked = await self._connections.list(person.customer_id)
        plan = plan_of(person.caller.plan)
        return [
            PlatformState(
                platform.id,
                platform.title,
                plan.includes(platform.id),
                [self._state(item) for item in linked if item.platform == platform.id],
            )
            for platform in self._catalog
        ]

    def _state(self, account: Connection) -> AccountState:
        missing: Sequence[Mapping[str, Any]] = self._connections.needs(account)["missing"]
        return AccountState(account, [item["message"] for item in missing])

    def _sent(self, action: str, handler: _Handler) -> Route:
        """What happens when one of an account's forms is sent."""

        async def take(request: Request) -> Response:
            platform = self._catalog.named(request.path_params["platform"])
            visitor = await self._base.visitors.of(request)
            if visitor.person is None:
                return RedirectResponse(f"/login?{urlencode({'return_to': HOME})}", 303)
            form = await self._base.forms.read(request, visitor, PURPOSE)
            return await handler(visitor, visitor.person, platform, form.get("account", ""))

        return Route(f"/connect/{{platform}}/{action}", take, methods=["POST"])

    async def _make_default(
        self,
        visitor: Visitor,  # noqa: ARG002  (as the others)
        person: Person,
        platform: AnyPlatform,
        label: str,
    ) -> Response:
        await self._connections.make_default(person.caller, platform.id, label)
        return _done("default")

    async def _check(
        self,
        visitor: Visitor,  # noqa: ARG002  (as the others)
        person: Person,
        platform: AnyPlatform,
        label: str,
    ) -> Response:
        try:
            found = await self._checks.check(person.caller, platform.id, label)
        except RateLimited:
            return _done("often")
        return _done(found["outcome"])

    async def _disconnect(self, visitor: Visitor, person: Person, platform: AnyPlatform, label: str) -> Response:
        unlinked = await self._connections.disconnect(person.caller, platform.id, label)
        return self._base.pages.render(
            visitor, "connect_ended.html.jinja", platform=platform, unlinked=unlinked, here=HOME
        )


def _done(what: str) -> RedirectResponse:
    return RedirectResponse(f"{HOME}?done={what}", 303)
