"""Telegram's parse modes: text with markup in, plain text and entities out, or the server's own complaint.

Offsets and lengths of entities count UTF-16 units; offsets in complaints count UTF-8 bytes, as the server's do.
Source: core.telegram.org/bots/api#formatting-options.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Any

HTML_TAGS = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline",
    "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "tg-spoiler": "spoiler",
    "span": "spoiler", "a": "text_link", "tg-emoji": "custom_emoji", "code": "code", "pre": "pre",
    "blockquote": "blockquote", "tg-time": "date_time",
}  # fmt: skip
MARKDOWN_RESERVED = frozenset("_*[]()~`>#+-=|{}.!")
MARKDOWN_NAMES = {
    "*": "Bold", "_": "Italic", "__": "Underline", "~": "Strikethrough", "||": "Spoiler", "`": "Code", "```": "Pre",
}  # fmt: skip
MARKDOWN_TYPES = {
    "*": "bold", "_": "italic", "__": "underline", "~": "strikethrough", "||": "spoiler", "`": "code", "```": "pre",
}  # fmt: skip
TAG = re.compile(r"<(/?)([^\s>]*)([^>]*)>", re.ASCII)
ATTRIBUTE = re.compile(r"""([\w-]+)\s*(?:=\s*(?:"([^"]*)"|'([^']*)'|([\w.-]+)))?""", re.ASCII)
ENTITY = re.compile(r"&(?:lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);")
Entity = dict[str, Any]


class MarkupError(ValueError):
    """The markup is wrong. The message is the server's, without its `Bad Request:`."""

    def __init__(self, message: str) -> None:
        super().__init__(f"can't parse entities: {message}")


def utf16_length(text: str) -> int:
    """The length that Telegram counts."""
    return len(text) + sum(1 for character in text if character > "\uffff")


def parse_markup(text: str, mode: str) -> tuple[str, list[Entity]]:
    """Take `text` apart as `mode` (HTML, MarkdownV2 or Markdown; any case) says.

    Raises:
        MarkupError: the markup is wrong.
        ValueError: there is no such mode.
    """
    match mode.lower():
        case "" | "none":
            return text, []
        case "html":
            return _parse_html(text)
        case "markdownv2":
            return _Markdown(text).parse()
        case "markdown":
            return _parse_legacy(text)
    raise ValueError("unsupported parse_mode")


def _bytes_before(text: str, at: int) -> int:
    return len(text[:at].encode())


def _sorted(entities: list[Entity]) -> list[Entity]:
    kept = [entity for entity in entities if entity["length"] > 0]
    return sorted(kept, key=lambda entity: (entity["offset"], -entity["length"]))


@dataclass(slots=True)
class _Open:
    tag: str
    offset: int
    extra: Entity = field(default_factory=dict)


def _parse_html(text: str) -> tuple[str, list[Entity]]:
    out: list[str] = []
    units = 0
    entities: list[Entity] = []
    stack: list[_Open] = []
    at = 0
    while at < len(text):
        if text[at] != "<":
            reference = ENTITY.match(text, at) if text[at] == "&" else None
            piece = unescape(reference.group()) if reference else text[at]
            at = reference.end() if reference else at + 1
            out.append(piece)
            units += utf16_length(piece)
            continue
        tag = TAG.match(text, at)
        place = _bytes_before(text, at)
        if tag is None:
            raise MarkupError(f"Unclosed start tag at byte offset {place}")
        name = tag[2].lower()
        if tag[1]:
            entities.extend(_close(stack, name, units, place))
        else:
            stack.append(_Open(name, units, _html_extra(name, tag[3], place)))
        at = tag.end()
    if stack:
        raise MarkupError(f'Can\'t find end tag corresponding to start tag "{stack[-1].tag}"')
    return "".join(out), _sorted(entities)


