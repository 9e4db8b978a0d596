"""The rows behind tokens, as statements that a transaction runs: who may have them, and what is given out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.identity.caller import Caller, Grants, Via
from hermes.identity.ids import new_id
from hermes.identity.models import Customer
from hermes.oauth.models import OAuthAccessToken, OAuthChain, OAuthRefreshToken
from hermes.oauth.scopes import scope_text
from hermes.oauth.secrets import ACCESS, REFRESH, digest, new_secret
from hermes.storage.sql import rows_matched

ACCESS_TIME: Final = timedelta(hours=1)
REFRESH_TIME: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What a client is given.

    Attributes:
        expires_in: seconds that the access token lasts.
        scope: what the access token may do; always said, as it may be less than was asked (RFC 6749, 5.1).
        refresh_token: none for clients that do not refresh.
    """

    access_token: str = field(repr=False)
    expires_in: int
    scope: str
    refresh_token: str | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, str | int]:
        """The members of RFC 6749, section 5.1."""
        answer: dict[str, str | int] = {
            "access_token": self.access_token,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            "scope": self.scope,
        }
        return answer if self.refresh_token is None else answer | {"refresh_token": self.refresh_token}


async def is_active(session: AsyncSession, customer_id: str) -> bool:
    """Whether the customer is there and not suspended."""
    customer = await session.get(Customer, customer_id)
    return customer is not None and customer.status == "active"


async def lock_chain(session: AsyncSession, customer_id: str, chain_id: str) -> OAuthChain | None:
    """The chain, which nobody else changes until this transaction ends; none if it has been revoked.

    SQLite has one writer at a time anyway.
    """
    mine = (OAuthChain.customer_id == customer_id, OAuthChain.id == chain_id)
    return (await session.scalars(select(OAuthChain).where(*mine).with_for_update())).one_or_none()


def new_chain(
    customer_id: str, authorization_id: str, client_id: str, resource: str, grants: Grants, now: datetime
) -> OAuthChain:
    """The chain of a sign-in, as long as its first access token lasts."""
    return OAuthChain(
        id=new_id("och"),
        authorization_id=authorization_id,
        customer_id=customer_id,
        client_id=client_id,
        resource=resource,
        grants=grants.words(),
        created_at=now,
        ends_at=now + ACCESS_TIME,
    )


def give_access(session: AsyncSession, chain: OAuthChain, grants: Grants, now: datetime) -> TokenAnswer:
    """A new access token of the chain, with these of its grants."""
    token = new_secret(ACCESS)
    session.add(
        OAuthAccessToken(
            digest=digest(token),
            chain_id=chain.id,
            customer_id=chain.customer_id,
            grants=grants.words(),
            created_at=now,
            expires_at=now + ACCESS_TIME,
        )
    )
    return TokenAnswer(token, int(ACCESS_TIME.total_seconds()), scope_text(grants))


async def give_refresh(session: AsyncSession, customer_id: str, chain_id: str, now: datetime) -> str:
    """A new refresh token of the chain, which lasts as long as the token from now on."""
    token, ends = new_secret(REFRESH), now + REFRESH_TIME
    session.add(
        OAuthRefreshToken(
            digest=digest(token),
            chain_id=chain_id,
            customer_id=customer_id,
            created_at=now,
            expires_at=ends,
            used_at=None,
            sealed_successor=None,
        )
    )
    mine = (OAuthChain.customer_id == customer_id, OAuthChain.id == chain_id)
    await session.execute(update(OAuthChain).where(*mine).values(ends_at=ends))
    return token


async def end_chain(session: AsyncSession, customer_id: str, chain_id: str) -> bool:
    """Take away what a sign-in gave; whether there was anything to take."""
    mine = (OAuthChain.customer_id == customer_id, OAuthChain.id == chain_id)
    return await rows_matched(session, delete(OAuthChain).where(*mine)) == 1


def as_assistant(customer_id: str, authorization_id: str, client_name: str, plan: str) -> Caller:
    """The client as the audit trail names it."""
    return Caller("customer", customer_id, Via.OAUTH, authorization_id, Grants(frozenset()), plan, client=client_name)
