"""Tables of calls that may take minutes: what is needed to go on with them after a restart, and what they did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hermes.storage.sql import Base, BigId, Json, exact_string, id_string, long_text


class LongCallRow(Base):
    """One long call. It is under way until `finished_at`; `sealed_outcome` may stand a moment before.

    Attributes:
        caller: as whom it runs (never a secret).
        record: the pipeline's record of the call, by which it is settled.
        claimed_by: the run that has it, until `claimed_until`; whoever comes later may take it from then on.
    """

    __tablename__ = "long_calls"
    __table_args__ = (Index(None, "finished_at", "claimed_until"), Index(None, "customer_id", "id"))

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    customer_id: Mapped[str] = mapped_column(id_string())
    tool: Mapped[str] = mapped_column(exact_string(128))
    account: Mapped[str] = mapped_column(exact_string(32))
    caller: Mapped[dict[str, Any]]
    record: Mapped[dict[str, Any]]
    sealed_arguments: Mapped[str] = mapped_column(long_text())
    publish_state: Mapped[str] = mapped_column(exact_string(20))
    progress: Mapped[dict[str, Any] | None] = mapped_column(Json)
    cancel_requested: Mapped[bool] = mapped_column(Boolean)
    outcome: Mapped[str | None] = mapped_column(exact_string(20))
    sealed_outcome: Mapped[str | None] = mapped_column(long_text())
    attempts: Mapped[int] = mapped_column(Integer)
    claimed_by: Mapped[str | None] = mapped_column(exact_string(64))
    claimed_until: Mapped[datetime]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class CallStepRow(Base):
    """One step of a long call: `begun` before the vendor is called, `done` with its sealed result after."""

    __tablename__ = "call_steps"
    __table_args__ = (UniqueConstraint("call_id", "name"),)

    number: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    call_id: Mapped[str] = mapped_column(id_string())
    customer_id: Mapped[str] = mapped_column(id_string())
    name: Mapped[str] = mapped_column(exact_string(128))
    state: Mapped[str] = mapped_column(exact_string(8))
    sealed_result: Mapped[str | None] = mapped_column(long_text())
    at: Mapped[datetime]
