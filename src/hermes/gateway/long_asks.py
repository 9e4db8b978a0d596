"""Questions of long calls to clients that took a task: kept with the call, sealed, until they are answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from mcp_types import InputRequest
from pydantic import TypeAdapter

from hermes.crypto import Keyring, Undecryptable
from hermes.errors import Internal
from hermes.gateway.asking import Asking, read_answer, written
from hermes.gateway.long_rows import ANSWERED, ASKED, Claim, LongCallRows
from hermes.gateway.seals import ASK_PREFIX, ask_name
from hermes.platforms.asks import Asked, AskKind, declaring

_REQUEST: Final[TypeAdapter[InputRequest]] = TypeAdapter(InputRequest)


class LongAsks:
    """Keeps questions and answers among a call's steps."""

    def __init__(self, rows: LongCallRows, keyring: Keyring) -> None:
        self._rows = rows
        self._keyring = keyring

    def sealed(self, claim: Claim, answers: Mapping[str, Any]) -> dict[str, str]:
        """Answers that a call begins with, by step, as they are kept."""
        return {ASK_PREFIX + key: self._seal(claim, key, answer) for key, answer in answers.items()}

    async def asking(self, claim: Claim, kinds: Iterable[AskKind]) -> Asking:
        """What a run can ask, and the answers there are.

        Args:
            claim: of the call.
            kinds: what its client takes.
        """
        kept = await self._rows.questions(claim.customer_id, claim.call_id, ANSWERED)
        given = self._opened(claim, kept)
        return Asking(declaring(kinds), given, asked=frozenset(given))

    async def park(self, claim: Claim, asked: Asked) -> bool:
        """Keep questions, and have the call wait for their answers. Returns whether it is to be cancelled.

        Raises:
            ClaimLost: the call is another's by now.
        """
        return await self._rows.park(claim, self.sealed(claim, written(asked.requests)))

    async def pending(self, customer_id: str, call_id: str) -> dict[str, Any]:
        """The customer's call's questions that wait for an answer, by key, as MCP writes them."""
        kept = await self._rows.questions(customer_id, call_id, ASKED)
        return self._opened(Claim(customer_id, call_id, ""), kept)

    async def answer(self, customer_id: str, call_id: str, responses: Mapping[str, Any]) -> bool:
        """Keep a client's answers; those to nothing that waits are ignored.

        Returns:
            Whether the call has all its answers now, and goes on as soon as a run takes it.

        Raises:
            BadInput: an answer is none to its question.
        """
        claim = Claim(customer_id, call_id, "")
        pending = await self.pending(customer_id, call_id)
        answers = {key: responses[key] for key in pending if key in responses}
        for key, answer in answers.items():
            read_answer(key, _REQUEST.validate_python(pending[key]), answer)
        if not answers:
            return False
        await self._rows.answer(claim, self.sealed(claim, answers))
        # Read anew: of two answers that come at once, the later one finds that nothing is missing.
        if await self._rows.questions(customer_id, call_id, ASKED):
            return False
        await self._rows.wake(customer_id, call_id)
        return True

    def _seal(self, claim: Claim, key: str, value: Any) -> str:
        return self._keyring.seal(orjson.dumps(value), ask_name(claim.customer_id, claim.call_id, key))

    def _opened(self, claim: Claim, kept: Mapping[str, str]) -> dict[str, Any]:
        opened = {}
        for name, sealed in kept.items():
            key = name.removeprefix(ASK_PREFIX)
            try:
                opened[key] = orjson.loads(self._keyring.open(sealed, ask_name(claim.customer_id, claim.call_id, key)))
            except Undecryptable as error:
                raise Internal("What the call asked can no longer be read.", detail=error.reason) from None
        return opened
