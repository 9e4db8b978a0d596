"""Run by the tests: open the stores of a data folder, write a key, say so, and wait to be killed or told to end."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from hermes.settings import load_settings
from hermes.storage.stores import open_stores


async def main(folder: str, holder: str) -> None:
    settings = load_settings({}, env_file=None, data_dir=Path(folder))
    async with open_stores(settings, holder="server" if holder == "server" else "command") as stores:
        await stores.redis.set("written", "before")
        pid = stores.embedded.pid if stores.embedded else None
        said = {"valkey": pid, "url": stores.redis_url, "migrated": "alembic" in sys.modules}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)


asyncio.run(main(*sys.argv[1:]))
