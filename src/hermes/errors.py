"""Everything that can go wrong with a call, as one small tree.

    HermesError
    ├── InvalidArguments       400  what the caller sent does not fit
    │   ├── Unfetchable        400  nothing came from a URL that was given
    │   └── BadInput           400  an answer or its request state does not fit; over MCP a protocol error, -32602
    ├── MissingCapability      422  the client cannot be asked what the tool has to ask; over MCP -32021
    ├── NotAuthenticated       401  nobody, or a key we do not know
    ├── InsufficientScope      403  an OAuth caller could get it by asking for more
    ├── NotGranted             403  the key or the plan does not reach it
    ├── Suspended              403  the customer is suspended
    ├── NotConnected           409  no account linked on that platform
    ├── NeedsReconnect         409  linked once, but its credential no longer works
    ├── QuotaExceeded          429  our plan's monthly calls are used up
    ├── RateLimited            429  too fast: ours or the vendor's limit (says which)
    ├── ApprovalRequired       409  the customer wants to be asked first
    ├── ApprovalDenied         403  the customer said no
    ├── PayloadTooLarge        413
    ├── PlatformRejected       422  the platform gave a clear no
    ├── PlatformUnavailable    503  the platform did not answer; it did not act
    ├── OutcomeUnknown         504  the platform may or may not have acted; never sent again
    ├── NotFound               404
    │   └── UnknownTool        404  over MCP a protocol error, -32602
    ├── Conflict               409
    └── Internal               500

A message is one sentence for the model or person, with the way out. `detail` is for the log only and never leaves
the process. The statuses are for HTTP (RFC 9457 problem documents); how MCP shows an error stands in `transports`.
"""

from __future__ import annotations

from typing import Any, ClassVar


class HermesError(Exception):
    """Base of all errors that a caller may see.

    Attributes:
        code: stable, machine-readable name of the kind (design.md, section 4).
        status: HTTP status, 400 to 599.
        retryable: whether the same call may succeed later without a change.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        detail: str | None = None,
        nothing_sent: bool = False,
        **data: Any,
    ) -> None:
        """Describe what happened.

        Args:
            message: one sentence for the model or person, with the way out. Never holds a secret.
            retry_after: seconds until trying again makes sense.
            detail: the developer's detail; goes to the log only.
            nothing_sent: true when it is certain that the platform received no byte of the request.
            data: further JSON-ready members shown to the caller (e.g. `fields`, `connect_url`, `platform_code`).
        """
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.detail = detail
        self.nothing_sent = nothing_sent
        self.data = data

    def as_dict(self) -> dict[str, Any]:
        """The JSON members that every transport shows: code, message, retryable, retry_after and the data."""
        shown: dict[str, Any] = {"code": self.code, "message": self.message, "retryable": self.retryable}
        if self.retry_after is not None:
            shown["retry_after"] = self.retry_after
        return shown | self.data


class InvalidArguments(HermesError):
    """What the caller sent does not fit. `fields` lists `{field, problem}`: what was wrong and what is allowed."""

    code = "invalid_arguments"
    status = 400


class Unfetchable(InvalidArguments):
    """Nothing came from a URL to us. Whether others could fetch it is not known."""


class BadInput(InvalidArguments):
    """What a client gave back for a question of ours does not fit: the answer, or the state that went with it."""


class MissingCapability(HermesError):
    """The client did not say that it can do what the tool needs of it. `required_capabilities` names that as MCP does
    (ClientCapabilities)."""

    code = "missing_capability"
    status = 422


class NotAuthenticated(HermesError):
    code = "not_authenticated"
    status = 401


class InsufficientScope(HermesError):
    """An OAuth caller lacks a scope it could ask for. `scope`: space-separated, all that the operation needs."""

    code = "insufficient_scope"
    status = 403


class NotGranted(HermesError):
    code = "not_granted"
    status = 403


class Suspended(HermesError):
    code = "suspended"
    status = 403


class NotConnected(HermesError):
    """No account is linked on the platform. `platform` names it, `connect_url` is where a person links one."""

    code = "not_connected"
    status = 409


class NeedsReconnect(HermesError):
    """The linked account's credential no longer works. Data as in `NotConnected`."""

    code = "needs_reconnect"
    status = 409


class QuotaExceeded(HermesError):
    """The plan's monthly calls are used up. `limit`, `used`, `resets_at` (ISO 8601) say how it stands."""

    code = "quota_exceeded"
    status = 429


class RateLimited(HermesError):
    """Too fast. `limited_by`: `plan` or `address` (ours), or the platform's id; has `retry_after` when it is known."""

    code = "rate_limited"
    status = 429
    retryable = True


class ApprovalRequired(HermesError):
    code = "approval_required"
    status = 409


class ApprovalDenied(HermesError):
    code = "approval_denied"
    status = 403


class PayloadTooLarge(HermesError):
    code = "payload_too_large"
    status = 413


class PlatformRejected(HermesError):
    """A clear no from the platform. `platform_code` and `platform_message` are its own words."""

    code = "platform_rejected"
    status = 422


class PlatformUnavailable(HermesError):
    """The platform did not answer, or said it is down, and certainly did not act."""

    code = "platform_unavailable"
    status = 503
    retryable = True


class OutcomeUnknown(HermesError):
    """The request may have been received and no clear answer came. `call_id` tells how to find out."""

    code = "outcome_unknown"
    status = 504


class NotFound(HermesError):
    code = "not_found"
    status = 404


class UnknownTool(NotFound):
    """No such tool for this caller, whether it does not exist or is hidden from them."""


class Conflict(HermesError):
    code = "conflict"
    status = 409


class Internal(HermesError):
    code = "internal"
    status = 500


def error_from_dict(members: dict[str, Any]) -> HermesError:
    """The error that `as_dict` described: how a first answer that was an error is given again."""
    rest = {name: value for name, value in members.items() if name not in ("code", "message", "retryable")}
    return _BY_CODE.get(members["code"], Internal)(members["message"], **rest)


_BY_CODE: dict[str, type[HermesError]] = {kind.code: kind for kind in HermesError.__subclasses__()}
