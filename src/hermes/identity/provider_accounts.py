"""Which account at the sign-in provider belongs to which customer: by issuer and subject, never by an address."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.errors import Conflict, NotFound
from hermes.events.mail import Mail
from hermes.identity.actions import ActionAudit, audit_action
from hermes.identity.browsers import Browser, person
from hermes.identity.caller import Caller
from hermes.identity.ids import new_id
from hermes.identity.letters import Letters
from hermes.identity.models import Customer, ExternalIdentity
from hermes.identity.oidc import ProviderAccount
from hermes.identity.service import add_customer, new_customer
from hermes.identity.versions import Versions
from hermes.settings import Settings
from hermes.storage.sql import Database, insert_once


class ProviderAccounts:
    """Links them."""

    def __init__(
        self, database: Database, versions: Versions, mail: Mail, audit: ActionAudit, settings: Settings
    ) -> None:
        self._database = database
        self._versions = versions
        self._mail = mail
        self._audit = audit
        self._letters = Letters(settings.public_url)
        self._open = settings.signup == "open"

    async def customer_of(self, account: ProviderAccount) -> str | None:
        """For the house: whose account it is, which is what signing in asks; none if it is linked to nobody."""
        async with self._database.reading() as session:
            return await _owner(session, account)

    async def linked(self, customer_id: str) -> list[ExternalIdentity]:
        """The customer's accounts at the provider."""
        async with self._database.reading() as session:
            query = select(ExternalIdentity).where(ExternalIdentity.customer_id == customer_id)
            return list(await session.scalars(query.order_by(ExternalIdentity.id)))

    async def link(self, caller: Caller, account: ProviderAccount, provider: str) -> None:
        """Let the customer sign in with this account of the provider from now on.

        Raises:
            Conflict: it belongs to another customer.
        """
        async with self._database.session() as session:
            customer = await session.get(Customer, caller.customer_id)
            if customer is None:
                raise NotFound("This account is no longer there.")
            if not await _add(caller.customer_id, session, account):
                mine = await _owner(session, account) == caller.customer_id
                raise Conflict(
                    "You can sign in with that account already."
                    if mine
                    else "That account signs in somebody else here; choose another one at the provider."
                )
            mail_id = self._mail.write(session, self._letters.provider_linked(customer.email, provider))
        await self._mail.dispatch(mail_id)
        await audit_action(self._audit, caller.customer_id, caller, "provider.link", issuer=account.issuer)

    async def unlink(self, customer_id: str, identity_id: str, *, by: Caller) -> None:
        """Take it back.

        Raises:
            NotFound: there is none.
            Conflict: the customer could not sign in any more.
        """
        mine = (ExternalIdentity.customer_id == customer_id, ExternalIdentity.id == identity_id)
        async with self._database.session() as session:
            found = (await session.scalars(select(ExternalIdentity).where(*mine))).one_or_none()
            customer = await session.get(Customer, customer_id)
            if found is None or customer is None:
                raise NotFound("There is no such account at a provider.")
            if customer.password_hash is None:
                raise Conflict("You have no password, so you could not sign in any more; choose one first.")
            await session.execute(delete(ExternalIdentity).where(*mine))
        await audit_action(self._audit, customer_id, by, "provider.unlink", issuer=found.issuer)

    async def sign_up(self, account: ProviderAccount, browser: Browser) -> str:
        """For the house: make an account for whom the provider vouches; there was no customer before.

        Returns:
            The customer's id.

        Raises:
            Conflict: no accounts are made here, the provider does not vouch for an address, or the address has an
                account: whose it is only its password or mailbox can show.
        """
        if not self._open or account.email is None:
            raise Conflict(
                "No account here belongs to that one. Sign in with your password, then link it on your account page."
            )
        customer = new_customer(account.email, "free", "customer", None)
        async with self._versions.change(customer.id) as change, self._database.session() as session:
            if not await add_customer(session, customer):
                raise Conflict(
                    "Your address has an account here. Sign in with its password, then link the provider on your "
                    "account page."
                )
            await _add(customer.id, session, account)
            change.version = customer.version
        who = person(customer, browser)
        await audit_action(self._audit, customer.id, who, "customer.sign_up", by="provider", issuer=account.issuer)
        return customer.id


async def _add(customer_id: str, session: AsyncSession, account: ProviderAccount) -> bool:
    return await insert_once(
        session,
        ExternalIdentity,
        id=new_id("ext"),
        customer_id=customer_id,
        issuer=account.issuer,
        subject=account.subject,
        email=account.email,
        created_at=datetime.now(UTC),
    )


async def _owner(session: AsyncSession, account: ProviderAccount) -> str | None:
    """For the house: whose account of the provider it is."""
    query = select(ExternalIdentity.customer_id).where(
        ExternalIdentity.issuer == account.issuer, ExternalIdentity.subject == account.subject
    )
    return await session.scalar(query)
