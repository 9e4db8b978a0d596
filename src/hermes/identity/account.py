"""What people change about their own account: password, address, second factor.

Whoever sits at an open session must still know the password for all of these. Both addresses are told of a change of
address, and the mailbox of every other change.
"""

from __future__ import annotations

from pydantic import SecretStr
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.crypto import Keyring
from hermes.errors import Conflict, InvalidArguments, NotFound
from hermes.events.mail import Mail
from hermes.identity.actions import ActionAudit, audit_action
from hermes.identity.browsers import Browser, Devices, person
from hermes.identity.caller import OPERATOR, Caller
from hermes.identity.changes import CustomerChanges
from hermes.identity.checks import check_email, email_key
from hermes.identity.letters import Letters
from hermes.identity.mailed_tokens import MailedTokens
from hermes.identity.models import Customer
from hermes.identity.passwords import check_password, hash_password
from hermes.identity.second_factor import SecondFactors
from hermes.identity.sessions import Sessions
from hermes.identity.throttle import Throttle
from hermes.settings import Settings
from hermes.storage.sql import Database


class AccountSecurity:
    """Changes how a customer signs in."""

    def __init__(
        self,
        database: Database,
        changes: CustomerChanges,
        sessions: Sessions,
        factors: SecondFactors,
        mail: Mail,
        throttle: Throttle,
        audit: ActionAudit,
        keyring: Keyring,
        settings: Settings,
    ) -> None:
        self._database = database
        self._changes = changes
        self._sessions = sessions
        self._factors = factors
        self._mail = mail
        self._throttle = throttle
        self._audit = audit
        self._tokens = MailedTokens(database)
        self._devices = Devices(keyring)
        self._letters = Letters(settings.public_url)

    async def ask_reset(self, email: str, browser: Browser) -> None:
        """Have a link for a new password sent. Every address gets a mail, and the asker the same answer.

        Raises:
            InvalidArguments: it is no e-mail address.
            Conflict: mail is not set up.
            RateLimited: this browser asked too often.
        """
        self._mail.require()
        address = check_email(email)
        if not await self._throttle.may_mail(email_key(address), browser):
            return
        customer = await self._find(address)
        to, customer_id = (customer.email, customer.id) if customer else (address, None)
        async with self._database.session() as session:
            token = self._tokens.add(session, "reset", to, customer_id=customer_id)
            letter = self._letters.reset(to, token) if customer else self._letters.no_account(to)
            mail_id = self._mail.write(session, letter)
        await self._mail.dispatch(mail_id)

    async def look_reset(self, token: str) -> str:
        """For the house: whose password a link changes; the link is all that is known of who opens it.

        Returns:
            The address.

        Raises:
            NotFound: the link was used, or is too old.
        """
        return (await self._tokens.look(token, "reset")).email

    async def reset(self, token: str, password: SecretStr, browser: Browser) -> str:
        """For the house: choose a new password by a mailed link, which says whose. Ends all sessions.

        Returns:
            The device cookie: who has the mailbox is not kept out by strangers' guesses.

        Raises:
            NotFound: the link was used, or is too old.
            InvalidArguments: the password is too short or too long.
        """
        link, hashed = await self._tokens.look(token, "reset"), await hash_password(password)
        if link.customer_id is None:
            raise NotFound("There is no account with this address.")
        async with self._changes.change(link.customer_id) as session:
            await self._tokens.take(session, token, "reset")
            customer, mail_id = await self._new_password(link.customer_id, session, hashed)
        await self._mail.dispatch(mail_id)
        await audit_action(self._audit, customer.id, person(customer, browser), "password.reset")
        return self._devices.issue(customer.id)

    async def change_password(self, caller: Caller, current: SecretStr, new: SecretStr, browser: Browser) -> None:
        """Choose a new password. Ends all sessions but this one.

        Raises:
            InvalidArguments: the present password is wrong, or the new one is too short or too long.
            Conflict: the account has no password yet.
            RateLimited: there were too many tries.
        """
        await self.require_password(caller, current, browser)
        hashed = await hash_password(new)
        async with self._changes.change(caller.customer_id) as session:
            _, mail_id = await self._new_password(caller.customer_id, session, hashed, but=caller.key_id)
        await self._mail.dispatch(mail_id)
        await audit_action(self._audit, caller.customer_id, caller, "password.change")

    async def ask_new_email(self, caller: Caller, email: str, password: SecretStr, browser: Browser) -> None:
        """Have a link sent to a new address, which is used once it is opened; the present address is told.

        Raises:
            InvalidArguments: it is no e-mail address, or the present one, or the password is wrong.
            Conflict: mail is not set up, or the account has no password yet.
            RateLimited: there were too many tries.
        """
        self._mail.require()
        address = check_email(email)
        customer = await self.require_password(caller, password, browser)
        if email_key(address) == customer.email_key and address == customer.email:
            raise _unfit("email", "is your address already")
        if not await self._throttle.may_mail(email_key(address), browser):
            return
        async with self._database.session() as session:
            token = self._tokens.add(session, "change_email", address, customer_id=customer.id)
            mails = [
                self._mail.write(session, self._letters.confirm_email(address, token)),
                self._mail.write(session, self._letters.email_change_asked(customer.email, address)),
            ]
        await self._mail.dispatch(*mails)
        await audit_action(self._audit, customer.id, caller, "email.ask_change")

    async def look_new_email(self, token: str) -> str:
        """For the house: the new address that a link confirms; the link is all that is known of who opens it.

        Raises:
            NotFound: the link was used, or is too old.
        """
        return (await self._tokens.look(token, "change_email")).email

    async def confirm_email(self, token: str, browser: Browser) -> str:
        """For the house: use the new address from now on; the link says whose.

        Returns:
            The address.

        Raises:
            NotFound: the link was used, or is too old.
            Conflict: another account has this address.
        """
        link = await self._tokens.look(token, "change_email")
        customer_id = link.customer_id or ""
        try:
            async with self._changes.change(customer_id) as session:
                await self._tokens.take(session, token, "change_email")
                customer = await _customer(customer_id, session)
                old = customer.email
                customer.email, customer.email_key = link.email, email_key(link.email)
                await session.flush()
                await self._tokens.void(customer_id, session)
                mail_id = self._mail.write(session, self._letters.email_changed(old, link.email))
        except IntegrityError:
            raise Conflict("Another account has this address, so yours keeps its own.") from None
        await self._mail.dispatch(mail_id)
        await audit_action(self._audit, customer_id, person(customer, browser), "email.change")
        return link.email

    async def add_second_factor(self, caller: Caller, code: str, browser: Browser) -> list[str]:
        """Ask for the codes of the app that `SecondFactors.start` began with.

        Returns:
            The recovery codes, to be shown this once.

        Raises:
            InvalidArguments: the code is not one that the app shows now.
            Conflict: no app is being added.
            RateLimited: there were too many tries.
        """
        customer_id = caller.customer_id
        await self._throttle.try_account(f"{email_key(caller.email or '')} code", customer_id, browser)
        async with self._database.session() as session:
            codes = await self._factors.confirm(customer_id, session, code)
            customer = await _customer(customer_id, session)
            mail_id = self._mail.write(session, self._letters.second_factor_changed(customer.email, on=True))
        await self._mail.dispatch(mail_id)
        await audit_action(self._audit, customer_id, caller, "second_factor.add")
        return codes

    async def remove_second_factor(self, caller: Caller, password: SecretStr, code: str, browser: Browser) -> None:
        """Ask for no code at sign-in any more.

        Raises:
            InvalidArguments: the password or the code is wrong.
            RateLimited: there were too many tries.
        """
        customer = await self.require_password(caller, password, browser)
        await self._require_code(caller, code)
        async with self._database.session() as session:
            await self._factors.remove(caller.customer_id, session)
            mail_id = self._mail.write(session, self._letters.second_factor_changed(customer.email, on=False))
        await self._mail.dispatch(mail_id)
        await audit_action(self._audit, caller.customer_id, caller, "second_factor.remove")

    async def renew_recovery_codes(self, caller: Caller, password: SecretStr, browser: Browser) -> list[str]:
        """Replace the recovery codes; the new ones are to be shown this once.

        Raises:
            InvalidArguments: the password is wrong.
            Conflict: there is no second factor.
            RateLimited: there were too many tries.
        """
        await self.require_password(caller, password, browser)
        if not (await self._factors.state(caller.customer_id)).on:
            raise Conflict("There is no authenticator app, so there is nothing to recover from; add one first.")
        async with self._database.session() as session:
            codes = await self._factors.renew_recovery_codes(caller.customer_id, session)
        await audit_action(self._audit, caller.customer_id, caller, "second_factor.renew_codes")
        return codes

    async def set_password(self, customer_id: str, password: SecretStr, *, by: Caller = OPERATOR) -> None:
        """Give the customer a password without asking for anything: for operators. Ends all sessions.

        Raises:
            NotFound: there is no such customer.
            InvalidArguments: the password is too short or too long.
        """
        hashed = await hash_password(password)
        async with self._changes.change(customer_id) as session:
            customer = await _customer(customer_id, session)
            customer.password_hash = hashed
            await self._sessions.end_within(customer_id, session)
            await self._tokens.void(customer_id, session)
        await audit_action(self._audit, customer_id, by, "password.set")

    async def has_password(self, customer_id: str, password: SecretStr) -> bool:
        """Whether that is the customer's password: for operators, so nothing counts tries."""
        async with self._database.reading() as session:
            customer = await session.get(Customer, customer_id)
        return (await check_password(password, customer.password_hash if customer else None)).right

    async def require_password(self, caller: Caller, password: SecretStr, browser: Browser) -> Customer:
        """The caller's row, after they have shown that they know the password.

        Raises:
            InvalidArguments: it is wrong.
            Conflict: the account has none.
            RateLimited: there were too many tries.
        """
        async with self._database.reading() as session:
            customer = await _customer(caller.customer_id, session)
        if customer.password_hash is None:
            raise Conflict("Your account has no password yet; choose one with “Forgot your password?” first.")
        await self._throttle.try_account(customer.email_key, customer.id, browser)
        if not (await check_password(password, customer.password_hash)).right:
            raise _unfit("password", "is not your present password")
        return customer

    async def _require_code(self, caller: Caller, code: str) -> None:
        if not await self._factors.check(caller.customer_id, code):
            await audit_action(
                self._audit, caller.customer_id, caller, "second_factor.remove", outcome="denied", factor="code"
            )
            raise _unfit("code", "is wrong or was used already")

    async def _new_password(
        self, customer_id: str, session: AsyncSession, hashed: str, *, but: str | None = None
    ) -> tuple[Customer, str]:
        await session.execute(update(Customer).where(Customer.id == customer_id).values(password_hash=hashed))
        await self._sessions.end_within(customer_id, session, but=but)
        await self._tokens.void(customer_id, session)
        customer = await _customer(customer_id, session)
        return customer, self._mail.write(session, self._letters.password_changed(customer.email))

    async def _find(self, address: str) -> Customer | None:
        async with self._database.reading() as session:
            query = select(Customer).where(Customer.email_key == email_key(address))
            return (await session.scalars(query)).one_or_none()


async def _customer(customer_id: str, session: AsyncSession) -> Customer:
    customer = await session.get(Customer, customer_id)
    if customer is None:
        raise NotFound("This account is no longer there.")
    return customer


def _unfit(field: str, problem: str) -> InvalidArguments:
    return InvalidArguments(f"{field.capitalize()} {problem}.", fields=[{"field": field, "problem": problem}])
