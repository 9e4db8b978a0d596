"""`/signup`, `/reset-password` and `/verify-email`: pages that begin or end with a link in a mail."""

from __future__ import annotations

from typing import Any, Final

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hermes.errors import Conflict, HermesError, InvalidArguments, NotFound
from hermes.identity.sign_in import SignedIn
from hermes.web.people import PeoplePages, page_status, problems
from hermes.web.sign_in import HOME
from hermes.web.visitors import Visitor

SIGN_UP: Final = "signup"
RESET: Final = "reset-password"
VERIFY: Final = "verify-email"
"""Purposes of forms."""


class MailedLinkPages(PeoplePages):
    """Asking for a link shows the same answer for every address; opening one changes nothing until its form is sent."""

    def routes(self) -> list[Route]:
        return [
            Route("/signup", self._show_sign_up, methods=["GET"]),
            Route("/signup", self._sign_up, methods=["POST"]),
            Route("/reset-password", self._show_reset, methods=["GET"]),
            Route("/reset-password", self._reset, methods=["POST"]),
            Route("/reset-password/new", self._show_new_password, methods=["GET"]),
            Route("/reset-password/new", self._new_password, methods=["POST"]),
            Route("/verify-email", self._show_verify, methods=["GET"]),
            Route("/verify-email", self._verify, methods=["POST"]),
        ]

    async def _show_sign_up(self, request: Request) -> Response:
        visitor = await self.base.visitors.of(request)
        token = request.query_params.get("token")
        if token is None:
            return self._ask(visitor, SIGN_UP)
        try:
            link = await self.people.sign_up.look(token)
        except NotFound as error:
            return self._stale(visitor, error)
        return self._choose(visitor, SIGN_UP, token, link.email)

    async def _sign_up(self, request: Request) -> Response:
        visitor = await self.base.visitors.of(request)
        form = await self.base.forms.read(request, visitor, SIGN_UP)
        browser, token = self.browser(request, visitor), form.get("token")
        if token is None:
            email = form.get("email", "")
            try:
                await self.people.sign_up.ask(email, browser)
            except HermesError as error:
                return self._ask(visitor, SIGN_UP, email=email, error=error)
            return self._sent(visitor, email)
        try:
            customer = await self.people.sign_up.finish(token, SecretStr(form.get("password", "")), browser)
        except InvalidArguments as error:
            return self._choose(visitor, SIGN_UP, token, form.get("email", ""), error=error)
        except HermesError as error:
            return self._stale(visitor, error)
        done = await self.people.sign_in.accept(customer.id, browser)
        if not isinstance(done, SignedIn):
            raise Conflict("This account wants a code at sign-in; sign in with your password.")
        return self.signed_in(visitor, done, HOME)

    async def _show_reset(self, request: Request) -> Response:
        return self._ask(await self.base.visitors.of(request), RESET)

    async def _reset(self, request: Request) -> Response:
        visitor = await self.base.visitors.of(request)
        email = (await self.base.forms.read(request, visitor, RESET)).get("email", "")
        try:
            await self.people.account.ask_reset(email, self.browser(request, visitor))
        except HermesError as error:
            return self._ask(visitor, RESET, email=email, error=error)
        return self._sent(visitor, email)

    async def _show_new_password(self, request: Request) -> Response:
        visitor = await self.base.visitors.of(request)
        token = request.query_params.get("token", "")
        try:
            email = await self.people.account.look_reset(token)
        except NotFound as error:
            return self._stale(visitor, error)
        return self._choose(visitor, RESET, token, email)

    async def _new_password(self, request: Request) -> Response:
        visitor = await self.base.visitors.of(request)
        form = await self.base.forms.read(request, visitor, RESET)
        token, password = form.get("token", ""), SecretStr(form.get("password", ""))
        try:
            device = await self.people.account.reset(token, password, self.browser(request, visitor))
        except InvalidArguments as error:
            return self._choose(visitor, RESET, token, form.get("email", ""), error=error)
        except HermesError as error:
            return self._stale(visitor, error)
        page = self._told(
            visitor, "Your password is changed", "You are signed out everywhere. Sign in with the new one."
        )
        self.people.cookie.clear(page)
        self.remember_device(page, device)
        return page

    async def _show_verify(self, request: Request) -> Response:
        visitor = await self.base.visitors.of(request)
        token = request.query_params.get("token", "")
        try:
            email = await self.people.account.look_new_email(token)
        except NotFound as error:
            return self._stale(visitor, error)
        return self._render(visitor, "verify_email.html.jinja", token=token, email=email, purpose=VERIFY)

    async def _verify(self, request: Request) -> Response:
        visitor = await self.base.visitors.of(request)
        form = await self.base.forms.read(request, visitor, VERIFY)
        try:
            email = await self.people.account.confirm_email(form.get("token", ""), self.browser(request, visitor))
        except HermesError as error:
            return self._stale(visitor, error)
        return self._told(visitor, "Your address is confirmed", f"From now on you sign in with {email}.")

    def _ask(self, visitor: Visitor, purpose: str, *, email: str = "", error: HermesError | None = None) -> Response:
        closed = purpose == SIGN_UP and self.people.sign_up.mode != "open"
        return self._render(
            visitor,
            "ask_address.html.jinja",
            error=error,
            purpose=purpose,
            email=email,
            closed=closed,
            mail=self.people.mail.is_set_up,
        )

    def _choose(
        self, visitor: Visitor, purpose: str, token: str, email: str, *, error: HermesError | None = None
    ) -> Response:
        action = "/signup" if purpose == SIGN_UP else "/reset-password/new"
        return self._render(
            visitor,
            "choose_password.html.jinja",
            error=error,
            purpose=purpose,
            action=action,
            token=token,
            email=email,
        )

    def _sent(self, visitor: Visitor, email: str) -> Response:
        return self._told(
            visitor,
            "Look into your mailbox",
            f"We sent a mail to {email}. Open the link in it to go on. If nothing comes within some minutes, look into "
            "the spam folder and check the address.",
            link=False,
        )

    def _stale(self, visitor: Visitor, error: HermesError) -> Response:
        return self._told(visitor, "This link cannot be used", error.message, status=page_status(error))

    def _told(self, visitor: Visitor, title: str, message: str, *, status: int = 200, link: bool = True) -> Response:
        return self.base.pages.render(
            visitor, "told.html.jinja", status=status, title=title, message=message, sign_in=link
        )

    def _render(self, visitor: Visitor, template: str, *, error: HermesError | None = None, **context: Any) -> Response:
        status = page_status(error) if error else 200
        return self.base.pages.render(
            visitor, template, status=status, errors=problems(error) if error else {}, **context
        )
