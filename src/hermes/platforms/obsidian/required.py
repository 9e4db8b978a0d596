"""Which letters every match of a regular expression contains, so that notes without them need not be searched.

Only what is certain is said: an expression with anything that is not known here (look-arounds, flags, named characters,
back references) has no certain letters, and then every note is searched.
"""

from __future__ import annotations

import re
from itertools import pairwise

SHORTEST = 3
"""Shorter runs stand in nearly every note."""
MOST = 8
"""More than this are not worth looking up."""

# I is left out, as it also matches a letter that folds to two characters (İ).
_TOKEN = re.compile(
    r"""
    (?P<open>\((?:\?:|(?![?*]))) | (?P<close>\)) | (?P<or>\|)
  | (?P<optional>(?:[*?]|\{0+(?:,\d*)?\})[?+]?)
  | (?P<repeated>(?:\+|\{\d+(?:,\d*)?\})[?+]?)
  | (?P<letter>[A-HJ-Za-hj-z0-9])
  | (?P<other>\\[AbBdDnrsStwWZ] | \\[^\w] | \[\^?\]?(?:[^\\\[\]]|\\.)*\] | [^\\\[\](){}*+?|])
    """,
    re.VERBOSE | re.DOTALL,
)
_QUANTIFIERS = ("optional", "repeated")

Runs = frozenset[str]
"""Runs of ASCII letters and digits, in lower case."""
_NOTHING: Runs = frozenset()


def required_runs(pattern: str) -> list[Runs]:
    """Of each of these sets every match contains at least one run.

    Args:
        pattern: an expression that compiled, read without regard to case.

    Returns:
        Sets that have together at most `MOST` runs, each of at least `SHORTEST` characters, the longest first; none
        when nothing is certain.
    """
    tokens = _tokens(pattern)
    bracket = _Bracket()
    outer: list[_Bracket] = []
    for (kind, text), (following, _) in pairwise([*tokens, ("end", "")]):
        if kind == "letter" and following != "optional":
            bracket.run += text.lower()
            if following != "repeated":
                continue
        bracket.end_run()
        if kind == "open":
            outer.append(bracket)
            bracket = _Bracket()
        elif kind == "or":
            bracket.end_alternative()
        elif kind == "close":
            inside, bracket = bracket.end(), outer.pop()
            if following != "optional":
                bracket.certain += inside
    found: list[Runs] = []
    for runs in sorted(bracket.end(), key=_length, reverse=True):
        if sum(map(len, found)) + len(runs) <= MOST:
            found.append(runs)
    return found


def _length(runs: Runs) -> int:
    return min(map(len, runs), default=0)


def _tokens(pattern: str) -> list[tuple[str, str]]:
    """The expression's parts, or none when one of them is not known."""
    found: list[tuple[str, str]] = []
    at = depth = 0
    while at < len(pattern):
        match = _TOKEN.match(pattern, at)
        kind = match.lastgroup if match else None
        if match is None or kind is None or (kind in _QUANTIFIERS and found and found[-1][0] in _QUANTIFIERS):
            return []
        depth += (kind == "open") - (kind == "close")
        if depth < 0:
            return []
        found.append((kind, match.group()))
        at = match.end()
    return found if depth == 0 else []


class _Bracket:
    """What is certain inside one bracket, of which the last alternative is still being read."""

    def __init__(self) -> None:
        self.run = ""
        self.certain: list[Runs] = []
        self._longest: list[Runs] = []

    def end_run(self) -> None:
        if len(self.run) >= SHORTEST:
            self.certain.append(frozenset((self.run,)))
        self.run = ""

    def end_alternative(self) -> None:
        self.end_run()
        self._longest.append(max(self.certain, key=_length, default=_NOTHING))
        self.certain = []

    def end(self) -> list[Runs]:
        self.end_run()
        if not self._longest:
            return self.certain
        # Of each alternative the longest that must be there, as the rarest; without one in each, nothing is certain.
        self.end_alternative()
        return [_NOTHING.union(*self._longest)] if all(self._longest) else []
