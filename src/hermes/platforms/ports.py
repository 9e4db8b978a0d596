"""What a platform may need of the house above it, as protocols. `app.py` wires the real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
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


class PublishState(StrEnum):
    """Where a publication stands."""

    CREATED = "created"
    UPLOADING = "uploading"
    PROCESSING = "processing"
    PUBLISHED = "published"
    FAILED = "failed"


class Journal(Protocol):
    """The durable steps of one long call; see `ToolContext.step` and `ToolContext.state`."""

    async def step(self, name: str, work: Callable[[], Awaitable[Any]], *, repeatable: bool) -> Any: ...

    async def state(self, state: PublishState) -> None: ...


@dataclass(frozen=True, slots=True)
class MediaRules:
    """What a vendor takes as a photo or video; checked before the vendor sees it. None: no limit known.

    Attributes:
        types: MIME types, decided by content and never by name or header. Empty: any.
        max_bytes: size of the file.
        source: the vendor's page.
        max_sides: width plus height, in pixels (Telegram).
        min_ratio, max_ratio: width divided by height.
        min_seconds, max_seconds: duration.
    """

    types: frozenset[str]
    max_bytes: int
    source: str
    min_width: int | None = None
    max_width: int | None = None
    min_height: int | None = None
    max_height: int | None = None
    max_sides: int | None = None
    min_ratio: float | None = None
    max_ratio: float | None = None
    min_seconds: float | None = None
    max_seconds: float | None = None


class MediaFile(Protocol):
    """A photo or video that passed its rules, ready to be read in pieces, any number of times."""

    @property
    def size(self) -> int: ...

    @property
    def content_type(self) -> str: ...

    @property
    def filename(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def width(self) -> int | None: ...

    @property
    def height(self) -> int | None: ...

    @property
    def seconds(self) -> float | None: ...

    def read(self, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start`, at most `length` of them, in small pieces: memory stays flat."""
        ...


class Media(Protocol):
    """Photos and videos on their way to a platform, and attachments on their way from one."""

    def open(
        self, customer_id: str, source: str, rules: MediaRules, *, field: str
    ) -> AbstractAsyncContextManager[MediaFile]:
        """The customer's media, by https URL (fetched now, through the guarded client) or by handle (`media_…`).

        Args:
            field: the argument's name, for errors.

        Raises:
            InvalidArguments: it cannot be fetched, or does not fit the rules; says what is allowed.
            NotFound: no such handle of this customer's, or it expired.
            PayloadTooLarge: it is larger than the rules allow.
        """
        ...

    async def hold(self, customer_id: str, source: str, rules: MediaRules, *, field: str) -> str:
        """A handle for `source`: a handle is checked and comes back; a URL is fetched, checked and kept.

        For long calls, as a repeatable step: a call that is resumed then goes on with the very bytes it began with,
        whatever the URL gives by now. Takes and raises the same as `open`.
        """
        ...

    async def keep(self, customer_id: str, content: AsyncIterator[bytes], *, filename: str, content_type: str) -> str:
        """Keep content for 24 hours and return its handle."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """The wired ports, handed to every platform through its `ApiContext`."""

    message_statuses: MessageStatuses
    leases: Leases
    media: Media
