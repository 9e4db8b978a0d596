"""Tables of identity: customers, their API keys, and how people sign in."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hermes.storage.sql import Base, Json, exact_string, id_string

PlanName = Literal["free", "starter", "growth", "enterprise"]
Role = Literal["customer", "admin"]
Status = Literal["active", "suspended"]
TokenPurpose = Literal["signup", "invite", "reset", "change_email"]

PLAN_NAMES: tuple[PlanName, ...] = get_args(PlanName)
ROLES: tuple[Role, ...] = get_args(Role)

_word = exact_string(16)


class Customer(Base):
    """A tenant. `version` grows with every change that a cached caller must not outlive (versions.py)."""

    __tablename__ = "customers"

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    email: Mapped[str] = mapped_column(exact_string(254))
    email_key: Mapped[str] = mapped_column(exact_string(320), unique=True)
    """The address as it is compared: `email_key()` of service.py."""
    plan: Mapped[PlanName] = mapped_column(_word)
    role: Mapped[Role] = mapped_column(_word)
    status: Mapped[Status] = mapped_column(_word)
    version: Mapped[int] = mapped_column(BigInteger)
    password_hash: Mapped[str | None] = mapped_column(exact_string(255))
    """argon2id in PHC form, or bcrypt from elsewhere until the next sign-in; none when there is no password."""
    default_accounts: Mapped[dict[str, str] | None] = mapped_column(Json)
    """Platform → label of the account that a call uses which names none, where that is not the one labelled
    `default`. Kept by `connections/defaults.py`."""
    created_at: Mapped[datetime]
    approval_rules: Mapped[list[Any] | None]
    """What to ask about and what never to do: a list of [target, rule, set_by] (approval_rules.py)."""

    def __repr__(self) -> str:
        return f"Customer({self.id!r})"


class ApiKey(Base):
    """A key of a customer. Only its SHA-256 is kept, so it is shown once, when it is made."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "customer_id", "id"),)

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    customer_id: Mapped[str] = mapped_column(id_string(), ForeignKey("customers.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(exact_string(64))
    digest: Mapped[str] = mapped_column(exact_string(64), unique=True)
    """SHA-256 of the whole key, in hex."""
    hint: Mapped[str] = mapped_column(exact_string(4))
    """The key's last four characters, by which a person recognises it."""
    grants: Mapped[list[str]] = mapped_column(Json)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    """To the minute: written at most once a minute."""
    revoked_at: Mapped[datetime | None]

    def __repr__(self) -> str:
        return f"ApiKey({self.id!r}, customer_id={self.customer_id!r})"


class Session(Base):
    """A browser or program in which a customer is signed in. The cookie that names it is not kept."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "customer_id", "id"), Index(None, "expires_at"))

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    customer_id: Mapped[str] = mapped_column(id_string(), ForeignKey("customers.id", ondelete="CASCADE"))
    client: Mapped[str] = mapped_column(exact_string(200))
    """By which a person recognises it: what the browser says of itself."""
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    """To the minute: written at most once a minute."""
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    def __repr__(self) -> str:
        return f"Session({self.id!r}, customer_id={self.customer_id!r})"


class MailedToken(Base):
    """A link that was sent to an address: whoever opens it has that mailbox. Only its SHA-256 is kept."""

    __tablename__ = "mailed_tokens"
    __table_args__ = (Index(None, "customer_id", "purpose"), Index(None, "expires_at"))

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    digest: Mapped[str] = mapped_column(exact_string(64), unique=True)
    """SHA-256 of the token, in hex."""
    purpose: Mapped[TokenPurpose] = mapped_column(exact_string(16))
    customer_id: Mapped[str | None] = mapped_column(id_string(), ForeignKey("customers.id", ondelete="CASCADE"))
    """Whose account it changes; none for one that makes an account."""
    email: Mapped[str] = mapped_column(exact_string(254))
    plan: Mapped[PlanName | None] = mapped_column(_word)
    """The plan that an invitation gives."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    def __repr__(self) -> str:
        return f"MailedToken({self.id!r}, {self.purpose!r})"


class SecondFactor(Base):
    """A customer's authenticator app (RFC 6238)."""

    __tablename__ = "second_factors"

    customer_id: Mapped[str] = mapped_column(
        id_string(), ForeignKey("customers.id", ondelete="CASCADE"), primary_key=True
    )
    sealed_secret: Mapped[str] = mapped_column(exact_string(512))
    last_step: Mapped[int] = mapped_column(BigInteger)
    """The time step of the last code that was taken; no code of it or of an older one is taken again."""
    created_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    """When the first code was right; until then it is not asked for."""


class RecoveryCode(Base):
    """A code that stands for the authenticator app once. Only its SHA-256 is kept."""

    __tablename__ = "recovery_codes"

    customer_id: Mapped[str] = mapped_column(
        id_string(), ForeignKey("customers.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[str] = mapped_column(exact_string(64), primary_key=True)
    used_at: Mapped[datetime | None]


class ExternalIdentity(Base):
    """An account at the sign-in provider (OpenID Connect) that belongs to a customer."""

    __tablename__ = "external_identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"), Index(None, "customer_id"))

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    customer_id: Mapped[str] = mapped_column(id_string(), ForeignKey("customers.id", ondelete="CASCADE"))
    issuer: Mapped[str] = mapped_column(exact_string(255))
    subject: Mapped[str] = mapped_column(exact_string(255))
    email: Mapped[str | None] = mapped_column(exact_string(254))
    """What the provider called it when it was linked; for people to recognise, never to find anybody by."""
    created_at: Mapped[datetime]
