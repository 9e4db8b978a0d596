"""The search language that Obsidian's users know, read into a small tree.

word "a phrase" -not (a OR b) file:name path:folder tag:#tag content:word [property] [property:value] /regex/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from hermes.errors import InvalidArguments
from hermes.platforms.obsidian.paths import fold

MAX_TERMS = 50
_MAX_DEPTH = 20
_UNSUPPORTED = ("line", "section", "block", "task", "task-todo", "task-done", "match-case", "ignore-case")
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<not>-)(?=[^\s\-)])
      | (?P<open>\() | (?P<close>\))
      | (?P<operator>[A-Za-z-]+):(?=\S)
      | "(?P<phrase>(?:[^"\\]|\\.)*)"
      | \[(?P<property>[^\[\]\n]+)\](?!\()
      | /(?P<regex>(?:[^/\\\n]|\\.)+)/(?=[\s)]|$)
      | (?P<word>[^\s()"]+|")
    )""",
    re.VERBOSE,
)
Field = Literal["any", "file", "path", "tag", "content"]

_FIELDS: tuple[Field, ...] = ("file", "path", "tag", "content")


@dataclass(frozen=True, slots=True)
class Text:
    """A word or phrase. `text` is folded."""

    text: str
    field: Field = "any"
    phrase: bool = False


@dataclass(frozen=True, slots=True)
class Property:
    """A property that is there, or has a value that contains `value`. Both are folded."""

    name: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression over the note's text, or over its path."""

    pattern: str
    field: Field = "any"


@dataclass(frozen=True, slots=True)
class Not:
    term: Query


@dataclass(frozen=True, slots=True)
class All:
    terms: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Some:
    terms: tuple[Query, ...]


Query = Text | Property | Regex | Not | All | Some


def parse(text: str) -> Query:
    """Read a query.

    Raises:
        InvalidArguments: it is empty, has an operator hermes does not know, or an open bracket.
    """
    query = _Parser(text).parse()
    if query is None:
        raise refusal("has no word to search for")
    return query


def parse_property(text: str) -> Property:
    """Read `name`, `name:value`, also in brackets."""
    name, colon, value = text.strip().removeprefix("[").removesuffix("]").partition(":")
    if not name.strip():
        raise refusal("names no property; write name or name:value")
    value = fold(value.strip().strip('"'))
    return Property(fold(name.strip().strip('"')), value if colon and value else None)


def refusal(problem: str) -> InvalidArguments:
    return InvalidArguments(f"query {problem}.", fields=[{"field": "query", "problem": problem}])


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[_Token] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise refusal(f"cannot be read from {text[at : at + 20]!r} on")
            self._tokens.append(_Token(match.lastgroup, match[match.lastgroup]))
            at = match.end()
        if len(self._tokens) > MAX_TERMS:
            raise refusal(f"has more than {MAX_TERMS} parts")
        self._at = 0

    def parse(self) -> Query | None:
        query = self._some("any", 0)
        if self._peek() is not None:
            raise refusal("closes a bracket that was not opened")
        return query

    def _peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _some(self, field: Field, depth: int) -> Query | None:
        if depth > _MAX_DEPTH:
            raise refusal("has too many brackets inside each other")
        alternatives = [self._all(field, depth)]
        while (token := self._peek()) is not None and token == _Token("word", "OR"):
            self._at += 1
            alternatives.append(self._all(field, depth))
        terms = tuple(term for term in alternatives if term is not None)
        return None if not terms else terms[0] if len(terms) == 1 else Some(terms)

    def _all(self, field: Field, depth: int) -> Query | None:
        terms: list[Query] = []
        while (token := self._peek()) is not None and token.kind != "close" and token != _Token("word", "OR"):
            term = self._term(field, depth)
            if term is not None:
                terms.append(term)
        return None if not terms else terms[0] if len(terms) == 1 else All(tuple(terms))

    def _term(self, field: Field, depth: int) -> Query | None:
        token = self._tokens[self._at]
        self._at += 1
        if token.kind == "not":
            term = self._term(field, depth + 1) if self._peek() else None
            return None if term is None else Not(term)
        if token.kind == "open":
            return self._bracket(field, depth)
        if token.kind == "operator":
            return self._operator(token.text, field, depth)
        if token.kind == "property":
            return parse_property(token.text)
        if token.kind == "regex":
            return Regex(token.text, field)
        return _text(token, field)

    def _bracket(self, field: Field, depth: int) -> Query | None:
        term = self._some(field, depth + 1)
        if self._peek() is None:
            raise refusal("opens a bracket that is not closed")
        self._at += 1
        return term

    def _operator(self, name: str, field: Field, depth: int) -> Query | None:
        known: Field | None = next((known for known in _FIELDS if known == name.lower()), None)
        if known is not None and self._peek() is not None:
            return self._term(known, depth + 1)
        if name.lower() in _UNSUPPORTED:
            raise refusal(
                f"uses {name}:, which hermes does not know; it knows file: path: tag: content: and [property:value]"
            )
        # Not an operator: text with a colon, such as a URL.
        following = self._peek()
        if following is not None and following.kind == "word":
            self._at += 1
            return _text(_Token("word", f"{name}:{following.text}"), field)
        return _text(_Token("word", name), field)


def _text(token: _Token, field: Field) -> Query | None:
    phrase = token.kind == "phrase"
    text = re.sub(r"\\(.)", r"\1", token.text) if phrase else token.text
    folded = " ".join(fold(text).split())
    if field == "tag":
        folded = folded.removeprefix("#")
    return Text(folded, field, phrase) if folded else None
