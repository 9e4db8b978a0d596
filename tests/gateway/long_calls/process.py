"""A process of the gateway that begins one long call and hangs in one of its requests, for tests that kill it.

Arguments: database URL, Redis URL, folder, customer's id, the request that the vendor receives and never answers.
Prints the call's id, then `received` and the request's name.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path

from hermes.identity.caller import Caller, Grants, Via
from hermes.storage.redis import connect_redis
from hermes.storage.sql import Database


async def main(database_url: str, redis_url: str, folder: str, customer_id: str, request_name: str) -> None:
    spec = importlib.util.spec_from_file_location("journal", Path(__file__).parent / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    journal = importlib.util.module_from_spec(spec)
    sys.modules["journal"] = journal
    spec.loader.exec_module(journal)
    begun = asyncio.Event()

    async def hang() -> None:
        await begun.wait()
        tell(f"received {request_name}")
        await asyncio.Event().wait()

    vendor = journal.Vendor()
    vendor.after[request_name] = hang
    database, redis = Database(database_url), connect_redis(redis_url)
    caller = Caller("customer", customer_id, Via.SESSION, "key", Grants.everything(), "growth")
    async with journal.building(database, redis, Path(folder), vendor) as bench:
        run = await bench.begin(bench.start_process(), await bench.callers.refresh(caller))
        tell(run.call_id)
        begun.set()
        await run.wait()


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


asyncio.run(main(*sys.argv[1:]))
