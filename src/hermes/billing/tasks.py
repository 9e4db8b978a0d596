"""Background work of billing."""

from __future__ import annotations

from hermes.billing.usage import UsageLedger
from hermes.storage.queue import JobQueue


def register_tasks(queue: JobQueue, ledger: UsageLedger) -> None:
    """Move usage to SQL every two seconds."""

    async def flush() -> None:
        await ledger.flush()

    queue.cron("billing.flush_usage", "*/2 * * * * * *", flush)
