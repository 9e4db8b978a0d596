"""Which rule counts for a call, who sets rules, and what a rule hides."""

from __future__ import annotations

from typing import Any

import pytest

from hermes.identity.approval_rules import ApprovalRule, ApprovalRules

from .conftest import OTHER, SECOND_TOKEN, TOOL

storage = pytest.mark.storage


def rules(**given: str) -> ApprovalRules:
    names = {name.replace("__", ":"): rule for name, rule in given.items()}
    return ApprovalRules.stored([[name, rule, "customer"] for name, rule in names.items()])


TABLE: list[tuple[dict[str, str], str, bool, str | None]] = [
    ({}, "default", True, None),
    ({"toy": "ask"}, "default", True, "ask"),
    ({"toy": "ask"}, "default", False, None),
    ({"toy": "ask", "toy__work": "never"}, "work", True, "never"),
    ({"toy": "ask", "toy__work": "never"}, "default", True, "ask"),
    ({"toy": "never", "toy__work": "allow"}, "work", True, "allow"),
    ({"toy": "never", "toy__work": "never", "toy_send": "allow"}, "work", True, "allow"),
    ({"toy_send": "never"}, "default", False, "never"),
    ({"toy_read": "never", "toybox": "never"}, "default", True, None),
]


@pytest.mark.parametrize(("given", "label", "writes", "expected"), TABLE)
def test_the_nearest_rule_counts(given: dict[str, str], label: str, writes: bool, expected: str | None) -> None:
    found = rules(**given).for_call("toy_send", "toy", label, writes=writes)
    assert (found.rule if found else None) == expected


@pytest.mark.parametrize(
    ("given", "writes", "hidden"),
    [
        ({"toy": "never"}, True, True),
        ({"toy": "never"}, False, False),
        ({"toy": "never", "toy__work": "ask"}, True, False),
        ({"toy": "never", "toy__work": "never"}, True, True),
        ({"toy__work": "never"}, True, False),
        ({"toy_send": "never"}, False, True),
        ({"toy": "never", "toy_send": "ask"}, True, False),
    ],
)
def test_hidden_is_what_no_account_may(given: dict[str, str], writes: bool, hidden: bool) -> None:
    assert rules(**given).hides("toy_send", "toy", writes=writes) is hidden


def test_rules_are_kept_as_they_were() -> None:
    kept = rules(toy="ask").with_rule(ApprovalRule("toy", "never", "operator"))
    assert ApprovalRules.stored(kept.rows()) == kept
    assert kept.without("toy").each == ()
    assert ApprovalRules.stored(None).each == ()


@storage
async def test_never_is_never_over_every_door(bench: Any) -> None:
    ada = await bench.person()
    await ada.rule(TOOL, "never")
    over_rest = await ada.rest()
    problem = over_rest.json()
    assert (over_rest.status_code, problem["code"], problem["rule"]) == (403, "approval_denied", TOOL)
    assert "The customer set the rule 'never'" in problem["message"]
    assert f"{bench.house.settings.public_url}/approvals" in problem["message"]
    for answer in (await ada.mcp(), await ada.legacy()):
        assert answer["result"]["_meta"]["com.squaremcp/error"]["code"] == "approval_denied"
    assert bench.sent() == []
    lines = [line for line in await ada.audit() if line["tool"] == TOOL]
    assert [(line["outcome"], line["error"]) for line in lines] == [("denied", "approval_denied")] * 3
    listed = await ada.rpc(0, "tools/list", {}, {"mcp-protocol-version": "2025-11-25"})
    names = {tool["name"] for tool in listed["result"]["tools"]}
    assert (TOOL in names, OTHER in names) == (False, True)


@storage
async def test_an_accounts_rule_is_about_that_account(bench: Any) -> None:
    ada = await bench.person()
    await bench.house.connections.connect(ada.caller, "telegram", {"bot_token": SECOND_TOKEN}, "work")
    await ada.rule("telegram:work", "never")
    assert (await ada.rest(account="work")).json()["code"] == "approval_denied"
    assert (await ada.rest()).status_code == 200
    await ada.rule("telegram:default", "ask")
    await ada.rule("telegram:work", "allow")
    assert (await ada.rest()).json()["code"] == "approval_required"
    assert (await ada.rest(account="work")).status_code == 200
    assert (await ada.get("/api/telegram/me")).status_code == 200


