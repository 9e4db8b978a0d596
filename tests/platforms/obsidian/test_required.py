"""Regular expressions over many notes: what every match must contain, and that no note is missed for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from hermes.platforms.obsidian.index import MAX_WORD, Postings, words_of
from hermes.platforms.obsidian.matching import WORTH_A_LOOKUP
from hermes.platforms.obsidian.paths import fold
from hermes.platforms.obsidian.required import required_runs
from hermes.platforms.obsidian.search import Page

Find = Callable[..., Page]


@pytest.mark.parametrize(
    ("pattern", "runs"),
    [
        ("Apple", [{"apple"}]),
        (r"https?://\S+", [{"http"}]),
        (r"\bapple[a-z]*\s+pears", [{"apple"}, {"pears"}]),
        ("(foo|bar)+x apple", [{"apple"}, {"foo", "bar"}]),
        ("foo|(?:bar|apple)s", [{"foo", "bar", "apple"}]),
        ("foo|b", []),
        ("(foo|b)", []),
        ("foo|", []),
        ("(apple (?:pears))bar", [{"apple"}, {"pears"}, {"bar"}]),
        ("apple foo|pears", [{"apple", "pears"}]),
        ("(apple)?bar", [{"bar"}]),
        ("(apple){0,2}", []),
        ("ab+cde", [{"cde"}]),
        ("abc{2}de", [{"abc"}]),
        ("meeting", [{"meet"}]),
        ("[abc]{3}", []),
        (r"\d{4}-\d\d", []),
        ("(?i)apple", []),
        ("(?!apple)", []),
        (r"\x61pple", []),
        ("(?:apple){e<=1}", []),
        ("[[:alpha:]]apple", []),
        ("(abc|bcd|cde|def|fgh|ghj|hjk|jkl|klm)x", []),
        (
            "abc.abcd.bcd.cde.def.fgh.ghj.hjk.jkl",
            [{"abcd"}, *({run} for run in ["abc", "bcd", "cde", "def", "fgh", "ghj", "hjk"])],
        ),
    ],
)
def test_required_runs(pattern: str, runs: list[set[str]]) -> None:
    regex.compile(pattern)
    assert required_runs(pattern) == runs


PIECES = ["kst", "KST", "ba", "(", "(?:", ")", "|", "?", "+", "*", "{2}", "{0,1}", ".", "[ks]", r"\w", r"\b", "^", "e"]
TEXTS = [
    "kst",
    "KST",
    "\u212a\u017ft",
    "ba",
    "k",
    "s",
    "t",
    "\u0301",
    "e",
    "é",
    "\u0130",
    "_",
    " ",
    "日",
    "a" * MAX_WORD,
]


@given(
    pattern=st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join),
    text=st.lists(st.sampled_from(TEXTS), max_size=6).map("".join),
)
def test_whatever_matches_holds_what_is_required(pattern: str, text: str) -> None:
    try:
        match = regex.search(pattern, text, regex.IGNORECASE | regex.MULTILINE)
    except regex.error:
        return
    if match is None:
        return
    bodies = Postings()
    bodies.add(1, [word[:MAX_WORD] for word in words_of(fold(text))])
    for runs in required_runs(pattern):
        assert any(bodies.holding(run) == {1} for run in runs)


def test_an_expression_finds_every_note_among_many(find: Find, folder: Path) -> None:
    fitting = {
        "plain": "one kstcafe",
        "capitals": "KSTCAFE",
        "inside": "x1kstcafe2",
        "other letters": "\u212a\u017ftcafe",
        "accent after": "kstcafe\u0301 x",
        "beside unspaced": "日kstcafe本",
        "far in a word": "x" * MAX_WORD + "kstcafe",
        "other alternative": "PEARS",
    }
    for number in range(WORTH_A_LOOKUP + 1):
        (folder / f"n{number}.md").write_text("kst cafe pear")
    for name, text in fitting.items():
        (folder / f"{name}.md").write_text(text)
    page = find("/(?:kstcafe|pears)/")
    assert {hit.entry.title for hit in page.hits} == fitting.keys()
    assert find("/(?!x)kst\\scafe/").total == WORTH_A_LOOKUP + 1
