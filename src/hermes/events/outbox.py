"""Writing events down where they happen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils import uuid7

from hermes.events.models import EventRow


async def add(session: AsyncSession, customer_id: str, kind: str, **payload: Any) -> str:
    """Write an event down in the transaction of what caused it: it is there if and only if that happened.

    Args:
        session: of that transaction.
        customer_id: whose account it concerns.
        kind: one of contract.md's types.
        payload: JSON values; no secret.

    Returns:
        The event's id.
    """
    row = EventRow(id=f"evt_{uuid7().hex}", customer_id=customer_id, type=kind, payload=payload, at=datetime.now(UTC))
    session.add(row)
    await session.flush()
    return row.id
