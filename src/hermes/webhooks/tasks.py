"""Background work on inbound webhooks."""

from __future__ import annotations

from hermes.storage.queue import JobQueue
from hermes.webhooks.service import PROCESS_JOB, InboundEvents


def register_tasks(queue: JobQueue, events: InboundEvents) -> None:
    """Have accepted requests processed, lost ones found every minute, and old ones deleted every night."""
    queue.task(PROCESS_JOB, events.process)
    queue.cron("webhooks.sweep_inbound", "* * * * *", events.sweep)
    queue.cron("webhooks.purge_inbound", "17 3 * * *", events.purge)
