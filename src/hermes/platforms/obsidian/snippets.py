"""The lines of a note in which a search's words stand."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hermes.platforms.obsidian.index import words_of
from hermes.platforms.obsidian.matching import Budget, compile_regex
from hermes.platforms.obsidian.paths import fold
from hermes.platforms.obsidian.query import Property, Regex, Text

MAX_SNIPPETS = 5
_MAX_LINE = 20_000
"""How much of one line is looked through: enough for every written line, and bounded for generated ones."""

Finder = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Snippet:
    """A piece of a line, counted from 1 over the whole note."""

    line: int
    text: str


class Snippets:
    """Finds the lines for one search: its terms are prepared once, and share the time for regular expressions."""

    def __init__(self, terms: Sequence[Text | Property | Regex], context: int, budget: Budget) -> None:
        self._finders = [finder for term in terms if (finder := _finder(term, budget)) is not None]
        self._context = context

    def of(self, text: str) -> list[Snippet]:
        """The first few lines where one of the terms stands, with the context around it."""
        found: list[Snippet] = []
        if not self._finders:
            return found
        for number, line in enumerate(text.split("\n"), 1):
            if line and (at := self._first(line[:_MAX_LINE])) is not None:
                found.append(Snippet(number, _cut(line.rstrip("\r"), at, self._context)))
                if len(found) == MAX_SNIPPETS:
                    break
        return found

    def _first(self, line: str) -> int | None:
        places = [at for finder in self._finders if (at := finder(line)) >= 0]
        return min(places) if places else None


def _finder(term: Text | Property | Regex, budget: Budget) -> Finder | None:
    if isinstance(term, Property):
        return _in_order(re.compile(rf"[\"']?{re.escape(term.name)}[\"']?\s*:"))
    if term.field in ("path", "file"):
        return None
    if isinstance(term, Regex):
        return _by_regex(term, budget)
    if term.field == "tag":
        return _in_order(re.compile(rf"(?<!\w){re.escape(term.text)}(?!\w)"))
    words = words_of(term.text)
    if term.phrase or len(words) != 1 or not words[0].isascii():
        return _in_order(re.compile(re.escape(term.text)))
    # A word counts where it starts, as in the index.
    return _in_order(re.compile(rf"(?<![^\W_]){re.escape(words[0])}"))


def _by_regex(term: Regex, budget: Budget) -> Finder:
    pattern = compile_regex(term.pattern)

    def find(line: str) -> int:
        try:
            at = budget.matches(pattern, line)
        except TimeoutError:
            return -1  # the note is known to fit; only its lines are not shown
        return -1 if at is None else at

    return find


def _in_order(pattern: re.Pattern[str]) -> Finder:
    def find(line: str) -> int:
        folded = fold(line)
        match = pattern.search(folded)
        if match is None:
            return -1
        return match.start() if len(folded) == len(line) else _unfolded(line, match.start())

    return find


def _unfolded(line: str, at: int) -> int:
    """The place in a line of a place in its folded form, where folding changed lengths (ß, decomposed accents)."""
    folded = 0
    for index, char in enumerate(line):
        if folded >= at and not unicodedata.combining(char):
            return index
        folded += 0 if unicodedata.combining(char) else len(fold(char))
    return max(0, len(line) - 1)


def _cut(line: str, at: int, context: int) -> str:
    start, end = max(0, at - context), at + context
    text = line[start:end].strip()
    return ("…" if start else "") + text + ("…" if end < len(line) else "")
