"""MCP tasks (extension `io.modelcontextprotocol/tasks`): long calls for clients that rather ask than wait.

Source: https://github.com/modelcontextprotocol/ext-tasks, specification/2026-07-28/tasks.md. A task is a long call and
its id is the call's: durable before it is told, unguessable, and shown only to callers of the same customer who may use
its tool. What a tool has to ask while it runs is shown by `tasks/get` and answered by `tasks/update`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn

from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    PROTOCOL_VERSION_META_KEY,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from hermes.errors import BadInput, Internal
from hermes.gateway.call import Gateway
from hermes.gateway.long_calls import LongCalls
from hermes.gateway.long_rows import KEPT
from hermes.gateway.results import TASKS, CallOptions, CallResult, LongCall
from hermes.identity.caller import Caller
from hermes.transports.inbound import inbound_of
from hermes.transports.tool_results import failure, success

EXTENSION: Final = TASKS
GET: Final = "tasks/get"
UPDATE: Final = "tasks/update"
CANCEL: Final = "tasks/cancel"
METHODS: Final = frozenset({GET, UPDATE, CANCEL})

POLL_MS: Final = 2_000


class TaskParams(RequestParams):
    """What all three methods take."""

    task_id: str


class UpdateParams(TaskParams):
    """What `tasks/update` takes."""

    input_responses: dict[str, Any] = Field(default_factory=dict)


class McpTasks:
    """The handlers, and the making of tasks."""

    def __init__(self, gateway: Gateway, long_calls: LongCalls) -> None:
        self._gateway = gateway
        self._long_calls = long_calls

    async def create(
        self, caller: Caller, name: str, arguments: dict[str, Any], options: CallOptions
    ) -> dict[str, Any]:
        """Begin a long call and give its task, or its result when an idempotency key had it already.

        Raises:
            HermesError: as `Gateway.call`, whatever stops it before it is begun.
        """
        begun = await self._gateway.start(caller, name, arguments, replace(options, task=True))
        if isinstance(begun, CallResult):
            return success(begun)
        return {
            "_meta": {},
            "resultType": "task",
            **_task(begun.call_id, "working", begun.created_at, begun.created_at),
        }

    async def get(self, context: Any, params: TaskParams) -> dict[str, Any]:
        """`tasks/get`: how a task stands; its result when it is through.

        Raises:
            MCPError: -32602, there is no such task for this caller; -32021, the client does not know tasks.
        """
        call = await self._long_calls.find(self._caller(context), params.task_id)
        return {"resultType": "complete", **_detailed(call)} if call is not None else _unknown()

    async def update(self, context: Any, params: UpdateParams) -> dict[str, Any]:
        """`tasks/update`: the answers are taken, and the call goes on when it has all; others are ignored.

        Raises:
            MCPError: as `get`; -32602, an answer is none to its question.
        """
        try:
            known = await self._long_calls.answer(self._caller(context), params.task_id, params.input_responses)
        except BadInput as error:
            raise MCPError(code=INVALID_PARAMS, message=error.message) from None
        if not known:
            _unknown()
        return {"resultType": "complete"}

    async def cancel(self, context: Any, params: TaskParams) -> dict[str, Any]:
        """`tasks/cancel`: the call ends before its next step, if there is one to come.

        Raises:
            MCPError: as `get`.
        """
        if not await self._long_calls.cancel(self._caller(context), params.task_id):
            _unknown()
        return {"resultType": "complete"}

    async def known(self, context: Any, task_ids: list[str]) -> list[str]:
        """Those of the named tasks that there are for this caller.

        Raises:
            MCPError: -32021, the client does not know tasks.
        """
        caller = self._caller(context)
        return [each for each in dict.fromkeys(task_ids) if await self._long_calls.find(caller, each) is not None]

    async def shown(self, caller: Caller, task_id: str) -> dict[str, Any] | None:
        """A task as `tasks/get` shows it; None when it is kept no more, or the caller may not see it any more."""
        call = await self._long_calls.find(caller, task_id)
        return _detailed(call) if call is not None else None

    def register(self, server: Server[Any]) -> None:
        """Have the SDK's server answer the methods, and tell clients about them."""
        server.add_request_handler(GET, TaskParams, self.get)
        server.add_request_handler(UPDATE, UpdateParams, self.update)
        server.add_request_handler(CANCEL, TaskParams, self.cancel)
        server.extensions[EXTENSION] = {}

    def _caller(self, context: Any) -> Caller:
        if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            raise MCPError(code=METHOD_NOT_FOUND, message="Method not found")
        if not declares_tasks(context.params):
            raise MCPError(
                code=MISSING_REQUIRED_CLIENT_CAPABILITY,
                message=f"This method is for clients that declare the extension {EXTENSION}",
                data={"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
            )
        return inbound_of(context).caller


def declares_tasks(params: Mapping[str, Any] | None) -> bool:
    """Whether a request says that its client knows tasks. Only requests of the modern era can."""
    meta = params.get("_meta") if params else None
    if not isinstance(meta, Mapping) or PROTOCOL_VERSION_META_KEY not in meta:
        return False
    capabilities = meta.get(CLIENT_CAPABILITIES_META_KEY)
    extensions = capabilities.get("extensions") if isinstance(capabilities, Mapping) else None
    return isinstance(extensions, Mapping) and isinstance(extensions.get(EXTENSION), Mapping)


def _detailed(call: LongCall) -> dict[str, Any]:
    if call.status == "running" and call.asking:
        return _task(call.id, "input_required", call.created_at, call.updated_at, inputRequests=call.asking)
    if call.status == "running":
        message = call.publish_state
        told = call.progress.get("message") if call.progress is not None else None
        if isinstance(told, str):
            message = f"{message}: {told}"
        return _task(call.id, "working", call.created_at, call.updated_at, statusMessage=message)
    if call.status == "cancelled":
        return _task(call.id, "cancelled", call.created_at, call.updated_at)
    if isinstance(call.error, Internal):
        error = {"code": INTERNAL_ERROR, "message": call.error.message, "data": call.error.as_dict()}
        return _task(call.id, "failed", call.created_at, call.updated_at, error=error)
    result = failure(call.error) if call.error is not None else _succeeded(call)
    return _task(call.id, "completed", call.created_at, call.updated_at, result=result)


def _succeeded(call: LongCall) -> dict[str, Any]:
    return success(CallResult(call.id, call.result or {}, call.blocks, call.account))


def _task(task_id: str, status: str, created: datetime, updated: datetime, **more: Any) -> dict[str, Any]:
    return {
        "taskId": task_id,
        "status": status,
        "createdAt": _written(created),
        "lastUpdatedAt": _written(updated),
        "ttlMs": KEPT // timedelta(milliseconds=1),
        "pollIntervalMs": POLL_MS,
        **more,
    }


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _unknown() -> NoReturn:
    raise MCPError(code=INVALID_PARAMS, message="Unknown task: there is none of this id, or its result is kept no more")
