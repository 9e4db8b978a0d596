"""The structure of a note's text: which lines are code, where headings, sections and blocks begin and end.

Line numbers inside this module count from 0 over the whole note, frontmatter included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hermes.errors import InvalidArguments, NotFound
from hermes.platforms.obsidian.paths import fold

_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_QUOTE = re.compile(r"(?: {0,3}>[ \t]?)*")
_FENCE = re.compile(r"([ \t]*)(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(`{3,}(?=[^`]*$)|~{3,})")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?$")
_CLOSING_HASHES = re.compile(r"(?:^|[ \t]+)#+[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-{2,})[ \t]*$")
_NOT_PARAGRAPH = re.compile(r"[ \t]*(?:[-*+>|#]|\d{1,9}[.)][ \t]|$)")
_BLOCK_ID = re.compile(r"(?:^|[ \t])\^([A-Za-z0-9-]+)[ \t]*$")
_MARKUP = re.compile(r"<[^<>]*>|[^\w\s]|_")
_CODE_INDENT = 4


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: its level, its text, its line, and the texts from the outermost heading above it down to itself."""

    level: int
    text: str
    line: int
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """A note's lines (with their ends), which of them are code, where the body starts, and the headings."""

    lines: list[str]
    code: list[bool]
    first: int
    headings: list[Heading]

    def section(self, spec: str) -> tuple[Heading, int]:
        """The heading that `spec` names and the line after its section (subsections included).

        Args:
            spec: the heading's text, a path such as `H1/H2`, or its line number counted from 1.

        Raises:
            NotFound: no such heading; `did_you_mean` lists the note's headings.
            InvalidArguments: several headings fit; `candidates` lists their paths and lines.
        """
        found = _matching(self.headings, spec)
        if not found:
            known = ["/".join(heading.path) for heading in self.headings][:50]
            raise NotFound(f"The note has no heading {spec!r}. Nothing was made or changed.", did_you_mean=known)
        if len(found) > 1:
            candidates = [{"heading": "/".join(heading.path), "line": heading.line + 1} for heading in found]
            problem = f"{len(found)} headings fit {spec!r}; give a path such as H1/H2, or the line number"
            raise InvalidArguments(
                f"{problem}.", fields=[{"field": "heading", "problem": problem}], candidates=candidates
            )
        heading = found[0]
        later = (other.line for other in self.headings if other.line > heading.line and other.level <= heading.level)
        return heading, next(later, len(self.lines))

    def content_start(self, heading: Heading) -> int:
        """The first line below a heading, also below the underline of a heading of that form."""
        return heading.line + (1 if _HEADING.match(self.lines[heading.line].rstrip("\r\n")) else 2)

    def block(self, block_id: str) -> tuple[int, int]:
        """The lines of the block with this id: first, and the one after the last.

        Raises:
            NotFound: no such block; `did_you_mean` lists the note's block ids.
        """
        wanted = block_id.removeprefix("^").lower()
        ids: list[str] = []
        for line in range(self.first, len(self.lines)):
            match = None if self.code[line] else _BLOCK_ID.search(self.lines[line].rstrip("\r\n"))
            if match is None:
                continue
            if match[1].lower() == wanted:
                return self._block_at(line, alone=not self.lines[line][: match.start()].strip())
            ids.append("^" + match[1])
        raise NotFound(f"The note has no block ^{wanted}.", did_you_mean=ids[:50])

    def _block_at(self, line: int, *, alone: bool) -> tuple[int, int]:
        borders = {at for heading in self.headings for at in range(heading.line, self.content_start(heading))}
        end = line + 1
        if not alone and _LIST_ITEM.match(self.lines[line]):
            return line, end
        first = line
        if alone:
            while first > self.first and not self.lines[first - 1].strip():
                first -= 1
        while first > self.first and (
            self.code[first - 1] or (self.lines[first - 1].strip() and first - 1 not in borders)
        ):
            first -= 1
        return first, end


def lines_of(text: str) -> list[str]:
    """The lines of a text with their ends; only LF ends a line, so CRLF stays at its line."""
    return _LINES.findall(text)


def newline_of(text: str) -> str:
    """The line end that a text uses: that of its first line."""
    end = text.find("\n")
    return "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"


def outline(text: str, body_start: int) -> Outline:
    """The structure of a note.

    Args:
        text: the whole note.
        body_start: where the body begins (after the frontmatter).
    """
    lines = lines_of(text)
    first = len(lines_of(text[:body_start]))
    code = _code_lines(lines, first)
    return Outline(lines, code, first, _headings(lines, code, first))


