"""Which paths inside a vault a caller may name, and when two names are the same to a phone or a Mac."""

from __future__ import annotations

import re
import unicodedata

from hermes.errors import InvalidArguments

NOTE_SUFFIX = ".md"
MAX_SEGMENT_BYTES = 255
MAX_PATH_BYTES = 1024
MAX_DEPTH = 32

_DRIVE = re.compile(r"[A-Za-z]:")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])", re.IGNORECASE)
_BREAKS_LINKS = re.compile(r'[#|^:\[\]*"<>?]|%%')
# Zero-width joiners belong to emoji and to several scripts; every other format character in a name only deceives.
_JOINERS = frozenset("\u200c\u200d")


def fold(text: str) -> str:
    """The form in which names and words are compared: NFC, without case."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def split_path(path: str, *, field: str = "path") -> tuple[str, ...]:
    """Split a path that a caller gave into its segments; nothing is decoded or resolved.

    Raises:
        InvalidArguments: the path is empty, absolute, has a drive letter, a backslash, a control character, an empty,
            `.`-leading (so also `..`), reserved or too long segment.
    """
    problem = _path_problem(path)
    segments = tuple(path.split("/"))
    for segment in segments:
        problem = problem or _segment_problem(segment)
    if problem:
        raise _refusal(field, problem)
    return segments


def check_new_name(segments: tuple[str, ...], *, field: str = "path") -> tuple[str, ...]:
    """The NFC form of a path that is about to be made.

    Raises:
        InvalidArguments: a name that links could not reach or that another system could not store.
    """
    for segment in segments:
        if match := _BREAKS_LINKS.search(segment):
            raise _refusal(field, f"a new name cannot contain {match.group()!r}: it breaks links in Obsidian")
        if segment.endswith((" ", ".")) or segment.startswith(" "):
            raise _refusal(field, "a new name cannot start with a space or end with a space or dot")
        if any(unicodedata.category(char) in ("Cf", "Co", "Cn") and char not in _JOINERS for char in segment):
            raise _refusal(field, "a new name cannot contain invisible or unassigned characters")
    if segments[-1].removesuffix(NOTE_SUFFIX).strip() != segments[-1].removesuffix(NOTE_SUFFIX):
        raise _refusal(field, "a note's name cannot end with a space")
    return tuple(unicodedata.normalize("NFC", segment) for segment in segments)


def with_suffix(segments: tuple[str, ...]) -> tuple[str, ...]:
    """The segments of the note's file: `.md` is added where it was left out."""
    last = segments[-1]
    return segments if last.lower().endswith(NOTE_SUFFIX) else (*segments[:-1], last + NOTE_SUFFIX)


def is_note(name: str) -> bool:
    return name.lower().endswith(NOTE_SUFFIX)


def note_title(path: str) -> str:
    """What Obsidian shows as a note's title: its file name without `.md`."""
    name = path.rsplit("/", 1)[-1]
    return name[: -len(NOTE_SUFFIX)] if is_note(name) else name


def _refusal(field: str, problem: str) -> InvalidArguments:
    return InvalidArguments(
        f"{field}: {problem}. Give a path from the vault's root with forward slashes, such as Folder/Note.md.",
        fields=[{"field": field, "problem": problem}],
    )


def _path_problem(path: str) -> str | None:
    if not path:
        return "is empty"
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if len(encoded) > MAX_PATH_BYTES or path.count("/") >= MAX_DEPTH:
        return f"is longer than {MAX_PATH_BYTES} bytes or deeper than {MAX_DEPTH} folders"
    if path.startswith("/") or "\\" in path:
        return "must not be absolute or contain a backslash"
    if any(unicodedata.category(char) == "Cc" for char in path):
        return "must not contain control characters"
    return None


def _segment_problem(segment: str) -> str | None:
    if not segment:
        return "has an empty segment"
    if segment.startswith("."):
        return "has a segment that starts with a dot"
    if _DRIVE.match(segment):
        return "has a drive letter"
    if len(segment.encode()) > MAX_SEGMENT_BYTES:
        return f"has a segment of more than {MAX_SEGMENT_BYTES} bytes"
    if _RESERVED.fullmatch(segment.split(".", 1)[0].rstrip(" ")):
        return "has a name that Windows reserves for a device"
    return None
