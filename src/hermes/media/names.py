"""File names and media types that others gave us, made safe to show, store and send on."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}", re.ASCII)
_LONGEST: Final = 120
OCTETS: Final = "application/octet-stream"


def clean_filename(name: str) -> str:
    """The last part of a name, without characters that hide, reorder or end text; `file` when nothing is left."""
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(c for c in last if unicodedata.category(c)[0] != "C" and c not in '"<>|:*?')
    shown = shown.strip(" .")
    if len(shown) > _LONGEST:
        stem, dot, ending = shown.rpartition(".")
        shown = f"{stem[: _LONGEST - len(ending) - 1]}{dot}{ending}" if dot and len(ending) < 16 else shown[:_LONGEST]
    return shown or "file"


def clean_type(content_type: str) -> str:
    """A media type in lower case without parameters; `application/octet-stream` when it is none."""
    bare = content_type.partition(";")[0].strip().lower()
    return bare if _TYPE.fullmatch(bare) else OCTETS
