"""Making an account oneself: by invitation, or with any address, as SIGNUP allows.

An account is made only by whoever opens the link that was sent to its address, and who chooses its password there. So
nobody can prepare an account in another's name, and the answer to an address is the same whether it has one or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import SecretStr
from sqlalchemy import select

from hermes.errors import Conflict, NotGranted
from hermes.events.mail import Mail
from hermes.identity.actions import ActionAudit, audit_action
from hermes.identity.browsers import Browser, person
from hermes.identity.caller import OPERATOR_ID, Caller
from hermes.identity.checks import check_email, check_plan, email_key
from hermes.identity.letters import Letters
from hermes.identity.mailed_tokens import LASTING, MailedTokens
from hermes.identity.models import Customer, MailedToken
from hermes.identity.passwords import hash_password
from hermes.identity.service import add_customer, new_customer
from hermes.identity.throttle import Throttle
from hermes.identity.versions import Versions
from hermes.settings import Settings
from hermes.storage.sql import Database


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation just made. `url` is what was mailed; where no mail is sent, the operator passes it on."""

    email: str
    url: str = field(repr=False)
    mailed: bool
    expires_at: datetime


class SignUp:
    """Takes new people in."""

    def __init__(
        self,
        database: Database,
        versions: Versions,
        mail: Mail,
        throttle: Throttle,
        audit: ActionAudit,
        settings: Settings,
    ) -> None:
        self._database = database
        self._versions = versions
        self._mail = mail
        self._throttle = throttle
        self._audit = audit
        self._tokens = MailedTokens(database)
        self._letters = Letters(settings.public_url)
        self.mode = settings.signup

    async def ask(self, email: str, browser: Browser) -> None:
        """Have a link sent to an address, by which an account is made, or the one that is there is entered.

        Raises:
            InvalidArguments: it is no e-mail address.
            NotGranted: SIGNUP is not `open`.
            Conflict: mail is not set up.
            RateLimited: this browser asked too often.
        """
        if self.mode != "open":
            raise NotGranted("Accounts are made by invitation only here; ask whoever runs this server for one.")
        self._mail.require()
        address = check_email(email)
        if not await self._throttle.may_mail(email_key(address), browser):
            return
        customer = await self._find(address)
        async with self._database.session() as session:
            if customer is None:
                letter = self._letters.sign_up(address, self._tokens.add(session, "signup", address))
            else:
                token = self._tokens.add(session, "reset", customer.email, customer_id=customer.id)
                letter = self._letters.already_there(customer.email, token)
            mail_id = self._mail.write(session, letter)
        await self._mail.dispatch(mail_id)

    async def invite(self, email: str, plan: str = "free", *, by: Caller) -> Invitation:
        """For operators: invite somebody.

        Raises:
            InvalidArguments: the address or the plan is not acceptable.
            Conflict: SIGNUP is `closed`, or there is a customer with this address.
        """
        if self.mode == "closed":
            raise Conflict("SIGNUP is closed, so an invitation would lead nowhere; set SIGNUP=invite first.")
        address, given_plan = check_email(email), check_plan(plan)
        if await self._find(address) is not None:
            raise Conflict(f"There is a customer with the address {address} already.")
        async with self._database.session() as session:
            token = self._tokens.add(session, "invite", address, plan=given_plan)
            mail_id = self._mail.write(session, self._letters.invitation(address, token))
        await self._mail.dispatch(mail_id)
        await audit_action(self._audit, OPERATOR_ID, by, "invitation.create", plan=given_plan)
        expires = datetime.now(UTC) + LASTING["invite"]
        return Invitation(address, self._letters.invitation_url(token), self._mail.is_set_up, expires)

    async def look(self, token: str) -> MailedToken:
        """For the house: the address that a link of `ask` or `invite` was sent to; there is no customer yet.

        Raises:
            NotFound: the link was used, or is too old.
        """
        return await self._tokens.look(token, "signup", "invite")

    async def finish(self, token: str, password: SecretStr, browser: Browser) -> Customer:
        """For the house: make the account of a link, with a password; there was no customer before.

        Raises:
            NotFound: the link was used, or is too old.
            InvalidArguments: the password is too short or too long.
            NotGranted: SIGNUP is closed by now.
            Conflict: the address has an account by now.
        """
        if self.mode == "closed":
            raise NotGranted("No accounts are made here at present; ask whoever runs this server.")
        link = await self.look(token)
        customer = new_customer(link.email, link.plan or "free", "customer", await hash_password(password))
        async with self._versions.change(customer.id) as change, self._database.session() as session:
            await self._tokens.take(session, token, "signup", "invite")
            if not await add_customer(session, customer):
                raise Conflict("This address has an account by now; sign in, or choose a new password.")
            change.version = customer.version
        who = person(customer, browser)
        await audit_action(self._audit, customer.id, who, "customer.sign_up", by=link.purpose, plan=customer.plan)
        return customer

    async def _find(self, address: str) -> Customer | None:
        async with self._database.reading() as session:
            query = select(Customer).where(Customer.email_key == email_key(address))
            return (await session.scalars(query)).one_or_none()
