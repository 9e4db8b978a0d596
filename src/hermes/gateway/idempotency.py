"""First answers: what a call with an idempotency key answered is kept, encrypted, and given again."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from hermes.crypto import Keyring, Undecryptable
from hermes.errors import Conflict, HermesError, NeedsReconnect, OutcomeUnknown, error_from_dict
from hermes.gateway.admission import IdempotencyState
from hermes.gateway.results import CallResult

_TRY_AGAIN_SECONDS = 2.0


def idempotency_key(customer_id: str, tool: str, key: str) -> str:
    """The Redis key; it belongs to customer and tool, and the client's own key never appears in it."""
    return f"idem:{customer_id}:{tool}:{hashlib.sha256(key.encode()).hexdigest()}"


def state_after(error: HermesError | None) -> IdempotencyState:
    """What becomes of the key: kept with the answer, free for another try, or unknown for good."""
    if error is None:
        return "done"
    if isinstance(error, OutcomeUnknown):
        return "unknown"
    # A refusal that passes (too fast, platform down, to be linked again) was no answer to keep for a day.
    return "free" if error.nothing_sent or error.retryable or isinstance(error, NeedsReconnect) else "done"


class Answers:
    """Seals first answers for Redis, and opens them."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def seal(self, key: str, call_id: str, account: str | None, outcome: dict[str, Any] | HermesError) -> str:
        """The answer of a call on an account (its label), encrypted and bound to its Redis key."""
        answer = {"error": outcome.as_dict()} if isinstance(outcome, HermesError) else {"structured": outcome}
        return self._keyring.seal(orjson.dumps({"call_id": call_id, "account": account, **answer}), key)

    def replay(self, key: str, sealed: str, blocks: bool) -> CallResult:
        """The first answer again.

        Args:
            key: under which it was sealed.
            sealed: as it was kept.
            blocks: whether the tool shows blocks.

        Raises:
            HermesError: the first answer was this error; or `OutcomeUnknown`, when it cannot be opened any more.
        """
        try:
            answer = orjson.loads(self._keyring.open(sealed, key))
        except Undecryptable as error:
            raise OutcomeUnknown(
                "This idempotency key was used before, but its first answer can no longer be read; nothing was sent "
                "now. Check on the platform whether the first call acted.",
                detail=error.reason,
            ) from None
        if "error" in answer:
            raise error_from_dict(answer["error"])
        return CallResult(answer["call_id"], answer["structured"], blocks, answer.get("account"))


def refusal(status: str, first_call: str) -> HermesError:
    """The error for a key that cannot be used now."""
    if status == "idempotency_conflict":
        return Conflict(
            "This idempotency key was used before with other arguments. Use a new key for a new action.",
            first_call_id=first_call,
        )
    if status == "idempotency_running":
        return Conflict(
            "The first call with this idempotency key is still under way. Ask again shortly with the same key.",
            retry_after=_TRY_AGAIN_SECONDS,
            first_call_id=first_call,
        )
    return OutcomeUnknown(
        "The first call with this idempotency key ended without a clear answer, so it is not sent again. Check on the "
        "platform whether it acted; use a new key to send it once more.",
        first_call_id=first_call,
    )
