"""Tables of identity: customers and their API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from hermes.storage.sql import Base, Json, exact_string, id_string

PlanName = Literal["free", "starter", "growth", "enterprise"]
Role = Literal["customer", "admin"]
Status = Literal["active", "suspended"]

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
    """argon2id, in PHC form; none when the customer cannot sign in with a password."""
    created_at: Mapped[datetime]

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
