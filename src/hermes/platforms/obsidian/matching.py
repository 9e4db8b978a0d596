"""Which notes of an index fit a query, and how well.

Points per word: a title counts more than a tag or heading, and those more than the body; a whole word more than the
start of one; a rare word more than a common one. Several words add up.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Collection

import regex

from hermes.platforms.obsidian.index import MAX_COUNT, Entry, Index, Postings, words_of
from hermes.platforms.obsidian.paths import fold, note_title
from hermes.platforms.obsidian.query import All, Not, Property, Query, Regex, Some, Text, refusal
from hermes.platforms.obsidian.required import required_runs

REGEX_SECONDS = 1.0
MAX_REGEX = 500

_TITLE, _MARK, _BODY = 8.0, 4.0, 1.0
_PREFIX = 0.6
_MENTIONS = 0.5
"""How much of a word's points many mentions can add in a body."""
_BY_COUNT = (0.0, *(1.0 + _MENTIONS * (1.0 - 1.0 / count) for count in range(1, MAX_COUNT + 1)))
"""A body's points by how often a word stands in it."""
WORTH_A_LOOKUP = 500
"""So many notes take a regular expression longer than looking through all words of the index."""

Scores = dict[int, float]
_COST = {Text: 0, Property: 1, Some: 2, All: 2, Not: 3, Regex: 4}


class Budget:
    """The time that the regular expressions of one search may take together."""

    def __init__(self, seconds: float = REGEX_SECONDS) -> None:
        self._until = time.monotonic() + seconds

    def matches(self, pattern: regex.Pattern[str], text: str) -> int | None:
        """Where the pattern is first found, or None. Raises TimeoutError when the time is used up."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        # concurrent: other threads go on meanwhile, the server's event loop among them.
        match = pattern.search(text, timeout=left, concurrent=True)
        return match.start() if match else None


class Matcher:
    """Evaluates one query."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.budget = Budget()

    def run(self, query: Query) -> Scores:
        """Note number → points, for every note that fits.

        Raises:
            InvalidArguments: a regular expression is malformed, too long, or takes too long.
        """
        return self._run(query, None)

    def _run(self, query: Query, among: Collection[int] | None) -> Scores:
        match query:
            case All(terms):
                return self._all(terms, among)
            case Some(terms):
                scores: Scores = {}
                for term in terms:
                    for number, points in self._run(term, among).items():
                        scores[number] = max(points, scores.get(number, 0.0))
                return scores
            case Not(term):
                pool = self._pool(among)
                excluded = self._run(term, pool)
                return {number: 0.0 for number in pool if number not in excluded}
            case Regex():
                return self._regex(query, self._pool(among))
            case Property(name, value):
                entries = self._index.by_number
                pool = self._pool(among)
                return {number: _MARK for number in pool if has_property(entries[number], name, value)}
            case Text():
                return self._text(query, among)

    def _pool(self, among: Collection[int] | None) -> Collection[int]:
        return self._index.by_number.keys() if among is None else among

    def _all(self, terms: tuple[Query, ...], among: Collection[int] | None) -> Scores:
        scores: Scores | None = None
        for term in sorted(terms, key=lambda term: _COST[type(term)]):
            found = self._run(term, among if scores is None else scores.keys())
            if scores is None:
                scores = found
            else:
                scores = {number: points + found[number] for number, points in scores.items() if number in found}
        return scores or {}

    def _text(self, term: Text, among: Collection[int] | None) -> Scores:
        entries = self._index.by_number
        if term.field == "path":
            return {number: 1.0 for number in self._pool(among) if term.text in entries[number].folded_path}
        if term.field == "file":
            return {
                number: _TITLE for number in self._pool(among) if term.text in note_title(entries[number].folded_path)
            }
        if term.field == "tag":
            return {number: _MARK for number in self._pool(among) if has_tag(entries[number], term.text)}
        words = words_of(term.text)
        if not words:
            return {n: _BODY for n in self._pool(among) if term.text in fold(entries[n].text)}
        if len(words) == 1 and not term.phrase:
            scores = self._word(words[0], body_only=term.field == "content")
        else:
            scores = self._phrase(term, words, among)
        return scores if among is None else _only(scores, among)

    def _phrase(self, term: Text, words: list[str], among: Collection[int] | None) -> Scores:
        """Notes with all the words, of which those are kept that hold the very text."""
        body_only = term.field == "content"
        scores: Scores | None = None
        for position, word in enumerate(words):
            found = self._word(word, body_only=body_only, prefix=position == len(words) - 1)
            scores = found if scores is None else {n: p + found[n] for n, p in scores.items() if n in found}
        kept = scores or {}
        if among is not None:
            kept = _only(kept, among)
        entries = self._index.by_number
        phrase = _PhraseFinder(term.text, body_only=body_only)
        return {number: points for number, points in kept.items() if phrase.fits(entries[number])}

    def _word(self, word: str, *, body_only: bool, prefix: bool = True) -> Scores:
        index = self._index
        fields = (
            ((index.bodies, _BODY),)
            if body_only
            else ((index.bodies, _BODY), (index.marks, _MARK), (index.titles, _TITLE))
        )
        scores: Scores = {}
        for postings, weight in fields:
            self._field(scores, postings, word, weight, prefix=prefix)
        rarity = math.log(1.0 + len(index.by_number) / (1.0 + len(scores)))
        return {number: points * rarity for number, points in scores.items()}

    def _field(self, scores: Scores, postings: Postings, word: str, weight: float, *, prefix: bool) -> None:
        alive = self._index.by_number
        body = postings is self._index.bodies
        # One letter starts half the dictionary: it is searched as a whole word only.
        if prefix and len(word) > 1:
            points = weight * _PREFIX
            for number in postings.starting(word):
                if number in alive and points > scores.get(number, 0.0):
                    scores[number] = points
        known = scores.get
        for number, count in postings.exact(word):
            points = weight * _BY_COUNT[count] if body else weight
            if points > known(number, 0.0) and number in alive:
                scores[number] = points

    def _regex(self, term: Regex, pool: Collection[int]) -> Scores:
        pattern = compile_regex(term.pattern)
        entries = self._index.by_number
        texts = {"path": lambda entry: entry.path, "file": lambda entry: entry.title}
        text_of: Callable[[Entry], str] = texts.get(term.field, lambda entry: entry.body.decode())
        if term.field not in texts:
            pool = self._able_to_match(term.pattern, pool)
        try:
            return {n: _BODY for n in pool if self.budget.matches(pattern, text_of(entries[n])) is not None}
        except TimeoutError:
            way_out = "add a word or a folder, or simplify it"
            raise refusal(f"has a regular expression that takes more than {REGEX_SECONDS:g} s; {way_out}") from None

    def _able_to_match(self, pattern: str, pool: Collection[int]) -> Collection[int]:
        """The notes of a pool without those that lack what every match of an expression contains."""
        for runs in required_runs(pattern):
            if len(pool) <= WORTH_A_LOOKUP:
                break
            holders = set[int]().union(*map(self._index.bodies.holding, runs))
            pool = [number for number in pool if number in holders]
        return pool


