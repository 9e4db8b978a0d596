"""What became of a call: from its audit line, or from its pending record while it is under way."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from redis.asyncio import Redis

from hermes.audit.trail import Trail
from hermes.errors import NotFound
from hermes.gateway.admission import Call, pending_prefix
from hermes.identity.caller import Caller


class CallStatus(BaseModel):
    """One call of the customer's. `status` is `running` until it is settled, then its outcome."""

    id: str
    status: str
    tool: str
    account: str | None
    at: datetime
    error: str | None = None
    duration_ms: float | None = None
    arguments: dict[str, Any]


class CallLookup:
    """Finds a customer's calls by id."""

    def __init__(self, redis: Redis, trail: Trail) -> None:
        self._redis = redis
        self._trail = trail

    async def find(self, caller: Caller, call_id: str) -> CallStatus:
        """The caller's call.

        Raises:
            NotFound: no such call of this customer's, or it is older than the trail is kept.
        """
        record = await self._redis.get(pending_prefix(caller.customer_id) + call_id)
        if record is not None:
            return _status("running", Call.from_json(str(record)).entry)
        entry = await self._trail.find(caller.customer_id, call_id)
        if entry is None:
            raise NotFound("There is no such call; the id is in the answer of the call, as `call_id`.")
        return _status(entry["outcome"], entry)


def _status(status: str, entry: Any) -> CallStatus:
    return CallStatus(status=status, **{name: entry[name] for name in CallStatus.model_fields if name in entry})
