"""The vendors' own descriptions of their APIs, in the folder beside the repository."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "specs"


@cache
def _read(name: str) -> Any:
    return orjson.loads((FOLDER / name).read_bytes())


def load_spec(name: str) -> Any:
    """One description, parsed. Without the folder the test is skipped, and fails where everything has to be checked."""
    if not (FOLDER / name).exists():
        reason = f"the vendors' specifications are not here: {FOLDER / name}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return _read(name)