def compile_regex(pattern: str) -> regex.Pattern[str]:
    """The pattern, as Obsidian reads it: without regard to case, `^` and `$` at every line.

    Raises:
        InvalidArguments: it is malformed or too long.
    """
    if len(pattern) > MAX_REGEX:
        raise refusal(f"has a regular expression of more than {MAX_REGEX} characters")
    try:
        return regex.compile(pattern, regex.IGNORECASE | regex.MULTILINE | regex.VERSION0)
    except (regex.error, OverflowError, RecursionError, MemoryError) as error:
        raise refusal(f"has a malformed regular expression: {error}") from None


def has_tag(entry: Entry, tag: str) -> bool:
    """Whether a note has a tag or one below it. `tag` is folded."""
    below = tag.strip("/") + "/"
    for own in entry.folded_tags:  # noqa: SIM110  (a loop, as this runs for every note of a vault)
        if own.startswith(below):
            return True
    return False


def has_property(entry: Entry, name: str, value: str | None) -> bool:
    """Whether a note has a property, or one whose value contains `value`. Both are folded."""
    for own, content in entry.properties.items():
        if own == name or fold(own) == name:
            if value is None or (value == "null" and content in (None, "", [])):
                return True
            if any(value in fold(text) for text in _texts(content)):
                return True
    return False


def _texts(value: object) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, bool):
        return [str(value).lower()]
    return [] if value is None else [str(value)]


class _PhraseFinder:
    """Looks for a phrase in notes; the spaces in it also stand for line ends and for several spaces."""

    def __init__(self, phrase: str, *, body_only: bool) -> None:
        self._phrase = phrase
        self._body_only = body_only
        self._text = re.compile(r"\s+".join(re.escape(word) for word in phrase.split(" ")))
        # Most notes are plain ASCII: those are searched as they are kept, without making text of them first.
        self._plain = phrase.encode() if phrase.isascii() else None
        self._bytes = re.compile(self._text.pattern.encode()) if phrase.isascii() else None

    def fits(self, entry: Entry) -> bool:
        path = entry.folded_path
        if not self._body_only and self._phrase in path and self._phrase in note_title(path):
            return True
        if not entry.ascii:
            return self._text.search(fold(entry.text)) is not None
        if self._plain is None or self._bytes is None:
            return False
        # Most often it stands there just as it was asked for, and that is seen fastest.
        return self._plain in entry.body or self._bytes.search(entry.body.lower()) is not None


def _only(scores: Scores, among: Collection[int]) -> Scores:
    return {number: scores[number] for number in among if number in scores}
