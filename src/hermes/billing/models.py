"""Tables of billing."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from hermes.storage.sql import Base, exact_string, id_string


class Usage(Base):
    """One successful call. The call's id makes a row unique, so writing a batch twice counts once."""

    __tablename__ = "usage"
    __table_args__ = (Index(None, "customer_id", "month", "tool"),)

    call_id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    customer_id: Mapped[str] = mapped_column(id_string())
    month: Mapped[str] = mapped_column(exact_string(7))
    platform: Mapped[str] = mapped_column(id_string())
    tool: Mapped[str] = mapped_column(exact_string(128))
    at: Mapped[datetime]
