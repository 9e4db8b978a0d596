"""`hermes worker`: background jobs and nothing else, until it is told to end."""

from __future__ import annotations

import asyncio
import signal

from hermes.storage.queue import JobQueue


async def work(queue: JobQueue) -> None:
    """Run the jobs registered with `queue` until SIGINT or SIGTERM; running jobs get its grace period to finish."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        async with queue:
            queue.start()
            await ended.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
