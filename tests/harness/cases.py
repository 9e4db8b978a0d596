"""What every tool is tested for, whatever it does: one function for each case, from the declaration alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema

from harness.arguments import facts_of, faulty
from harness.bench import Bench, Subject, Survey
from hermes.errors import (
    Conflict,
    HermesError,
    InsufficientScope,
    InvalidArguments,
    NeedsReconnect,
    NotConnected,
    NotGranted,
    OutcomeUnknown,
    PlatformRejected,
    PlatformUnavailable,
    RateLimited,
    Suspended,
    UnknownTool,
)
from hermes.gateway.fence import fence
from hermes.platforms.base import Effect, Tool
from hermes.sandbox.hostile import HOSTILE_TEXT

Run = Callable[[Bench, Tool], Awaitable[None]]
Exempt = Callable[[Tool], str | None]

RETRY_AFTER = 120
NO_ARGUMENTS = "it has no argument that could have this fault"
NOT_CLEAR = (OutcomeUnknown, PlatformUnavailable)
AFTER_ACTING = frozenset({"timeout_after", "cut_after", "cut_body", "malformed", "giant"})


@dataclass(frozen=True)
class Case:
    """One case: what is done, and for which tools it makes no sense."""

    name: str
    run: Run
    exempt: Exempt

    def __repr__(self) -> str:
        return self.name


CASES: dict[str, Case] = {}


def case(exempt: Exempt = lambda tool: None) -> Callable[[Run], Run]:
    """Register a case. `exempt` gives the reason why it cannot concern a tool, or None."""

    def register(run: Run) -> Run:
        CASES[run.__name__] = Case(run.__name__, run, exempt)
        return run

    return register


def asks_vendor(tool: Tool) -> str | None:
    """The written reason why a platform's failures cannot concern a tool, if there is one."""
    return facts_of(tool.platform).exempt.get("vendor")


def _writes(tool: Tool) -> str | None:
    return "it changes nothing, so a key that may only read reaches it" if tool.effect is Effect.READ else None


def _has(kind: str) -> Exempt:
    def exempt(tool: Tool) -> str | None:
        properties = tool.input_schema["properties"]
        full = dict.fromkeys(properties)
        return None if any(True for _ in faulty(kind, tool, full)) else NO_ARGUMENTS

    return exempt


# what holds for every call


async def check_refusal(subject: Subject, error: HermesError, *kinds: type[HermesError]) -> None:
    """An error as every caller may expect it: of a right kind, with a way out, audited, and without a secret."""
    told = f"{type(error).__name__}: {error.message} ({error.detail})"
    assert isinstance(error, kinds), f"expected {' or '.join(kind.__name__ for kind in kinds)}, got {told}"
    assert error.code != "internal", told
    assert len(error.message) > 20, f"says too little: {told}"
    assert error.message.rstrip()[-1] in ".!?)" or "http" in error.message, f"no whole sentence: {told}"
    shown = str(error.as_dict()) + str(error.detail)
    assert subject.token is None or subject.token not in shown, "the error shows the token"
    assert fence(error.as_dict()) == error.as_dict(), f"not fenced: {told}"
    lines = await subject.lines()
    assert lines, "no audit line"
    line = next((line for line in lines if line["id"] == error.data.get("call_id")), None)
    assert line is not None, f"no audit line of this call: {told}"
    assert line["error"] == error.code
    unknown = isinstance(error, OutcomeUnknown)
    assert line["outcome"] in (("outcome_unknown", "denied") if unknown else ("error", "denied"))


async def check_success(subject: Subject, structured: Mapping[str, Any]) -> None:
    """A result that fits the declared schema, fenced and audited."""
    jsonschema.Draft202012Validator(subject.tool.output_schema).validate(structured)
    assert fence(structured) == structured
    assert subject.token is None or subject.token not in str(structured)
    assert (await subject.lines())[0]["outcome"] == "success"