def _close(stack: list[_Open], name: str, units: int, place: int) -> list[Entity]:
    if not stack:
        raise MarkupError(f"Unexpected end tag at byte offset {place}")
    opened = stack.pop()
    if name and name != opened.tag:
        raise MarkupError(f'Unmatched end tag at byte offset {place}, expected "</{opened.tag}>", found "</{name}>"')
    kind = opened.extra.pop("_type", HTML_TAGS[opened.tag])
    if kind == "code" and stack and stack[-1].tag == "pre" and stack[-1].offset == opened.offset and opened.extra:
        stack[-1].extra.update(opened.extra)
        return []
    if kind == "text_link" and "url" not in opened.extra:
        return []
    extra = opened.extra if kind != "code" else {}
    return [{"type": kind, "offset": opened.offset, "length": units - opened.offset} | extra]


def _html_extra(name: str, rest: str, place: int) -> Entity:
    if name not in HTML_TAGS:
        raise MarkupError(f'Unsupported start tag "{name}" at byte offset {place}')
    given = {one[1].lower(): unescape(one[2] or one[3] or one[4] or "") for one in ATTRIBUTE.finditer(rest)}
    if name == "span" and given.get("class") != "tg-spoiler":
        raise MarkupError(f'Tag "span" must have class "tg-spoiler" at byte offset {place}')
    if name == "a" and given.get("href"):
        return {"url": given["href"]}
    if name == "tg-emoji":
        if not given.get("emoji-id", "").isdigit():
            raise MarkupError("Invalid custom emoji identifier specified")
        return {"custom_emoji_id": given["emoji-id"]}
    if name == "code" and given.get("class", "").startswith("language-"):
        return {"language": given["class"].removeprefix("language-")}
    if name == "blockquote" and "expandable" in given:
        return {"_type": "expandable_blockquote"}
    return {}


