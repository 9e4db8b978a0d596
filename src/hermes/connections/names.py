"""Names: those under which credentials are kept, and those that platforms give their accounts.

A credential's name is its Redis key, and the associated data of what lies under it."""

from __future__ import annotations

import re

from hermes.platforms.base import DEFAULT_ACCOUNT

LABEL = re.compile(r"[a-z0-9_-]{1,32}", re.ASCII)
LABEL_RULE = "1 to 32 of a-z, 0-9, - and _"
_PART = re.compile(r"[A-Za-z0-9_.@-]{1,64}", re.ASCII)
_PREFIX = "creds:"
_VERSION_PREFIX = "creds_version:"


def key_name(customer_id: str, platform: str, label: str) -> str:
    """`creds:{customerId}:{platform}`, and for other accounts than the default one `…:{label}`.

    No two accounts have the same name: no part can hold a colon.

    Raises:
        ValueError: a part that cannot be an id or label.
    """
    if not _PART.fullmatch(customer_id) or not _PART.fullmatch(platform) or not LABEL.fullmatch(label):
        raise ValueError("not the parts of a credential's name")
    name = f"{_PREFIX}{customer_id}:{platform}"
    return name if label == DEFAULT_ACCOUNT else f"{name}:{label}"


def health_name(customer_id: str, platform: str, label: str) -> str:
    """`platform_health:{customerId}:{platform}`, and for other accounts than the default one `…:{label}`."""
    name = f"platform_health:{customer_id}:{platform}"
    return name if label == DEFAULT_ACCOUNT else f"{name}:{label}"


def version_name(name: str) -> str:
    """The side key that holds the version of the credential called `name`."""
    return _VERSION_PREFIX + name.removeprefix(_PREFIX)


def printable(text: str, length: int = 500) -> str:
    """A platform's words on one line: bounded, without control, zero-width and bidirectional characters."""
    return "".join(char if char.isprintable() else " " for char in text[:length]).strip()