def check_never_twice(subject: Subject, survey: Survey) -> None:
    """Nothing was published more often than by a call that goes well, and no request was repeated that may not be."""
    assert subject.published() <= survey.published, "published twice"
    if subject.tool.effect is Effect.READ:
        return
    sent = [
        (record.method, record.path, record.query, record.body, record.size)
        for record in subject.requests()
        if record.method not in ("GET", "HEAD")
        and not any(part in record.path for part in facts_of(subject.tool.platform).repeatable)
    ]
    twice = {f"{one[0]} {one[1]}" for one in sent if sent.count(one) > 1}
    assert not twice, f"sent twice: {twice}"


# what the caller does


@case()
async def works(bench: Bench, tool: Tool) -> None:
    """The example works."""
    survey = await bench.survey(tool)
    jsonschema.Draft202012Validator(tool.output_schema).validate(survey.structured)
    if asks_vendor(tool) is None:
        assert len(survey.requests) == len({record.id for record in survey.requests})
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    jsonschema.Draft202012Validator(tool.input_schema).validate(arguments)
    await check_success(subject, await subject.call(arguments))


async def _each_fault(kind: str, bench: Bench, tool: Tool) -> None:
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    for name, wrong in faulty(kind, tool, arguments):
        error = await subject.refused(wrong)
        await check_refusal(subject, error, InvalidArguments)
        named = [fault["field"].split(".")[0] for fault in error.data["fields"]]
        assert name in named, f"{name} is wrong, and {named} is named"
    assert subject.requests() == [], "the platform saw it"


@case(_has("missing_argument"))
async def missing_argument(bench: Bench, tool: Tool) -> None:
    """Each required argument, left out."""
    await _each_fault("missing_argument", bench, tool)


@case(_has("wrong_type"))
async def wrong_type(bench: Bench, tool: Tool) -> None:
    """Each argument with a value of another type."""
    await _each_fault("wrong_type", bench, tool)


@case(_has("too_long"))
async def too_long(bench: Bench, tool: Tool) -> None:
    """Each argument longer, larger or with more items than it may have."""
    await _each_fault("too_long", bench, tool)


@case()
async def unknown_argument(bench: Bench, tool: Tool) -> None:
    """An argument that the tool does not have."""
    await _each_fault("unknown_argument", bench, tool)


@case()
async def not_connected(bench: Bench, tool: Tool) -> None:
    """No account is linked."""
    prepared = await (await bench.subject(tool)).prepare()
    subject = await bench.subject(tool, linked=False)
    error = await subject.refused(prepared)
    await check_refusal(subject, error, NotConnected)
    assert error.data["platform"] == tool.platform
    assert error.data["connect_url"] in error.message


@case()
async def suspended(bench: Bench, tool: Tool) -> None:
    """The customer was suspended a moment ago."""
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    await bench.house.customers.suspend(subject.caller.customer_id)
    await check_refusal(subject, await subject.refused(arguments), Suspended)
    assert subject.requests() == []


async def _with_grants(bench: Bench, tool: Tool, grants: list[str]) -> None:
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    made = await bench.house.api_keys.create(subject.caller.customer_id, "Narrow", grants)
    subject.caller = await bench.house.callers.from_api_key(made.secret)
    await check_refusal(subject, await subject.refused(arguments), UnknownTool)
    assert subject.requests() == []
    assert tool.name not in {view.tool.name for view in await bench.house.gateway.tools(subject.caller)}


@case()
async def not_granted(bench: Bench, tool: Tool) -> None:
    """The key is for other platforms."""
    others = [platform.id for platform in bench.catalog if platform.id != tool.platform]
    await _with_grants(bench, tool, [f"{other}:{access}" for other in others for access in ("read", "write")])


@case(_writes)
async def read_only(bench: Bench, tool: Tool) -> None:
    """The key may only read."""
    await _with_grants(bench, tool, ["*:read"])


