"""Asking the client in the middle of a request, over several requests and replicas (MCP: multi-round-trip requests).

Nothing waits here for an answer. Whoever asks ends with `InputRequired`, which carries the questions and the request's
state: everything answered so far, sealed for this caller and these very parameters. The client sends its request again
with the answers and the state, to whichever replica, and the work is done again from its beginning with what is known.

Source: MCP 2026-07-28, basic/patterns/mrtr.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from mcp_types import (
    CreateMessageRequest,
    CreateMessageResult,
    CreateMessageResultWithTools,
    ElicitRequest,
    ElicitResult,
    InputRequest,
    InputResponse,
    ListRootsResult,
)
from pydantic import ValidationError

from hermes.crypto import Keyring, Undecryptable
from hermes.errors import BadInput, PayloadTooLarge
from hermes.identity.caller import Caller
from hermes.platforms.asks import KINDS, Asked, AskKind, kind_of, nobody_to_ask

LIFETIME: Final = 900.0
"""Seconds in which a question can be answered: as long as a connect link works."""

_LARGEST: Final = 256 * 1024
_LONGEST_STATE: Final = 2 * _LARGEST + 1024


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What a request says of its client's readiness to be asked, and what the client answers in it.

    Attributes:
        capabilities: as the client declared them (MCP's ClientCapabilities, JSON).
        responses: the answers that came with this request, by key; not checked yet.
        state: the request state that came with them, if any; not checked yet.
    """

    capabilities: Mapping[str, Any]
    responses: Mapping[str, Any] = field(default_factory=dict)
    state: str | None = None


class InputRequired(Exception):
    """The work ended because the client has to be asked first; it is done again when the client answers.

    Attributes:
        requests: what to ask, by key.
        state: the sealed request state, to be given back with the answers.
    """

    def __init__(self, requests: Mapping[str, InputRequest], state: str) -> None:
        super().__init__(", ".join(requests))
        self.requests = requests
        self.state = state


@dataclass(frozen=True, slots=True)
class Asking:
    """Implements `hermes.platforms.asks.Asks`.

    Attributes:
        capabilities: as the client declared them.
        given: all answers so far, by key, as they came.
        kept: what the run before kept.
        asked: the keys that this call is known to have asked.
        used: the keys whose answers were taken; only those are carried along.
    """

    capabilities: Mapping[str, Any]
    given: Mapping[str, Any] = field(default_factory=dict)
    kept: Any = None
    asked: frozenset[str] = frozenset()
    used: set[str] = field(default_factory=set)

    def can(self, kind: AskKind) -> bool:
        """Whether the client declared this kind. An elicitation capability without a mode means forms only.

        Source: MCP 2026-07-28, client/elicitation, Capabilities."""
        if kind in ("sampling", "roots"):
            return isinstance(self.capabilities.get(kind), Mapping)
        modes = self.capabilities.get("elicitation")
        if not isinstance(modes, Mapping):
            return False
        return isinstance(modes.get(kind), Mapping) or (kind == "form" and "url" not in modes)

    def kinds(self) -> list[AskKind]:
        """What the client can be asked."""
        return [kind for kind in KINDS if self.can(kind)]

    def answers(
        self, requests: Mapping[str, InputRequest], keep: Any = None, *, proven: bool = False
    ) -> dict[str, InputResponse]:
        """The answers to all of these.

        Args:
            requests: by key.
            keep, proven: see `hermes.platforms.context.ToolContext.ask`.

        Raises:
            Asked: some are missing.
            MissingCapability: the client takes no such questions.
            BadInput: an answer is none to its question.
        """
        known = {
            key: read_answer(key, request, self.given[key])
            for key, request in requests.items()
            if key in self.given and (key in self.asked or not proven)
        }
        self.used.update(known)
        missing = {key: request for key, request in requests.items() if key not in known}
        if unable := {key: request for key, request in missing.items() if not self.can(kind_of(request))}:
            raise nobody_to_ask(unable)
        if missing:
            raise Asked(missing, keep)
        return known


