"""`/account/second-factor`: adding and removing an authenticator app, and its recovery codes."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hermes.errors import HermesError
from hermes.web.account import (
    ACCOUNT,
    CODE_FIELD,
    PRESENT,
    PersonalPages,
    SmallForm,
    done,
    secret,
    to_sign_in,
)
from hermes.web.forms import FormFields
from hermes.web.people import page_status, problems
from hermes.web.visitors import Person, Visitor

_CONFIRM: Final = "/account/second-factor/confirm"

ADD: Final = SmallForm(
    "/account/second-factor",
    "Add an authenticator app",
    "From then on a code of the app is asked for when you sign in.",
    (PRESENT,),
    "Go on",
)
REMOVE: Final = SmallForm(
    "/account/second-factor/remove",
    "Remove the authenticator app",
    "Only your password is asked for from then on.",
    (PRESENT, CODE_FIELD),
    "Remove the app",
)
RENEW: Final = SmallForm(
    "/account/recovery-codes",
    "Make new recovery codes",
    "The ones that you have no longer work then.",
    (PRESENT,),
    "Make new codes",
)


class SecondFactorPages(PersonalPages):
    """The pages."""

    def routes(self) -> list[Route]:
        return [
            self.shown(ADD),
            self.sent(ADD.action, self._start, ADD),
            Route(_CONFIRM, self._show_code, methods=["GET"]),
            self.sent(_CONFIRM, self._confirm),
            self.shown(REMOVE),
            self.sent(REMOVE.action, self._remove, REMOVE),
            self.shown(RENEW),
            self.sent(RENEW.action, self._renew, RENEW),
        ]

    async def _start(self, request: Request, visitor: Visitor, person: Person, fields: FormFields) -> Response:
        browser = self.browser(request, visitor)
        await self.people.account.require_password(person.caller, secret(fields, "password"), browser)
        await self.people.factors.start(person.customer_id, person.email)
        return RedirectResponse(_CONFIRM, 303)

    async def _show_code(self, request: Request) -> Response:
        visitor = await self.base.visitors.of(request)
        return await self._code_page(visitor, visitor.person) if visitor.person else to_sign_in(ADD.action)

    async def _confirm(self, request: Request, visitor: Visitor, person: Person, fields: FormFields) -> Response:
        browser = self.browser(request, visitor)
        try:
            codes = await self.people.account.add_second_factor(person.caller, fields.get("code", ""), browser)
        except HermesError as error:
            return await self._code_page(visitor, person, error)
        return self._codes(visitor, codes)

    async def _remove(self, request: Request, visitor: Visitor, person: Person, fields: FormFields) -> Response:
        browser, password = self.browser(request, visitor), secret(fields, "password")
        await self.people.account.remove_second_factor(person.caller, password, fields.get("code", ""), browser)
        return done("factor-removed")

    async def _renew(self, request: Request, visitor: Visitor, person: Person, fields: FormFields) -> Response:
        browser, password = self.browser(request, visitor), secret(fields, "password")
        return self._codes(visitor, await self.people.account.renew_recovery_codes(person.caller, password, browser))

    async def _code_page(self, visitor: Visitor, person: Person, error: HermesError | None = None) -> Response:
        enrolment = await self.people.factors.pending(person.customer_id, person.email)
        if enrolment is None:
            return RedirectResponse(ADD.action, 303)
        return self.base.pages.render(
            visitor,
            "second_factor.html.jinja",
            status=page_status(error) if error else 200,
            enrolment=enrolment,
            errors=problems(error) if error else {},
            purpose=ACCOUNT,
        )

    def _codes(self, visitor: Visitor, codes: list[str]) -> Response:
        return self.base.pages.render(visitor, "recovery_codes.html.jinja", codes=codes)
