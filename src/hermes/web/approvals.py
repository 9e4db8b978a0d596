"""`/approvals`: calls that wait for a person, one page for each, and the rules that say what to ask about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hermes.connections.service import Connections
from hermes.errors import Conflict, HermesError, InvalidArguments, NotFound
from hermes.gateway.approval_desk import ApprovalDesk
from hermes.gateway.approval_rows import PENDING
from hermes.gateway.approval_rules import RuleBook
from hermes.gateway.models import ApprovalRow
from hermes.identity.approval_rules import account_target
from hermes.observability.logs import request_id_of
from hermes.platforms.base import Effect
from hermes.platforms.catalog import Catalog
from hermes.web.base import WebBase
from hermes.web.forms import to_login
from hermes.web.visitors import Person, Visitor

HOME: Final = "/approvals"
RULES: Final = "approval-rules"
"""The purpose of the forms that change rules."""

_RECENT: Final = 50
_NOTICES: Final = {"rule": "The rule is set. It counts everywhere within a few seconds.", "gone": "The rule is gone."}


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that a rule can be for."""

    target: str
    label: str


class ApprovalPages:
    """Their routes."""

    def __init__(
        self, base: WebBase, catalog: Catalog, desk: ApprovalDesk, book: RuleBook, connections: Connections
    ) -> None:
        self._base = base
        self._catalog = catalog
        self._desk = desk
        self._book = book
        self._connections = connections

    def routes(self) -> list[Route]:
        return [
            Route(HOME, self._overview, methods=["GET"]),
            Route(HOME + "/rules", self._set_rule, methods=["POST"]),
            Route(HOME + "/rules/remove", self._remove_rule, methods=["POST"]),
            Route(HOME + "/{approval_id}", self._show, methods=["GET"]),
            Route(HOME + "/{approval_id}", self._decide, methods=["POST"]),
        ]

    async def _overview(self, request: Request) -> Response:
        visitor = await self._base.visitors.of(request)
        if visitor.person is None:
            return to_login(request)
        notice = _NOTICES.get(request.query_params.get("done", ""))
        return await self._list(visitor, visitor.person, notice=notice)

    async def _set_rule(self, request: Request) -> Response:
        visitor = await self._base.visitors.of(request)
        form = await self._base.forms.read(request, visitor, RULES)
        if visitor.person is None:
            return to_login(request)
        person = visitor.person
        try:
            await self._book.set(person.customer_id, form.get("target", ""), form.get("rule", ""), by=person.caller)
        except InvalidArguments as error:
            return await self._list(visitor, person, error=error.message)
        return RedirectResponse(f"{HOME}?done=rule", 303)

    async def _remove_rule(self, request: Request) -> Response:
        visitor = await self._base.visitors.of(request)
        form = await self._base.forms.read(request, visitor, RULES)
        if visitor.person is None:
            return to_login(request)
        await self._book.remove(visitor.person.customer_id, form.get("target", ""), by=visitor.person.caller)
        return RedirectResponse(f"{HOME}?done=gone", 303)

    async def _list(
        self, visitor: Visitor, person: Person, *, notice: str | None = None, error: str | None = None
    ) -> Response:
        rows = await self._desk.page(person.caller, limit=_RECENT)
        now = self._desk.approvals.rows.now()
        waiting = [row for row in rows if row.status == PENDING and row.expires_at > now]
        return self._base.pages.render(
            visitor,
            "approvals.html.jinja",
            status=400 if error else 200,
            waiting=waiting,
            recent=[row for row in rows if row not in waiting],
            rules=(await self._book.of(person.customer_id)).each,
            choices=await self._choices(person),
            tools=self._tools(),
            title_of=self._title,
            name_of=self._name,
            state_of=self._state,
            purpose=RULES,
            notice=notice,
            error=error,
            here=HOME,
        )

    async def _show(self, request: Request) -> Response:
        visitor = await self._base.visitors.of(request)
        if visitor.person is None:
            return to_login(request)
        approval_id = request.path_params["approval_id"]
        try:
            row = await self._desk.find(visitor.person.caller, approval_id)
        except NotFound:
            if not await self._desk.is_strangers(visitor.person.caller, approval_id):
                raise
            here = f"{HOME}/{approval_id}"
            return self._base.pages.render(visitor, "approval_stranger.html.jinja", status=403, here=here)
        return await self._one(visitor, row)

    async def _decide(self, request: Request) -> Response:
        visitor = await self._base.visitors.of(request)
        approval_id = request.path_params["approval_id"]
        form = await self._base.forms.read(request, visitor, _purpose(approval_id))
        if visitor.person is None:
            return to_login(request)
        decision = form.get("decision")
        if decision not in ("approve", "deny"):
            raise InvalidArguments("Press Approve or Deny.")
        try:
            await self._desk.decide(
                visitor.person.caller, approval_id, yes=decision == "approve", request_id=request_id_of(request.scope)
            )
        except Conflict:
            # Another tab was faster; the page says what was decided there.
            return RedirectResponse(f"{HOME}/{approval_id}?late=1", 303)
        return RedirectResponse(f"{HOME}/{approval_id}", 303)

    async def _one(self, visitor: Visitor, row: ApprovalRow) -> Response:
        result = self._desk.approvals.result(row)
        shown = orjson.dumps(result, option=orjson.OPT_INDENT_2).decode() if isinstance(result, dict) else None
        return self._base.pages.render(
            visitor,
            "approval.html.jinja",
            row=row,
            tool=self._catalog.tools.get(row.tool),
            platform=self._title(row),
            arguments=await self._desk.approvals.arguments(row),
            state=self._state(row),
            result=shown,
            problem=result.message if isinstance(result, HermesError) else None,
            purpose=_purpose(row.id),
            here=f"{HOME}/{row.id}",
        )

    async def _choices(self, person: Person) -> Sequence[Choice]:
        linked = await self._connections.accounts(person.customer_id)
        choices = []
        for platform in self._catalog:
            choices.append(Choice(platform.id, platform.title))
            labels = linked.get(platform.id, ())
            choices += [Choice(account_target(platform.id, each), f"{platform.title}: {each}") for each in labels]
        return choices

    def _tools(self) -> Sequence[Choice]:
        return [
            Choice(tool.name, f"{tool.name}{' (only reads)' if tool.effect is Effect.READ else ''}")
            for tool in self._catalog.tools.values()
        ]

    def _title(self, row: ApprovalRow) -> str:
        platform = self._catalog.platforms.get(row.platform)
        return platform.title if platform is not None else row.platform

    def _name(self, row: ApprovalRow) -> str:
        tool = self._catalog.tools.get(row.tool)
        return tool.title if tool is not None else row.tool

    def _state(self, row: ApprovalRow) -> str:
        """How it stands, in the page's words: a problem is not done."""
        if row.status == "done":
            return "done" if row.outcome == "success" else "failed"
        late = row.status == PENDING and row.expires_at <= self._desk.approvals.rows.now()
        return "expired" if late else row.status


def _purpose(approval_id: str) -> str:
    return f"approval:{approval_id}"
