"""Tables of the pipeline: calls that may take minutes, with what is needed to go on with them, and approvals."""

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


class ApprovalRow(Base):
    """A call that waits, or waited, for the customer's yes (approvals.py).

    Attributes:
        call_id: of the call that had to ask.
        open_key: what makes a repeated call the same; none once it has been answered.
        caller: as whom it runs (never a secret).
        key_id: the credential that asked.
        decided_by: the session or key of whoever decided.
        decided_via: `page` or `client`.
        run_id: of the call that ran it.
        claimed_until: until when its run is believed to be alive.
    """

    __tablename__ = "approvals"
    __table_args__ = (
        Index(None, "customer_id", "id"),
        Index(None, "status", "expires_at"),
        Index(None, "finished_at"),
    )

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    customer_id: Mapped[str] = mapped_column(id_string())
    call_id: Mapped[str] = mapped_column(id_string())
    tool: Mapped[str] = mapped_column(exact_string(128))
    platform: Mapped[str] = mapped_column(exact_string(64))
    account: Mapped[str] = mapped_column(exact_string(32))
    sealed_arguments: Mapped[str] = mapped_column(long_text())
    digest: Mapped[str] = mapped_column(exact_string(64))
    open_key: Mapped[str | None] = mapped_column(exact_string(64), unique=True)
    caller: Mapped[dict[str, Any]]
    key_id: Mapped[str] = mapped_column(id_string())
    status: Mapped[str] = mapped_column(exact_string(20))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(id_string())
    decided_via: Mapped[str | None] = mapped_column(exact_string(8))
    run_id: Mapped[str | None] = mapped_column(id_string())
    claimed_until: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(exact_string(20))
    sealed_result: Mapped[str | None] = mapped_column(long_text())
    finished_at: Mapped[datetime | None]
