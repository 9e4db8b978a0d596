"""The tables of what happened to customers' accounts, and of the product's own mail."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from hermes.storage.sql import Base, exact_string, id_string, long_text


class MailState(StrEnum):
    """How far a mail is."""

    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given_up"


class MailRow(Base):
    """A mail to a person, written in the transaction of what it tells about."""

    __tablename__ = "outbox_mails"
    __table_args__ = (Index(None, "state", "next_try_at"),)

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    kind: Mapped[str] = mapped_column(exact_string(32))
    """The template's name."""
    sealed: Mapped[str] = mapped_column(long_text())
    """Recipient, subject and text, sealed: the text holds links by which an account is entered."""
    state: Mapped[MailState] = mapped_column(exact_string(16))
    tries: Mapped[int]
    next_try_at: Mapped[datetime]
    """When it may be taken: moved on by who takes it."""
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class EventRow(Base):
    """One event, written in the transaction of what caused it: it is there if and only if that happened."""

    __tablename__ = "events"
    __table_args__ = (Index(None, "customer_id", "at"),)

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    customer_id: Mapped[str] = mapped_column(id_string())
    type: Mapped[str] = mapped_column(exact_string(64))
    payload: Mapped[dict[str, Any]]
    at: Mapped[datetime]
