"""Every tool of the catalogue against every case, from its declaration alone."""

from __future__ import annotations

from typing import Any

import pytest

from harness import folders as folders  # noqa: PLC0414  (its cases register themselves)
from harness import mail as mail  # noqa: PLC0414  (as above)
from harness.cases import CASES
from hermes.platforms.catalog import load_catalog

TOOLS = load_catalog().tools
REASONS = {(tool.name, case.name): case.exempt(tool) for tool in TOOLS.values() for case in CASES.values()}
CHOSEN = [pair for pair, reason in REASONS.items() if reason is None]

LEAST_CASES = 14


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("tool", "case"), CHOSEN, ids=[f"{tool}-{case}" for tool, case in CHOSEN])
def test_each_case(tool: str, case: str, outcomes: dict[tuple[str, str], str | None]) -> None:
    wrong = outcomes[tool, case]
    if wrong is not None:
        pytest.fail(f"{tool}, {case}: {CASES[case].run.__doc__}\n{wrong}", pytrace=False)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("tool", "case"), [("telegram_get_me", "works")])
def test_only_calls_that_went_well_are_charged(tool: str, case: str, outcomes: Any, charged: dict[str, str]) -> None:
    assert charged == {}


@pytest.mark.parametrize("name", TOOLS)
def test_no_tool_has_too_few_cases_and_none_is_left_out_without_a_reason(name: str) -> None:
    reasons = [reason for (tool, _), reason in REASONS.items() if tool == name]
    assert reasons.count(None) >= LEAST_CASES
    assert all(len(reason) > 10 for reason in reasons if reason is not None)
