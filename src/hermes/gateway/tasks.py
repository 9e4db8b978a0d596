"""Background work of the pipeline."""

from __future__ import annotations

from hermes.gateway.admission import Admissions
from hermes.storage.queue import JobQueue


def register_tasks(queue: JobQueue, admissions: Admissions) -> None:
    """Close every quarter of a minute what dead processes left pending."""

    async def sweep() -> None:
        await admissions.sweep()

    queue.cron("gateway.sweep_pending", "*/15 * * * * * *", sweep)
