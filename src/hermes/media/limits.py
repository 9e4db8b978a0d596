"""How much a customer may keep here at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

_GIBIBYTE: Final = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class MediaLimit:
    """What a plan allows.

    Attributes:
        file_bytes: of one upload.
        total_bytes: of all files that are kept at one moment.
    """

    file_bytes: int
    total_bytes: int


MediaLimits = Callable[[str], MediaLimit]
"""By the plan's name."""

DEFAULT_LIMIT: Final = MediaLimit(4 * _GIBIBYTE, 16 * _GIBIBYTE)
"""The largest video that any of the platforms takes is TikTok's, 4 GB."""

_BY_PLAN: Final[Mapping[str, MediaLimit]] = {
    "free": MediaLimit(_GIBIBYTE // 4, _GIBIBYTE),
    "enterprise": MediaLimit(4 * _GIBIBYTE, 64 * _GIBIBYTE),
}


def limit_of(plan: str) -> MediaLimit:
    """What a plan allows."""
    return _BY_PLAN.get(plan, DEFAULT_LIMIT)
