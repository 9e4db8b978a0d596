"""Changes to a note's text. Each function takes the present text and returns the new one, and changes nothing else."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from hermes.errors import InvalidArguments
from hermes.platforms.obsidian import frontmatter
from hermes.platforms.obsidian.markdown import lines_of
from hermes.platforms.obsidian.note import Note

Position = Literal["end", "start_of_body", "under_heading"]

MAX_DIFF_CHARS = 20_000
_MATCHER_LIMIT = 4_000_000
_CONTEXT = 3
_SHOWN_LINES = 10


def append(text: str, content: str, position: Position, heading: str | None, block: str | None) -> str:
    """The note with `content` at its end, at the start of its body, at a section's end, or below a block.

    Exactly one line end stands between the old text and the new; line ends and the final line end stay as they were.

    Raises:
        NotFound: no such heading or block.
        InvalidArguments: several headings fit.
    """
    note = Note(text)
    added = _in_style(content, note.newline)
    if heading is not None:
        found, end = note.outline.section(heading)
        return _insert(note, _last_written(note, note.outline.content_start(found), end), added)
    if block is not None:
        return _insert(note, note.outline.block(block)[1], added)
    if position == "start_of_body":
        return _insert(note, note.outline.first, added)
    return _insert(note, len(note.outline.lines), added)


def replace_all(text: str | None, content: str) -> tuple[str, bool]:
    """The note with all its text replaced, and whether the old properties were kept because `content` has none."""
    if text is None:
        return content, False
    note = Note(text)
    new = _in_style(content, note.newline) if text else content
    kept = note.parts.present and not frontmatter.split(new).present
    if kept:
        block = note.parts.block
        new = (block if block.endswith("\n") else block + note.newline) + new
    return _same_end(text, new, note.newline), kept


def replace_text(text: str, old: str, new: str, count: int) -> str:
    """The note with `old`, which must occur exactly `count` times, replaced by `new`.

    Raises:
        InvalidArguments: it occurs another number of times (`lines` says where), or the change breaks the properties.
    """
    note = Note(text)
    wanted, replacement = _in_style(old, note.newline), _in_style(new, note.newline)
    occurrences = text.count(wanted)
    if occurrences != count:
        lines = _lines_with(text, wanted)
        problem = f"occurs {occurrences} times in the note, not {count}"
        way_out = "copy it exactly as read_note shows it" if not occurrences else "make it longer, or say that count"
        raise InvalidArguments(
            f"replace.old {problem}; {way_out}.", fields=[{"field": "replace.old", "problem": problem}], lines=lines
        )
    changed = text.replace(wanted, replacement)
    after = Note(changed)
    if note.properties_error is None and (after.properties_error or note.parts.present > after.parts.present):
        problem = f"would break the note's properties: {after.properties_error or 'their closing --- would be lost'}"
        raise InvalidArguments(f"replace {problem}.", fields=[{"field": "replace", "problem": problem}])
    return changed


def replace_section(text: str, heading: str, content: str) -> str:
    """The note with everything below a heading, subsections included, replaced; the heading itself stays.

    Raises: as in `append`.
    """
    note = Note(text)
    lines = note.outline.lines
    found, end = note.outline.section(heading)
    start = note.outline.content_start(found)
    # Blank lines before the next heading belong to the page's looks, not to what is replaced.
    last = _last_written(note, start, end) if end < len(lines) else end
    new = _in_style(content, note.newline).removesuffix(note.newline)
    before, after = "".join(lines[:start]), "".join(lines[last:])
    if new and before and not before.endswith("\n"):
        before += note.newline
    middle = new + note.newline if new and (after or text.endswith("\n")) else new
    return before + middle + after


def edit_properties(text: str, set_: Mapping[str, Any], delete: Iterable[str]) -> str:
    """The note with properties set and deleted. Raises InvalidArguments; see `frontmatter.edit`."""
    return frontmatter.edit(text, set_, delete, Note(text).newline)


def unified_diff(before: str, after: str, path: str) -> tuple[str, bool]:
    """A diff for people, and whether it was cut short."""
    old, new = lines_of(before), lines_of(after)
    if len(old) * len(new) <= _MATCHER_LIMIT:
        pieces = list(difflib.unified_diff(old, new, path, path, n=_CONTEXT))
    else:
        pieces = _coarse_diff(old, new, path)
    text = "".join(piece if piece.endswith("\n") else piece + "\n\\ No newline at end of file\n" for piece in pieces)
    return text[:MAX_DIFF_CHARS], len(text) > MAX_DIFF_CHARS


def _coarse_diff(old: list[str], new: list[str], path: str) -> list[str]:
    """One hunk from the first to the last differing line: finding the smallest diff of a huge note takes too long."""
    shorter = min(len(old), len(new))
    start = next((number for number in range(shorter) if old[number] != new[number]), shorter)
    tail = 0
    while tail < shorter - start and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    gone, come = old[start : len(old) - tail], new[start : len(new) - tail]
    header = f"@@ -{start + 1},{len(gone)} +{start + 1},{len(come)} @@\n"
    return [f"--- {path}\n", f"+++ {path}\n", header, *("-" + line for line in gone), *("+" + line for line in come)]


def _insert(note: Note, at: int, added: str) -> str:
    lines = note.outline.lines
    before, after = "".join(lines[:at]), "".join(lines[at:])
    if before and not before.endswith("\n"):
        before += note.newline
    ends_line = bool(after) or note.text.endswith("\n") or not note.text
    if ends_line and not added.endswith("\n"):
        added += note.newline
    return before + added + after


def _last_written(note: Note, start: int, end: int) -> int:
    """The line after the last one with text between `start` and `end`."""
    while end > start and not note.outline.lines[end - 1].strip():
        end -= 1
    return end


def _in_style(content: str, newline: str) -> str:
    plain = content.replace("\r\n", "\n")
    return plain if newline == "\n" else plain.replace("\n", newline)


def _same_end(old: str, new: str, newline: str) -> str:
    return new + newline if new and old.endswith("\n") and not new.endswith("\n") else new


def _lines_with(text: str, wanted: str) -> list[int]:
    found: list[int] = []
    at = text.find(wanted)
    while at >= 0 and len(found) < _SHOWN_LINES:
        found.append(text.count("\n", 0, at) + 1)
        at = text.find(wanted, at + max(1, len(wanted)))
    return found
