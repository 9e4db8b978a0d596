"""How people sign in and look after it: the services, made once."""

from __future__ import annotations

from dataclasses import dataclass

from hermes.crypto import Keyring
from hermes.events.mail import Mail
from hermes.identity.account import AccountSecurity
from hermes.identity.actions import ActionAudit
from hermes.identity.changes import CustomerChanges
from hermes.identity.cookies import SessionCookie
from hermes.identity.mailed_tokens import MailedTokens
from hermes.identity.oidc import SignInProvider
from hermes.identity.provider_accounts import ProviderAccounts
from hermes.identity.second_factor import SecondFactors
from hermes.identity.sessions import Sessions
from hermes.identity.sign_in import SignIn
from hermes.identity.sign_up import SignUp
from hermes.identity.throttle import Throttle
from hermes.identity.versions import Versions
from hermes.settings import Settings
from hermes.storage.queue import JobQueue
from hermes.storage.rates import Rates
from hermes.storage.redis import Redis
from hermes.storage.sql import Database


@dataclass(frozen=True, slots=True)
class People:
    """What the pages for people use."""

    sessions: Sessions
    cookie: SessionCookie
    sign_in: SignIn
    sign_up: SignUp
    account: AccountSecurity
    factors: SecondFactors
    provider: SignInProvider
    provider_accounts: ProviderAccounts
    tokens: MailedTokens
    mail: Mail


def build_people(
    settings: Settings,
    database: Database,
    redis: Redis,
    changes: CustomerChanges,
    keyring: Keyring,
    sessions: Sessions,
    mail: Mail,
    audit: ActionAudit,
) -> People:
    """Wire them."""
    versions = Versions(redis)
    throttle, factors = Throttle(Rates(redis), keyring), SecondFactors(database, keyring)
    return People(
        sessions=sessions,
        cookie=SessionCookie(settings),
        sign_in=SignIn(database, keyring, sessions, factors, throttle, audit),
        sign_up=SignUp(database, versions, mail, throttle, audit, settings),
        account=AccountSecurity(database, changes, sessions, factors, mail, throttle, audit, keyring, settings),
        factors=factors,
        provider=SignInProvider(settings, redis, keyring),
        provider_accounts=ProviderAccounts(database, versions, mail, audit, settings),
        tokens=MailedTokens(database),
        mail=mail,
    )


def register_tasks(queue: JobQueue, people: People) -> None:
    """Have rows of ended sessions and used links deleted every night."""
    queue.cron("identity.purge_sessions", "7 4 * * *", people.sessions.purge)
    queue.cron("identity.purge_links", "11 4 * * *", people.tokens.purge)
