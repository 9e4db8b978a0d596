"""What is known of a vault's notes for searching, kept in memory and brought up to date before every search.

A note is read again when its status on disk changed. Words point to the notes that hold them; a note that changed gets
a new number, and numbers that are no longer alive are swept out of the word lists when there are too many.
"""

from __future__ import annotations

import bisect
import os
import re
import threading
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hermes.errors import InvalidArguments, PayloadTooLarge
from hermes.platforms.obsidian.folders import open_folder, read_regular
from hermes.platforms.obsidian.links import aliases_of
from hermes.platforms.obsidian.note import Note
from hermes.platforms.obsidian.paths import fold, note_title
from hermes.platforms.obsidian.vault import READ_LIMIT, Vault
from hermes.platforms.obsidian.walk import walk_notes

# Scripts without spaces between words are indexed by character.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORDS = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")

MAX_NOTES = 50_000
MAX_BYTES = 192 * 1024 * 1024
MAX_WORD = 64
_COUNT_BITS = 6
MAX_COUNT = (1 << _COUNT_BITS) - 1
_MAX_NUMBER = (1 << (32 - _COUNT_BITS)) - 1
_SWEEP_AT_LEAST = 2_000
# A file changed within the clock's grain of when it was read may change again without a new time (as in git's index).
_GRAIN_NS = 50_000_000


Key = tuple[int, int, int, int]
"""Change time of content and of status, size, and the file's number: another file in the same place is seen too."""


def words_of(folded: str) -> list[str]:
    """The words of a folded text, as they are indexed."""
    return _WORDS.findall(folded)


@dataclass(slots=True)
class Entry:
    """What is kept of one note. `body` is its text as UTF-8, so that snippets and phrases need no second reading."""

    number: int
    path: str
    folded_path: str
    key: Key
    body: bytes
    tags: tuple[str, ...]
    headings: tuple[str, ...]
    properties: dict[str, Any]
    settled: bool
    ascii: bool
    folded_tags: tuple[str, ...]
    """The tags, folded, each with a slash at its end, so that a tag's children start with it."""

    @property
    def mtime_ns(self) -> int:
        return self.key[0]

    @property
    def size(self) -> int:
        return self.key[2]

    @property
    def title(self) -> str:
        return note_title(self.path)

    @property
    def text(self) -> str:
        return self.body.decode()


class Postings:
    """Word → the notes that hold it and how often, packed into one number each."""

    def __init__(self) -> None:
        self._lists: dict[str, array[int]] = {}
        self._sorted: list[str] = []
        self._new: list[str] = []

    def add(self, number: int, words: Iterable[str]) -> None:
        base = number << _COUNT_BITS
        for word, count in Counter(words).items():
            postings = self._lists.get(word)
            if postings is None:
                postings = self._lists[word] = array("I")
                self._new.append(word)
            postings.append(base | (count if count < MAX_COUNT else MAX_COUNT))

    def exact(self, word: str) -> Iterator[tuple[int, int]]:
        """Note number and count of a word."""
        for packed in self._lists.get(word, ()):
            yield packed >> _COUNT_BITS, packed & MAX_COUNT

    def starting(self, prefix: str) -> set[int]:
        """The notes with a longer word that starts with `prefix`."""
        if self._new:
            self._sorted += self._new
            self._sorted.sort()
            self._new = []
        found: set[int] = set()
        for index in range(bisect.bisect_right(self._sorted, prefix), len(self._sorted)):
            word = self._sorted[index]
            if not word.startswith(prefix):
                break
            found.update(packed >> _COUNT_BITS for packed in self._lists[word])
        return found

    def holding(self, run: str) -> set[int]:
        """The notes that may have a run of ASCII letters and digits, in lower case, inside a word of their text.

        An accent that stands after the run in the text has become one character with its last letter in the index,
        and long words are cut there: such words are taken for holding it, so no note is missing.
        """
        stem = run[:-1]
        found: set[int] = set()
        for word, postings in self._lists.items():
            if (stem in word and (run in word or not word.isascii())) or len(word) == MAX_WORD:
                found.update(packed >> _COUNT_BITS for packed in postings)
        return found

    def sweep(self, alive: set[int]) -> None:
        """Forget the notes that are not alive."""
        for word in list(self._lists):
            kept = array("I", (packed for packed in self._lists[word] if packed >> _COUNT_BITS in alive))
            if kept:
                self._lists[word] = kept
            else:
                del self._lists[word]
        self._sorted, self._new = sorted(self._lists), []


