"""`/login` and `/logout`."""

from __future__ import annotations

from typing import Final

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hermes.errors import Conflict, HermesError
from hermes.web.forms import safe_return_to
from hermes.web.pages import SIGN_OUT
from hermes.web.people import CODE, SIGN_IN, PeoplePages, page_status, problems
from hermes.web.visitors import Visitor

HOME: Final = "/account"


class SignInPages(PeoplePages):
    """Password, then a code where one is wanted."""

    def routes(self) -> list[Route]:
        return [
            Route("/login", self._show, methods=["GET"]),
            Route("/login", self._password, methods=["POST"]),
            Route("/login/code", self._code, methods=["POST"]),
            Route("/logout", self._sign_out, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        visitor = await self.base.visitors.of(request)
        return_to = safe_return_to(request.query_params.get("return_to"), HOME)
        if visitor.person is not None and "again" not in request.query_params:
            return RedirectResponse(return_to, 303)
        return self._page(visitor, return_to)

    async def _password(self, request: Request) -> Response:
        visitor = await self.base.visitors.of(request)
        form = await self.base.forms.read(request, visitor, SIGN_IN)
        return_to = safe_return_to(form.get("return_to"), HOME)
        email, password = form.get("email", ""), SecretStr(form.get("password", ""))
        try:
            done = await self.people.sign_in.with_password(email, password, self.browser(request, visitor))
        except HermesError as error:
            return self._page(visitor, return_to, email=email, error=error)
        return self.next_step(visitor, done, return_to)

    async def _code(self, request: Request) -> Response:
        visitor = await self.base.visitors.of(request)
        form = await self.base.forms.read(request, visitor, CODE)
        return_to, step = safe_return_to(form.get("return_to"), HOME), form.get("step", "")
        try:
            done = await self.people.sign_in.with_code(step, form.get("code", ""), self.browser(request, visitor))
        except Conflict as error:
            return self._page(visitor, return_to, error=error)
        except HermesError as error:
            return self.code_page(visitor, step, return_to, error=error)
        return self.next_step(visitor, done, return_to)

    async def _sign_out(self, request: Request) -> Response:
        visitor = await self.base.visitors.of(request)
        form = await self.base.forms.read(request, visitor, SIGN_OUT)
        if visitor.person is not None:
            caller = visitor.person.caller
            await self.people.sessions.end(caller.customer_id, caller.key_id, by=caller)
        response = RedirectResponse(safe_return_to(form.get("return_to"), "/login"), 303)
        self.people.cookie.clear(response)
        return response

    def _page(self, visitor: Visitor, return_to: str, *, email: str = "", error: HermesError | None = None) -> Response:
        return self.base.pages.render(
            visitor,
            "login.html.jinja",
            status=page_status(error) if error else 200,
            return_to=return_to,
            email=email,
            errors=problems(error) if error else {},
            may_sign_up=self.people.sign_up.mode == "open",
            provider=self.people.provider.name if self.people.provider.enabled else None,
        )