@case()
async def asked_twice(bench: Bench, tool: Tool) -> None:
    """The same idempotency key again: the first answer, and the platform is not asked again."""
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    first = await subject.call(arguments, key="once")
    asked = len(subject.requests())
    assert await subject.call(arguments, key="once") == first
    subject.succeeded -= 1  # a repeated answer is not charged
    assert len(subject.requests()) == asked
    assert [line["outcome"] for line in await subject.lines()][:2] == ["replayed", "success"]


@case(lambda tool: None if tool.input_schema["properties"] else NO_ARGUMENTS)
async def key_of_another_call(bench: Bench, tool: Tool) -> None:
    """An idempotency key that was used with other arguments."""
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    wrong = next((bad for _, bad in faulty("too_long", tool, arguments)), None)
    await subject.call(arguments, key="once")
    other = _another(tool, arguments)
    if other is None:
        assert wrong is None or tool.input_schema.get("required") is not None
        return
    asked = len(subject.requests())
    await check_refusal(subject, await subject.refused(other, key="once"), Conflict)
    assert len(subject.requests()) == asked


def _another(tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """Other arguments that are valid as well."""
    for name, schema in tool.input_schema["properties"].items():
        given = arguments.get(name, schema.get("default"))
        for value in _others(given, schema):
            changed = {**arguments, name: value}
            if jsonschema.Draft202012Validator(tool.input_schema).is_valid(changed):
                return changed
    return None


def _others(given: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    if isinstance(given, bool):
        yield not given
    elif isinstance(given, int | float):
        yield from (given + 1, given - 1)
    elif isinstance(given, str):
        yield from (value for value in (*schema.get("enum", ()), given + "a", given[:-1], "1") if value != given)
    elif given is None:
        yield from (value for value in (1, True, "a", "1", "2026-01-01") if schema.get("type") != "object")


# what the platform does


@case(asks_vendor)
async def expired(bench: Bench, tool: Tool) -> None:
    """The platform says that the token has expired."""
    await _dead_token(bench, tool, "expired")


@case(asks_vendor)
async def revoked(bench: Bench, tool: Tool) -> None:
    """The platform says that the token was revoked."""
    await _dead_token(bench, tool, "revoked")


async def _dead_token(bench: Bench, tool: Tool, word: str) -> None:
    survey = await bench.survey(tool)
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    await subject.link(word)
    subject.forget()
    if not survey.requests:
        await check_success(subject, await subject.call(arguments))
        return
    error = await subject.refused(arguments)
    await check_refusal(subject, error, NeedsReconnect)
    assert error.data["platform"] == tool.platform
    assert error.data["connect_url"]
    asked = len(subject.requests())
    again = await subject.refused(arguments)
    await check_refusal(subject, again, NeedsReconnect)
    assert again.nothing_sent
    assert len(subject.requests()) == asked, "a dead token was tried again"
    assert subject.published() == 0


async def _failing(
    bench: Bench, tool: Tool, kind: str, *kinds: type[HermesError], last_only: bool = False, **given: Any
) -> list[tuple[Subject, Survey, HermesError]]:
    """Fail the example's first and its last request, each for a subject of its own.

    Args:
        last_only: the last request alone, where the first would tell nothing that another case does not.

    Returns:
        For each: the subject, the call that went well, and the error; nothing for a tool that asks no vendor.
    """
    survey = await bench.survey(tool)
    found = []
    last = len(survey.requests) - 1
    for position in sorted({last if last_only else 0, last} if last >= 0 else ()):
        subject = await bench.subject(tool)
        arguments = await subject.prepare()
        failure = subject.fail(kind, let_pass=position, **given)
        try:
            structured = await subject.call(arguments)
        except HermesError as refused:
            error = refused
        else:
            # Right only where all was done, and the rest of the answer, or what is asked after it, was not needed.
            done = position > 0 or kind in AFTER_ACTING or given.get("acts", False)
            assert done, f"succeeded, with {structured}"
            # What the account may not see can also be left out of what it reads.
            left_out = position > 0 and kind == "error"
            assert left_out or tool.effect is not Effect.READ, f"succeeded, with {structured}"
            assert subject.published() == survey.published, f"succeeded, with {structured}"
            await check_success(subject, structured)
            continue
        finally:
            subject.well(failure)
        await check_refusal(subject, error, *kinds)
        check_never_twice(subject, survey)
        assert len(subject.requests()) > position
        found.append((subject, survey, error))
    if last < 0:
        subject = await bench.subject(tool)
        arguments = await subject.prepare()
        subject.fail(kind, **given)
        await check_success(subject, await subject.call(arguments))
    return found


@case(asks_vendor)
async def forbidden(bench: Bench, tool: Tool) -> None:
    """The account lacks a permission: a clear no, with a way out beside the platform's own words."""
    code = facts_of(tool.platform).forbidden
    # A vendor whose codes are words gets the word; one whose codes are numbers says something, too.
    words = {"code": 403, "message": code} if isinstance(code, str) else {"code": code, "message": "Said the vendor"}
    clear = (PlatformRejected, NotGranted, InsufficientScope, NeedsReconnect)
    for _, _, error in await _failing(bench, tool, "error", *clear, **words):
        assert len(error.message.replace(str(words["message"]), "")) > 40, f"no way out: {error.message}"


@case(asks_vendor)
async def rate_limit(bench: Bench, tool: Tool) -> None:
    """Too fast, and the platform says for how long."""
    before = bench.ahead
    for _, _, error in await _failing(bench, tool, "rate_limit", RateLimited, retry_after=RETRY_AFTER):
        assert error.data["limited_by"] == tool.platform
        wait = error.retry_after
        assert wait is not None
        # A vendor that names the moment, and not the seconds, names it by the stand-ins' clock.
        later = before + 0.8 * RETRY_AFTER <= wait <= bench.ahead + 1.7 * RETRY_AFTER
        assert later or 0.8 * RETRY_AFTER <= wait <= 1.7 * RETRY_AFTER, wait


@case(asks_vendor)
async def rate_limit_without_hint(bench: Bench, tool: Tool) -> None:
    """Too fast, and the platform does not say for how long."""
    for _, _, error in await _failing(bench, tool, "rate_limit", RateLimited, last_only=True):
        assert error.data["limited_by"] == tool.platform
        assert error.retry_after is None or error.retry_after > 0


@case(asks_vendor)
async def limited_account(bench: Bench, tool: Tool) -> None:
    """The account itself is limited."""
    survey = await bench.survey(tool)
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    await subject.link("limited")
    subject.forget()
    if survey.requests:
        await check_refusal(subject, await subject.refused(arguments), RateLimited)
        assert subject.published() == 0


async def _unclear(bench: Bench, tool: Tool, kind: str, **given: Any) -> None:
    """A failure after bytes were sent: a write's outcome is unknown and it is never repeated; a read failed."""
    for subject, survey, error in await _failing(bench, tool, kind, *NOT_CLEAR, **given):
        if tool.effect is Effect.READ:
            assert isinstance(error, PlatformUnavailable), error
        elif len(survey.requests) == 1:
            assert isinstance(error, OutcomeUnknown), f"a write that may have been received: {error.message}"
            assert len([record for record in subject.requests() if record.method != "GET"]) <= 1, "sent twice"
        elif isinstance(error, PlatformUnavailable):
            assert subject.published() == 0, f"it was published: {error.message}"


async def _never_again(bench: Bench, tool: Tool, kind: str) -> None:
    """With an idempotency key, a call whose outcome is unknown is not sent again when it is repeated."""
    await _unclear(bench, tool, kind)
    if tool.effect is Effect.READ:
        return
    survey = await bench.survey(tool)
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    failure = subject.fail(kind, let_pass=max(0, len(survey.requests) - 1))
    try:
        await subject.call(arguments, key="once")
        unknown = False
    except HermesError as first:
        unknown = isinstance(first, OutcomeUnknown)
    subject.well(failure)
    if unknown:
        asked = len(subject.requests())
        await check_refusal(subject, await subject.refused(arguments, key="once"), OutcomeUnknown)
        assert len(subject.requests()) == asked, "sent again"
    check_never_twice(subject, survey)


@case(asks_vendor)
async def server_error(bench: Bench, tool: Tool) -> None:
    """502 with a page of HTML."""
    await _unclear(bench, tool, "server_error")


@case(asks_vendor)
async def server_error_after_acting(bench: Bench, tool: Tool) -> None:
    """503, and it was done all the same."""
    await _unclear(bench, tool, "server_error", last_only=True, status=503, acts=True)


@case(asks_vendor)
async def timeout_connecting(bench: Bench, tool: Tool) -> None:
    """The platform cannot be reached: nothing was sent, and the call can be repeated with the same key."""
    survey = await bench.survey(tool)
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    if not survey.requests:
        return
    subject.far = True
    for _ in range(2):
        error = await subject.refused(arguments, key="once")
        await check_refusal(subject, error, PlatformUnavailable)
        assert error.nothing_sent
    subject.far = False
    await check_success(subject, await subject.call(arguments, key="once"))


@case(asks_vendor)
async def timeout_before_acting(bench: Bench, tool: Tool) -> None:
    """The request is received, nothing is done, and no answer comes."""
    await _unclear(bench, tool, "timeout_before", last_only=True)


@case(asks_vendor)
async def timeout_after_acting(bench: Bench, tool: Tool) -> None:
    """It is done, and no answer comes."""
    await _never_again(bench, tool, "timeout_after")


@case(asks_vendor)
async def cut_before_acting(bench: Bench, tool: Tool) -> None:
    """The connection ends, nothing was done."""
    await _unclear(bench, tool, "cut_before")


@case(asks_vendor)
async def cut_after_acting(bench: Bench, tool: Tool) -> None:
    """It is done, and the connection ends without a byte."""
    await _never_again(bench, tool, "cut_after")


@case(asks_vendor)
async def cut_in_the_body(bench: Bench, tool: Tool) -> None:
    """It is done, and the connection ends in the middle of the answer."""
    await _unclear(bench, tool, "cut_body", last_only=True)


@case(asks_vendor)
async def malformed_body(bench: Bench, tool: Tool) -> None:
    """It is done, and the answer is broken JSON."""
    await _unclear(bench, tool, "malformed")


@case(asks_vendor)
async def giant_body(bench: Bench, tool: Tool) -> None:
    """It is done, and the answer never seems to end."""
    await _unclear(bench, tool, "giant", last_only=True, megabytes=9)


@case(asks_vendor)
async def odd_body(bench: Bench, tool: Tool) -> None:
    """200 with JSON that is nothing like what was asked for."""
    survey = await bench.survey(tool)
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    for body in ({}, [], "text", None, 5, {"data": None}, {"ok": True, "result": []}, {"error": "x"}):
        failure = subject.fail("answer", status=200, body=body)
        try:
            structured = await subject.call(arguments)
        except HermesError as error:
            await check_refusal(subject, error, HermesError)
            assert not isinstance(error, InvalidArguments), f"the caller is blamed for {body}: {error.message}"
            if tool.effect is not Effect.READ and len(survey.requests) == 1:
                assert isinstance(error, OutcomeUnknown), f"after {body}: {error.message}"
            if isinstance(error, NeedsReconnect):
                await subject.link()
        else:
            await check_success(subject, structured)
        subject.well(failure)


@case(asks_vendor)
async def hostile_text(bench: Bench, tool: Tool) -> None:
    """What people wrote into the account tries to mislead whoever reads it: nothing hidden comes through."""
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    subject.fail("hostile")
    await check_success(subject, await subject.call(arguments))


@case(asks_vendor)
async def hostile_error(bench: Bench, tool: Tool) -> None:
    """The platform's error says things that hide and mislead."""
    code = facts_of(tool.platform).forbidden
    number = code if isinstance(code, int) else 403
    await _failing(bench, tool, "error", HermesError, last_only=True, code=number, message=HOSTILE_TEXT)
