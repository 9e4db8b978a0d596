"""LinkedIn's "little" text format: what stands for itself must be escaped, or the rest of the post is dropped.

Source: Community Management, "little Text Format".
"""

from __future__ import annotations

import re
from typing import Final

RESERVED: Final = r"\|{}@[]()<>#*_~"

_MARKED = re.compile(
    r"@\[(?P<name>[^\[\]\n]{1,200})\]\((?P<urn>urn:li:(?:person|organization):[A-Za-z0-9_-]{1,64})\)"
    # A tag: "#" before letters and digits with a letter among them, and not inside a word ("C#major", "&#x27;").
    r"|(?<![\w&])\#(?=\d*[^\W\d_])"
)
_SPECIAL = re.compile(f"[{re.escape(RESERVED)}]")


def little_text(text: str) -> str:
    """Plain text as LinkedIn's commentary: everything is shown as it is, but hashtags and mentions work.

    A mention is written `@[Name](urn:li:organization:1337)`, with the name exactly as LinkedIn has it.
    """
    parts: list[str] = []
    at = 0
    for marked in _MARKED.finditer(text):
        parts.append(_escaped(text[at : marked.start()]))
        parts.append(f"@[{_escaped(marked['name'])}]({marked['urn']})" if marked["urn"] else "#")
        at = marked.end()
    parts.append(_escaped(text[at:]))
    return "".join(parts)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)
