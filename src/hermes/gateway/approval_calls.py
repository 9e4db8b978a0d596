"""Calls that wait for the customer's yes: what makes two of them the same, and what is kept of one until it is run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from pydantic import BaseModel

from hermes.errors import HermesError
from hermes.gateway.admission import Call
from hermes.gateway.arguments import check_idempotency_key, digest_of
from hermes.gateway.models import ApprovalRow
from hermes.gateway.results import CallOptions, CallResult, Permit
from hermes.identity.caller import Caller, Grants, Via
from hermes.platforms.base import Tool


@dataclass(frozen=True, slots=True)
class Claimed:
    """An approved call that whoever holds this is to run."""

    customer_id: str
    tool: str
    permit: Permit
    arguments: Mapping[str, Any] = field(repr=False)
    caller: Caller
    transport: Any
    idempotency_key: str | None = field(repr=False)


class Cleared(Exception):
    """The customer has said yes, and no run has the call yet: whoever catches this claims it and runs it."""

    def __init__(self, row: ApprovalRow) -> None:
        super().__init__(row.id)
        self.row = row


class Answered(Exception):
    """The approved call was run before; this is what came of it."""

    def __init__(self, approval_id: str, result: CallResult | HermesError) -> None:
        super().__init__(approval_id)
        self.approval_id = approval_id
        self.result = result


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call that may have to wait. `asked` is the account that it named itself."""

    caller: Caller
    call_id: str
    tool: Tool
    account: str
    asked: str | None
    arguments: BaseModel
    options: CallOptions
    digest: str
    open_key: str


def wanted(
    caller: Caller,
    call_id: str,
    tool: Tool,
    account: tuple[str, str | None],
    arguments: BaseModel,
    options: CallOptions,
) -> Wanted:
    """What a call waits as.

    Args:
        account: the label of the account that it would use, and the one that it named itself.
    """
    label, asked = account
    digest = digest_of(label, arguments.model_dump(mode="json"))
    given = options.idempotency_key
    same = [caller.key_id, digest] if given is None else ["key", given]
    parts = orjson.dumps([caller.customer_id, tool.name, *same])
    open_key = hashlib.sha256(parts).hexdigest()
    return Wanted(caller, call_id, tool, label, asked, arguments, options, digest, open_key)


def caller_as_json(caller: Caller, options: CallOptions) -> dict[str, Any]:
    """As whom the call is to be run, without any secret; see `asker`."""
    return {
        "kind": caller.kind,
        "via": caller.via.value,
        "plan": caller.plan,
        "client": caller.client or options.client,
        "transport": options.transport,
        "keyed": options.idempotency_key is not None,
    }


def asker(row: ApprovalRow) -> Caller:
    """As whom an approval's call runs; what they may do now is read before it does."""
    known = row.caller
    return Caller(
        known["kind"],
        row.customer_id,
        Via(known["via"]),
        row.key_id,
        Grants.everything() if known["kind"] == "operator" else Grants(frozenset()),
        known["plan"],
        client=known["client"],
    )


def without_account(arguments: Mapping[str, Any], permit: Permit) -> Mapping[str, Any]:
    """An approved call's arguments without the account, which its permit has, if the call named one."""
    if permit.asked is None:
        return arguments
    return {name: value for name, value in arguments.items() if name != "account"}


def key_of(options: CallOptions) -> str:
    """The idempotency key of a call that has one. That of an approved call without one of the client's cannot be
    written by any client."""
    if options.idempotency_key is not None:
        return check_idempotency_key(options.idempotency_key)
    return f"approval\n{options.permit.id if options.permit is not None else ''}"


def of_approval(call: Call, error: HermesError) -> Call:
    """The call, with the approval that it waits for in its audit line."""
    approval = error.data.get("approval_id")
    if approval is None or "approval" in call.entry:
        return call
    return replace(call, entry={**call.entry, "approval": {"id": approval}})
