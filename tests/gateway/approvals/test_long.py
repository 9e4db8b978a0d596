"""Approved calls that take long: begun once, and followed to their end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hermes.sandbox_mode import demo_credentials

pytestmark = pytest.mark.storage

TOOL, POST = "linkedin_create_post", {"text": "We are hiring"}
TASKS = {"elicitation": {"form": {}}, "extensions": {"io.modelcontextprotocol/tasks": {}}}


@pytest.fixture
async def bob(bench: Any) -> Any:
    person = await bench.person("bob")
    await bench.house.connections.connect(person.caller, "linkedin", demo_credentials()["linkedin"])
    await person.rule("linkedin", "ask")
    return person


def posted(bench: Any) -> int:
    return len([one for one in bench.sandbox.recorder.requests("linkedin") if one.path.endswith("/rest/posts")])


async def test_approved_on_the_page(bench: Any, bob: Any) -> None:
    headers = {"x-api-key": bob.key}
    asked = (await bench.http[0].post("/api/linkedin/post", json=POST, headers=headers)).json()
    assert asked["code"] == "approval_required", asked
    await bob.decide(asked["approval_id"], on=1)
    await bench.replicas[1].house.approvals.runs.close()
    told = await bench.http[0].post("/api/linkedin/post", json=POST, headers=headers)
    assert told.status_code == 200, told.text
    assert posted(bench) == 1
    detail = (await bob.get(f"/api/approvals/{asked['approval_id']}")).json()
    call = (await bob.get(f"/api/calls/{detail['call_id']}")).json()
    assert (detail["status"], call["status"], call["publish_state"]) == ("done", "success", "published")


async def test_approved_in_the_client_it_becomes_a_task(bench: Any, bob: Any) -> None:
    approval, _, given = await bob.asked(tool=TOOL, arguments=POST, capabilities=TASKS)
    assert posted(bench) == 0
    result = (await bob.mcp(tool=TOOL, arguments=POST, capabilities=TASKS, **given))["result"]
    assert result["resultType"] == "task", result
    await bench.house.approvals.runs.close()
    assert (posted(bench), await bob.status(approval)) == (1, "done")
    again = (await bob.mcp(tool=TOOL, arguments=POST, capabilities=TASKS, **given))["result"]
    assert (again["resultType"], again["isError"], posted(bench)) == ("complete", False, 1)


async def test_its_outcome_is_found_after_a_crash(bench: Any, bob: Any) -> None:
    """Whoever began it is gone before it could write down what came of it."""
    approval, _, given = await bob.asked(tool=TOOL, arguments=POST)
    rows = bench.house.approvals.approvals.rows
    finish, lost = rows.finish, []

    async def gone(*arguments: Any, **values: Any) -> bool:
        lost.append(arguments)
        return False

    rows.finish = gone
    await bob.mcp(tool=TOOL, arguments=POST, **given)
    await bench.house.approvals.runs.close()
    assert lost
    rows.finish = finish
    assert await bob.status(approval) == "running"
    bench.ahead += timedelta(minutes=10)
    await bench.sweep(1)
    assert await bob.status(approval) == "done"
    result = (await bob.mcp(tool=TOOL, arguments=POST, **given))["result"]
    assert (result["isError"], posted(bench)) == (False, 1)
