"""What became of a call: from its audit line, from its pending record while it is under way, or its long call's row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from redis.asyncio import Redis

from hermes.audit.trail import Trail
from hermes.errors import NotFound
from hermes.gateway.admission import Call, pending_prefix
from hermes.gateway.long_calls import LongCalls
from hermes.identity.caller import Caller


class CallStatus(BaseModel):
    """One call of the customer's. `status` is `running` until it is settled, then its outcome.

    A call that may take minutes also has `publish_state` (`created`, `uploading`, `processing`, `published`, `failed`
    or `outcome_unknown`), `progress`, and for 24 hours its `result` or `problem`, for callers who may use the tool.
    """

    id: str
    status: str
    tool: str
    account: str | None
    at: datetime
    error: str | None = None
    duration_ms: float | None = None
    arguments: dict[str, Any]
    publish_state: str | None = None
    progress: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None


class CallLookup:
    """Finds a customer's calls by id."""

    def __init__(self, redis: Redis, trail: Trail, long_calls: LongCalls | None = None) -> None:
        self._redis = redis
        self._trail = trail
        self._long_calls = long_calls

    async def find(self, caller: Caller, call_id: str) -> CallStatus:
        """The caller's call.

        Raises:
            NotFound: no such call of this customer's, or it is older than the trail is kept.
        """
        status = await self._settled_or_pending(caller, call_id)
        long = await self._long_calls.find(caller, call_id) if self._long_calls is not None else None
        if long is None:
            return status
        shown = status.model_copy(update={"publish_state": long.publish_state, "progress": long.progress})
        if status.status == "running" and long.status != "running":
            # Its outcome is written; the line in the trail follows in a moment.
            shown.status, shown.error = long.status, long.error.code if long.error is not None else None
        if long.begun_by == caller.kind:
            # What a customer's tool gave is for the customer, not for an operator who looks after them.
            shown.result = long.result
            shown.problem = long.error.as_dict() if long.error is not None else None
        return shown

    async def _settled_or_pending(self, caller: Caller, call_id: str) -> CallStatus:
        record = await self._redis.get(pending_prefix(caller.customer_id) + call_id)
        if record is not None:
            return _status("running", Call.from_json(str(record)).entry)
        entry = await self._trail.find(caller.customer_id, call_id)
        if entry is None:
            raise NotFound("There is no such call; the id is in the answer of the call, as `call_id`.")
        return _status(entry["outcome"], entry)


def _status(status: str, entry: Any) -> CallStatus:
    return CallStatus(status=status, **{name: entry[name] for name in CallStatus.model_fields if name in entry})
