"""Tables of what platforms told us: accepted requests, received messages, and how sent messages fared."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, Integer, LargeBinary, UniqueConstraint
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Mapped, mapped_column

from hermes.storage.sql import Base, BigId, exact_string, id_string, long_text


class EventState(StrEnum):
    """What became of an accepted request. Only `ACCEPTED` ones still have to be processed."""

    ACCEPTED = "accepted"
    PROCESSED = "processed"
    MALFORMED = "malformed"
    FAILED = "failed"


class InboundEventRow(Base):
    """One webhook request of a platform, as it came: its signature was right, and the platform was told `200`."""

    __tablename__ = "inbound_events"
    __table_args__ = (UniqueConstraint("platform", "dedupe_key"), Index(None, "state", "received_at"))

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    platform: Mapped[str] = mapped_column(exact_string(32))
    dedupe_key: Mapped[str] = mapped_column(exact_string(64))
    body: Mapped[bytes] = mapped_column(LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb"))
    state: Mapped[str] = mapped_column(exact_string(16))
    tries: Mapped[int] = mapped_column(Integer)
    error: Mapped[str | None]
    received_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class MessageRow(Base):
    """A message in a customer's inbox. `number` only orders them; `content` is the message as the platform sent it."""

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("customer_id", "platform", "account_id", "message_id"),
        Index(None, "customer_id", "platform", "number"),
    )

    number: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    customer_id: Mapped[str] = mapped_column(id_string())
    platform: Mapped[str] = mapped_column(exact_string(32))
    account_id: Mapped[str] = mapped_column(exact_string(64))
    message_id: Mapped[str]
    kind: Mapped[str] = mapped_column(exact_string(64))
    sender_id: Mapped[str | None]
    sender_phone: Mapped[str | None] = mapped_column(exact_string(64))
    sender_name: Mapped[str | None]
    reply_to: Mapped[str | None]
    text: Mapped[str | None] = mapped_column(long_text())
    content: Mapped[dict[str, Any]]
    sent_at: Mapped[datetime]
    received_at: Mapped[datetime]


class MessageStatusRow(Base):
    """The furthest status that a platform told of a sent message. `status_rank` never goes down."""

    __tablename__ = "message_statuses"

    customer_id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    platform: Mapped[str] = mapped_column(exact_string(32), primary_key=True)
    message_id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(exact_string(64))
    status: Mapped[str] = mapped_column(exact_string(32))
    status_rank: Mapped[int] = mapped_column(Integer)  # RANK by itself is a reserved word of MySQL 8
    at: Mapped[datetime]
    recipient: Mapped[str | None]
    errors: Mapped[list[Any]]
    updated_at: Mapped[datetime]
