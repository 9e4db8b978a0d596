"""Prompts: texts for common jobs that a person picks in their client, shown to callers who may do the job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from mcp_types import PromptMessage

from hermes.billing.plans import plan_of
from hermes.errors import InvalidArguments, NotFound
from hermes.gateway.asking import NOBODY, Dialogue, RequestStates
from hermes.identity.caller import Access, Caller
from hermes.platforms.asks import Asked, Asks

METHOD: Final = "prompts/get"
MOST_VALUES: Final = 100
"""Values that one completion may have (MCP 2026-07-28, server/utilities/completion)."""

Write = Callable[[Mapping[str, str], Asks], Awaitable[Sequence[PromptMessage]]]
Suggest = Callable[[str], Awaitable[Sequence[str]]]


class UnknownPrompt(NotFound):
    """No such prompt for this caller; over MCP a protocol error, -32602."""


@dataclass(frozen=True, slots=True)
class PromptArgument:
    """One argument; all are text.

    Attributes:
        suggest: values that begin as the person's text does, best first; without it none are suggested.
    """

    name: str
    description: str
    required: bool = True
    suggest: Suggest | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt.

    Attributes:
        write: makes the messages of the arguments; may ask the client (`Asks.answers`).
        needs: the grants without which it is hidden.
        any_of: grants of which one is enough, where there are any.
    """

    name: str
    title: str
    description: str
    write: Write
    arguments: tuple[PromptArgument, ...] = ()
    needs: frozenset[tuple[str, Access]] = field(default_factory=frozenset)
    any_of: frozenset[tuple[str, Access]] = field(default_factory=frozenset)


class Prompts:
    """What prompts there are for a caller, and their texts."""

    def __init__(self, prompts: Iterable[Prompt] = (), states: RequestStates | None = None) -> None:
        """`states`: without them no prompt can ask."""
        self._prompts = {prompt.name: prompt for prompt in prompts}
        self._states = states

    def shown(self, caller: Caller) -> list[Prompt]:
        """The caller's prompts, in a fixed order."""
        return [prompt for prompt in self._prompts.values() if _reaches(caller, prompt)]

    async def get(
        self, caller: Caller, name: str, arguments: Mapping[str, str], dialogue: Dialogue | None
    ) -> Sequence[PromptMessage]:
        """The messages of a prompt.

        Args:
            caller: who is calling.
            name: of the prompt.
            arguments: by name.
            dialogue: what the client can be asked and has answered.

        Raises:
            UnknownPrompt: there is none of this name for the caller.
            InvalidArguments: some are missing, or it takes no such argument.
            InputRequired: the client has to be asked first.
            BadInput, MissingCapability: as `Asking.answers` and `RequestStates.opened`.
        """
        prompt = self._find(caller, name)
        _check(prompt, arguments)
        request = [name, dict(arguments)]
        if self._states is None:
            return await prompt.write(arguments, NOBODY)
        asking = self._states.opened(caller, METHOD, request, dialogue)
        try:
            return await prompt.write(arguments, asking)
        except Asked as asked:
            raise self._states.required(caller, METHOD, request, asking, asked) from None

    async def suggest(self, caller: Caller, name: str, argument: str, begun: str) -> list[str]:
        """Values for an argument that the person has begun to write; at most `MOST_VALUES`.

        Raises:
            UnknownPrompt: there is none of this name for the caller.
        """
        found = next((one for one in self._find(caller, name).arguments if one.name == argument), None)
        return [] if found is None or found.suggest is None else list(await found.suggest(begun))[:MOST_VALUES]

    def _find(self, caller: Caller, name: str) -> Prompt:
        prompt = self._prompts.get(name)
        if prompt is None or not _reaches(caller, prompt):
            raise UnknownPrompt(f"There is no prompt {name[:128]!r} for this caller.")
        return prompt


def _reaches(caller: Caller, prompt: Prompt) -> bool:
    plan = plan_of(caller.plan)

    def may(platform: str, access: Access) -> bool:
        return plan.includes(platform) and caller.grants.allow(platform, access)

    enough = not prompt.any_of or any(may(*each) for each in prompt.any_of)
    return enough and all(may(*each) for each in prompt.needs)


def _check(prompt: Prompt, given: Mapping[str, str]) -> None:
    known = {argument.name: argument for argument in prompt.arguments}
    fields = [
        {"field": name, "problem": "is required"} for name, one in known.items() if one.required and not given.get(name)
    ] + [
        {"field": name[:64], "problem": f"is not an argument of {prompt.name}; it takes {', '.join(known) or 'none'}"}
        for name in given
        if name not in known
    ]
    if fields:
        first = fields[0]
        raise InvalidArguments(f"Argument {first['field']!r} of {prompt.name} {first['problem']}.", fields=fields)
