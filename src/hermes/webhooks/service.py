"""What platforms tell us: accepted durably, processed once, kept for the customer it is about."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.identity.ids import new_id
from hermes.platforms.ports import MessageStatus
from hermes.storage.sql import Database, insert_ignore, insert_once
from hermes.webhooks.models import EventState, InboundEventRow, MessageRow, MessageStatusRow
from hermes.webhooks.whatsapp import PLATFORM, InboundMessage, InboundStatus, Notification, parse

PROCESS_JOB: Final = "webhooks.process_inbound"

_SWEEP_AFTER: Final = timedelta(seconds=60)
_SWEEP_ROWS: Final = 500
_MAX_TRIES: Final = 10
_KEEP: Final = timedelta(days=8)
"""Meta sends a request again for up to seven days; until then its row tells that it was here before."""

_MAX_PAGE: Final = 100

log = structlog.get_logger(__name__)


class PhoneNumbers(Protocol):
    """Whose WhatsApp number it is; `connections` knows."""

    async def customer_of(self, phone_number_id: str) -> str | None:
        """The id of the customer who linked the number, or None if nobody did."""
        ...


class Jobs(Protocol):
    """Where work is queued by its row's id."""

    async def enqueue(self, name: str, *ids: str | int, delay: float = 0) -> bool:
        """Have the job run with these ids; False when that could not be arranged."""
        ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request that is stored.

    Attributes:
        event_id: its row.
        new: false when the very same request was here before.
        pending: whether it still has to be processed.
    """

    event_id: str
    new: bool
    pending: bool


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message in a customer's inbox: text from outside."""

    number: int
    platform: str
    account_id: str
    message_id: str
    kind: str
    sender_id: str | None
    sender_phone: str | None
    sender_name: str | None
    reply_to: str | None
    text: str | None
    content: dict[str, Any]
    sent_at: datetime
    received_at: datetime


class InboundEvents:
    """Accepts and processes inbound webhooks; reads the inbox. Implements `hermes.platforms.ports.MessageStatuses`."""

    def __init__(self, database: Database, phone_numbers: PhoneNumbers, jobs: Jobs) -> None:
        self._database = database
        self._phone_numbers = phone_numbers
        self._jobs = jobs

    async def accept(self, body: bytes) -> Accepted:
        """Store a WhatsApp request whose signature was right. When this returns, it is durable.

        Raises:
            SQLAlchemyError, TimeoutError: it could not be stored, so the platform has to send it again.
        """
        event_id = new_id("in")
        malformed = parse(body) is None
        dedupe_key = hashlib.sha256(body).hexdigest()
        now = _now()
        async with self._database.session() as session:
            new = await insert_once(
                session,
                InboundEventRow,
                id=event_id,
                platform=PLATFORM,
                dedupe_key=dedupe_key,
                body=body,
                state=EventState.MALFORMED if malformed else EventState.ACCEPTED,
                tries=0,
                error="not a WhatsApp notification" if malformed else None,
                received_at=now,
                finished_at=now if malformed else None,
            )
            if not new:
                known = select(InboundEventRow.id).where(
                    InboundEventRow.platform == PLATFORM, InboundEventRow.dedupe_key == dedupe_key
                )
                event_id = (await session.execute(known)).scalar_one()
        if malformed:
            log.warning("inbound_event_malformed", platform=PLATFORM, event_id=event_id, size=len(body))
        return Accepted(event_id, new, pending=new and not malformed)

    async def queue(self, event_id: str) -> None:
        """Have an accepted request processed soon. If that fails, `sweep` does it later."""
        await self._jobs.enqueue(PROCESS_JOB, event_id)

    async def process(self, event_id: str) -> None:
        """Put what an accepted request tells where it belongs, all in one transaction; nothing if that was done before.

        Raises:
            Exception: it could not be done now. After ten tries the request is marked as failed and left alone.
        """
        body = await self._pending_body(event_id)
        if body is None:
            return
        try:
            found = parse(body) or Notification()
            customers = {account: await self._customer_of(account) for account in found.account_ids}
            async with self._database.session() as session:
                if await _finish(session, event_id):
                    await _keep(session, found, customers)
        except Exception as error:
            await self._count_try(event_id, type(error).__name__)
            raise
        for account_id, code in found.faults:
            log.warning("whatsapp_account_fault", phone_number_id=account_id, platform_code=code)

    async def sweep(self) -> None:
        """Queue accepted requests again whose message was lost."""
        query = (
            select(InboundEventRow.id)
            .where(InboundEventRow.state == EventState.ACCEPTED, InboundEventRow.received_at < _now() - _SWEEP_AFTER)
            .order_by(InboundEventRow.received_at)
            .limit(_SWEEP_ROWS)
        )
        async with self._database.reading() as session:
            waiting = (await session.execute(query)).scalars().all()
        for event_id in waiting:
            if not await self._jobs.enqueue(PROCESS_JOB, event_id):
                return

    async def purge(self) -> None:
        """Delete finished requests that the platform will not send again."""
        async with self._database.session() as session:
            await session.execute(
                delete(InboundEventRow).where(
                    InboundEventRow.state != EventState.ACCEPTED, InboundEventRow.received_at < _now() - _KEEP
                )
            )

    async def latest(self, customer_id: str, platform: str, message_id: str) -> MessageStatus | None:
        """The furthest status known of the customer's message, or None if no webhook ever mentioned it."""
        row = MessageStatusRow
        query = select(row.message_id, row.status, row.at, row.recipient, row.errors).where(
            row.customer_id == customer_id, row.platform == platform, row.message_id == message_id
        )
        async with self._database.reading() as session:
            found = (await session.execute(query)).one_or_none()
        if found is None:
            return None
        return MessageStatus(found.message_id, found.status, found.at, found.recipient, found.errors)

    async def messages(
        self, customer_id: str, *, platform: str = PLATFORM, before: int | None = None, limit: int = 50
    ) -> list[ReceivedMessage]:
        """A page of the customer's inbox, newest first.

        Args:
            customer_id: whose inbox.
            platform: from which platform.
            before: only messages older than the one with this `number`.
            limit: at most so many, 100 at the most.
        """
        row = MessageRow
        query = (
            select(row)
            .where(row.customer_id == customer_id, row.platform == platform)
            .order_by(row.number.desc())
            .limit(max(1, min(limit, _MAX_PAGE)))
        )
        if before is not None:
            query = query.where(row.number < before)
        async with self._database.reading() as session:
            return [
                ReceivedMessage(**{name: getattr(found, name) for name in ReceivedMessage.__slots__})
                for found in (await session.execute(query)).scalars()
            ]

    async def _customer_of(self, account_id: str) -> str | None:
        customer_id = await self._phone_numbers.customer_of(account_id)
        if customer_id is None:
            log.info("inbound_number_unknown", phone_number_id=account_id)
        return customer_id

    async def _pending_body(self, event_id: str) -> bytes | None:
        query = select(InboundEventRow.body).where(
            InboundEventRow.id == event_id, InboundEventRow.state == EventState.ACCEPTED
        )
        async with self._database.reading() as session:
            return (await session.execute(query)).scalar_one_or_none()

    async def _count_try(self, event_id: str, error: str) -> None:
        accepted = (InboundEventRow.id == event_id, InboundEventRow.state == EventState.ACCEPTED)
        async with self._database.session() as session:
            await session.execute(
                update(InboundEventRow).where(*accepted).values(tries=InboundEventRow.tries + 1, error=error)
            )
            given_up = await session.execute(
                update(InboundEventRow)
                .where(*accepted, InboundEventRow.tries >= _MAX_TRIES)
                .values(state=EventState.FAILED, finished_at=_now())
            )
        if _rows(given_up):
            log.error("inbound_event_given_up", event_id=event_id, error=error)


