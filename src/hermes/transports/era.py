"""Which era of MCP a message belongs to, decided by its body first (reference/mcp.md, sections 1 and 10).

Modern (2026-07-28): every request carries its version and the client's capabilities in `params._meta`.
Legacy (2025-11-25 and before): the `initialize` handshake; the version stands in a header only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types import PROTOCOL_VERSION_META_KEY
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS
from starlette.datastructures import Headers

BATCH_VERSION: Final = "2025-03-26"
"""The only version with JSON-RPC batches."""


@dataclass(frozen=True, slots=True)
class Era:
    """The era of a message, and in which version a legacy answer is to be written."""

    kind: Literal["modern", "legacy", "unknown"]
    version: str


def era_of(message: dict[str, Any], headers: Headers) -> Era:
    """Decide the era of one JSON-RPC message.

    A body with the modern envelope is modern whatever the header says (a wrong header is then a mismatch, not
    another era). Without the envelope the header decides; a version that nobody knows is `unknown`, so that a legacy
    client is never told a modern error. No header means legacy.
    """
    header = headers.get(MCP_PROTOCOL_VERSION_HEADER)
    if header in MODERN_PROTOCOL_VERSIONS:
        return Era("modern", header)
    params = message.get("params")
    method = message.get("method")
    if method != "initialize" and _has_envelope(params):
        return Era("modern", MODERN_PROTOCOL_VERSIONS[-1])
    if method == "initialize":
        # The handshake names its version in the body; a header is not part of it yet.
        wanted = params.get("protocolVersion") if isinstance(params, dict) else None
        return Era("legacy", wanted if wanted in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION)
    if header is None:
        # The specification assumes 2025-03-26, whose results are open objects: we give what newer ones know as well.
        return Era("legacy", LATEST_HANDSHAKE_VERSION)
    return Era("legacy" if header in HANDSHAKE_PROTOCOL_VERSIONS else "unknown", header)


def batches_allowed(headers: Headers) -> bool:
    """Whether an array of messages may be sent: only by a client of 2025-03-26, or one that names no version."""
    return headers.get(MCP_PROTOCOL_VERSION_HEADER, BATCH_VERSION) == BATCH_VERSION


def _has_envelope(params: Any) -> bool:
    meta = params.get("_meta") if isinstance(params, dict) else None
    return isinstance(meta, dict) and PROTOCOL_VERSION_META_KEY in meta
