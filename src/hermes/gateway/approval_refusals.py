"""The errors by which a call is told that it waits for the customer, or must not be run."""

from __future__ import annotations

from typing import Final

from hermes.errors import ApprovalDenied, ApprovalRequired, Conflict, Internal, OutcomeUnknown
from hermes.gateway.models import ApprovalRow
from hermes.identity.approval_rules import ApprovalRule
from hermes.platforms.base import Tool

SOON: Final = 2.0
"""Seconds after which it makes sense to repeat a call whose approved run is under way."""


def never(tool: Tool, rule: ApprovalRule, page: str) -> ApprovalDenied:
    """A rule says never; `page` is where it can be changed."""
    who = "The operator" if rule.set_by == "operator" else "The customer"
    return ApprovalDenied(
        f"{who} set the rule 'never' for {rule.target}, so {tool.name} was not run and nothing was sent. Only a "
        f"person can change that, signed in at {page}; do not try another way.",
        rule=rule.target,
        set_by=rule.set_by,
        rules_url=page,
        nothing_sent=True,
    )


def required(row: ApprovalRow, url: str) -> ApprovalRequired:
    """The customer has to say yes at `url`."""
    return ApprovalRequired(
        f"The customer wants to be asked before {row.tool} is run; nothing was sent yet. Ask them to look at it and "
        f"approve it at {url} before {row.expires_at:%H:%M} UTC. Then repeat this very call: it gives the result, and "
        "is run only once.",
        approval_id=row.id,
        approve_url=url,
        expires_at=row.expires_at.isoformat(),
        nothing_sent=True,
    )


def denied(row: ApprovalRow) -> ApprovalDenied:
    """The customer said no."""
    return ApprovalDenied(
        f"The customer said no to this {row.tool}; nothing was sent. Do not try it again or another way unless they "
        "ask for it.",
        approval_id=row.id,
        nothing_sent=True,
    )


def running(row: ApprovalRow) -> Conflict:
    """The approved call is under way."""
    return Conflict(
        f"The approved {row.tool} is being run right now. Repeat this very call shortly for its result.",
        retry_after=SOON,
        approval_id=row.id,
    )


def lost_run(row: ApprovalRow) -> OutcomeUnknown:
    """The error for an approved call whose run left no answer."""
    return OutcomeUnknown(
        f"The server was restarted while the approved {row.tool} was under way, so it may have been done. It is not "
        "run again; check on the platform.",
        approval_id=row.id,
    )


def unreadable(detail: str | None = None) -> Internal:
    """What is kept of the call does not open; `detail` is for the log."""
    return Internal("What the call was to do can no longer be read.", detail=detail, nothing_sent=True)
