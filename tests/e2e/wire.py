"""What an answer's body says, whether it came as JSON or as a stream."""

from __future__ import annotations

import json
from typing import Any


def parsed(text: str) -> Any:
    """JSON, or the last event of a stream whose silence was bridged: a slow answer may begin as one.

    Args:
        text: the body.

    Returns:
        What it says; None when it is empty.
    """
    if text.startswith((":", "event:", "data:", "id:")):
        text = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")][-1]
    return json.loads(text) if text else None
