"""`/login/provider` and `/account/provider`: signing in through the provider of OpenID Connect."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hermes.errors import Conflict, HermesError
from hermes.identity.oidc import CALLBACK, ProviderAccount
from hermes.web.account import PRESENT, PersonalPages, SmallForm, done, secret
from hermes.web.forms import FormFields, safe_return_to
from hermes.web.people import page_status
from hermes.web.sign_in import HOME
from hermes.web.visitors import Person, Visitor

LINK: Final = SmallForm(
    "/account/provider",
    "Sign in another way",
    "You are sent to the provider. Sign in there with the account that is to open this one.",
    (PRESENT,),
    "Go on",
)


class ProviderPages(PersonalPages):
    """The pages."""

    def routes(self) -> list[Route]:
        return [
            Route("/login/provider", self._start, methods=["GET"]),
            Route(CALLBACK, self._back, methods=["GET"]),
            self.shown(LINK),
            self.sent(LINK.action, self._link, LINK),
            self.sent("/account/provider/remove", self._unlink),
        ]

    async def _start(self, request: Request) -> Response:
        visitor = await self.base.visitors.of(request)
        return_to = safe_return_to(request.query_params.get("return_to"), HOME)
        try:
            url = await self.people.provider.start(visitor.id, return_to=return_to)
        except HermesError as error:
            return self._refused(visitor, error)
        response = RedirectResponse(url, 303)
        self.base.visitors.remember(visitor, response)
        return response

    async def _link(self, request: Request, visitor: Visitor, person: Person, fields: FormFields) -> Response:
        browser = self.browser(request, visitor)
        await self.people.account.require_password(person.caller, secret(fields, "password"), browser)
        url = await self.people.provider.start(visitor.id, return_to=HOME, customer_id=person.customer_id)
        return self.go_on(visitor, "To the provider", url)

    async def _unlink(self, _request: Request, _visitor: Visitor, person: Person, fields: FormFields) -> Response:
        account = fields.get("account", "")
        await self.people.provider_accounts.unlink(person.customer_id, account, by=person.caller)
        return done("unlinked")

    async def _back(self, request: Request) -> Response:
        visitor = await self.base.visitors.of(request)
        try:
            account = await self.people.provider.finish(request.query_params, visitor.id)
            if account.flow.customer_id is not None:
                return await self._linked(visitor, account, account.flow.customer_id)
            return await self._signed_in(request, visitor, account)
        except HermesError as error:
            return self._refused(visitor, error)

    async def _linked(self, visitor: Visitor, account: ProviderAccount, customer_id: str) -> Response:
        if visitor.person is None or visitor.person.customer_id != customer_id:
            raise Conflict("You are signed in as somebody else by now; nothing was linked.")
        await self.people.provider_accounts.link(visitor.person.caller, account, self.people.provider.name)
        return done("linked")

    async def _signed_in(self, request: Request, visitor: Visitor, account: ProviderAccount) -> Response:
        browser, accounts = self.browser(request, visitor), self.people.provider_accounts
        customer_id = await accounts.customer_of(account) or await accounts.sign_up(account, browser)
        accepted = await self.people.sign_in.accept(customer_id, browser)
        return self.next_step(visitor, accepted, account.flow.return_to)

    def _refused(self, visitor: Visitor, error: HermesError) -> Response:
        return self.base.pages.render(
            visitor,
            "told.html.jinja",
            status=page_status(error),
            title="You are not signed in",
            message=error.message,
            sign_in=True,
        )
