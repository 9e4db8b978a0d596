"""Tables of the authorization server: clients, what people agreed to, and what was given out because of it.

Whatever ends is deleted, and takes with it what it gave: an authorization its chains, a chain its tokens. A secret
that was given out is known by its SHA-256 only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Boolean, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hermes.storage.sql import Base, Json, exact_string, id_string, long_text

ClientKind = Literal["document", "dynamic", "registered"]
"""Known by a document at its id's URL, registered by itself (RFC 7591), or registered by an operator."""

CLIENT_ID_LENGTH = 512

_client_id = exact_string(CLIENT_ID_LENGTH)
_digest = exact_string(64)


class OAuthClient(Base):
    """A program that may ask people for access. It belongs to no customer."""

    __tablename__ = "oauth_clients"
    __table_args__ = (Index(None, "kind", "used_at"),)

    id: Mapped[str] = mapped_column(_client_id, primary_key=True)
    kind: Mapped[ClientKind] = mapped_column(exact_string(16))
    name: Mapped[str] = mapped_column(exact_string(200))
    details: Mapped[dict[str, Any]]
    """Its metadata, checked: `ClientDetails` of clients.py."""
    secret_digest: Mapped[str | None] = mapped_column(_digest)
    acts_for: Mapped[str | None] = mapped_column(id_string(), ForeignKey("customers.id", ondelete="CASCADE"))
    """The customer as whom it may sign in by itself (client_credentials); none when it may not."""
    created_at: Mapped[datetime]
    used_at: Mapped[datetime]
    """To the hour."""
    fresh_until: Mapped[datetime | None]
    """When its document has to be fetched anew."""

    def __repr__(self) -> str:
        return f"OAuthClient({self.id!r})"


class OAuthAuthorization(Base):
    """What a customer agreed that a client may do; also the connected assistant that a person sees.

    The client's name, host and whether it was verified are as the person saw them when they agreed.
    """

    __tablename__ = "oauth_authorizations"
    __table_args__ = (UniqueConstraint("customer_id", "client_id"), Index(None, "client_id"))

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    customer_id: Mapped[str] = mapped_column(id_string(), ForeignKey("customers.id", ondelete="CASCADE"))
    client_id: Mapped[str] = mapped_column(_client_id)
    client_name: Mapped[str] = mapped_column(exact_string(200))
    client_host: Mapped[str | None]
    client_verified: Mapped[bool] = mapped_column(Boolean)
    grants: Mapped[list[str]] = mapped_column(Json)
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    """To the minute: written at most once a minute."""


class OAuthCode(Base):
    """An authorization code. `chain_id` says what its first use gave, which a second use takes away."""

    __tablename__ = "oauth_codes"
    __table_args__ = (Index(None, "authorization_id"), Index(None, "expires_at"))

    digest: Mapped[str] = mapped_column(_digest, primary_key=True)
    authorization_id: Mapped[str] = mapped_column(
        id_string(), ForeignKey("oauth_authorizations.id", ondelete="CASCADE")
    )
    customer_id: Mapped[str] = mapped_column(id_string())
    client_id: Mapped[str] = mapped_column(_client_id)
    redirect_uri: Mapped[str] = mapped_column(exact_string(2048))
    code_challenge: Mapped[str] = mapped_column(exact_string(64))
    resource: Mapped[str]
    grants: Mapped[list[str]] = mapped_column(Json)
    refreshable: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    chain_id: Mapped[str | None] = mapped_column(id_string())


class OAuthChain(Base):
    """What one sign-in gave: its tokens, each refresh token made from the one before."""

    __tablename__ = "oauth_chains"
    __table_args__ = (Index(None, "authorization_id"),)

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    authorization_id: Mapped[str] = mapped_column(
        id_string(), ForeignKey("oauth_authorizations.id", ondelete="CASCADE")
    )
    customer_id: Mapped[str] = mapped_column(id_string())
    client_id: Mapped[str] = mapped_column(_client_id)
    resource: Mapped[str]
    grants: Mapped[list[str]] = mapped_column(Json)
    created_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    """When nothing of it works any more; moves on with every refresh."""


class OAuthRefreshToken(Base):
    """A refresh token. Once used, it holds its successor for clients that did not get the answer."""

    __tablename__ = "oauth_refresh_tokens"
    __table_args__ = (Index(None, "chain_id"), Index(None, "expires_at"))

    digest: Mapped[str] = mapped_column(_digest, primary_key=True)
    chain_id: Mapped[str] = mapped_column(id_string(), ForeignKey("oauth_chains.id", ondelete="CASCADE"))
    customer_id: Mapped[str] = mapped_column(id_string())
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    sealed_successor: Mapped[str | None] = mapped_column(long_text())


class OAuthAccessToken(Base):
    """An access token, with the part of its chain's grants that it has."""

    __tablename__ = "oauth_access_tokens"
    __table_args__ = (Index(None, "chain_id"), Index(None, "expires_at"))

    digest: Mapped[str] = mapped_column(_digest, primary_key=True)
    chain_id: Mapped[str] = mapped_column(id_string(), ForeignKey("oauth_chains.id", ondelete="CASCADE"))
    customer_id: Mapped[str] = mapped_column(id_string())
    grants: Mapped[list[str]] = mapped_column(Json)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
