"""The durable steps of one run of a long call: nothing that may have been received is sent again.

A step is written as begun before the vendor is called and as done, with its result, after. A run that takes over finds
what is done and does not repeat it; what was begun and has no answer ends the call as outcome unknown, unless the
vendor addresses it by offset or part.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import orjson
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from hermes.crypto import Keyring, Undecryptable
from hermes.errors import HermesError, Internal, OutcomeUnknown, PlatformUnavailable, RateLimited
from hermes.gateway.long_rows import BEGUN, DONE, Claim, ClaimLost, LongCallRows, Step
from hermes.gateway.seals import step_name
from hermes.platforms.ports import PublishState

_TRIES: Final = 4
_LONGEST_PAUSE: Final = 30.0
_PAUSE = wait_random_exponential(multiplier=0.2, max=5)

Reason = Literal["lost", "released", "cancelled"]


class Interrupted(BaseException):
    """Ends a run between two steps. No `Exception`: a tool that handles errors must not go on.

    Attributes:
        reason: another run has the call; this process ends; the customer cancelled it.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class SqlJournal:
    """Implements `hermes.platforms.ports.Journal` for one run.

    Attributes:
        critical: a step is under way that must not be interrupted.
        leave: set to have the run end before its next step.
    """

    def __init__(self, rows: LongCallRows, keyring: Keyring, claim: Claim) -> None:
        self._rows = rows
        self._keyring = keyring
        self._claim = claim
        self.critical = False
        self.leave: Reason | None = None
        self.publish_state = PublishState.CREATED

    async def step(self, name: str, work: Callable[[], Awaitable[Any]], *, repeatable: bool) -> Any:
        """See `hermes.platforms.context.ToolContext.step`.

        Raises:
            OutcomeUnknown: an earlier run began this step and left no answer.
            Interrupted: the run is to end here.
        """
        self._leave()
        known, cancelled = await self._begin(name)
        if known.state == DONE:
            return self._open(name, known.sealed_result or "")
        if known.state == BEGUN and not repeatable:
            raise OutcomeUnknown(
                f"The server was restarted while `{name}` was under way, so it may have been done. It is not sent "
                "again; check on the platform before repeating the call."
            )
        if cancelled:
            raise Interrupted("cancelled")
        self.critical = not repeatable
        try:
            result = await self._do(name, work, repeatable)
        finally:
            self.critical = False
        self._leave()
        return result

    async def state(self, state: PublishState) -> None:
        """See `hermes.platforms.context.ToolContext.state`."""
        self.publish_state = state
        await self._note(publish_state=state.value)

    async def _do(self, name: str, work: Callable[[], Awaitable[Any]], repeatable: bool) -> Any:
        try:
            result = await (_again(work) if repeatable else work())
        except HermesError as error:
            if error.nothing_sent or not isinstance(error, OutcomeUnknown | Internal):
                # A clear no, or nothing was sent: the step was not done and may be tried again.
                await self._rows.free_step(self._claim, name)
            raise
        plain = orjson.dumps(result)
        await self._rows.finish_step(self._claim, name, self._keyring.seal(plain, self._name(name)))
        return orjson.loads(plain)

    async def _begin(self, name: str) -> tuple[Step, bool]:
        try:
            return await self._rows.begin_step(self._claim, name)
        except ClaimLost:
            raise Interrupted("lost") from None

    async def _note(self, **values: Any) -> None:
        try:
            await self._rows.note(self._claim, **values)
        except ClaimLost:
            raise Interrupted("lost") from None

    def _leave(self) -> None:
        if self.leave is not None:
            raise Interrupted(self.leave)

    def _open(self, name: str, sealed: str) -> Any:
        try:
            return orjson.loads(self._keyring.open(sealed, self._name(name)))
        except Undecryptable as error:
            raise OutcomeUnknown(
                f"What `{name}` gave before the server was restarted can no longer be read; check on the platform "
                "before repeating the call.",
                detail=error.reason,
            ) from None

    def _name(self, step: str) -> str:
        return step_name(self._claim.customer_id, self._claim.call_id, step)


async def _again(work: Callable[[], Awaitable[Any]]) -> Any:
    """Do what does no harm when it is done twice, a few times if the vendor does not answer."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception(_passes), stop=stop_after_attempt(_TRIES), wait=_wait, reraise=True
    ):
        with attempt:
            return await work()
    raise AssertionError("tenacity raises when it stops")


def _passes(error: BaseException) -> bool:
    if isinstance(error, RateLimited):
        return error.retry_after is not None and error.retry_after <= _LONGEST_PAUSE
    return isinstance(error, OutcomeUnknown | PlatformUnavailable)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, HermesError) else None
    return _PAUSE(state) if asked is None else min(asked, _LONGEST_PAUSE)
