"""What goes into a call beside its arguments, and what comes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from hermes.errors import HermesError
from hermes.gateway.asking import Dialogue
from hermes.platforms.base import Tool
from hermes.platforms.context import LogLevel
from hermes.platforms.schema import Schema

TASKS: Final = "io.modelcontextprotocol/tasks"
"""MCP's extension by which clients say that they take a task in place of a result."""

Transport = Literal["mcp", "sse", "rest", "cli"]
ProgressReport = Callable[[float, float | None, str | None], Awaitable[None]]
LogReport = Callable[[LogLevel, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Permit:
    """The customer's yes to one call.

    Attributes:
        id: of the approval.
        account: the label of the account that it is for.
        asked: the label that the call named itself; None when it left that open.
        by: the session or key of whoever said yes.
        via: `page`, or `client` for a yes that the assistant's program brought.
    """

    id: str
    account: str
    asked: str | None
    by: str
    via: str


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How a call came in.

    Attributes:
        transport: by which door.
        request_id: the id of the HTTP request, for logs and the audit line.
        client: what the client calls itself (untrusted, shown in the audit trail).
        idempotency_key: the client's own key, if it gave one (1 to 255 printable ASCII characters).
        report: where progress goes, if the client asked for it.
        query: the arguments are strings of a URL's query and are read leniently.
        log: where a tool's messages go, if the client wants any.
        unlisted: the tool is one that clients cannot call, such as a platform's list of recent documents.
        dialogue: what the client can be asked and has answered; None where nobody can be asked.
        task: the client does not wait for a long call, but takes its id and asks how it stands.
        permit: the customer was asked, and this is the call that was agreed to.
    """

    transport: Transport
    request_id: str
    client: str | None = None
    idempotency_key: str | None = None
    report: ProgressReport | None = None
    query: bool = False
    log: LogReport | None = None
    dialogue: Dialogue | None = None
    unlisted: bool = False
    task: bool = False
    permit: Permit | None = None


@dataclass(frozen=True, slots=True)
class CallResult:
    """A call that succeeded. `structured` fits the tool's output schema; all its texts passed the fence.

    `blocks` says that its member `content` has blocks to show, and that the rest is data. `account` is the label of the
    account that was used, as far as that is known.
    """

    call_id: str
    structured: dict[str, Any]
    blocks: bool = False
    account: str | None = None


@dataclass(frozen=True, slots=True)
class LongCall:
    """How a call that may take minutes stands.

    Attributes:
        status: `running`, then the outcome as the trail names it.
        publish_state: `created`, `uploading`, `processing`, `published`, `failed` or `outcome_unknown`.
        progress: `done`, `total` and `message`, as last told.
        result: the fenced result, after success.
        error: what stopped it.
        begun_by: the kind of caller that began it.
        blocks: as in `CallResult`.
        asking: the questions that it waits for, by key, as MCP writes them.
    """

    id: str
    tool: str
    account: str
    status: str
    publish_state: str
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    error: HermesError | None
    created_at: datetime
    updated_at: datetime
    begun_by: str
    blocks: bool = False
    asking: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolView:
    """A tool as one caller sees it: with `account` in its schema where that caller has a choice to make."""

    tool: Tool
    input_schema: Schema