NOBODY: Final = Asking({})
"""For callers that take no questions."""


class RequestStates:
    """Seals the state of requests that have to ask, and opens it when it comes back."""

    def __init__(self, keyring: Keyring, *, now: Callable[[], float] = time.time) -> None:
        self._keyring = keyring
        self._now = now

    def opened(self, caller: Caller, method: str, params: Any, dialogue: Dialogue | None) -> Asking:
        """What can be asked in a request, and what is known from those before it.

        Args:
            caller: who is calling.
            method: of MCP, e.g. `tools/call`.
            params: what the client sends the same each time; JSON.
            dialogue: what the request says; None where the client cannot be asked.

        Raises:
            BadInput: the state was changed, has expired, or belongs to another caller or request.
        """
        if dialogue is None:
            return NOBODY
        if dialogue.state is None:
            return Asking(dialogue.capabilities, dialogue.responses)
        if len(dialogue.state) > _LONGEST_STATE:
            raise _refused()
        try:
            known = orjson.loads(self._keyring.open(dialogue.state, _name(caller, method, params)))
        except Undecryptable as error:
            raise _refused(error.reason) from None
        if known["until"] < self._now():
            raise _refused("expired")
        given = {**known["given"], **dialogue.responses}
        return Asking(dialogue.capabilities, given, known["kept"], frozenset(known["asked"]))

    def required(self, caller: Caller, method: str, params: Any, asking: Asking, asked: Asked) -> InputRequired:
        """What is to be asked now, with the state that brings `asking` back; takes the same as `opened`.

        Raises:
            PayloadTooLarge: the answers so far are too long to be carried along.
        """
        plain = orjson.dumps(
            {
                "until": self._now() + LIFETIME,
                "given": {key: asking.given[key] for key in sorted(asking.used)},
                "asked": sorted(asking.asked | asked.requests.keys()),
                "kept": asked.keep,
            }
        )
        if len(plain) > _LARGEST:
            raise PayloadTooLarge(f"The answers so far are longer than {_LARGEST} bytes; give shorter ones.")
        return InputRequired(asked.requests, self._keyring.seal(plain, _name(caller, method, params)))


def read_answer(key: str, request: InputRequest, answer: Any) -> InputResponse:
    """A client's answer to a question, checked.

    Raises:
        BadInput: it is none to this question.
    """
    try:
        return answer_type(request).model_validate(answer, by_name=False)
    except ValidationError:
        raise BadInput(
            f"The answer {key[:64]!r} is none to {request.method}.",
            fields=[{"field": f"inputResponses.{key[:64]}", "problem": f"is no result of {request.method}"}],
            nothing_sent=True,
        ) from None


def written(requests: Mapping[str, InputRequest]) -> dict[str, Any]:
    """Questions as MCP writes them, by key."""
    return {key: request.model_dump(mode="json", by_alias=True, exclude_none=True) for key, request in requests.items()}


def answer_type(request: InputRequest) -> type[InputResponse]:
    """What answers a question."""
    if isinstance(request, ElicitRequest):
        return ElicitResult
    if isinstance(request, CreateMessageRequest):
        return CreateMessageResultWithTools if request.params.tools else CreateMessageResult
    return ListRootsResult


def _name(caller: Caller, method: str, params: Any) -> str:
    """Under which a request's state is sealed: it opens for nobody else and for no other request."""
    digest = hashlib.sha256(orjson.dumps(params, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return f"request-state:{caller.customer_id}:{caller.via}:{caller.key_id}:{method}:{digest}"


def _refused(detail: str | None = None) -> BadInput:
    return BadInput(
        "The request state is not one of ours for this request, or it has expired. Send the request again without it.",
        fields=[{"field": "requestState", "problem": "was changed, has expired, or belongs to another request"}],
        detail=detail,
        nothing_sent=True,
    )
