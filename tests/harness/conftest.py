"""Runs the chosen cases side by side, once, in one event loop; each test then looks at what became of its case."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path
from typing import Any

import pytest
import uvloop

from harness.bench import Bench, Subject, hurried_clients, open_bench
from harness.cases import CASES

SIDE_BY_SIDE = 48

Outcomes = dict[tuple[str, str], str | None]


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """(tool, case) → what was wrong, or None, for every test of `test_tools.py` that was chosen."""
    chosen = [
        (item.callspec.params["tool"], item.callspec.params["case"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and "outcomes" in item.fixturenames and hasattr(item, "callspec")
    ]
    with hurried_clients(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(sorted(set(chosen)), tmp_path_factory.mktemp("harness")))


async def _run(chosen: list[tuple[str, str]], folder: Path) -> Outcomes:
    found: Outcomes = {}
    places = asyncio.Semaphore(SIDE_BY_SIDE)
    async with open_bench(folder) as bench:

        async def one(tool: str, case: str) -> None:
            async with places:
                try:
                    async with asyncio.timeout(120):
                        await CASES[case].run(bench, bench.catalog.tools[tool])
                except Exception:  # noqa: BLE001  (whatever a case ends with is what its test tells)
                    found[tool, case] = traceback.format_exc()
                else:
                    found[tool, case] = None

        await asyncio.gather(*(one(tool, case) for tool, case in chosen))
        await _check_charges(bench, found)
    return found


async def _check_charges(bench: Bench, found: Outcomes) -> None:
    """Every customer was charged for the calls that went well, and for no other."""
    await bench.house.ledger.flush()
    month = f"{bench.house.admissions.now():%Y-%m}"

    async def wrong(subject: Subject) -> str | None:
        charged = await bench.house.ledger.count(subject.caller.customer_id, month)
        return None if charged == subject.succeeded else f"{subject.succeeded} calls went well, {charged} charged"

    for subject in bench.subjects:
        if (problem := await wrong(subject)) is not None:
            found[subject.tool.name, "charged"] = f"{found.get((subject.tool.name, 'charged')) or ''}{problem}\n"


@pytest.fixture
def charged(outcomes: Outcomes) -> Any:
    """Tool → what was charged wrongly."""
    return {tool: problem for (tool, case), problem in outcomes.items() if case == "charged"}