def _code_lines(lines: list[str], first: int) -> list[bool]:
    code = [False] * len(lines)
    fence, fence_quotes = "", 0
    in_list = False
    blank_before = True
    for number in range(first, len(lines)):
        line = lines[number].rstrip("\r\n")
        quotes = _QUOTE.match(line)
        prefix = quotes.group() if quotes else ""
        depth, inner = prefix.count(">"), line[len(prefix) :] if ">" in prefix else line
        if fence:
            if depth >= fence_quotes:
                code[number] = True
                if _closes(inner, fence):
                    fence, blank_before = "", False
                continue
            fence = ""
        indented = inner.expandtabs(_CODE_INDENT).startswith(" " * _CODE_INDENT)
        if not inner.strip():
            blank_before = True
            continue
        opening = _FENCE.match(inner)
        if opening and (in_list or len(opening[1].expandtabs(_CODE_INDENT)) < _CODE_INDENT):
            fence, fence_quotes = opening[2], depth
            code[number] = True
            continue
        if _LIST_ITEM.match(inner) and (in_list or not indented):
            in_list = True
        elif blank_before and not inner.startswith((" ", "\t")):
            in_list = False
        # An indented line is code after a blank line or after code, not inside a list or a paragraph.
        code[number] = indented and not in_list and (blank_before or (number > first and code[number - 1]))
        blank_before = blank_before and code[number]
    return code


def _closes(line: str, fence: str) -> bool:
    text = line.strip()
    return len(text) >= len(fence) and text == fence[0] * len(text)


def _headings(lines: list[str], code: list[bool], first: int) -> list[Heading]:
    found: list[Heading] = []
    above: list[tuple[int, str]] = []
    for number in range(first, len(lines)):
        if code[number]:
            continue
        line = lines[number]
        start = line.lstrip(" ")[:1]
        if start == "#":
            level, text, at = _atx(line.rstrip("\r\n"), number)
        elif start in ("=", "-") and number > first and not code[number - 1]:
            level, text, at = _underlined(lines, number, first)
        else:
            continue
        if level:
            above = [pair for pair in above if pair[0] < level]
            above.append((level, text))
            found.append(Heading(level, text, at, tuple(pair[1] for pair in above)))
    return found


def _atx(line: str, number: int) -> tuple[int, str, int]:
    match = _HEADING.match(line)
    if match is None:
        return 0, "", number
    return len(match[1]), _CLOSING_HASHES.sub("", (match[2] or "").strip()).strip(), number


def _underlined(lines: list[str], number: int, first: int) -> tuple[int, str, int]:
    """A one-line paragraph above a line of `=` or `-` is a heading too."""
    above = lines[number - 1]
    alone = number - 1 == first or not lines[number - 2].strip()
    if not _UNDERLINE.match(lines[number].rstrip("\r\n")) or _NOT_PARAGRAPH.match(above) or not alone:
        return 0, "", number
    return (1 if lines[number].lstrip()[0] == "=" else 2), above.strip(), number - 1


def _matching(headings: list[Heading], spec: str) -> list[Heading]:
    text = spec.strip()
    hashes = len(text) - len(text.lstrip("#"))
    wanted = text.lstrip("#").strip() or text
    pool = [heading for heading in headings if not hashes or heading.level == hashes]
    for normal in (_collapse, _bare):
        leaf = normal(wanted)
        found = [heading for heading in pool if leaf and normal(heading.text) == leaf]
        if not found:
            parts = [normal(part) for part in re.split(r"[/#]", wanted)]
            found = [heading for heading in pool if all(parts) and _fits([normal(p) for p in heading.path], parts)]
            whole = [heading for heading in found if [normal(part) for part in heading.path] == parts]
            found = whole or found
        if found:
            return found
    return [heading for heading in headings if wanted.isdecimal() and heading.line + 1 == int(wanted[:9])]


def _fits(path: list[str], parts: list[str]) -> bool:
    if path[-1] != parts[-1]:
        return False
    rest = iter(path[:-1])
    return all(part in rest for part in parts[:-1])


def _collapse(text: str) -> str:
    return " ".join(fold(text).split())


def _bare(text: str) -> str:
    """A heading without HTML, emoji and punctuation: how people retype it."""
    return " ".join(_MARKUP.sub(" ", fold(text)).split())
