"""The length of a post as X counts it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.platforms.twitter.text import cashtags, weighted_length
from hermes.sandbox.twitter_posts import weight

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"

LENGTHS = [
    ("", 0),
    ("Hello, world! 👋", 16),  # X's own example, as the two below
    (FAMILY, 2),
    (unicodedata.normalize("NFD", "café"), 4),
    ("x" * 280, 280),
    ("日本語", 6),
    ("한국", 4),
    ("naïve Ünïcödé", 13),
    ("Привет", 6),
    ("שלום", 4),
    ("“quoted” – it’s", 15),
    ("…", 2),
    ("€", 2),
    ("🇩🇪🇫🇷", 4),
    ("👍🏽", 2),
    ("1️⃣", 2),
    ("❤️", 2),
    ("❤", 2),
    ("©", 1),
    ("©️", 2),
    ("☺️!", 3),
    ("https://example.com", 23),
    ("https://example.com/" + "a" * 500 + "?q=1#x", 23),
    ("http://a.de", 23),
    ("see https://example.com/path.", 4 + 23 + 1),
    ("(https://example.com/a)", 1 + 23 + 1),
    ("https://example.com,https://example.org", 23 + 1 + 23),
    ("example.com", 23),
    ("see example.com/path?x=1!", 4 + 23 + 1),
    ("example.co.uk", 23),
    ("www.example.org 日本", 23 + 1 + 4),
    ("me@example.com", 14),
    ("@example.com", 12),
    ("main.py and e.g. this", 21),
    ("1.5.3", 5),
    ("end.Next", 8),
    ("https://", 8),
    ("line\nbreak", 10),
]


@pytest.mark.parametrize(("text", "length"), LENGTHS)
def test_the_length_of_a_post(text: str, length: int) -> None:
    assert weighted_length(text) == length


@pytest.mark.parametrize(
    ("text", "found"),
    [("$AAPL", 1), ("$AAPL and $TSLA.", 2), ("costs $5 or 5$", 0), ("$BRK.B", 1), ("US$AAPL", 0), ("$TOOLONGNAME", 0)],
)
def test_cashtags_are_found(text: str, found: int) -> None:
    assert cashtags(text) == found


@given(st.text(max_size=60))
def test_any_text_has_a_length_within_its_bounds(text: str) -> None:
    normal = unicodedata.normalize("NFC", text)
    assert 0 <= weighted_length(text) <= max(2 * len(normal), 23 * (1 + normal.count(".")))


@given(
    st.text(st.sampled_from("aé日👍👋🏽 ,.-"), max_size=60).filter(lambda text: "." not in text and "🏽" not in text)
)
def test_the_stand_in_counts_the_same(text: str) -> None:
    assert weighted_length(text) == weight(text)
