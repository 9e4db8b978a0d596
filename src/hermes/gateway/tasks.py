"""Background work of the pipeline."""

from __future__ import annotations

from hermes.gateway.admission import Admissions
from hermes.gateway.approval_desk import ApprovalDesk
from hermes.gateway.approval_runs import JOB as APPROVED_JOB
from hermes.gateway.approval_runs import ApprovalRuns
from hermes.gateway.long_calls import JOB as LONG_CALL_JOB
from hermes.gateway.long_calls import LongCalls
from hermes.storage.queue import JobQueue


def register_tasks(queue: JobQueue, admissions: Admissions, long_calls: LongCalls) -> None:
    """Close every quarter of a minute what dead processes left pending, and go on with their long calls."""

    async def sweep() -> None:
        await admissions.sweep()

    queue.cron("gateway.sweep_pending", "*/15 * * * * * *", sweep)

    async def find_abandoned() -> None:
        await long_calls.sweep(lambda call_id: queue.enqueue(LONG_CALL_JOB, call_id))

    queue.task(LONG_CALL_JOB, long_calls.take_over)
    queue.cron("gateway.sweep_long_calls", "*/10 * * * * * *", find_abandoned)
    queue.cron("gateway.purge_long_calls", "41 * * * *", long_calls.purge)


def register_approvals(queue: JobQueue, desk: ApprovalDesk, runs: ApprovalRuns) -> None:
    """End what is over, and run or settle what dead processes left."""

    async def sweep() -> None:
        await runs.sweep(lambda customer_id, approval_id: queue.enqueue(APPROVED_JOB, customer_id, approval_id))

    queue.task(APPROVED_JOB, desk.run_left)
    queue.cron("gateway.sweep_approvals", "*/10 * * * * * *", sweep)
    queue.cron("gateway.purge_approvals", "43 * * * *", runs.approvals.rows.purge)
