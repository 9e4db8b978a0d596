"""What of a call's arguments the audit trail shows."""

from __future__ import annotations

import hashlib
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.audit.redaction import redact, redact_arguments
from hermes.platforms.base import Redaction


@pytest.mark.parametrize(
    ("value", "redaction", "shown"),
    [
        ("Inbox", Redaction.PLAIN, "Inbox"),
        ("+49 151 2345678", Redaction.RECIPIENT, "…5678"),
        ("123", Redaction.RECIPIENT, "…"),
        (987654321, Redaction.RECIPIENT, "…4321"),
        ("hello", Redaction.TEXT, {"length": 5, "sha256": hashlib.sha256(b"hello").hexdigest()}),
        (5, Redaction.TEXT, 5),
        (True, Redaction.RECIPIENT, True),
        (None, Redaction.TEXT, None),
        (["a@example.com", "b@example.com"], Redaction.RECIPIENT, ["….com", "….com"]),
    ],
)
def test_by_the_mark(value: object, redaction: Redaction, shown: object) -> None:
    assert redact(value, redaction) == shown


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.text() | st.integers() | st.floats(), st.lists)))
def test_any_arguments_can_be_audited_and_no_text_shows(arguments: dict[str, object]) -> None:
    shown = redact_arguments(arguments, {})
    assert orjson.loads(orjson.dumps(shown)) is not None
    assert len(json.dumps(shown)) < 200 * 51 + 1000


def test_the_number_of_arguments_is_bounded() -> None:
    assert len(redact_arguments({str(number): number for number in range(10_000)}, {})) == 50
