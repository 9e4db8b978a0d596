"""Which months may be asked for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hermes.billing.routes import Month

ARABIC = "\u0662\u0660\u0662\u0666-01"
MONTH: TypeAdapter[Any] = TypeAdapter(Month)


@pytest.mark.parametrize("month", ["2026-01", "2999-12"])
def test_months(month: str) -> None:
    assert MONTH.validate_python(month) == month


@pytest.mark.parametrize("month", ["0000-01", "9999-12", "2026-13", "2026-1", ARABIC, "2026-01\n", ""])
def test_what_is_no_month(month: str) -> None:
    with pytest.raises(ValidationError):
        MONTH.validate_python(month)
