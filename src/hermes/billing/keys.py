"""Redis keys that billing shares with the pipeline's scripts, which move the counters and write the usage."""

from __future__ import annotations

from typing import Final

USAGE_STREAM: Final = "usage:stream"
"""A stream of usage rows (member `row`, JSON) on their way to SQL."""

PENDING_INDEX: Final = "pending:index"
"""A sorted set over all customers' pending calls, `{customerId}:{callId}` by deadline (ms); `pending:{member}` is the
call's record. For the sweeper, and for restoring counters."""


def quota_key(customer_id: str, month: str) -> str:
    """The counter of the customer's calls of that month (`YYYY-MM`) that succeeded or are under way."""
    return f"quota:{customer_id}:{month}"
