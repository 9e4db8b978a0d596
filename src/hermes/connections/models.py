"""Tables of the linked accounts, and what may be shown of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hermes.storage.sql import Base, exact_string, id_string, long_text

EXPIRING_WITHIN = timedelta(days=7)


class Status(StrEnum):
    """How a linked account stands.

    `DISCONNECTED` is a tombstone: the row stays without credential, claim or personal data, so that its version goes on
    counting when the account is linked again.
    """

    CONNECTED = "connected"
    EXPIRING = "expiring"
    NEEDS_RECONNECT = "needs_reconnect"
    INCOMPLETE = "incomplete"
    DISCONNECTED = "disconnected"


USABLE = (Status.CONNECTED, Status.EXPIRING)
"""The statuses in which the credential is served to calls."""


class ConnectionRow(Base):
    """A customer's linked account with its encrypted credential: the durable truth, of which Redis serves a copy.

    The unique pair of platform and routing id is the claim on a WhatsApp number: it is in the same row, so claim and
    credential come and go in one transaction, and only the row's own customer can release it.
    """

    __tablename__ = "connections"
    __table_args__ = (
        UniqueConstraint("customer_id", "platform", "label"),
        UniqueConstraint("platform", "routing_id"),
        Index(None, "key_id", "id"),
        Index(None, "renew_at"),
        Index(None, "expires_at"),
        Index(None, "check_at"),
        Index(None, "platform", "shared_id"),
    )

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    customer_id: Mapped[str] = mapped_column(id_string())
    platform: Mapped[str] = mapped_column(exact_string(32))
    label: Mapped[str] = mapped_column(exact_string(32))
    status: Mapped[str] = mapped_column(exact_string(20))
    external_id: Mapped[str | None]
    display_name: Mapped[str | None]
    routing_id: Mapped[str | None]
    scopes: Mapped[list[str]]
    expires_at: Mapped[datetime | None]
    last_checked_at: Mapped[datetime | None]
    last_success_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(exact_string(500))
    ciphertext: Mapped[str | None] = mapped_column(long_text())
    key_id: Mapped[str | None] = mapped_column(exact_string(80))
    version: Mapped[int] = mapped_column(BigInteger)
    provider: Mapped[str | None] = mapped_column(exact_string(32))
    """Where the person signed in; None for an account that was linked by pasting."""
    renew_at: Mapped[datetime | None]
    """When the tokens are to be renewed, or tried again; None: never by itself."""
    renew_failures: Mapped[int] = mapped_column(Integer, server_default="0")
    """How often in a row renewing them came to nothing."""
    end_told_at: Mapped[datetime | None]
    """When the customer was told that `expires_at` comes near."""
    check_at: Mapped[datetime | None]
    """When it is to be found out whether the credential still works; None: there is none."""
    shared_id: Mapped[str | None]
    """What other accounts may live by too at the vendor: a WhatsApp Business Account."""
    steps: Mapped[list[Any] | None]
    """How the steps of setting the account up at the vendor stand (`platforms.onboarding.Step`)."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class KeyCheck(Base):
    """One known value, encrypted at the first start: a wrong key is noticed before anything is written."""

    __tablename__ = "key_check"

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    sealed: Mapped[str] = mapped_column(long_text())
    created_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Connection:
    """A linked account as it may be shown. Never the secret."""

    customer_id: str
    platform: str
    label: str
    status: Status
    external_id: str | None = None
    display_name: str | None = None
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    last_checked_at: datetime | None = None
    last_success_at: datetime | None = None
    last_error: str | None = None
    connected_at: datetime | None = None
    default: bool = False
    """Whether it is used when a call names no account."""
    provider: str | None = None
    """Where the person signed in, if they did."""
    steps: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, row: Any) -> Connection:
        """From a row of `SHOWN` columns (or a whole `ConnectionRow`)."""
        return cls(
            customer_id=row.customer_id,
            platform=row.platform,
            label=row.label,
            status=_status(Status(row.status), row.expires_at),
            external_id=row.external_id,
            display_name=row.display_name,
            scopes=tuple(row.scopes),
            expires_at=row.expires_at,
            last_checked_at=row.last_checked_at,
            last_success_at=row.last_success_at,
            last_error=row.last_error,
            connected_at=row.created_at,
            provider=row.provider,
            steps=tuple(row.steps or ()),
        )

    @property
    def to_do(self) -> tuple[Mapping[str, Any], ...]:
        """The steps of setting it up at the vendor that somebody has to take."""
        return tuple(step for step in self.steps if step["state"] == "missing")

    @property
    def usable(self) -> bool:
        return self.status in USABLE

    def as_dict(self) -> dict[str, Any]:
        """The JSON members that the API shows; the label is called `account`, as in a tool's arguments."""
        return {
            "platform": self.platform,
            "account": self.label,
            "default": self.default,
            "status": self.status.value,
            "external_id": self.external_id,
            "display_name": self.display_name,
            "scopes": list(self.scopes),
            "expires_at": _iso(self.expires_at),
            "last_checked_at": _iso(self.last_checked_at),
            "last_success_at": _iso(self.last_success_at),
            "last_error": self.last_error,
            "connected_at": _iso(self.connected_at),
            "steps": list(self.steps),
        }


SHOWN = (
    ConnectionRow.customer_id,
    ConnectionRow.platform,
    ConnectionRow.label,
    ConnectionRow.status,
    ConnectionRow.external_id,
    ConnectionRow.display_name,
    ConnectionRow.scopes,
    ConnectionRow.expires_at,
    ConnectionRow.last_checked_at,
    ConnectionRow.last_success_at,
    ConnectionRow.last_error,
    ConnectionRow.created_at,
    ConnectionRow.provider,
    ConnectionRow.steps,
)
"""The columns of a `Connection`: a listing never even reads ciphertexts."""


def _status(stored: Status, expires_at: datetime | None) -> Status:
    if stored is Status.CONNECTED and expires_at is not None and expires_at - datetime.now(UTC) < EXPIRING_WITHIN:
        return Status.EXPIRING
    return stored


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
