"""Ending tasks that go on until they are told to stop."""

from __future__ import annotations

import asyncio
from typing import Any, Final

_AGAIN: Final = 1.0


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks, and return when all of them are over; what they end with is not raised.

    They are asked again and again: `asyncio.wait_for` of Python 3.11, which redis-py sends with, can lose a
    cancellation that comes just as it ends (https://github.com/python/cpython/issues/86296).
    """
    going_on = {task for task in tasks if not task.done()}
    while going_on:
        for task in going_on:
            task.cancel()
        _, going_on = await asyncio.wait(going_on, timeout=_AGAIN)
