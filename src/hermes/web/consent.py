"""`/oauth/authorize`: a person is asked what an assistant may do, and the answer is carried to it.

The page can be left out when all that is asked was agreed to before; `Authorizations.remembered` says when (never for
a program that others on the person's machine could pass themselves off as: RFC 8252, 8.6).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hermes.billing.plans import plan_of
from hermes.connections.models import Connection
from hermes.connections.service import Connections
from hermes.identity.caller import Access, Grants
from hermes.net.origins import origin_of
from hermes.oauth.authorizations import Authorizations
from hermes.oauth.authorize import AuthorizationRequest
from hermes.oauth.errors import AuthorizeError, AuthorizeRefused
from hermes.platforms.catalog import AnyPlatform, Catalog
from hermes.web.base import WebBase
from hermes.web.forms import login_first, to_login
from hermes.web.visitors import Person, Visitor

PATH: Final = "/oauth/authorize"
_ACCESSES: Final[tuple[Access, ...]] = ("read", "write")
_NOTHING_TICKED: Final = "Tick at least one thing that it may do, or refuse."


@dataclass(frozen=True, slots=True)
class Choice:
    """One box to tick: reading, or acting, on one platform.

    Attributes:
        new: whether the person agreed to other things before, but not to this.
        covers: titles of the tools.
    """

    access: Access
    value: str
    ticked: bool
    new: bool
    covers: Sequence[str]


@dataclass(frozen=True, slots=True)
class PlatformChoices:
    """What is asked for on one platform."""

    id: str
    title: str
    accounts: Sequence[Connection]
    choices: Sequence[Choice]


class ConsentPages:
    """The page and its answer. Nothing is kept in between: the form sends the request's parameters again."""

    def __init__(
        self, base: WebBase, catalog: Catalog, connections: Connections, authorizations: Authorizations
    ) -> None:
        self._base = base
        self._catalog = catalog
        self._connections = connections
        self._authorizations = authorizations

    def routes(self) -> list[Route]:
        return [Route(PATH, self._show, methods=["GET"]), Route(PATH, self._take, methods=["POST"])]

    async def _show(self, request: Request) -> Response:
        visitor = await self._base.visitors.of(request)
        asked = await self._begin(request, visitor)
        if isinstance(asked, Response):
            return asked
        silent = "none" in asked.prompt
        if "login" in asked.prompt:
            return login_first(f"{PATH}?{urlencode(_without_login(asked))}", again="1")
        if visitor.person is None:
            return _to(self._authorizations.deny(asked, "login_required")) if silent else to_login(request)
        customer_id = visitor.person.customer_id
        known = await self._authorizations.remembered(customer_id, asked)
        if known is not None:
            return _to(await self._authorizations.approve(customer_id, asked, known))
        if silent:
            return _to(self._authorizations.deny(asked, "consent_required"))
        return await self._page(visitor, visitor.person, asked)

    async def _take(self, request: Request) -> Response:
        visitor = await self._base.visitors.of(request)
        if visitor.person is None:
            return to_login(request)
        asked = await self._begin(request, visitor)
        if isinstance(asked, Response):
            return asked
        form = await self._base.forms.read(request, visitor, _purpose(asked))
        if form.get("answer") != "agree":
            return _to(self._authorizations.deny(asked))
        given = self._given(visitor.person, asked, form.getlist("grant"))
        if not given.pairs:
            return await self._page(visitor, visitor.person, asked, ticked=form.getlist("grant"), status=400)
        return _to(await self._authorizations.approve(visitor.person.customer_id, asked, given))

    async def _begin(self, request: Request, visitor: Visitor) -> AuthorizationRequest | Response:
        """The request, or the answer when it cannot be asked about."""
        address = request.client.host if request.client else ""
        try:
            return await self._authorizations.begin(request.query_params.multi_items(), address=address)
        except AuthorizeRefused as refused:
            title = "This assistant can’t be connected"
            return self._base.pages.render(
                visitor, "error.html.jinja", status=refused.status, title=title, message=refused.message
            )
        except AuthorizeError as error:
            return _to(error.location)

    async def _page(
        self,
        visitor: Visitor,
        person: Person,
        asked: AuthorizationRequest,
        *,
        ticked: Collection[str] | None = None,
        status: int = 200,
    ) -> Response:
        agreed = await self._authorizations.agreed(person.customer_id, asked)
        linked = await self._connections.list(person.customer_id)
        within = self._in_plan(person)
        platforms = [
            PlatformChoices(
                platform.id,
                platform.title,
                [item for item in linked if item.platform == platform.id],
                [choice for access in _ACCESSES if (choice := _choice(platform, access, asked.grants, agreed, ticked))],
            )
            for platform in within
        ]
        query = urlencode(asked.parameters)
        return self._base.pages.render(
            visitor,
            "consent.html.jinja",
            status=status,
            asked=asked,
            platforms=[platform for platform in platforms if platform.choices],
            others=[platform.title for platform in platforms if not platform.choices],
            umbrella=any(name == "*" for name, _ in asked.grants.pairs),
            again=bool(agreed.pairs),
            redirect_scheme=urlsplit(asked.redirect_uri).scheme,
            errors={"": _NOTHING_TICKED} if ticked is not None else {},
            purpose=_purpose(asked),
            query=query,
            here=f"{PATH}?{query}",
            form_targets=[_form_target(asked.redirect_uri)],
        )

    def _in_plan(self, person: Person) -> list[AnyPlatform]:
        plan = plan_of(person.caller.plan)
        return [platform for platform in self._catalog if plan.includes(platform.id)]

    def _given(self, person: Person, asked: AuthorizationRequest, ticked: Collection[str]) -> Grants:
        """What was ticked, of what was asked. An umbrella of which nothing was taken away is given as such."""
        pairs: set[tuple[str, Access]] = set()
        for access in _ACCESSES:
            offered: set[tuple[str, Access]] = {
                (platform.id, access)
                for platform in self._in_plan(person)
                if asked.grants.allow(platform.id, access) and _tools(platform, access)
            }
            chosen = {pair for pair in offered if f"{pair[0]}:{pair[1]}" in ticked}
            whole = bool(offered) and chosen == offered and ("*", access) in asked.grants.pairs
            if whole:
                pairs.add(("*", access))
            else:
                pairs |= chosen
        return Grants(frozenset(pairs))


