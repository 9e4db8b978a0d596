"""Asking the client over several requests: what a tool gets, what is audited, and which states are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from mcp_types import ListRootsResult

from hermes.crypto import Keyring
from hermes.errors import BadInput, MissingCapability, PayloadTooLarge
from hermes.gateway.asking import LIFETIME, Asking, Dialogue, InputRequired, RequestStates
from hermes.identity.caller import Caller, Grants, Via
from hermes.platforms.asks import Asked, completion, folders, form, page

ALICE = Caller("customer", "alice", Via.API_KEY, "key-1", Grants.everything(), "growth")
REQUEST = ["toy_send", {"text": "a", "count": 2}]
FORM = form("Sure?", {"type": "object", "properties": {}})
FORMS = {"elicitation": {}}
YES = {"action": "accept", "content": {"yes": True}}
OLD, NEW = b"o" * 32, b"n" * 32


def sealed(states: RequestStates, **given: Any) -> str:
    asking = Asking(FORMS, given)
    with pytest.raises(Asked) as asked:
        asking.answers({**dict.fromkeys(given, FORM), "sure": FORM}, "kept")
    return states.required(ALICE, "tools/call", REQUEST, asking, asked.value).state


def opened(states: RequestStates, state: str | None, **responses: Any) -> Asking:
    return states.opened(ALICE, "tools/call", REQUEST, Dialogue(FORMS, responses, state))


def test_another_replica_goes_on_with_what_is_known() -> None:
    state = sealed(RequestStates(Keyring(OLD)), name=YES)
    asking = opened(RequestStates(Keyring(OLD)), state, sure=YES)
    assert asking.kept == "kept"
    assert asking.answers({"name": FORM, "sure": FORM}, None).keys() == {"name", "sure"}


def test_a_state_outlives_its_key_as_long_as_the_key_is_kept() -> None:
    state = sealed(RequestStates(Keyring(OLD)))
    assert opened(RequestStates(Keyring(NEW, [OLD])), state).kept == "kept"
    with pytest.raises(BadInput):
        opened(RequestStates(Keyring(NEW)), state)


@pytest.mark.parametrize(
    ("caller", "method", "request_"),
    [
        (replace(ALICE, customer_id="bob"), "tools/call", REQUEST),
        (replace(ALICE, key_id="key-2"), "tools/call", REQUEST),
        (replace(ALICE, via=Via.OAUTH), "tools/call", REQUEST),
        (ALICE, "prompts/get", REQUEST),
        (ALICE, "tools/call", ["toy_read", REQUEST[1]]),
        (ALICE, "tools/call", ["toy_send", {"text": "b", "count": 2}]),
        (ALICE, "tools/call", ["toy_send", {"text": "a"}]),
    ],
)
def test_a_state_opens_for_nobody_else_and_for_nothing_else(caller: Caller, method: str, request_: Any) -> None:
    states = RequestStates(Keyring(OLD))
    with pytest.raises(BadInput):
        states.opened(caller, method, request_, Dialogue(FORMS, {}, sealed(states)))
    reordered = ["toy_send", {"count": 2, "text": "a"}]
    assert states.opened(ALICE, "tools/call", reordered, Dialogue(FORMS, {}, sealed(states))).kept == "kept"


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state + "-TAMPERED",
        lambda state: state[:-2],
        lambda state: state[:-1] + ("0" if state[-1] != "0" else "1"),
        lambda state: "",
        lambda state: "x" * 10_000_000,
        lambda state: "ä.\ud800",
    ],
)
def test_a_changed_state_is_refused(change: Any) -> None:
    states = RequestStates(Keyring(OLD))
    with pytest.raises(BadInput):
        opened(states, change(sealed(states)))


def test_a_state_expires() -> None:
    now = [1000.0]
    states = RequestStates(Keyring(OLD), now=lambda: now[0])
    state = sealed(states)
    now[0] += LIFETIME
    assert opened(states, state).kept == "kept"
    now[0] += 1
    with pytest.raises(BadInput):
        opened(states, state)


def test_only_what_is_missing_is_asked_and_only_what_was_used_is_carried() -> None:
    asking = Asking(FORMS, {"name": YES, "more": {"x": "y" * 1000}})
    with pytest.raises(Asked) as asked:
        asking.answers({"name": FORM, "sure": FORM})
    assert list(asked.value.requests) == ["sure"]
    states = RequestStates(Keyring(OLD))
    again = opened(states, states.required(ALICE, "tools/call", REQUEST, asking, asked.value).state)
    assert again.given == {"name": YES}


def test_answers_cannot_be_carried_without_end() -> None:
    asking = Asking(FORMS, {"name": {"action": "accept", "content": {"x": "y" * 300_000}}})
    with pytest.raises(Asked) as asked:
        asking.answers({"name": FORM, "sure": FORM})
    with pytest.raises(PayloadTooLarge):
        RequestStates(Keyring(OLD)).required(ALICE, "tools/call", REQUEST, asking, asked.value)


def test_where_it_matters_an_answer_counts_only_with_our_question() -> None:
    states = RequestStates(Keyring(OLD))
    with pytest.raises(Asked):
        opened(states, None, sure=YES).answers({"sure": FORM}, proven=True)
    assert opened(states, sealed(states), sure=YES).answers({"sure": FORM}, proven=True)


@pytest.mark.parametrize("answer", [5, None, {}, {"action": "yes"}, {"roots": []}, []])
def test_an_answer_to_another_question_is_refused(answer: Any) -> None:
    with pytest.raises(BadInput):
        Asking(FORMS, {"sure": answer}).answers({"sure": FORM})


@pytest.mark.parametrize(
    ("declared", "able"),
    [
        ({}, set()),
        ({"elicitation": {}}, {"form"}),
        ({"elicitation": {"form": {}}}, {"form"}),
        ({"elicitation": {"url": {}}}, {"url"}),
        ({"elicitation": {"form": {}, "url": {}}}, {"form", "url"}),
        ({"sampling": {}, "roots": {}}, {"sampling", "roots"}),
        ({"elicitation": None, "sampling": 1, "roots": []}, set()),
    ],
)
def test_a_client_is_asked_only_what_it_declared(declared: Any, able: set[str]) -> None:
    questions = {
        "form": FORM,
        "url": page("Open it", "https://example.com"),
        "sampling": completion("?", 5),
        "roots": folders(),
    }
    asking = Asking(declared)
    for kind, question in questions.items():
        with pytest.raises(Asked if kind in able else MissingCapability):
            asking.answers({"key": question})
        assert asking.can(kind) == (kind in able)  # type: ignore[arg-type]


def test_what_is_missing_is_named_as_mcp_names_it() -> None:
    with pytest.raises(MissingCapability) as refused:
        Asking({}).answers({"a": FORM, "b": page("", "https://example.com"), "c": folders()})
    assert refused.value.data["required_capabilities"] == {"elicitation": {"form": {}, "url": {}}, "roots": {}}


def test_answers_come_as_what_they_are() -> None:
    answers = Asking({}, {"roots": {"roots": [{"uri": "file:///x"}]}}).answers({"roots": folders()})
    assert isinstance(answers["roots"], ListRootsResult)


TOOL, TEXT = "toy_send_confirmed", {"text": "hello"}


@pytest.mark.storage
async def test_a_call_that_asks_is_audited_and_not_charged_until_it_is_done(house, options) -> None:
    caller = await house.customer()
    state = None
    for key in ("first", "second"):
        responses = {} if state is None else {"first": YES}
        dialogue = Dialogue(FORMS, responses, state)
        with pytest.raises(InputRequired) as asked:
            await house.gateway.call(caller, TOOL, TEXT, options(dialogue=dialogue, idempotency_key="k"))
        assert list(asked.value.requests) == [key]
        state = asked.value.state
    assert await house.used(caller) == 0
    dialogue = Dialogue(FORMS, {"second": YES}, state)
    done = await house.gateway.call(caller, TOOL, TEXT, options(dialogue=dialogue, idempotency_key="k"))
    assert done.structured["text"] == "hello hello"
    assert [line["outcome"] for line in await house.lines(caller)] == ["success", "input_required", "input_required"]
    assert await house.used(caller) == 1
    assert await house.redis.keys("pending:*") == []


@pytest.mark.storage
async def test_a_declined_question_is_an_answer(house, options) -> None:
    dialogue = Dialogue(FORMS, {"first": {"action": "decline"}})
    done = await house.gateway.call(await house.customer(), TOOL, TEXT, options(dialogue=dialogue))
    assert done.structured["text"] == "declined"


@pytest.mark.storage
async def test_who_cannot_be_asked_is_told_so_and_nothing_is_sent(house, options) -> None:
    caller = await house.customer()
    for dialogue in (None, Dialogue({"elicitation": {"url": {}}})):
        with pytest.raises(MissingCapability):
            await house.gateway.call(caller, TOOL, TEXT, options(dialogue=dialogue))
    assert [line["error"] for line in await house.lines(caller)] == ["missing_capability"] * 2


@pytest.mark.storage
async def test_a_state_of_another_customer_is_refused(house, options) -> None:
    with pytest.raises(InputRequired) as asked:
        await house.gateway.call(await house.customer(), TOOL, TEXT, options(dialogue=Dialogue(FORMS)))
    other = await house.customer(default="other")
    dialogue = Dialogue(FORMS, {"first": YES}, asked.value.state)
    with pytest.raises(BadInput):
        await house.gateway.call(other, TOOL, TEXT, options(dialogue=dialogue))
    assert [line["outcome"] for line in await house.lines(other)] == ["denied"]
