"""Reading WhatsApp's webhook requests: what is in them, for which phone number, whatever shape they have.

Source: Meta's webhook payload reference. Every member can be missing: users with a username have no phone number,
statuses have no contacts, and there are kinds of messages that nobody has told us of yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

PLATFORM = "whatsapp"

RANKS = {"accepted": 0, "warning": 1, "sent": 1, "failed": 2, "delivered": 3, "read": 4, "played": 5, "deleted": 6}
"""How far a status is: a message never goes back to an earlier one. An unknown status does not replace a known one."""

_MAX_ID = 255
_MAX_NAME = 255
_MAX_KIND = 64
_MAX_ACCOUNT = 64
_MAX_STATUS = 32
_LATEST = 253_402_300_799  # the end of the year 9999


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """A message that someone sent to the number `account_id`."""

    account_id: str
    message_id: str
    kind: str
    sender_id: str | None
    sender_phone: str | None
    sender_name: str | None
    reply_to: str | None
    text: str | None
    sent_at: datetime | None
    content: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class InboundStatus:
    """What happened to a message that the number `account_id` sent."""

    account_id: str
    message_id: str
    status: str
    rank: int
    at: datetime | None
    recipient: str | None
    errors: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Notification:
    """Everything of one request that hermes keeps, in its order, and what is wrong with accounts (`faults`)."""

    messages: list[InboundMessage] = field(default_factory=list)
    statuses: list[InboundStatus] = field(default_factory=list)
    faults: list[tuple[str, int | None]] = field(default_factory=list)
    """(phone number id, the vendor's error code)"""

    @property
    def account_ids(self) -> set[str]:
        items: list[InboundMessage | InboundStatus] = [*self.messages, *self.statuses]
        return {item.account_id for item in items}


def parse(body: bytes) -> Notification | None:
    """The content of a request, or None if it is not one of WhatsApp's at all. Never raises."""
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(payload, dict) or not isinstance(payload.get("entry"), list):
        return None
    found = Notification()
    for value in _values(payload):
        metadata = _object(value.get("metadata"))
        account_id = _text(metadata.get("phone_number_id"), _MAX_ACCOUNT)
        if account_id is None:
            continue
        names = _names(value)
        found.messages.extend(
            message
            for item in _objects(value.get("messages"))
            if (message := _message(account_id, item, names)) is not None
        )
        found.statuses.extend(
            status for item in _objects(value.get("statuses")) if (status := _status(account_id, item)) is not None
        )
        found.faults.extend((account_id, _code(item)) for item in _objects(value.get("errors")))
    return found


def _values(payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for entry in _objects(payload.get("entry")):
        for change in _objects(entry.get("changes")):
            if change.get("field", "messages") == "messages":
                yield _object(change.get("value"))


def _names(value: dict[str, Any]) -> dict[str, str]:
    """Profile names by phone number and by user id: contacts and messages need not be in the same order."""
    names: dict[str, str] = {}
    for contact in _objects(value.get("contacts")):
        profile = _object(contact.get("profile"))
        name = _text(profile.get("name"), _MAX_NAME) or _text(profile.get("username"), _MAX_NAME)
        for key in (_text(contact.get("wa_id"), _MAX_ID), _text(contact.get("user_id"), _MAX_ID)):
            if name is not None and key is not None:
                names[key] = name
    return names


def _message(account_id: str, item: dict[str, Any], names: dict[str, str]) -> InboundMessage | None:
    message_id = _text(item.get("id"), _MAX_ID)
    if message_id is None:
        return None
    phone = _text(item.get("from"), _MAX_ACCOUNT)
    user_id = _text(item.get("from_user_id"), _MAX_ID)
    return InboundMessage(
        account_id=account_id,
        message_id=message_id,
        kind=_text(item.get("type"), _MAX_KIND) or "unknown",
        sender_id=user_id or phone,
        sender_phone=phone,
        sender_name=names.get(user_id or "") or names.get(phone or ""),
        reply_to=_reply_to(item),
        text=_text_of(item),
        sent_at=_moment(item.get("timestamp")),
        content=item,
    )


def _reply_to(item: dict[str, Any]) -> str | None:
    """The message that this one answers, reacts to, changes or takes back."""
    for holder, name in (
        ("context", "id"),
        ("reaction", "message_id"),
        ("edit", "original_message_id"),
        ("revoke", "original_message_id"),
    ):
        known = _text(_object(item.get(holder)).get(name), _MAX_ID)
        if known is not None:
            return known
    return None


_TEXTS = (
    ("text", "body"),
    ("button", "text"),
    ("reaction", "emoji"),
    ("image", "caption"),
    ("video", "caption"),
    ("document", "caption"),
    ("document", "filename"),
    ("location", "name"),
    ("location", "address"),
    ("system", "body"),
)


def _text_of(item: dict[str, Any]) -> str | None:
    """What a person would read of the message."""
    if item.get("type") == "interactive":
        interactive = _object(item.get("interactive"))
        reply = _object(interactive.get(str(interactive.get("type"))))
        return _text(reply.get("title")) or _text(reply.get("body"))
    if item.get("type") == "edit":
        return _text_of(_object(_object(item.get("edit")).get("message")))
    for holder, name in _TEXTS:
        if holder == item.get("type") and (found := _text(_object(item.get(holder)).get(name))) is not None:
            return found
    return None


def _status(account_id: str, item: dict[str, Any]) -> InboundStatus | None:
    message_id = _text(item.get("id"), _MAX_ID)
    status = _text(item.get("status"), _MAX_STATUS)
    if message_id is None or status is None:
        return None
    return InboundStatus(
        account_id=account_id,
        message_id=message_id,
        status=status,
        rank=RANKS.get(status, 0),
        at=_moment(item.get("timestamp")),
        recipient=_text(item.get("recipient_id"), _MAX_ID) or _text(item.get("recipient_user_id"), _MAX_ID),
        errors=[_error(error) for error in _objects(item.get("errors"))],
    )


def _error(error: dict[str, Any]) -> dict[str, Any]:
    details = _text(_object(error.get("error_data")).get("details"))
    shown = {"code": _code(error), "title": _text(error.get("title")), "details": details}
    return {name: value for name, value in shown.items() if value is not None}


def _code(error: dict[str, Any]) -> int | None:
    code = error.get("code")
    return code if isinstance(code, int) else None


def _moment(value: Any) -> datetime | None:
    """A time in seconds, as the strings that Meta sends; None if it is none."""
    try:
        seconds = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return datetime.fromtimestamp(seconds, UTC) if 0 <= seconds <= _LATEST else None


def _text(value: Any, longest: int | None = None) -> str | None:
    """A text that is not empty and, if it has to fit a column, not too long and without blanks around it."""
    if not isinstance(value, str) or not value.strip():
        return None
    if longest is None:
        return value
    value = value.strip()
    return value if len(value) <= longest else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
