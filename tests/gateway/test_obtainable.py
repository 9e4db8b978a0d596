"""What an OAuth caller has, could have, and can never have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hermes.errors import InsufficientScope, UnknownTool
from hermes.identity.caller import Caller, Grants, Via
from hermes.identity.callers import is_whole_operator

pytestmark = pytest.mark.storage


def assistant(caller: Caller, grants: list[str], obtainable: list[str]) -> Caller:
    return replace(
        caller, via=Via.OAUTH, key_id="grant-1", grants=Grants.parse(grants), obtainable=Grants.parse(obtainable)
    )


TABLE: list[tuple[list[str], list[str], str]] = [
    (["toy:read"], ["toy:read", "toy:write"], "asks"),
    ([], ["*:write"], "asks"),
    (["toy:read"], ["*:read", "*:write"], "asks"),
    (["toy:read"], ["toy:read"], "unknown"),
    (["other:write"], ["other:write"], "unknown"),
    (["toy:write"], ["toy:read"], "called"),
    (["*:write"], ["*:write"], "called"),
]


@pytest.mark.parametrize(("grants", "obtainable", "outcome"), TABLE)
async def test_each(house: Any, options: Any, grants: list[str], obtainable: list[str], outcome: str) -> None:
    caller = assistant(await house.customer(), grants, obtainable)
    listed = "toy_send" in [view.tool.name for view in await house.gateway.tools(caller)]
    assert listed == (outcome != "unknown")
    if outcome == "called":
        result = await house.gateway.call(caller, "toy_send", {"text": "hi"}, options())
        assert result.structured["text"] == "hi"
        return
    with pytest.raises(InsufficientScope if outcome == "asks" else UnknownTool) as refused:
        await house.gateway.call(caller, "toy_send", {"text": "hi"}, options())
    if outcome == "asks":
        assert refused.value.data["scope"] == "toy:write"
    [line] = await house.lines(caller)
    assert (line["outcome"], line["error"]) == ("denied", refused.value.code)
    assert line["caller"]["kind"] == "customer"
    assert await house.used(caller) == 0


async def test_a_plan_without_the_platform_hides_what_could_be_had(house: Any, options: Any) -> None:
    caller = assistant(await house.customer(plan="free"), [], ["*:read", "*:write"])
    assert await house.gateway.tools(caller) == []
    with pytest.raises(UnknownTool):
        await house.gateway.call(caller, "toy_read", {"text": "x"}, options())


async def test_an_assistant_of_an_admin_is_no_operator(house: Any) -> None:
    admin = replace(await house.customer(), role="admin")
    assert is_whole_operator(admin)
    assert not is_whole_operator(assistant(admin, ["*:read", "*:write"], ["*:read", "*:write"]))