async def _finish(session: AsyncSession, event_id: str) -> bool:
    """Mark a request as processed; false if somebody else has done so. Holds its row until the transaction ends."""
    done = await session.execute(
        update(InboundEventRow)
        .where(InboundEventRow.id == event_id, InboundEventRow.state == EventState.ACCEPTED)
        .values(state=EventState.PROCESSED, finished_at=_now(), error=None)
    )
    return _rows(done) == 1


async def _keep(session: AsyncSession, found: Notification, customers: Mapping[str, str | None]) -> None:
    for message in found.messages:
        customer_id = customers[message.account_id]
        if customer_id is not None:
            await _keep_message(session, customer_id, message)
    for status in found.statuses:
        customer_id = customers[status.account_id]
        if customer_id is not None:
            await _keep_status(session, customer_id, status)


async def _keep_message(session: AsyncSession, customer_id: str, message: InboundMessage) -> None:
    now = _now()
    await session.execute(
        insert_ignore(MessageRow).values(
            customer_id=customer_id,
            platform=PLATFORM,
            account_id=message.account_id,
            message_id=message.message_id,
            kind=message.kind,
            sender_id=message.sender_id,
            sender_phone=message.sender_phone,
            sender_name=message.sender_name,
            reply_to=message.reply_to,
            text=message.text,
            content=message.content,
            sent_at=message.sent_at or now,
            received_at=now,
        )
    )


async def _keep_status(session: AsyncSession, customer_id: str, status: InboundStatus) -> None:
    now = _now()
    values: dict[str, Any] = {
        "account_id": status.account_id,
        "status": status.status,
        "status_rank": status.rank,
        "at": status.at or now,
        "recipient": status.recipient,
        "errors": status.errors,
        "updated_at": now,
    }
    row = MessageStatusRow
    # The update goes first: on MySQL an INSERT that finds its key taken would lock gaps around it.
    forward = await session.execute(
        update(row)
        .where(
            row.customer_id == customer_id,
            row.platform == PLATFORM,
            row.message_id == status.message_id,
            row.status_rank < status.rank,
        )
        .values(**values)
    )
    if _rows(forward) == 0:
        await session.execute(
            insert_ignore(row).values(
                customer_id=customer_id, platform=PLATFORM, message_id=status.message_id, **values
            )
        )


def _rows(result: Any) -> int:
    return int(result.rowcount)


def _now() -> datetime:
    return datetime.now(UTC)
