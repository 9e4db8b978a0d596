"""Reading HTTP answers: how long they may be, and what their headers mean."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds that `Retry-After` asks to wait (RFC 9110, 10.2.3: seconds or a date); None when absent or not clear."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())


async def read_body(answer: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """The whole body, or None when it is longer than `limit`."""
    length = answer.content_length
    if length is not None and length > limit:
        answer.close()
        return None
    if length is not None and "Content-Encoding" not in answer.headers:
        return await answer.read()
    content = bytearray()
    async for chunk in answer.content.iter_any():
        content += chunk
        if len(content) > limit:
            answer.close()
            return None
    return bytes(content)
