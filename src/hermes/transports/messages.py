"""JSON-RPC messages as they arrive: told apart, and their envelopes checked, per era."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mcp.shared.inbound import (
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundLadderRejection,
    classify_inbound_request,
    decode_header_value,
    find_duplicated_routing_header,
    unsupported_protocol_version_rejection,
)
from mcp_types import HEADER_MISMATCH, INVALID_REQUEST, RequestId
from mcp_types.version import SUPPORTED_PROTOCOL_VERSIONS
from starlette.datastructures import Headers

from hermes.transports.era import Era, era_of
from hermes.transports.exchange import Answer, RpcRequest, error_body, rejection
from hermes.transports.tasks import METHODS as TASK_METHODS


@dataclass(frozen=True, slots=True)
class Read:
    """What became of reading a message: a request to run, or the answer it already has.

    Attributes:
        era: of the message.
        request: to be run; None when `answer` is given.
        answer: 202 for what needs no answer, or an error.
    """

    era: Era
    request: RpcRequest | None = None
    answer: Answer | None = None

    @property
    def fit(self) -> bool:
        """Whether nothing is wrong with the message."""
        return self.answer is None or self.answer is ACCEPTED


ACCEPTED = Answer(202, b"")


def read_message(message: Any, headers: Headers) -> Read:
    """Check one message's envelope and decide its era.

    Args:
        message: parsed JSON, an array excluded.
        headers: of the HTTP request it came in.
    """
    if not isinstance(message, dict):
        return Read(Era("unknown", ""), answer=_invalid(None))
    era = era_of(message, headers)
    if era.kind == "unknown":
        return Read(era, answer=_unknown_version(message, era.version))
    if "method" not in message and ("result" in message or "error" in message):
        # A client's response to a request of ours: legacy clients may send one (we never ask), modern ones must not.
        return Read(era, answer=ACCEPTED if era.kind == "legacy" else _invalid(_readable_id(message)))
    if not _well_formed(message):
        return Read(era, answer=_invalid(_readable_id(message)))
    if "id" not in message:
        return Read(era, answer=_notification(era, headers))
    return _request(message, era, headers)


def _request(message: dict[str, Any], era: Era, headers: Headers) -> Read:
    if _readable_id(message) is None:
        return Read(era, answer=_invalid(None))
    if era.kind == "legacy":
        return Read(era, RpcRequest(message["id"], message["method"], message.get("params"), era.version))
    return _modern(message, era, headers)


def _modern(message: dict[str, Any], era: Era, headers: Headers) -> Read:
    duplicated = find_duplicated_routing_header(headers.items())
    if duplicated is not None:
        refused = InboundLadderRejection(HEADER_MISMATCH, f"{duplicated} header appears more than once")
        return Read(era, answer=rejection(message["id"], refused))
    route = classify_inbound_request(message, headers=headers)
    if isinstance(route, InboundLadderRejection):
        return Read(era, answer=rejection(message["id"], route))
    if message["method"] in TASK_METHODS and not _names_task(message["params"], headers):
        refused = InboundLadderRejection(HEADER_MISMATCH, "mcp-name header does not match the request body's 'taskId'")
        return Read(era, answer=rejection(message["id"], refused))
    request = RpcRequest(message["id"], message["method"], message.get("params"), route.protocol_version, route)
    return Read(era, request)


def _names_task(params: dict[str, Any], headers: Headers) -> bool:
    """Whether the header that routes a task's requests names the same task as the body; the SDK does not check it."""
    task_id = params.get("taskId")
    return not isinstance(task_id, str) or decode_header_value(headers.get(MCP_NAME_HEADER)) == task_id


def _notification(era: Era, headers: Headers) -> Answer:
    """Notifications are accepted and dropped: without a session there is nothing for one to act on."""
    if era.kind == "modern":
        refused = unsupported_protocol_version_rejection(headers.get(MCP_PROTOCOL_VERSION_HEADER, ""))
        if refused is not None:
            return rejection(None, refused)
    return ACCEPTED


def _well_formed(message: dict[str, Any]) -> bool:
    params = message.get("params")
    return (
        message.get("jsonrpc") == "2.0"
        and isinstance(message.get("method"), str)
        and (params is None or isinstance(params, dict))
    )


def _readable_id(message: dict[str, Any]) -> RequestId | None:
    request_id = message.get("id")
    return request_id if isinstance(request_id, str | int) and not isinstance(request_id, bool) else None


def _invalid(request_id: RequestId | None) -> Answer:
    return Answer(400, error_body(request_id, INVALID_REQUEST, "Body must be a JSON-RPC 2.0 request or notification"))


def _unknown_version(message: dict[str, Any], version: str) -> Answer:
    known = ", ".join(SUPPORTED_PROTOCOL_VERSIONS)
    text = f"Unsupported protocol version {version[:32]!r}; supported: {known}"
    return Answer(400, error_body(_readable_id(message), INVALID_REQUEST, text))
