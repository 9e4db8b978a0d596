"""What a platform may need of the house above it, as protocols. `app.py` wires the real ones."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class MessageStatus:
    """The last status that a platform's webhook told of a message."""

    message_id: str
    status: str
    at: datetime
    recipient: str | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)


class MessageStatuses(Protocol):
    """Statuses of sent messages, kept by what the platform's webhook told us."""

    async def latest(self, customer_id: str, platform: str, message_id: str) -> MessageStatus | None:
        """The furthest status known of the customer's message, or None if the webhook never mentioned it."""
        ...


class Leases(Protocol):
    """Rights that only one holder has at a time, across all replicas."""

    def hold(self, customer_id: str, name: str, seconds: float) -> AbstractAsyncContextManager[bool]:
        """Take the lease for at most `seconds`; yields False when someone else holds it."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """The wired ports, handed to every platform through its `ApiContext`."""

    message_statuses: MessageStatuses
    leases: Leases
