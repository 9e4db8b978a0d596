"""One search of a vault: the query's notes in order, a page of them, and where in each the words stand."""

from __future__ import annotations

import base64
import binascii
import hashlib
import heapq
import time
from dataclasses import dataclass
from typing import Literal

import orjson

from hermes.errors import InvalidArguments
from hermes.platforms.obsidian import query as queries
from hermes.platforms.obsidian.index import Entry, Index, words_of
from hermes.platforms.obsidian.matching import Budget, Matcher, Scores, has_property, has_tag
from hermes.platforms.obsidian.paths import fold, split_path
from hermes.platforms.obsidian.query import All, Not, Property, Query, Regex, Some, Text
from hermes.platforms.obsidian.snippets import Snippet, Snippets

Term = Text | Property | Regex
Mode = Literal["text", "tag", "property", "path"]

_RECENCY = 0.05
_RECENT_DAYS = 30.0
_DECIMALS = 6
_DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Request:
    """What to search for. `folder` bounds the search to the notes below it; `cursor` is from an earlier page."""

    query: str
    mode: Mode = "text"
    folder: str | None = None
    limit: int = 20
    context_chars: int = 120
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    entry: Entry
    score: float
    snippets: list[Snippet]
    matched_in: list[str]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of hits; `total` counts all of them, `left_out` the notes that could not be searched."""

    hits: list[Hit]
    total: int
    cursor: str | None
    left_out: int


def search(index: Index, request: Request) -> Page:
    """Search a refreshed index.

    Raises:
        InvalidArguments: the query, the folder or the cursor cannot be read, or a regular expression takes too long.
    """
    query = _query(request)
    after = _read_cursor(request)
    now_ns = after.now_ns if after else time.time_ns()
    scores = _in_folder(index, Matcher(index).run(query), request.folder)
    ranked = _ranked(index, scores if after else _foremost(scores, request.limit), now_ns)
    if after is not None:
        place = (after.order, after.path)
        ranked = [item for item in ranked if item[:2] > place]
    page = heapq.nsmallest(request.limit, ranked)
    terms = _positive(query)
    snippets = Snippets(terms, request.context_chars, Budget())
    hits = [_hit(index.by_number[number], -order, terms, snippets) for order, _, number in page]
    more = len(ranked if after else scores) > len(page)
    cursor = _write_cursor(request, _Place(page[-1][0], page[-1][1], now_ns)) if more and page else None
    return Page(hits, len(scores), cursor, index.left_out)


def _query(request: Request) -> Query:
    if request.mode == "text":
        return queries.parse(request.query)
    if request.mode == "property":
        return queries.parse_property(request.query)
    words = fold(request.query).split()
    field: queries.Field = "tag" if request.mode == "tag" else "path"
    terms = tuple(Text(word.strip(",").removeprefix("#"), field) for word in words if word.strip(",#"))
    if not terms:
        raise queries.refusal(f"names no {request.mode}")
    return All(terms)


def _in_folder(index: Index, scores: Scores, folder: str | None) -> Scores:
    if folder is None or folder in ("", "/"):
        return scores
    below = fold("/".join(split_path(folder.strip("/"), field="folder"))) + "/"
    return {n: points for n, points in scores.items() if index.by_number[n].folded_path.startswith(below)}


def _foremost(scores: Scores, limit: int) -> Scores:
    """The notes that can be on the first page: being recent adds little, so it lifts none over many better ones."""
    if len(scores) <= limit:
        return scores
    least = heapq.nlargest(limit, scores.values())[-1] - _RECENCY - 10.0**-_DECIMALS
    return {number: points for number, points in scores.items() if points >= least}


def _ranked(index: Index, scores: Scores, now_ns: int) -> list[tuple[float, str, int]]:
    """What the notes are ordered by, and their numbers: final points (negative), then path."""
    found: list[tuple[float, str, int]] = []
    for number, points in scores.items():
        entry = index.by_number[number]
        age = (now_ns - entry.mtime_ns) / _DAY_NS
        recency = _RECENCY / (1.0 + age / _RECENT_DAYS) if age > 0.0 else _RECENCY
        # Rounded, so that a page made later puts every note in the same place.
        found.append((-round(points + recency, _DECIMALS), entry.path, number))
    return found


def _hit(entry: Entry, score: float, terms: list[Term], snippets: Snippets) -> Hit:
    found = snippets.of(entry.text)
    return Hit(entry, round(score, 3), found, _matched_in(entry, terms, found_in_body=bool(found)))


def _positive(query: Query) -> list[Term]:
    """The terms that a hit may show; what must not be there has no place in it."""
    match query:
        case Not():
            return []
        case All(terms) | Some(terms):
            return [found for term in terms for found in _positive(term)]
        case _:
            return [query]


def _matched_in(entry: Entry, terms: list[Term], *, found_in_body: bool) -> list[str]:
    title, headings = fold(entry.title), [fold(heading) for heading in entry.headings]
    places: set[str] = {"body"} if found_in_body else set()
    for term in terms:
        if isinstance(term, Property):
            places |= {"properties"} if has_property(entry, term.name, term.value) else set()
        elif isinstance(term, Text) and term.field in ("tag", "path", "file"):
            places.add({"tag": "tags", "path": "path", "file": "title"}[term.field])
        elif isinstance(term, Text):
            places |= _places_of(term, entry, title, headings)
    return [name for name in ("title", "tags", "headings", "properties", "path", "body") if name in places]


def _places_of(term: Text, entry: Entry, title: str, headings: list[str]) -> set[str]:
    if term.field == "content":
        return set()
    places = {"title"} if _starts_word(title, term.text) else set()
    if any(_starts_word(heading, term.text) for heading in headings):
        places.add("headings")
    if has_tag(entry, term.text) or any(_starts_word(fold(tag), term.text) for tag in entry.tags):
        places.add("tags")
    return places


def _starts_word(text: str, wanted: str) -> bool:
    if wanted not in text:
        return False
    words = words_of(wanted)
    return len(words) != 1 or any(word.startswith(words[0]) for word in words_of(text))


@dataclass(frozen=True, slots=True)
class _Place:
    order: float
    path: str
    now_ns: int


def _question(request: Request) -> str:
    asked = orjson.dumps([request.query, request.mode, request.folder])
    return hashlib.sha256(asked).hexdigest()[:16]


def _write_cursor(request: Request, place: _Place) -> str:
    content = orjson.dumps([_question(request), place.order, place.path, place.now_ns])
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _read_cursor(request: Request) -> _Place | None:
    if request.cursor is None:
        return None
    try:
        content = orjson.loads(base64.urlsafe_b64decode(request.cursor + "=" * (-len(request.cursor) % 4)))
        question, order, path, now_ns = content
        fits = question == _question(request) and isinstance(path, str) and isinstance(now_ns, int)
        if fits and isinstance(order, float | int):
            return _Place(float(order), path, now_ns)
    except (ValueError, TypeError, binascii.Error):
        pass
    problem = "is not one that this query, mode and folder returned"
    raise InvalidArguments(
        f"cursor {problem}; leave it out to start again.", fields=[{"field": "cursor", "problem": problem}]
    )
