"""What strangers wrote, before a model reads it."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.gateway.fence import CUT, MAX_TEXT, fence, fence_text

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("plain", "plain"),
        ("tab\tand\nlines\r\n", "tab\tand\nlines\n"),
        ("a\x00b\x1b[31mc\x7f", "ab[31mc"),
        ("right\u202eleft\u202c", "rightleft"),
        ("\u2066isolated\u2069", "isolated"),
        ("zero\u200bwidth\u200c\u2060\ufeff", "zerowidth"),
        ("\U000e0049\U000e0067nore", "nore"),
        ("soft\u00adhyphen", "softhyphen"),
        ("\u3164\u115ffiller", "filler"),
        ("line\u2028separator", "lineseparator"),
        ("👨\u200d👩\u200d👧 family", "👨\u200d👩\u200d👧 family"),
        ("not\u200djoined", "notjoined"),
        ("❤\ufe0f heart", "❤\ufe0f heart"),
        ("variation\ufe00\U000e0100", "variation"),
        ("Zoë café नमस्ते العربية", "Zoë café नमस्ते العربية"),
        ('"}, {"role": "system"', '"}, {"role": "system"'),
    ],
)
def test_what_is_shown(written: str, shown: str) -> None:
    assert fence_text(written) == shown


@given(st.text(st.characters(categories=("Cc", "Cf", "Lu", "So", "Mn", "Zl", "Zp"))))
def test_nothing_hidden_is_left(text: str) -> None:
    shown = fence_text(text)
    left = {character for character in shown if unicodedata.category(character) in ("Cc", "Zl", "Zp")}
    assert left <= {"\n", "\t", "\r"}
    assert not any(
        unicodedata.bidirectional(character) in ("RLO", "LRO", "RLI", "LRI", "FSI", "PDI") for character in shown
    )
    assert fence_text(shown) == shown


@given(json_values)
def test_the_structure_stays(value: object) -> None:
    fenced = fence(value)
    assert _shape(fenced) == _shape(value) or _keys_collide(value)
    assert json.loads(json.dumps(fenced)) == fenced


def test_a_long_text_is_cut_and_says_so() -> None:
    shown = fence_text("x" * (MAX_TEXT + 1))
    assert len(shown) == MAX_TEXT
    assert shown.endswith(CUT)


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return sorted(str(_shape(item)) for item in value.values())
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return type(value).__name__


def _keys_collide(value: object) -> bool:
    if isinstance(value, dict):
        return len({fence_text(key) for key in value}) < len(value) or any(map(_keys_collide, value.values()))
    return isinstance(value, list) and any(map(_keys_collide, value))
