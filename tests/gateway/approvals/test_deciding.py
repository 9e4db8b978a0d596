"""Who decides, what happens when several do at once, and what becomes of an approved call when things go wrong."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from typing import Any

import pytest

from forked import Forked
from gateway.approvals import approving_process

from .conftest import HELLO, TOOL

pytestmark = pytest.mark.storage


async def test_two_tabs_at_the_same_moment_send_once(bench: Any, ada: Any) -> None:
    approval = (await ada.rest()).json()["approval_id"]
    tabs = [ada.browser(on) for on in (0, 1, 0, 1)]
    for tab in tabs:
        await tab.open(f"/approvals/{approval}")
    answers = await asyncio.gather(*(tab.send(f"/approvals/{approval}", decision="approve") for tab in tabs))
    assert [answer.status_code for answer in answers] == [303] * 4
    assert sorted("late" in answer.headers["location"] for answer in answers) == [False, True, True, True]
    assert bench.sent() == ["Hello"]
    decided = [line for line in await ada.audit() if line["tool"] == "approval.approve"]
    assert len(decided) == 1


async def test_the_same_yes_twice_at_once_sends_once(bench: Any, ada: Any) -> None:
    _, _, given = await ada.asked()
    answers = await asyncio.gather(*(ada.mcp(on, **given) for on in (0, 1, 0, 1)))
    codes = [one["result"].get("_meta", {}).get("com.squaremcp/error", {}).get("code") for one in answers]
    assert set(codes) <= {None, "conflict"}
    assert None in codes
    assert bench.sent() == ["Hello"]


async def test_page_and_client_at_the_same_moment_send_once(bench: Any, ada: Any) -> None:
    approval, _, given = await ada.asked()
    page = ada.browser(1)
    await page.open(f"/approvals/{approval}")
    await asyncio.gather(ada.mcp(0, **given), page.send(f"/approvals/{approval}", decision="approve"))
    assert bench.sent() == ["Hello"]
    assert await ada.status(approval) == "done"
    assert not (await ada.mcp(**given))["result"]["isError"]
    assert bench.sent() == ["Hello"]


async def test_yes_and_no_at_the_same_moment_are_one_decision(bench: Any, ada: Any) -> None:
    approval = (await ada.rest()).json()["approval_id"]
    tabs = [(ada.browser(0), "deny"), (ada.browser(1), "approve")]
    for tab, _ in tabs:
        await tab.open(f"/approvals/{approval}")
    await asyncio.gather(*(tab.send(f"/approvals/{approval}", decision=decision) for tab, decision in tabs))
    assert bench.sent() == (["Hello"] if await ada.status(approval) == "done" else [])


async def test_the_trail_says_who_said_yes_and_how(ada: Any) -> None:
    approval = (await ada.rest()).json()["approval_id"]
    await ada.decide(approval)
    asked, decided, run = await ada.audit_after_rule()
    assert (asked["tool"], asked["outcome"], asked["error"]) == (TOOL, "denied", "approval_required")
    assert asked["approval"] == {"id": approval, "by": None, "via": None}
    assert (decided["tool"], decided["caller"]["id"]) == ("approval.approve", ada.caller.key_id)
    assert decided["arguments"] == {"approval": approval, "tool": TOOL, "platform": "telegram", "via": "page"}
    assert (run["tool"], run["outcome"], run["caller"]["kind"]) == (TOOL, "success", "customer")
    assert run["approval"] == {"id": approval, "by": ada.caller.key_id, "via": "page"}
    assert run["caller"]["id"] == asked["caller"]["id"] != ada.caller.key_id


async def test_the_trail_of_a_yes_in_the_client(ada: Any) -> None:
    approval, _, given = await ada.asked()
    await ada.mcp(**given)
    asked, decided, run = await ada.audit_after_rule()
    assert (asked["outcome"], decided["arguments"]["via"]) == ("input_required", "client")
    assert run["approval"] == {"id": approval, "by": run["caller"]["id"], "via": "client"}
    await ada.bench.house.ledger.flush()
    assert (await ada.get("/api/usage")).json()["by_tool"] == {TOOL: 1}


async def test_only_a_person_decides(bench: Any, ada: Any) -> None:
    approval = (await ada.rest()).json()["approval_id"]
    http = bench.http[0]
    for action in ("approve", "deny"):
        refused = await http.post(f"/api/approvals/{approval}/{action}", headers={"x-api-key": ada.key})
        assert (refused.status_code, refused.json()["code"]) == (403, "not_granted")
    for method, body in (("PUT", {"rule": "allow"}), ("DELETE", None)):
        refused = await http.request(method, "/api/approval-rules/telegram", json=body, headers={"x-api-key": ada.key})
        assert (refused.status_code, refused.json()["code"]) == (403, "not_granted")
    assert (await ada.get("/api/approval-rules")).json() == {
        "rules": [{"target": "telegram", "rule": "ask", "set_by": "customer"}]
    }
    [listed] = (await ada.get("/api/approvals?status=pending")).json()["approvals"]
    assert (listed["id"], listed["status"]) == (approval, "pending")
    session = {"authorization": f"Bearer {ada.token}"}
    done = await http.post(f"/api/approvals/{approval}/approve", headers=session)
    assert (done.status_code, done.json()["status"], bench.sent()) == (200, "done", ["Hello"])
    assert done.json()["arguments"]["text"].keys() == {"length", "sha256"}
    again = await http.post(f"/api/approvals/{approval}/approve", headers=session)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


async def test_a_key_sees_what_it_may_call(bench: Any, ada: Any) -> None:
    approval = (await ada.rest()).json()["approval_id"]
    reading = (await bench.house.api_keys.create(ada.id, "reads", ["telegram:read", "email:write"])).secret
    assert (await ada.get(f"/api/approvals/{approval}", reading)).status_code == 404
    assert (await ada.get("/api/approvals", reading)).json() == {"approvals": [], "next_cursor": None}


async def test_a_stranger_is_refused_and_the_owner_can_see_that(bench: Any, ada: Any) -> None:
    approval = (await ada.rest()).json()["approval_id"]
    eve = await bench.person("eve")
    page = eve.browser()
    shown = await page.open(f"/approvals/{approval}")
    assert shown.status_code == 403
    assert "Hello" not in shown.text
    assert "approval:" not in shown.text
    assert (await eve.get(f"/api/approvals/{approval}")).status_code == 404
    own = (await page.open("/approvals")).text
    assert approval not in own
    forged = {"csrf_token": "x", "decision": "approve"}
    sent = await page.http.post(f"/approvals/{approval}", data=forged, headers={"origin": "http://127.0.0.1:3456"})
    assert sent.status_code == 403
    session = {"authorization": f"Bearer {eve.token}"}
    assert (await bench.http[0].post(f"/api/approvals/{approval}/approve", headers=session)).status_code == 404
    noted = [line for line in await ada.audit() if line["tool"] == "approval.open"]
    assert [(line["outcome"], line["caller"]["id"]) for line in noted] == [("denied", "another-person")]
    assert (bench.sent(), await ada.status(approval)) == ([], "pending")


@pytest.mark.parametrize("change", ["revoked", "suspended", "never", "unlinked"])
async def test_what_changed_meanwhile_counts(bench: Any, ada: Any, change: str) -> None:
    key = await bench.house.api_keys.create(ada.id, "other")
    approval = (await ada.rest(key=key.secret)).json()["approval_id"]
    row = await bench.house.approvals.find(ada.caller, approval)
    approvals, desk = bench.house.approvals.approvals, bench.house.approvals
    if change == "revoked":
        await bench.house.api_keys.revoke(ada.id, key.row.id)
    elif change == "suspended":
        await bench.house.customers.suspend(ada.id)
    elif change == "never":
        await ada.rule(TOOL, "never")
    else:
        await bench.house.connections.disconnect(ada.caller, "telegram", "default")
    assert await approvals.decide(ada.caller, row, yes=True, via="page")
    await desk.run_left(ada.id, approval)
    row = await desk.find(ada.caller, approval)
    codes = {
        "revoked": "not_authenticated",
        "suspended": "suspended",
        "never": "approval_denied",
        "unlinked": "not_connected",
    }
    assert (row.status, approvals.result(row).code) == ("done", codes[change])
    assert bench.sent() == []


async def test_approved_before_a_crash_is_run_after_it(bench: Any, ada: Any) -> None:
    approval = (await ada.rest()).json()["approval_id"]
    desk = bench.house.approvals
    assert await desk.approvals.decide(ada.caller, await desk.find(ada.caller, approval), yes=True, via="page")
    await bench.sweep(1)
    assert bench.sent() == []  # whoever approved it may be about to run it
    bench.ahead = timedelta(seconds=11)
    await asyncio.gather(bench.sweep(0), bench.sweep(1))
    assert (bench.sent(), await ada.status(approval)) == (["Hello"], "done")
    assert (await ada.rest()).status_code == 200


async def test_approved_and_forgotten_for_too_long_is_not_run(bench: Any, ada: Any) -> None:
    approval = (await ada.rest()).json()["approval_id"]
    desk = bench.house.approvals
    assert await desk.approvals.decide(ada.caller, await desk.find(ada.caller, approval), yes=True, via="page")
    bench.ahead = timedelta(minutes=16)
    await bench.sweep()
    assert (bench.sent(), await ada.status(approval)) == ([], "expired")


async def test_a_crash_in_the_middle_is_an_unknown_outcome_and_never_run_again(bench: Any, ada: Any) -> None:
    approval = (await ada.rest()).json()["approval_id"]
    desk = bench.house.approvals
    assert await desk.approvals.decide(ada.caller, await desk.find(ada.caller, approval), yes=True, via="page")
    assert await desk.approvals.claim(ada.id, approval) is not None  # and then the process dies
    running = await ada.rest()
    assert (running.status_code, running.json()["code"]) == (409, "conflict")
    bench.ahead = timedelta(minutes=5)
    for on in (0, 1):
        await bench.sweep(on)
    assert await ada.status(approval) == "outcome_unknown"
    told = await ada.rest()
    assert (told.status_code, told.json()["code"]) == (504, "outcome_unknown")
    assert bench.sent() == []
    assert (await ada.rest()).json()["code"] == "approval_required"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("point", approving_process.POINTS)
async def test_a_process_killed_while_it_runs_what_was_approved(bench: Any, ada: Any, point: str) -> None:
    """With kill -9, at every point: the message is sent once at most, and it is said what became of it."""
    approval = (await ada.rest()).json()["approval_id"]
    database_url = bench.stores.database.url.render_as_string(hide_password=False)
    redis_url = bench.stores.redis_url
    process = Forked(
        approving_process.main, point, ada.token, approval, bench.environ, bench.origin, database_url, redis_url
    )
    assert await asyncio.to_thread(process.wait, 60) == -signal.SIGKILL
    for ahead in (timedelta(seconds=11), timedelta(minutes=5)):
        bench.ahead = ahead
        await asyncio.gather(bench.sweep(0), bench.sweep(1))
    done = point in ("approved", "finished")
    assert await ada.status(approval) == ("done" if done else "outcome_unknown")
    assert bench.sent() == ([] if point == "claimed" else ["Hello"])
    told = await ada.rest()
    assert (told.status_code, told.json().get("code")) == ((200, None) if done else (504, "outcome_unknown"))
    assert (await ada.rest()).json()["code"] == "approval_required"
    assert len(bench.sent()) == (point != "claimed")


async def test_a_failure_is_an_answer_too(bench: Any, ada: Any) -> None:
    failing = {**HELLO, "chat_id": "1"}
    approval = (await ada.rest(**failing)).json()["approval_id"]
    await bench.house.connections.disconnect(ada.caller, "telegram", "default")
    await ada.decide(approval)
    page = (await ada.browser().open(f"/approvals/{approval}")).text
    assert "Approved, but it did not work" in page


async def test_a_client_that_goes_away_does_not_stop_what_it_approved(bench: Any, ada: Any) -> None:
    approval, _, given = await ada.asked()
    rows, decided = bench.house.approvals.approvals.rows, asyncio.Event()
    decide = rows.decide

    async def noted(*arguments: Any, **rest: Any) -> bool:
        done = await decide(*arguments, **rest)
        decided.set()
        return bool(done)

    rows.decide = noted
    call = asyncio.create_task(ada.mcp(**given))
    await decided.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await bench.house.approvals.runs.close()
    bench.ahead = timedelta(seconds=11)
    await bench.sweep(1)
    assert (bench.sent(), await ada.status(approval)) == (["Hello"], "done")
