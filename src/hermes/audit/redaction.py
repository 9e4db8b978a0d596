"""How arguments appear in the audit trail: enough to recognise, never the content (contract.md, "Audit entries")."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from hermes.platforms.base import Redaction

_MAX_PLAIN = 256
_MAX_ARGUMENTS = 50
_MAX_TEXT = 10_000_000
_LARGEST = 2**63 - 1
_MUCH = "a number beyond 64 bits"


def redact_arguments(arguments: Mapping[str, Any], redactions: Mapping[str, Redaction]) -> dict[str, Any]:
    """The arguments as audited. What the tool does not know is treated as text; names and their number are bounded."""
    return {
        name[:64].encode("utf-8", "replace").decode(): redact(value, redactions.get(name, Redaction.TEXT))
        for name, value in list(arguments.items())[:_MAX_ARGUMENTS]
    }


def redact(value: Any, redaction: Redaction) -> Any:
    """One value: numbers, booleans and null as they are; strings by the mark; anything nested as text of its JSON."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        small = isinstance(value, float) or -_LARGEST <= value <= _LARGEST
        return _last_four(str(value)) if redaction is Redaction.RECIPIENT else value if small else _MUCH
    if isinstance(value, str):
        # A lone surrogate can come out of JSON, but cannot go into it again.
        text = value[:_MAX_TEXT].encode("utf-8", "replace")
        if redaction is Redaction.PLAIN:
            return text.decode()[:_MAX_PLAIN]
        if redaction is Redaction.RECIPIENT:
            return _last_four(text.decode())
        return _digest(text)
    if redaction is not Redaction.TEXT and isinstance(value, list):
        return [redact(item, redaction) for item in value[:_MAX_ARGUMENTS]]
    return _digest(json.dumps(value, default=str).encode())


def _last_four(value: str) -> str:
    return "…" + value[-4:] if len(value) > 4 else "…"


def _digest(content: bytes) -> dict[str, Any]:
    return {"length": len(content), "sha256": hashlib.sha256(content).hexdigest()}
