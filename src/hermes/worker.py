"""Background work: what runs by the clock, and what the job queue runs."""

from __future__ import annotations

import asyncio
import signal

from hermes.app import House


async def work(house: House) -> None:
    """Run background jobs until SIGINT or SIGTERM; running ones are finished or put back."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    house.queue.start()
    await stop.wait()
    await house.queue.stop()
