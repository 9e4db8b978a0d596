"""What a tool may use of the call it runs in: steps that survive a restart, progress, messages, questions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mcp_types import InputRequest, InputResponse, LoggingLevel

from hermes.platforms.asks import AskKind, Asks, nobody_to_ask
from hermes.platforms.ports import Journal, PublishState

LogLevel = LoggingLevel


class ToolContext:
    """What a tool may use of the call it runs in: declare a parameter of this type to get it. Not an argument."""

    __slots__ = ("_asks", "_journal", "_log", "_report", "call_id")

    def __init__(
        self,
        call_id: str,
        report: Callable[[float, float | None, str | None], Awaitable[None]] | None,
        journal: Journal | None = None,
        asks: Asks | None = None,
        log: Callable[[LogLevel, Any], Awaitable[None]] | None = None,
    ) -> None:
        self.call_id = call_id
        self._report = report
        self._journal = journal
        self._asks = asks
        self._log = log

    @property
    def repeats(self) -> bool:
        """Whether a run that follows this one does everything again: it has no journal of what was done."""
        return self._journal is None

    async def step(self, name: str, work: Callable[[], Awaitable[Any]], *, repeatable: bool = False) -> Any:
        """Do one step of a call that takes several requests to the vendor, and remember what came of it.

        A call that is resumed after its process died does not repeat a step that was done, and never repeats one that
        was begun and may have been received.

        Args:
            name: unique within the call, e.g. `container`, `chunk-7`.
            work: does it; returns a JSON value, which is kept (encrypted) and returned again on resuming.
            repeatable: the vendor addresses it by offset or part, so doing it twice does no harm.

        Raises:
            OutcomeUnknown: an earlier process began this step and left no answer.
        """
        return await (work() if self._journal is None else self._journal.step(name, work, repeatable=repeatable))

    async def state(self, state: PublishState) -> None:
        """Say where a publication stands; `GET /api/calls/{id}` shows it."""
        if self._journal is not None:
            await self._journal.state(state)

    async def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Tell the client how far the work is; `done` must grow. Does nothing when nobody asked."""
        if self._report is not None:
            await self._report(done, total, message)

    async def log(self, level: LogLevel, data: Any) -> None:
        """Tell the client what is going on, if it asked for messages of this level. Never a secret.

        Args:
            level: RFC 5424's, as MCP spells them.
            data: a JSON value.
        """
        if self._log is not None:
            await self._log(level, data)

    @property
    def kept(self) -> Any:
        """What `ask` was given to keep by the run before this one; None in the first."""
        return self._asks.kept if self._asks is not None else None

    def can_ask(self, kind: AskKind) -> bool:
        """Whether the client takes questions of this kind; a tool that can do without the answer looks here first."""
        return self._asks is not None and self._asks.can(kind)

    async def ask(
        self, requests: Mapping[str, InputRequest], *, keep: Any = None, proven: bool = False
    ) -> dict[str, InputResponse]:
        """Ask the client, and go on with the answers.

        Where an answer is missing this run ends here; when the answers are there the tool is run again from its
        beginning and gets them at this place. So a tool asks before it changes anything, and asks the same again.

        Args:
            requests: what to ask, each under a key of the tool's own that is unique within the call.
            keep: a JSON value that the next run finds in `kept`; the client cannot read or change it.
            proven: take an answer only from a client that shows that it was asked this in this call. Without it an
                answer that comes along unasked counts too, which is all right where the client may know it anyway.

        Returns:
            The answer for each key. A person may have declined: `ElicitResult.action` says so.

        Raises:
            MissingCapability: the client cannot be asked this; `can_ask` says so beforehand.
            BadInput: an answer is none to its question.
        """
        if self._asks is None:
            raise nobody_to_ask(requests)
        return self._asks.answers(requests, keep, proven=proven)