class _Survey:
    """What one walk found: which notes are as they were, and which have to be read."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self.changed: list[tuple[str, Key]] = []
        self.unchanged: set[str] = set()
        self.known = 0
        self.left_out = 0
        self._entries = entries

    def visit(self, path: str, status: os.stat_result) -> None:
        entry = self._entries.get(path)
        key = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        if entry is not None:
            self.known += 1
            if entry.key == key and entry.settled:
                self.unchanged.add(path)
                return
        if status.st_size > READ_LIMIT or len(self.unchanged) + len(self.changed) >= MAX_NOTES:
            self.left_out += 1
            self.known -= entry is not None
            return
        self.changed.append((path, key))


@dataclass
class Index:
    """The index of one vault. Not for two threads at once: hold `lock` while it is refreshed and searched."""

    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    entries: dict[str, Entry] = field(default_factory=dict, repr=False)
    by_number: dict[int, Entry] = field(default_factory=dict, repr=False)
    titles: Postings = field(default_factory=Postings, repr=False)
    marks: Postings = field(default_factory=Postings, repr=False)
    bodies: Postings = field(default_factory=Postings, repr=False)
    skipped: dict[str, Key] = field(default_factory=dict, repr=False)
    size: int = 0
    left_out: int = 0
    _next: int = 1
    _dead: int = 0

    def refresh(self, vault: Vault) -> None:
        """Bring the index up to date with the disk. Raises NotFound if the vault is gone."""
        with vault.opened() as root:
            if self._next > _MAX_NUMBER - MAX_NOTES:
                self._clear()
            survey = _Survey(self.entries)
            walk_notes(root, survey.visit)
            self._forget(survey)
            for path, key in survey.changed:
                if self.skipped.get(path) != key:
                    self._read(root, path, key)
        self.left_out = survey.left_out + len(self.skipped)

    def _forget(self, survey: _Survey) -> None:
        if survey.known < len(self.entries):
            for path in self.entries.keys() - survey.unchanged - {path for path, _ in survey.changed}:
                self._remove(path)
        if self.skipped:
            seen = dict(survey.changed)
            self.skipped = {path: key for path, key in self.skipped.items() if path in seen}
        if self._dead > max(_SWEEP_AT_LEAST, len(self.entries) // 4):
            alive = set(self.by_number)
            for postings in (self.titles, self.marks, self.bodies):
                postings.sweep(alive)
            self._dead = 0

    def _clear(self) -> None:
        self.entries, self.by_number, self.skipped = {}, {}, {}
        self.titles, self.marks, self.bodies = Postings(), Postings(), Postings()
        self.size, self._next, self._dead = 0, 1, 0

    def _remove(self, path: str) -> None:
        entry = self.entries.pop(path, None)
        if entry is not None:
            del self.by_number[entry.number]
            self.size -= len(entry.body)
            self._dead += 1

    def _read(self, root: int, path: str, key: Key) -> None:
        self._remove(path)
        self.skipped.pop(path, None)
        started = time.time_ns()
        segments = tuple(path.split("/"))
        try:
            with open_folder(root, segments[:-1]) as folder:
                data, status = read_regular(folder, segments[-1], path, limit=READ_LIMIT)
            text = data.decode()
        except (OSError, InvalidArguments, PayloadTooLarge):
            return  # gone or swapped since it was listed; the next search looks again
        except UnicodeDecodeError:
            self.skipped[path] = key
            return
        if self.size + len(data) > MAX_BYTES:
            self.skipped[path] = key
            return
        key = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        settled = started - max(key[0], key[1]) > _GRAIN_NS
        self._add(path, key, data, text, settled=settled)

    def _add(self, path: str, key: Key, data: bytes, text: str, *, settled: bool) -> None:
        number, self._next = self._next, self._next + 1
        note = Note(text)
        folded = fold(text)
        tags = tuple(note.tags)
        headings = tuple(heading.text for heading in note.outline.headings)
        entry = Entry(
            number,
            path,
            fold(path),
            key,
            data,
            tags,
            headings,
            note.properties,
            settled,
            data.isascii(),
            tuple(fold(tag) + "/" for tag in tags),
        )
        self.entries[path] = self.by_number[number] = entry
        self.size += len(data)
        names = (entry.title, *aliases_of(note.properties))
        self.titles.add(number, (word[:MAX_WORD] for name in names for word in words_of(fold(name))))
        self.marks.add(number, (word[:MAX_WORD] for mark in (*tags, *headings) for word in words_of(fold(mark))))
        self.bodies.add(number, [word[:MAX_WORD] for word in words_of(folded)])
