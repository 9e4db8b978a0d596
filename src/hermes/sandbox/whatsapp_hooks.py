"""WhatsApp's webhooks: the envelope, the signature over the bytes as Meta writes them, and statuses over time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hermes.sandbox.base import Stage
from hermes.sandbox.graph import MESSAGES
from hermes.sandbox.recorder import Message
from hermes.sandbox.webhooks import Delivery

PLATFORM = "whatsapp"
BATCH_SECONDS = 1.0
REMEMBERED = 50_000
ERRORS_PAGE = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"
ORDER = ("sent", "delivered", "read")


def meta_json(value: Any) -> bytes:
    r"""JSON as Meta sends it: non-ASCII as \uXXXX in lower case, slashes as \/ ."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("/", "\\/").encode()


def signature(app_secret: str, body: bytes) -> str:
    """The value of `X-Hub-Signature-256`: HMAC-SHA256 of the raw bytes under the app's secret."""
    return "sha256=" + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()


def new_wamid() -> str:
    return "wamid." + base64.b64encode(b"\x1d\x02\x15\x02\x00\x11\x18\x12" + secrets.token_bytes(18)).decode()


def user_id_of(wa_id: str) -> str:
    """A person's business-scoped id."""
    return "US." + str(int.from_bytes(hashlib.sha256(wa_id.encode()).digest()[:7], "big"))


@dataclass(slots=True)
class Number:
    """A sending phone number and the business account it belongs to."""

    phone_number_id: str
    business: str
    display: str


@dataclass(slots=True)
class Event:
    """One status of a sent message, and whether the app was told."""

    status: str
    timestamp: str
    error: str | None = None
    told: str = "PENDING"


@dataclass(slots=True)
class Sent:
    """A message on its way, with the events it went through."""

    id: str
    number: Number
    wa_id: str | None
    user_id: str | None
    callback_data: str | None
    category: str
    shown: Message = field(repr=False)
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of field `messages`, on its way to the app."""

    number: Number
    content: dict[str, Any]
    events: Sequence[Event]


@dataclass(slots=True)
class Subscription:
    """Whether and where the app gets a business account's webhooks."""

    active: bool = True
    override: str | None = None


class Hooks:
    """Sends what happens on WhatsApp's side to the app."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._subscriptions: dict[str, Subscription] = {}
        self._waiting: list[Change] = []
        self.sent: OrderedDict[str, Sent] = OrderedDict()

    def subscription(self, business: str) -> Subscription:
        """The business account's subscription: active from the start, as if the app had been set up by hand."""
        return self._subscriptions.setdefault(business, Subscription())

    def reset(self) -> None:
        self._subscriptions.clear()
        self._waiting.clear()
        self.sent.clear()

    # statuses

    def follow(self, sent: Sent) -> None:
        """Let an accepted message become sent, delivered and read."""
        self._remember(sent)
        start = self._stage.clock.now()
        steps = list(zip(ORDER, self._stage.options.status_delays, strict=True))
        statuses = [(status, start + delay) for status, delay in steps]
        told = list(reversed(statuses)) if self._stage.webhooks.disorder(PLATFORM).shuffle else statuses
        for (status, at), (_, delay) in zip(told, steps, strict=True):
            self._stage.clock.call_later(delay, self._telling(sent, status, at, None))

    def fail(self, sent: Sent, code: int) -> None:
        """Let an accepted message end as failed."""
        self._remember(sent)
        delay = self._stage.options.status_delays[0]
        at = self._stage.clock.now() + delay
        title = MESSAGES[code][1]
        error = {
            "code": code,
            "title": title,
            "message": title,
            "error_data": {"details": title},
            "href": ERRORS_PAGE,
        }
        self._stage.clock.call_later(delay, self._telling(sent, "failed", at, error))

    def _remember(self, sent: Sent) -> None:
        self.sent[sent.id] = sent
        if len(self.sent) > REMEMBERED:
            self.sent.popitem(last=False)

    def _telling(self, sent: Sent, status: str, at: float, error: dict[str, Any] | None) -> Callable[[], None]:
        def tell() -> None:
            self._tell(sent, status, at, error)

        return tell

    def _tell(self, sent: Sent, status: str, at: float, error: dict[str, Any] | None) -> None:
        sent.shown.status = status
        value: dict[str, Any] = {"id": sent.id, "status": status, "timestamp": str(int(at))}
        if sent.wa_id is not None:
            value["recipient_id"] = sent.wa_id
        value["recipient_user_id"] = sent.user_id or user_id_of(sent.wa_id or "")
        if sent.callback_data is not None:
            value["biz_opaque_callback_data"] = sent.callback_data
        if status in ("sent", "delivered"):
            category = sent.category
            kind = "free_customer_service" if category == "service" else "regular"
            value["pricing"] = {
                "billable": category != "service", "pricing_model": "PMP", "type": kind, "category": category,
            }  # fmt: skip
        if error is not None:
            value["errors"] = [error]
        event = Event(status, value["timestamp"], error["title"] if error else None)
        sent.events.append(event)
        self.publish(sent.number, {"statuses": [value]}, events=[event])

    # webhooks

    def publish(
        self, number: Number, content: dict[str, Any], *, sign: str = "right", events: Sequence[Event] = ()
    ) -> None:
        """Send one change of field `messages` about a number, at once or in the next batch.

        Args:
            sign: `right`, `wrong` or `missing` signature; only right ones are batched.
            events: what the app is told with it; they are marked when it accepted or never did.
        """
        if self._stage.webhooks.disorder(PLATFORM).batch and sign == "right":
            self._waiting.append(Change(number, content, events))
            if len(self._waiting) == 1:
                self._stage.clock.call_later(BATCH_SECONDS, self._send_batch)
        else:
            self._post([Change(number, content, events)], sign)

    def _send_batch(self) -> None:
        waiting, self._waiting = self._waiting, []
        by_url: dict[str | None, list[Change]] = {}
        for change in waiting:
            by_url.setdefault(self._url(change.number), []).append(change)
        for changes in by_url.values():
            self._post(changes, "right")

    def _url(self, number: Number) -> str | None:
        subscription = self.subscription(number.business)
        if not subscription.active:
            return None
        return subscription.override or self._stage.options.webhook_urls.get(PLATFORM)

    def _post(self, changes: list[Change], sign: str) -> None:
        url = self._url(changes[0].number)
        if url is None:
            return
        entries: dict[str, dict[str, Any]] = {}
        for change in changes:
            number = change.number
            entry = entries.setdefault(
                number.business, {"id": number.business, "time": int(self._stage.clock.now()), "changes": []}
            )
            metadata = {"display_phone_number": number.display, "phone_number_id": number.phone_number_id}
            value = {"messaging_product": "whatsapp", "metadata": metadata, **change.content}
            entry["changes"].append({"field": "messages", "value": value})
        body = meta_json({"object": "whatsapp_business_account", "entry": list(entries.values())})
        headers = {"content-type": "application/json", "user-agent": "facebookexternalua"}
        if sign != "missing":
            secret = self._stage.options.meta_app_secret if sign == "right" else "not the secret"
            headers["X-Hub-Signature-256"] = signature(secret, body)
        events = [event for change in changes for event in change.events]

        def ended(delivery: Delivery) -> None:
            for event in events:
                event.told = "DELIVERED" if delivery.status == "delivered" else "FAILED"

        self._stage.webhooks.send(PLATFORM, url, body, headers, ended)
