"""LinkedIn's little text: whatever is written is shown whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.platforms.linkedin.little import RESERVED, little_text
from hermes.sandbox.linkedin_posts import shown_text


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("plain", "plain"),
        ("a (b) [c] {d} <e>", r"a \(b\) \[c\] \{d\} \<e\>"),
        (r"back\slash | tilde~ star* under_score @me", r"back\\slash \| tilde\~ star\* under\_score \@me"),
        ("#news and #über", "#news and #über"),
        ("#2027goals", "#2027goals"),
        ("#snake_case", r"#snake\_case"),
        ("C# and #1 and # and a#b", r"C\# and \#1 and \# and a\#b"),
        ("&#x27;", r"&\#x27;"),
        ("Hi @[Dev (Co)](urn:li:organization:1337)!", r"Hi @[Dev \(Co\)](urn:li:organization:1337)!"),
        ("@[Ann](urn:li:person:a-b_C)", "@[Ann](urn:li:person:a-b_C)"),
        ("@[Ann](urn:li:group:1)", r"\@\[Ann\]\(urn:li:group:1\)"),
        ("", ""),
    ],
)
def test_what_is_escaped(text: str, sent: str) -> None:
    assert little_text(text) == sent
    assert shown_text(sent) == text


_TEXT = st.text() | st.text(alphabet=RESERVED + "aé1 \n:") | st.sampled_from(["@[A](urn:li:person:x)", "#tag"])


@given(st.lists(_TEXT, max_size=6).map("".join))
def test_nothing_is_ever_cut_off(text: str) -> None:
    assert shown_text(little_text(text)) == text


@pytest.mark.parametrize(("sent", "shown"), [("a (b", "a "), ("a\\", "a"), (r"{hashtag|\#|x} y", "#x y"), ("a|b", "a")])
def test_the_stand_in_cuts_as_linkedin_does(sent: str, shown: str) -> None:
    assert shown_text(sent) == shown