def _to(location: str) -> Response:
    """To the assistant with the answer, and by GET whatever came before (RFC 9700, 4.12)."""
    return RedirectResponse(location, 303)


def _purpose(asked: AuthorizationRequest) -> str:
    """Of the form: this very request, so that an answer to one is none to another."""
    return f"consent:{urlencode(asked.parameters)}"


def _without_login(asked: AuthorizationRequest) -> list[tuple[str, str]]:
    """The request's parameters once the person has signed in anew, as `prompt` wanted."""
    rest = " ".join(sorted(asked.prompt - {"login"}))
    return [(name, rest if name == "prompt" else value) for name, value in asked.parameters]


def _choice(
    platform: AnyPlatform, access: Access, asked: Grants, agreed: Grants, ticked: Collection[str] | None
) -> Choice | None:
    """The box, if it is asked for. Ticked at first is what was asked; when other things were agreed to before, an
    umbrella alone does not tick what the person may have left out then."""
    covers = _tools(platform, access)
    if not covers or not asked.allow(platform.id, access):
        return None
    value = f"{platform.id}:{access}"
    before = agreed.allow(platform.id, access)
    at_first = before or not agreed.pairs or (platform.id, access) in asked.pairs
    return Choice(
        access=access,
        value=value,
        ticked=at_first if ticked is None else value in ticked,
        new=bool(agreed.pairs) and not before,
        covers=covers,
    )


def _tools(platform: AnyPlatform, access: Access) -> list[str]:
    return [tool.title for tool in platform.tools.values() if tool.effect.access == access]


def _form_target(redirect_uri: str) -> str:
    """What the page's `form-action` must allow besides our own origin for the answer to get through.

    Chromium holds every redirect after the form against it, also those of the assistant's own site to another of its
    hosts, hence the whole scheme. Source expressions know no IPv6 addresses (CSP 3, 2.3.1).
    """
    parts = urlsplit(redirect_uri)
    if parts.scheme != "http" or "[" in parts.netloc:
        return f"{parts.scheme}:"
    return origin_of(redirect_uri)
