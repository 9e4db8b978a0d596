"""The parts of long calls and approvals that are kept sealed, and under which names."""

from __future__ import annotations

from typing import Any, Final

from hermes.gateway.long_rows import ANSWERED, ASKED
from hermes.gateway.models import ApprovalRow, CallStepRow, LongCallRow
from hermes.keys.seals import Seal

ASK_PREFIX: Final = "ask:"
_APPROVALS_REMEDY: Final = "those calls cannot be run; their callers make them again"
_REMEDY: Final = "those calls end as they are, and their callers look on the platform before they repeat them"


def part_name(customer_id: str, call_id: str, part: str) -> str:
    """Under which a part of a call (`arguments`, `result`) is sealed."""
    return f"call:{customer_id}:{call_id}:{part}"


def step_name(customer_id: str, call_id: str, step: str) -> str:
    """Under which what a step gave is sealed."""
    return f"step:{customer_id}:{call_id}:{step}"


def ask_name(customer_id: str, call_id: str, step: str) -> str:
    """Under which a question or its answer is sealed.

    Args:
        step: the question's key, or the step that keeps it (the key after `ask:`).
    """
    return f"ask:{customer_id}:{call_id}:{step.removeprefix(ASK_PREFIX)}"


def approval_name(customer_id: str, approval_id: str, part: str) -> str:
    """Under which a part of an approval (`arguments`, `result`) is sealed."""
    return f"approval:{customer_id}:{approval_id}:{part}"


def _step(row: Any) -> str:
    name = ask_name if row.state in (ASKED, ANSWERED) else step_name
    return name(row.customer_id, row.call_id, row.name)


SEALS: Final = (
    Seal(
        "arguments of long calls",
        LongCallRow.id,
        LongCallRow.sealed_arguments,
        lambda row: part_name(row.customer_id, row.id, "arguments"),
        _REMEDY,
        reads=(LongCallRow.customer_id,),
    ),
    Seal(
        "results of long calls",
        LongCallRow.id,
        LongCallRow.sealed_outcome,
        lambda row: part_name(row.customer_id, row.id, "result"),
        _REMEDY,
        reads=(LongCallRow.customer_id,),
    ),
    Seal(
        "steps of long calls",
        CallStepRow.number,
        CallStepRow.sealed_result,
        _step,
        _REMEDY,
        reads=(CallStepRow.customer_id, CallStepRow.call_id, CallStepRow.name, CallStepRow.state),
    ),
    Seal(
        "arguments of approvals",
        ApprovalRow.id,
        ApprovalRow.sealed_arguments,
        lambda row: approval_name(row.customer_id, row.id, "arguments"),
        _APPROVALS_REMEDY,
        reads=(ApprovalRow.customer_id,),
    ),
    Seal(
        "results of approvals",
        ApprovalRow.id,
        ApprovalRow.sealed_result,
        lambda row: approval_name(row.customer_id, row.id, "result"),
        _APPROVALS_REMEDY,
        reads=(ApprovalRow.customer_id,),
    ),
)
