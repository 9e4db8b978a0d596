"""What has to be set up at a vendor before a linked account can do everything, as a plain list of steps.

A platform declares two functions (`Platform.onboarding`): one looks at each step and takes those that a program can
take, so that it may be run as often as one likes; the other undoes what was taken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from hermes.errors import HermesError, NeedsReconnect, PlatformRejected


class StepState(StrEnum):
    """How a step stands."""

    DONE = "done"
    MISSING = "missing"
    """Somebody has to act: `remedy` says who and how."""
    UNKNOWN = "unknown"
    """It could not be found out now."""
    KEPT = "kept"
    """Left as it is on purpose: another account needs it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        id: the same for the same step each time.
        title: what it is about, as a person would say it.
        state: how it stands.
        detail: what was found; no secret.
        remedy: what to do, where something is to be done.
    """

    id: str
    title: str
    state: StepState
    detail: str = ""
    remedy: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON members that the API shows."""
        return asdict(self) | {"state": self.state.value}


IsShared = Callable[[], Awaitable[bool]]
"""Whether another account that is linked here lives by the same thing at the vendor (`Account.shared_id`)."""


@dataclass(frozen=True, slots=True)
class Onboarding:
    """What a platform declares.

    Attributes:
        run: the account's API object → its steps. Harmless to repeat. A step that fails is a step of its own.
        undo: the same API object, and `IsShared` → the steps of undoing. The account is unlinked here by then.
        left: what nobody but the person can undo, in words.
    """

    run: Callable[[Any], Awaitable[Sequence[Step]]]
    undo: Callable[[Any, IsShared], Awaitable[Sequence[Step]]]
    left: str


async def looked_at(step_id: str, title: str, look: Awaitable[Step]) -> Step:
    """The step, or what its failure says: the vendor's refusal is something missing, all else is not known."""
    try:
        return await look
    except (PlatformRejected, NeedsReconnect) as error:
        return Step(step_id, title, StepState.MISSING, remedy=error.message)
    except HermesError as error:
        return Step(step_id, title, StepState.UNKNOWN, error.message, "Check again later.")
