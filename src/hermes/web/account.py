"""`/account`: where a person is signed in, what may act for them, and how they sign in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hermes.errors import HermesError
from hermes.identity.people import People
from hermes.oauth.assistants import Assistants
from hermes.web.base import WebBase
from hermes.web.browser_names import browser_name
from hermes.web.forms import FormFields
from hermes.web.people import PeoplePages, page_status, problems
from hermes.web.sign_in import HOME
from hermes.web.visitors import Person, Visitor

ACCOUNT: Final = "account"
"""The purpose of every form here."""

_NOTICES: Final = {
    "password": "Your password is changed, and your other browsers are signed out.",
    "email": "We sent a link to the new address. It counts once you have opened it.",
    "factor-removed": "The authenticator app is removed.",
    "session": "That browser is signed out.",
    "assistant": "That assistant is disconnected.",
    "linked": "You can sign in that way from now on.",
    "unlinked": "Signing in that way is taken back.",
}

Handler = Callable[[Request, Visitor, Person, FormFields], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a small form."""

    name: str
    label: str
    type: str = "text"
    autocomplete: str = "off"
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class SmallForm:
    """A page with one form."""

    action: str
    title: str
    lead: str
    fields: tuple[Field, ...]
    button: str


PRESENT: Final = Field("password", "Your present password", "password", "current-password")
CODE_FIELD: Final = Field("code", "Code of the app, or a recovery code", autocomplete="one-time-code")

PASSWORD_FORM: Final = SmallForm(
    "/account/password",
    "Change your password",
    "Your other browsers are signed out.",
    (PRESENT, Field("new_password", "New password", "password", "new-password", "At least 12 characters.")),
    "Change the password",
)
EMAIL_FORM: Final = SmallForm(
    "/account/email",
    "Change your address",
    "We send a link to the new address and tell the present one.",
    (Field("email", "New e-mail address", "email", "email"), PRESENT),
    "Send the link",
)


class PersonalPages(PeoplePages):
    """Pages that only a person who is signed in sees."""

    def shown(self, form: SmallForm) -> Route:
        """The page of a form."""

        async def show(request: Request) -> Response:
            visitor = await self.base.visitors.of(request)
            return self.form_page(visitor, form) if visitor.person else to_sign_in(form.action)

        return Route(form.action, show, methods=["GET"])

    def sent(self, path: str, handler: Handler, form: SmallForm | None = None) -> Route:
        """What happens when a form is sent; with `form`, what is wrong is shown beside its fields."""

        async def take(request: Request) -> Response:
            visitor = await self.base.visitors.of(request)
            fields = await self.base.forms.read(request, visitor, ACCOUNT)
            if visitor.person is None:
                return to_sign_in(HOME)
            if form is None:
                return await handler(request, visitor, visitor.person, fields)
            try:
                return await handler(request, visitor, visitor.person, fields)
            except HermesError as error:
                return self.form_page(visitor, form, {name: fields.get(name, "") for name in ("email",)}, error)

        return Route(path, take, methods=["POST"])

    def form_page(
        self, visitor: Visitor, form: SmallForm, values: dict[str, str] | None = None, error: HermesError | None = None
    ) -> Response:
        return self.base.pages.render(
            visitor,
            "account_form.html.jinja",
            status=page_status(error) if error else 200,
            form=form,
            values=values or {},
            errors=problems(error) if error else {},
            purpose=ACCOUNT,
        )


class AccountPages(PersonalPages):
    """The overview, and the changes that need no page of their own."""

    def __init__(self, base: WebBase, people: People, assistants: Assistants, *, https: bool) -> None:
        super().__init__(base, people, https=https)
        self._assistants = assistants

    def routes(self) -> list[Route]:
        return [
            Route(HOME, self._overview, methods=["GET"]),
            self.shown(PASSWORD_FORM),
            self.sent(PASSWORD_FORM.action, self._password, PASSWORD_FORM),
            self.shown(EMAIL_FORM),
            self.sent(EMAIL_FORM.action, self._email, EMAIL_FORM),
            self.sent("/account/sessions", self._end_session),
            self.sent("/account/sessions/all", self._end_all),
            self.sent("/account/assistants", self._revoke),
        ]

    async def _overview(self, request: Request) -> Response:
        visitor = await self.base.visitors.of(request)
        person = visitor.person
        if person is None:
            return to_sign_in(HOME)
        customer_id = person.customer_id
        return self.base.pages.render(
            visitor,
            "account.html.jinja",
            purpose=ACCOUNT,
            browser_name=browser_name,
            notice=_NOTICES.get(request.query_params.get("done", "")),
            factor=await self.people.factors.state(customer_id),
            provider=self.people.provider.name if self.people.provider.enabled else None,
            accounts=await self.people.provider_accounts.linked(customer_id),
            sessions=await self.people.sessions.list(customer_id),
            assistants=await self._assistants.list(customer_id),
        )

    async def _password(self, request: Request, visitor: Visitor, person: Person, fields: FormFields) -> Response:
        present, new = secret(fields, "password"), secret(fields, "new_password")
        browser = self.browser(request, visitor)
        await self.people.account.change_password(person.caller, present, new, browser)
        return done("password")

    async def _email(self, request: Request, visitor: Visitor, person: Person, fields: FormFields) -> Response:
        browser, password = self.browser(request, visitor), secret(fields, "password")
        await self.people.account.ask_new_email(person.caller, fields.get("email", ""), password, browser)
        return done("email")

    async def _end_session(self, _request: Request, _visitor: Visitor, person: Person, fields: FormFields) -> Response:
        await self.people.sessions.end(person.customer_id, fields.get("session", ""), by=person.caller)
        return done("session")

    async def _end_all(self, _request: Request, _visitor: Visitor, person: Person, _fields: FormFields) -> Response:
        await self.people.sessions.end_all(person.customer_id, by=person.caller)
        response = RedirectResponse("/login", 303)
        self.people.cookie.clear(response)
        return response

    async def _revoke(self, _request: Request, _visitor: Visitor, person: Person, fields: FormFields) -> Response:
        await self._assistants.revoke(person.customer_id, fields.get("assistant", ""), by=person.caller)
        return done("assistant")


def secret(fields: FormFields, name: str) -> SecretStr:
    """A field that is not to be shown anywhere."""
    return SecretStr(fields.get(name, ""))


def done(what: str) -> RedirectResponse:
    """Back to the overview, which says what was done."""
    return RedirectResponse(f"{HOME}?done={what}", 303)


def to_sign_in(path: str) -> RedirectResponse:
    """To the page for signing in, and then back to `path`."""
    return RedirectResponse(f"/login?return_to={quote(path)}", 303)
