"""What the two readers of video containers share."""

from __future__ import annotations

import math

VideoFacts = tuple[str, int | None, int | None, float | None]
"""Type, width, height, seconds."""


class NotReadable(Exception):
    """A file begins as something that it then is not. The message says what, for the person who sent it."""


def duration(units: float, scale: float) -> float | None:
    """Seconds, or None when the file does not say it sensibly."""
    if scale <= 0 or not math.isfinite(units) or units <= 0:
        return None
    return round(units / scale, 3)
