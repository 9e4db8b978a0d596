"""Background work on media."""

from __future__ import annotations

from hermes.media.store import MediaStore
from hermes.storage.queue import JobQueue


def register_tasks(queue: JobQueue, media: MediaStore) -> None:
    """Delete every ten minutes what has expired."""

    async def sweep() -> None:
        await media.sweep()

    queue.cron("media.sweep", "*/10 * * * *", sweep)
