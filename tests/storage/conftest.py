"""Processes that the storage tests start, kill and wait for."""

from __future__ import annotations

import asyncio
import fcntl
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SECONDS = 20.0


@dataclass
class Child:
    """A running program of this folder and the first line it printed, as JSON."""

    process: asyncio.subprocess.Process
    said: dict[str, Any]

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def end(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return await asyncio.wait_for(self.process.wait(), SECONDS)


StartChild = Callable[..., Awaitable[Child]]


@pytest.fixture
async def start_child() -> AsyncIterator[StartChild]:
    """`await start_child("holder.py", …)`: run it until the test ends."""
    children: list[asyncio.subprocess.Process] = []

    async def start(program: str, *arguments: str) -> Child:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(HERE / program),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        children.append(process)
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), SECONDS)
        return Child(process, json.loads(line))

    yield start
    for process in children:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def valkey_ended() -> Callable[[Path], Awaitable[None]]:
    """Wait until no Valkey lives in a data folder: it holds a lock as long as it does."""

    async def ended(folder: Path) -> None:
        with (folder / "valkey" / "lock").open("r+") as lock:
            async with asyncio.timeout(SECONDS):
                while True:
                    try:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        await asyncio.sleep(0.02)
                    else:
                        return

    return ended
