"""Which account a call uses that names none."""

from __future__ import annotations

from typing import Any

import pytest

from hermes.errors import InvalidArguments, NeedsReconnect, PlatformUnavailable
from hermes.gateway import scripts
from hermes.platforms.base import Account

pytestmark = pytest.mark.storage


@pytest.fixture
def admitted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the round trips that admit calls."""
    trips = [0]
    real = scripts.ADMIT

    async def counting(*given: Any) -> Any:
        trips[0] += 1
        return await real(*given)

    monkeypatch.setattr("hermes.gateway.admission.ADMIT", counting)
    return trips


async def used(house: Any, options: Any, caller: Any) -> tuple[str, str, str]:
    """The account whose token was used, as the result names it, as the trail does."""
    result = await house.gateway.call(caller, "toy_send", {"text": "x"}, options())
    assert result.structured["account"] == result.account
    return result.structured["token"], result.account, (await house.lines(caller))[0]["account"]


async def known(house: Any, caller: Any) -> Any:
    """The caller as the next request has them."""
    return await house.callers.refresh(caller)


async def test_the_chosen_account_is_used_although_one_is_called_default(house, options, admitted) -> None:
    caller = await house.customer(default="first", work="second")
    assert await used(house, options, caller) == ("first", "default", "default")
    await house.defaults.choose(caller.customer_id, "toy", "work")
    assert await used(house, options, caller) == ("second", "work", "work"), "also for a caller from before"
    caller, admitted[0] = await known(house, caller), 0
    assert await used(house, options, caller) == ("second", "work", "work")
    assert admitted[0] == 1, "it costs no round trip"
    named = await house.gateway.call(caller, "toy_send", {"text": "x", "account": "default"}, options())
    assert named.structured["token"] == "first"


async def test_the_schema_names_the_chosen_account_first(house) -> None:
    caller = await house.customer(default="first", work="second", home="third")
    await house.defaults.choose(caller.customer_id, "toy", "work")
    send = next(view for view in await house.gateway.tools(caller) if view.tool.name == "toy_send")
    assert send.input_schema["properties"]["account"]["enum"] == ["work", "default", "home"]
    assert send.input_schema["properties"]["account"]["description"].endswith("without it: work.")


async def test_a_chosen_account_that_no_longer_works_is_not_replaced_by_another(house, options) -> None:
    caller = await house.customer(default="first", work="second")
    await house.defaults.choose(caller.customer_id, "toy", "work")
    await house.store.mark_needs_reconnect(caller.customer_id, "toy", "work", "revoked")
    with pytest.raises(NeedsReconnect) as caught:
        await house.gateway.call(caller, "toy_send", {"text": "x"}, options())
    assert caught.value.data["account"] == "work"
    assert [line["outcome"] for line in await house.lines(caller)] == ["denied"]


async def test_a_chosen_account_that_is_unlinked_gives_way_to_the_next(house, options, admitted) -> None:
    caller = await house.customer(default="first", work="second", alone="third")
    await house.defaults.choose(caller.customer_id, "toy", "work")
    await house.store.remove(caller.customer_id, "toy", "work")
    assert await used(house, options, caller) == ("first", "default", "default"), "before anything followed"
    assert await house.defaults.follow(caller.customer_id, "toy") == "default"
    await house.store.remove(caller.customer_id, "toy", "default")
    assert await house.defaults.follow(caller.customer_id, "toy") == "alone"
    caller, admitted[0] = await known(house, caller), 0
    assert await used(house, options, caller) == ("third", "alone", "alone")
    assert admitted[0] == 1, "an account under another label than `default` costs no round trip either"
    await house.store.put(caller.customer_id, "toy", "work", b'{"token":"second"}', Account(id="w"))
    await house.defaults.follow(caller.customer_id, "toy")
    assert await used(house, options, caller) == ("third", "alone", "alone"), "what comes back is not the default again"


async def test_a_repeat_gets_the_first_answer_although_the_default_changed(house, options) -> None:
    caller = await house.customer(default="first", work="second")
    first = await house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k"))
    await house.defaults.choose(caller.customer_id, "toy", "work")
    again = await house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k"))
    assert again == first


async def test_a_choice_counts_for_its_own_customer_only(house, options) -> None:
    mine, theirs = await house.customer(default="mine", work="my work"), await house.customer(default="theirs")
    await house.defaults.choose(mine.customer_id, "toy", "work")
    assert await used(house, options, theirs) == ("theirs", "default", "default")
    with pytest.raises(InvalidArguments):
        await house.gateway.call(theirs, "toy_send", {"text": "x", "account": "work"}, options())


async def test_what_calls_meet_is_told_of_the_account_that_was_used(house, options) -> None:
    caller = await house.customer(default="first", work="second")
    await house.defaults.choose(caller.customer_id, "toy", "work")
    await house.gateway.call(caller, "toy_read", {"text": "x"}, options())
    assert house.met == [(caller.customer_id, "toy", "work", None)]

    async def fail(api: Any, text: str) -> str:
        raise PlatformUnavailable("down")

    house.script["next"] = fail
    with pytest.raises(PlatformUnavailable):
        await house.gateway.call(caller, "toy_read", {"text": "x"}, options())
    assert (house.met[1][:3], house.met[1][3].code) == ((caller.customer_id, "toy", "work"), "platform_unavailable")