class _Markdown:
    """MarkdownV2."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._out: list[str] = []
        self._units = 0
        self._entities: list[Entity] = []
        self._stack: list[tuple[str, int, int]] = []
        self._quote: int | None = None

    def parse(self) -> tuple[str, list[Entity]]:
        text = self._text
        line_start = True
        while self._at < len(text):
            if line_start and not self._in("`", "```"):
                self._quote_line()
            if self._at >= len(text):
                break
            character = text[self._at]
            line_start = character == "\n"
            self._step(character)
        self._end_quote()
        if self._stack:
            mark, _, place = self._stack[-1]
            name = "TextUrl" if mark in ("[", "![") else MARKDOWN_NAMES[mark]
            raise MarkupError(f"Can't find end of {name} entity at byte offset {place}")
        return "".join(self._out), _sorted(self._entities)

    def _step(self, character: str) -> None:
        text = self._text
        if character == "\\" and self._at + 1 < len(text) and "\x01" <= text[self._at + 1] <= "\x7e":
            self._emit(text[self._at + 1], 2)
        elif self._in("`", "```"):
            self._inside_code(character)
        elif character in MARKDOWN_RESERVED:
            self._mark(character)
        else:
            self._emit(character, 1)

    def _in(self, *marks: str) -> bool:
        return bool(self._stack) and self._stack[-1][0] in marks

    def _emit(self, piece: str, width: int) -> None:
        self._out.append(piece)
        self._units += utf16_length(piece)
        self._at += width

    def _inside_code(self, character: str) -> None:
        mark = self._stack[-1][0]
        if self._text.startswith(mark, self._at):
            self._finish(len(mark))
        elif character == "`":
            raise self._reserved("`")
        else:
            self._emit(character, 1)

    def _quote_line(self) -> None:
        if self._text.startswith(">", self._at):
            self._at += 1
            if self._quote is None:
                self._quote = self._units
        else:
            self._end_quote()

    def _end_quote(self) -> None:
        if self._quote is not None:
            length = self._units - self._quote - (1 if self._out and self._out[-1] == "\n" else 0)
            self._entities.append({"type": "blockquote", "offset": self._quote, "length": length})
            self._quote = None

    def _mark(self, character: str) -> None:
        text = self._text
        for mark in ("```", "||", "__", "*", "_", "~", "`"):
            if text.startswith(mark, self._at):
                if self._in(mark):
                    self._finish(len(mark))
                elif mark == "__" and self._in("_"):
                    self._finish(1)
                else:
                    self._open(mark, len(mark))
                    if mark == "```":
                        self._skip_language()
                return
        if character == "[" or text.startswith("![", self._at):
            mark = "[" if character == "[" else "!["
            self._open(mark, len(mark))
        elif character == "]" and self._in("[", "!["):
            self._link()
        else:
            raise self._reserved(character)

    def _open(self, mark: str, width: int) -> None:
        self._stack.append((mark, self._units, _bytes_before(self._text, self._at)))
        self._at += width

    def _skip_language(self) -> None:
        language = re.compile(r"([^\s`]+)\n|\n").match(self._text, self._at)
        if language:
            self._at = language.end()

    def _finish(self, width: int) -> None:
        mark, offset, _ = self._stack.pop()
        self._entities.append({"type": MARKDOWN_TYPES[mark], "offset": offset, "length": self._units - offset})
        self._at += width

    def _link(self) -> None:
        mark, offset, place = self._stack.pop()
        self._at += 1
        length = self._units - offset
        if not self._text.startswith("(", self._at):
            if mark == "[":
                shown = "".join(self._out)
                self._entities.append({"type": "text_link", "offset": offset, "length": length, "url": shown[-length:]})
                return
            raise MarkupError("Custom emoji entity must contain a tg://emoji URL")
        url: list[str] = []
        self._at += 1
        while self._at < len(self._text) and self._text[self._at] != ")":
            if self._text[self._at] == "\\" and self._at + 1 < len(self._text):
                self._at += 1
            url.append(self._text[self._at])
            self._at += 1
        if self._at >= len(self._text):
            raise MarkupError(f"Can't find end of a URL at byte offset {place}")
        self._at += 1
        kind: Entity = {"type": "text_link", "url": "".join(url)}
        if mark == "![":
            kind = {"type": "custom_emoji", "custom_emoji_id": "".join(url).rpartition("id=")[2]}
        self._entities.append(kind | {"offset": offset, "length": length})

    def _reserved(self, character: str) -> MarkupError:
        return MarkupError(f"Character '{character}' is reserved and must be escaped with the preceding '\\'")


def _parse_legacy(text: str) -> tuple[str, list[Entity]]:
    out: list[str] = []
    units = 0
    entities: list[Entity] = []
    at = 0
    kinds = {"*": "bold", "_": "italic", "`": "code", "```": "pre"}
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text) and text[at + 1] in "_*`[":
            piece, at = text[at + 1], at + 2
            out.append(piece)
            units += 1
            continue
        mark = "```" if text.startswith("```", at) else text[at]
        link = re.compile(r"\[([^\]]*)\](?:\(([^)]*)\))?").match(text, at) if mark == "[" else None
        if mark in kinds:
            end = text.find(mark, at + len(mark))
            inner, after = text[at + len(mark) : end], end + len(mark)
        elif link:
            end, inner, after = link.end(), link[1], link.end()
        elif mark == "[":
            end, inner, after = -1, "", 0
        else:
            out.append(text[at])
            units += utf16_length(text[at])
            at += 1
            continue
        if end < 0:
            place = _bytes_before(text, at)
            raise MarkupError(f"Can't find end of the entity starting at byte offset {place}")
        length = utf16_length(inner)
        if mark in kinds:
            entities.append({"type": kinds[mark], "offset": units, "length": length})
        elif link and link[2]:
            entities.append({"type": "text_link", "offset": units, "length": length, "url": link[2]})
        out.append(inner)
        units += length
        at = after
    return "".join(out), _sorted(entities)
