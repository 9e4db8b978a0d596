"""HTML as readable text, and HTML that is safe to hand on. Remote pictures are never fetched."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

import nh3

MAX_HTML: Final = 2_000_000
"""Characters that are read; no letter that a person wrote is longer."""

_DROPPED: Final = {"script", "style", "title", "template", "noscript", "svg", "math", "iframe", "object", "head"}
_KEPT: Final = set(nh3.ALLOWED_TAGS) - {"img", "map", "area"} | {
    "body",
    "html",
    "img",
    "center",
    "font",
    "section",
    "main",
}
_BLOCKS: Final = frozenset(
    {"address", "article", "aside", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt", "figcaption"}
    | {"figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre"}
    | {"section", "summary", "table", "tr", "ul"}
)
_SPACED: Final = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "table", "pre"})
_VOID: Final = frozenset({"area", "br", "col", "hr", "img", "wbr"})
_HIDDEN: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d]*[1-9])|max-height\s*:\s*0(?![.\d]*[1-9])"
    r"|opacity\s*:\s*0(?![.\d]*[1-9])",
    re.IGNORECASE,
)
_MAX_DEPTH: Final = 1000
"""Levels that are read: parsing takes the square of them, and no letter that a person wrote has a tenth."""

_TAG: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_SELF_ENDING: Final = _VOID | {
    *("p", "li", "td", "th", "tr", "dd", "dt", "thead", "tbody", "tfoot", "option", "meta", "link", "input", "base")
}
"""Elements without an end tag, or that the next of their kind ends: sloppy letters open them and never close them."""

_MAX_LINK: Final = 1000
_MAX_INDENT: Final = 20
"""Levels of lists and quotes that are shown. A stranger may nest a hundred thousand; each line would show them all."""

_SPACES: Final = re.compile(r"[ \t\r\n\f\u00a0]+")


def html_to_text(html: str) -> str:
    """What a person would see, as lines of text; links follow their words in brackets. Hidden text is left out."""
    clean = nh3.clean(
        _bounded(html),
        tags=_KEPT,
        clean_content_tags=_DROPPED - _KEPT,
        attributes={"*": {"style", "hidden"}, "a": {"href"}, "img": {"alt"}},
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel=None,
    )
    reader = _Reader()
    reader.feed(clean)
    reader.close()
    return reader.text()


def safe_html(html: str) -> str:
    """The HTML without scripts, styles, forms and remote pictures."""
    tags = set(nh3.ALLOWED_TAGS) - {"map", "area"}
    attributes = {tag: set(names) for tag, names in nh3.ALLOWED_ATTRIBUTES.items()} | {"img": {"alt"}}
    return nh3.clean(_bounded(html), tags=tags, attributes=attributes, url_schemes={"http", "https", "mailto", "tel"})


def _bounded(html: str) -> str:
    """The HTML up to where it is too long or nested too deeply."""
    depth = 0
    for tag in _TAG.finditer(html, 0, MAX_HTML):
        if tag[2].lower() not in _SELF_ENDING:
            depth = max(0, depth - 1) if tag[1] else depth + 1
            if depth > _MAX_DEPTH:
                return html[: tag.start()]
    return html[:MAX_HTML]


class _Reader(HTMLParser):
    """Writes text from HTML that was made well-formed before."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._hidden: list[str] = []
        self._links: list[tuple[str, int]] = []
        self._lists: list[int | None] = []
        self._preformatted = 0
        self._quotes = 0

    def text(self) -> str:
        lines = [line.rstrip() for line in "".join(self._pieces).split("\n")]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if self._hidden:
            if tag not in _VOID:
                self._hidden.append(tag)
            return
        if "hidden" in given or _HIDDEN.search(given.get("style") or ""):
            if tag not in _VOID:
                self._hidden.append(tag)
            return
        self._open(tag, given)

    def _open(self, tag: str, given: dict[str, str | None]) -> None:
        if tag == "br":
            self._pieces.append("\n" + self._quote())
        elif tag == "img":
            if alt := (given.get("alt") or "").strip():
                self._pieces.append(f"[{alt}]")
        elif tag in ("td", "th"):
            self._gap(" ")
        elif tag in _BLOCKS:
            self._quotes += tag == "blockquote"
            self._line(blank=tag in _SPACED)
            self._begin_block(tag)
        elif tag == "a":
            self._links.append((given.get("href") or "", len(self._pieces)))

    def _begin_block(self, tag: str) -> None:
        if tag in ("ul", "ol"):
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            number = self._lists[-1] if self._lists else None
            if number is None:
                self._pieces.append(self._indent() + "- ")
            else:
                self._lists[-1] = number + 1
                self._pieces.append(f"{self._indent()}{number + 1}. ")
        elif tag == "hr":
            self._pieces.append("---\n")
        elif tag == "pre":
            self._preformatted += 1

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            # Well-formed, so it ends what began last; looking further down would take long in deep nesting.
            if self._hidden[-1] == tag:
                self._hidden.pop()
            return
        if tag == "a" and self._links:
            self._end_link()
        elif tag in _BLOCKS:
            if tag in ("ul", "ol") and self._lists:
                self._lists.pop()
            self._preformatted -= tag == "pre" and self._preformatted > 0
            self._quotes -= tag == "blockquote" and self._quotes > 0
            self._line(blank=tag in _SPACED)

    def _end_link(self) -> None:
        href, begin = self._links.pop()
        if self._links:
            return  # a link in a link: only the outer one is told, so that no text is looked at twice
        shown = "".join(self._pieces[begin:]).strip()
        plain = href.removeprefix("mailto:").removeprefix("tel:")
        if href and plain != shown and href.rstrip("/") != shown.rstrip("/") and len(href) <= _MAX_LINK:
            self._pieces.append(f" ({plain})" if shown else plain)

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._preformatted:
            self._pieces.append(data)
            return
        data = _SPACES.sub(" ", data)
        if data.startswith(" ") and self._at_line_start():
            data = data[1:]
        if data:
            self._pieces.append(data)

    def _at_line_start(self) -> bool:
        return not self._pieces or self._pieces[-1].endswith(("\n", " "))

    def _gap(self, text: str) -> None:
        if not self._at_line_start():
            self._pieces.append(text)

    def _line(self, *, blank: bool) -> None:
        if self._pieces and (blank or not self._pieces[-1].endswith("\n")):
            self._pieces.append("\n\n" if blank else "\n")
        if self._quotes:
            self._pieces.append(self._quote())

    def _quote(self) -> str:
        return "> " * min(self._quotes, _MAX_INDENT)

    def _indent(self) -> str:
        return "  " * min(max(0, len(self._lists) - 1), _MAX_INDENT)
