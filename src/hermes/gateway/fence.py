"""The one fence between text from outside and a model.

Messages, names, captions, notes and vendors' error texts are written by strangers. Before a model reads them,
characters that hide or reorder text go out and lengths are bounded; the structure stays JSON, so nothing inside a
string can pass for a field.
"""

from __future__ import annotations

import re
from typing import Any

MAX_TEXT = 100_000
"""Characters of one string; longer ones are cut and end in a mark."""

CUT = " […cut]"

# Control characters but tab and line ends; soft hyphen; zero-width, bidirectional and invisible format characters;
# interlinear annotation; the tag block, which spells ASCII invisibly; variation selectors beyond the emoji ones; lone
# surrogates, which no encoder takes. U+200D stays only between pictographs (below): family emoji need it.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
_JOINER = re.compile(
    "(?<![\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])\u200d|\u200d(?![\u2600-\u27bf\U0001f000-\U0001faff])"
)


def fence_text(text: str) -> str:
    """One string from outside, made safe to show: hidden characters out, at most `MAX_TEXT` characters."""
    if not (text.isascii() and text.isprintable()):
        text = _JOINER.sub("", _HIDDEN.sub("", text.replace("\r\n", "\n")))
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - len(CUT)] + CUT


def fence(value: Any) -> Any:
    """A JSON value with every string in it fenced, names of members included."""
    if isinstance(value, str):
        return fence_text(value)
    if isinstance(value, dict):
        return {fence_text(key): fence(item) for key, item in value.items()}
    if isinstance(value, list):
        return [fence(item) for item in value]
    return value


def fence_blocks(blocks: list[Any]) -> list[Any]:
    """Content blocks (MCP's, as JSON) with every string in them fenced but their files, which are base64 of ours."""
    return [_but_files(block) for block in blocks]


def _but_files(block: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        if key in ("data", "blob")
        else _but_files(value)
        if key == "resource" and isinstance(value, dict)
        else fence(value)
        for key, value in block.items()
    }
