"""How a call ended: as a word for the trail, and sealed for whoever asks later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from hermes.crypto import Keyring, Undecryptable
from hermes.errors import Conflict, HermesError, OutcomeUnknown, error_from_dict
from hermes.gateway.admission import Outcome
from hermes.platforms.ports import PublishState

Result = dict[str, Any] | HermesError
"""The fenced result of a tool, or what stopped it."""

Observer = Callable[[str, str, str, float], None]
"""Told of every call: tool, outcome, transport, seconds."""

OUTCOME_UNKNOWN = "outcome_unknown"
"""Where a publication stands when its last step left no answer."""


class Cancelled(Conflict):
    """The customer had a long call cancelled before it was finished."""

    def __init__(self) -> None:
        super().__init__("The call was cancelled before it was finished; steps that were done until then stand.")


def outcome_of(result: Result) -> Outcome:
    """The trail's word for it."""
    if not isinstance(result, HermesError):
        return "success"
    if isinstance(result, Cancelled):
        return "cancelled"
    return "outcome_unknown" if isinstance(result, OutcomeUnknown) else "error"


def publish_state_after(outcome: Outcome, said: str) -> str:
    """Where the publication stands once the call ended, from what the tool said last."""
    match outcome:
        case "success":
            # A tool that says nothing of processing is through when it returns.
            return PublishState.PUBLISHED if said in (PublishState.CREATED, PublishState.UPLOADING) else said
        case "outcome_unknown":
            return OUTCOME_UNKNOWN
        case _:
            return said if said == PublishState.PUBLISHED else PublishState.FAILED


def seal_result(keyring: Keyring, name: str, result: Result) -> str:
    """The result, encrypted and bound to the name it is kept under."""
    if isinstance(result, HermesError):
        return keyring.seal(orjson.dumps({"error": result.as_dict()}, default=str), name)
    return keyring.seal(orjson.dumps({"result": result}), name)


def open_result(keyring: Keyring, name: str, outcome: Outcome, sealed: str) -> Result:
    """The result again; an `OutcomeUnknown` when it does not open any more."""
    try:
        plain = orjson.loads(keyring.open(sealed, name))
    except Undecryptable as error:
        return OutcomeUnknown("The call's result can no longer be read.", detail=error.reason)
    if outcome == "cancelled":
        return Cancelled()
    return error_from_dict(plain["error"]) if "error" in plain else dict(plain["result"])
