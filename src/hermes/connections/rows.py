"""Reading and changing rows of the connections table inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.connections.models import ConnectionRow, Status
from hermes.connections.names import printable
from hermes.crypto import key_id_of
from hermes.identity.ids import new_id
from hermes.platforms.base import Account
from hermes.storage.sql import insert_once

_ERROR_LENGTH = 500
_NAME_LENGTH = 255


class RoutingTaken(Exception):
    """The routing id is held by another account. `label` is that account's if it is the same customer's, else None."""

    def __init__(self, label: str | None) -> None:
        super().__init__("the routing id is held by another account")
        self.label = label


def is_account(customer_id: str, platform: str, label: str) -> tuple[ColumnElement[bool], ...]:
    """The condition that names one account of one customer."""
    return (
        ConnectionRow.customer_id == customer_id,
        ConnectionRow.platform == platform,
        ConnectionRow.label == label,
    )


async def locked(session: AsyncSession, customer_id: str, platform: str, label: str) -> ConnectionRow | None:
    """The account's row, held until the transaction ends."""
    query = select(ConnectionRow).where(*is_account(customer_id, platform, label)).with_for_update()
    return (await session.execute(query)).scalar_one_or_none()


async def locked_or_new(session: AsyncSession, customer_id: str, platform: str, label: str) -> ConnectionRow:
    """The account's row, held until the transaction ends; a new one starts as a tombstone of version 0."""
    row = await locked(session, customer_id, platform, label)
    if row is None:
        await insert_once(session, ConnectionRow, **_blank(customer_id, platform, label))
        row = await locked(session, customer_id, platform, label)
    assert row is not None  # noqa: S101  (rows are never deleted)
    return row


async def refuse_taken(
    session: AsyncSession, customer_id: str, platform: str, label: str, routing_id: str | None
) -> None:
    """Make sure that no other account holds the routing id.

    Raises:
        RoutingTaken: one does.
    """
    if routing_id is None:
        return
    query = select(ConnectionRow.customer_id, ConnectionRow.label).where(
        ConnectionRow.platform == platform, ConnectionRow.routing_id == routing_id
    )
    holder = (await session.execute(query)).one_or_none()
    if holder is not None and (holder.customer_id, holder.label) != (customer_id, label):
        raise RoutingTaken(holder.label if holder.customer_id == customer_id else None)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """That an account was linked by signing in.

    Attributes:
        provider: where.
        renew_at: when the tokens are to be renewed; None: they cannot be.
        ends_at: when the person must sign in again at the latest; None: not known to end.
    """

    provider: str
    renew_at: datetime | None
    ends_at: datetime | None


def fill_in(row: ConnectionRow, sealed: str, account: Account, signed_in: SignedIn | None = None) -> None:
    """Make the row a working connection, as its next version."""
    now = touch(row)
    if row.status == Status.DISCONNECTED:
        row.created_at = now
    row.status = Status.CONNECTED
    row.ciphertext, row.key_id = sealed, key_id_of(sealed)
    row.external_id, row.routing_id = account.id, account.routing_id
    row.display_name = printable(account.name, _NAME_LENGTH) if account.name else None
    row.scopes, row.expires_at = list(account.scopes), account.expires_at
    row.last_checked_at = row.last_success_at = now
    row.last_error = None
    row.check_at = now
    row.shared_id, row.steps = account.shared_id, None
    row.provider = row.renew_at = row.end_told_at = None
    row.renew_failures = 0
    if signed_in is not None:
        row.provider, row.renew_at, row.expires_at = signed_in.provider, signed_in.renew_at, signed_in.ends_at


def renew(row: ConnectionRow, sealed: str, renew_at: datetime | None, ends_at: datetime | None) -> None:
    """Give the row renewed tokens, as its next version. Without an `ends_at` the one before stays."""
    row.last_success_at = row.last_checked_at = touch(row)
    row.status = Status.CONNECTED
    row.ciphertext, row.key_id = sealed, key_id_of(sealed)
    row.renew_at, row.renew_failures = renew_at, 0
    row.expires_at = ends_at or row.expires_at
    row.last_error = None


def begin(row: ConnectionRow, provider: str | None) -> None:
    """Make a tombstone an account that is not linked to its end."""
    row.created_at = touch(row)
    row.status, row.provider = Status.INCOMPLETE, provider
    row.last_error = "A choice is open: which account is to be used?"


def empty(row: ConnectionRow) -> None:
    """Make the row a tombstone, as its next version: nothing of the account stays but its label."""
    touch(row)
    row.status = Status.DISCONNECTED
    row.ciphertext = row.key_id = row.external_id = row.routing_id = row.display_name = row.last_error = None
    row.shared_id = row.steps = None
    row.scopes = []
    row.expires_at = row.last_checked_at = row.last_success_at = None
    row.provider = row.renew_at = row.end_told_at = row.check_at = None
    row.renew_failures = 0


def fail(row: ConnectionRow, reason: str) -> None:
    """Say that the credential no longer works, as the row's next version."""
    row.last_checked_at = touch(row)
    row.status = Status.NEEDS_RECONNECT
    row.renew_at = row.check_at = None
    row.last_error = printable(reason, _ERROR_LENGTH)


def touch(row: ConnectionRow) -> datetime:
    row.version += 1
    row.updated_at = datetime.now(UTC)
    return row.updated_at


def routing_ids(*ids: str | None) -> Sequence[str]:
    """Those that are there, once each, in a fixed order."""
    return sorted({routing_id for routing_id in ids if routing_id is not None})


def _blank(customer_id: str, platform: str, label: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "id": new_id("con"),
        "customer_id": customer_id,
        "platform": platform,
        "label": label,
        "status": Status.DISCONNECTED.value,
        "scopes": [],
        "version": 0,
        "renew_failures": 0,
        "created_at": now,
        "updated_at": now,
    }
