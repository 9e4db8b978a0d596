"""What headers of answers mean, also those of servers that mean harm."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hermes.net.answers import retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1e5", None),
        ("\u0667", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Mon, 99 Jan 0000 00:00:00 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}, now=NOW) == seconds
