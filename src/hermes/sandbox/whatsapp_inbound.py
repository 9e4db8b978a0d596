"""Messages that people send to a number, as the webhook's `value` shows them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

from hermes.sandbox.http import derived_digits
from hermes.sandbox.whatsapp_hooks import user_id_of


def _image(text: str, _sender: str) -> dict[str, Any]:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    image = {"id": derived_digits(text, "image", 16), "mime_type": "image/jpeg", "sha256": digest, "caption": text}
    return {"type": "image", "image": image}


def _unsupported(_text: str, _sender: str) -> dict[str, Any]:
    error = {"code": 131051, "title": "Message type unknown", "message": "Message type unknown",
             "error_data": {"details": "Message type is currently not supported."}}  # fmt: skip
    return {"type": "unsupported", "errors": [error]}


def _system(text: str, sender: str) -> dict[str, Any]:
    return {"type": "system", "system": {"type": "user_changed_number", "body": text, "wa_id": f"{sender[:-1]}9"}}


def _plain(text: str, _sender: str) -> dict[str, Any]:
    return {"type": "text", "text": {"body": text}}


INBOUND: dict[str, Callable[[str, str], dict[str, Any]]] = {
    "text": _plain,
    "image": _image,
    "unsupported": _unsupported,
    "system": _system,
    "username": _plain,
}


def inbound(kind: str, text: str, sender: str, name: str, wamid: str, at: float) -> dict[str, Any]:
    """The `contacts` and `messages` of one message.

    Args:
        kind: a key of `INBOUND`; `username` is a text of a person who hides the number (no `from`, no `wa_id`), and
            `system` comes without contacts.
    """
    user = user_id_of(sender)
    message: dict[str, Any] = {"from": sender, "from_user_id": user, "id": wamid, "timestamp": str(int(at))}
    message |= INBOUND[kind](text, sender)
    contact: dict[str, Any] = {"profile": {"name": name}, "wa_id": sender, "user_id": user}
    if kind == "username":
        del message["from"], contact["wa_id"]
        contact["profile"]["username"] = "ann.k"
    return {"messages": [message]} if kind == "system" else {"contacts": [contact], "messages": [message]}