@storage
async def test_the_only_account_is_the_one_that_the_rule_is_held_against(bench: Any) -> None:
    ada = await bench.person()
    await bench.house.connections.connect(ada.caller, "telegram", {"bot_token": SECOND_TOKEN}, "work")
    await bench.house.connections.disconnect(ada.caller, "telegram", "default")
    await ada.rule("telegram:work", "never")
    assert (await ada.rest()).json()["code"] == "approval_denied"
    await ada.rule("telegram:work", "ask")
    approval = (await ada.rest()).json()["approval_id"]
    await ada.decide(approval)
    assert ((await ada.rest()).status_code, bench.sent()) == (200, ["Hello"])


@storage
async def test_a_rule_counts_for_callers_that_are_remembered(bench: Any) -> None:
    ada = await bench.person()
    for on in (0, 1):
        assert (await ada.rest(on)).status_code == 200
    await ada.rule("telegram", "ask")
    for on in (0, 1):
        assert (await ada.rest(on)).json()["code"] == "approval_required"


@storage
@pytest.mark.parametrize(
    ("target", "rule", "field"),
    [
        ("telegram_get_me", "ask", "rule"),
        ("telegram", "perhaps", "rule"),
        ("nothing", "ask", "target"),
        ("telegram:", "ask", "target"),
        ("telegram:Not A Label", "ask", "target"),
        ("telegram_send_everything", "ask", "target"),
    ],
)
async def test_rules_that_make_no_sense(bench: Any, target: str, rule: str, field: str) -> None:
    ada = await bench.person()
    session = {"authorization": f"Bearer {ada.token}"}
    answer = await bench.http[0].put(f"/api/approval-rules/{target}", json={"rule": rule}, headers=session)
    assert answer.status_code == 400
    assert field in str(answer.json()["fields"])


@storage
async def test_operators_set_rules_for_a_customer(bench: Any) -> None:
    ada = await bench.person()
    operator = {"x-api-key": "operator-key"}
    path = f"/api/admin/customers/{ada.id}/approval-rules"
    done = await bench.http[0].put(f"{path}/telegram_send_message", json={"rule": "never"}, headers=operator)
    assert done.json()["rules"] == [{"target": TOOL, "rule": "never", "set_by": "operator"}]
    assert "The operator set" in (await ada.rest()).json()["message"]
    assert (await bench.http[0].get(path, headers={"x-api-key": ada.key})).status_code == 403
    assert (await bench.http[0].delete(f"{path}/{TOOL}", headers=operator)).status_code == 204
    assert (await bench.http[0].get(path, headers=operator)).json() == {"rules": []}
    assert (await ada.rest()).status_code == 200
    noted = [line["tool"] for line in await ada.audit() if line["tool"].startswith("approval_rule")]
    assert noted == ["approval_rule.set", "approval_rule.remove"]


@storage
async def test_a_reading_tool_can_be_forbidden(bench: Any) -> None:
    ada = await bench.person()
    await ada.rule("telegram_get_me", "never")
    assert (await ada.get("/api/telegram/me")).json()["code"] == "approval_denied"


@storage
async def test_rules_are_set_and_taken_away_on_the_page(bench: Any) -> None:
    ada = await bench.person()
    page = ada.browser()
    await page.open("/approvals")
    refused = await page.send("/approvals/rules", origin="https://evil.example", target="telegram", rule="allow")
    assert refused.status_code == 403
    assert (await page.send("/approvals/rules", target="telegram", rule="ask")).status_code == 303
    assert (await ada.rest()).json()["code"] == "approval_required"
    wrong = await page.send("/approvals/rules", target="telegram_get_me", rule="ask")
    assert (wrong.status_code, "which only reads" in wrong.text) == (400, True)
    await page.open("/approvals")
    assert (await page.send("/approvals/rules/remove")).status_code == 303
    assert (await ada.rest()).status_code == 200
