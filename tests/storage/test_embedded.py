"""The embedded default: Valkey ends with hermes however that ends, and what it finds at the next start is mended."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from hermes.settings import Settings, SettingsError, load_settings
from hermes.storage.data_folder import DataFolder, DataFolderError, DataFolderInUseError
from hermes.storage.embedded import EmbeddedValkey
from hermes.storage.redis import Redis
from hermes.storage.stores import open_stores

SECONDS = 20.0
Ended = Callable[[Path], Awaitable[None]]


def _settings(folder: Path) -> Settings:
    return load_settings({}, env_file=None, data_dir=folder)


def _newest_file(folder: Path) -> Path:
    return max((folder / "valkey" / "appendonlydir").glob("*.incr.aof"))


async def _write_and_close(folder: Path, count: int = 50) -> None:
    async with open_stores(_settings(folder), holder="server") as stores:
        for number in range(count):
            await stores.redis.set(f"k{number}", "v" * 100)


async def _answers(redis: Redis) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                await redis.ping()
            except RedisError:
                await asyncio.sleep(0.02)
            else:
                return


async def test_the_migration_tool_is_loaded_only_where_there_is_something_to_migrate(
    tmp_path: Path, start_child: Any
) -> None:
    for migrated in (True, False):
        child = await start_child("holder.py", str(tmp_path), "server")
        assert child.said["migrated"] is migrated
        assert await child.end() == 0


async def test_valkey_ends_when_hermes_is_killed_and_nothing_is_lost(
    tmp_path: Path, start_child: Any, valkey_ended: Ended
) -> None:
    child = await start_child("holder.py", str(tmp_path), "server")
    assert child.said["valkey"]
    await child.kill()
    await valkey_ended(tmp_path)
    async with open_stores(_settings(tmp_path), holder="server") as stores:
        assert await stores.redis.get("written") == "before"


async def test_a_start_right_after_a_kill_waits_for_the_old_valkey(tmp_path: Path, start_child: Any) -> None:
    for _ in range(3):
        child = await start_child("holder.py", str(tmp_path), "server")
        await child.kill()
    async with open_stores(_settings(tmp_path), holder="server") as stores:
        assert await stores.redis.get("written") == "before"


async def test_a_second_server_is_told_who_has_the_folder(tmp_path: Path, start_child: Any) -> None:
    child = await start_child("holder.py", str(tmp_path), "server")
    with pytest.raises(DataFolderInUseError, match=f"pid {child.process.pid}.*--data-dir"):
        async with open_stores(_settings(tmp_path), holder="server"):
            pytest.fail("opened twice")


async def test_a_command_uses_the_servers_valkey(tmp_path: Path, start_child: Any) -> None:
    child = await start_child("holder.py", str(tmp_path), "server")
    async with open_stores(_settings(tmp_path)) as stores:
        assert stores.embedded is None
        assert await stores.redis.get("written") == "before"
    assert await child.end() == 0


async def test_a_command_waits_for_another_and_finds_its_work(tmp_path: Path, start_child: Any) -> None:
    child = await start_child("holder.py", str(tmp_path), "command")

    async def read() -> Any:
        async with open_stores(_settings(tmp_path)) as stores:
            assert stores.embedded is not None
            return await stores.redis.get("written")

    reading = asyncio.create_task(read())
    done, _ = await asyncio.wait([reading], timeout=0.2)
    assert not done
    assert await child.end() == 0
    assert await asyncio.wait_for(reading, SECONDS) == "before"


async def test_valkey_is_started_again_when_it_dies(tmp_path: Path) -> None:
    async with open_stores(_settings(tmp_path), holder="server") as stores:
        await stores.redis.set("a", "1")
        assert stores.embedded is not None
        first = stores.embedded.pid
        assert first is not None
        os.kill(first, 9)
        await _answers(stores.redis)
        assert await stores.redis.get("a") == "1"
        assert stores.embedded.pid != first


async def test_a_clean_stop_ends_valkey(tmp_path: Path, valkey_ended: Ended) -> None:
    await _write_and_close(tmp_path)
    await asyncio.wait_for(valkey_ended(tmp_path), 1)
    DataFolder(tmp_path).acquire()


@pytest.mark.parametrize("stale", ["socket", "file"])
async def test_a_stale_socket_is_replaced(tmp_path: Path, stale: str) -> None:
    path = DataFolder(tmp_path).valkey_socket()
    if stale == "socket":
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
    else:
        path.write_text("")
    (tmp_path / "lock").write_text('{"pid": 1, "holder": "server"}')
    await _write_and_close(tmp_path)


@pytest.mark.parametrize(("damage", "left"), [(b"", 49), (b"\0" * 5000, 50), (b"*3\r\n$3\r\nSET\r\n$900\r\nx", 50)])
async def test_a_damaged_end_of_the_append_only_file_is_mended(tmp_path: Path, damage: bytes, left: int) -> None:
    await _write_and_close(tmp_path)
    file = _newest_file(tmp_path)
    content = file.read_bytes()
    file.write_bytes(content + damage if damage else content[:-7])
    async with open_stores(_settings(tmp_path), holder="server") as stores:
        assert await stores.redis.dbsize() == left
        await stores.redis.set("after", "1")
    async with open_stores(_settings(tmp_path), holder="server") as stores:
        assert await stores.redis.dbsize() == left + 1


async def test_what_is_cut_off_is_kept_beside(tmp_path: Path) -> None:
    await _write_and_close(tmp_path)
    file = _newest_file(tmp_path)
    damaged = file.read_bytes() + b"\0" * 100
    file.write_bytes(damaged)
    await _write_and_close(tmp_path)
    (kept,) = (tmp_path / "valkey").glob("*.damaged-*")
    assert kept.read_bytes() == damaged


async def test_damage_elsewhere_is_a_clear_refusal_and_changes_nothing(tmp_path: Path) -> None:
    await _write_and_close(tmp_path)
    manifest = tmp_path / "valkey" / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("rubbish\n")
    before = _newest_file(tmp_path).read_bytes()
    with pytest.raises(DataFolderError, match=r"Valkey did not start.*valkey\.log"):
        await _write_and_close(tmp_path)
    assert _newest_file(tmp_path).read_bytes() == before
    DataFolder(tmp_path).acquire()


async def test_a_long_path_gets_a_short_private_socket(tmp_path: Path, start_child: Any) -> None:
    folder = tmp_path / ("long" * 40)
    child = await start_child("holder.py", str(folder), "server")
    path = DataFolder(folder).published_socket()
    assert path is not None
    assert len(os.fsencode(path)) < 104
    assert path.parent.stat().st_mode & 0o077 == 0
    async with open_stores(_settings(folder)) as stores:
        assert await stores.redis.get("written") == "before"
    await child.end()


async def test_nobody_else_can_look_into_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with open_stores(_settings(folder), holder="server") as stores:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert stores.embedded is not None
        assert stores.embedded.socket.stat().st_mode & 0o077 == 0
        assert (await stores.redis.config_get("port"))["port"] == "0"
        assert (await stores.redis.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"


async def test_valkey_needs_the_folder_to_be_held(tmp_path: Path) -> None:
    with pytest.raises(DataFolderError, match="must be held"):
        await EmbeddedValkey(DataFolder(tmp_path)).start()


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"DATABASE_URL": "mysql+asyncmy://u:secret@h/d"}, "REDIS_URL is missing"),
        ({"REDIS_URL": "redis://:secret@h"}, "DATABASE_URL is missing"),
        ({"DATABASE_URL": "nonsense secret", "REDIS_URL": "redis://h"}, "DATABASE_URL is malformed"),
        ({"DATABASE_URL": "oracle://u:secret@h/d", "REDIS_URL": "redis://h"}, "DATABASE_URL is malformed"),
        ({"DATABASE_URL": "mysql+asyncmy://h/d", "REDIS_URL": "http://:secret@h"}, "REDIS_URL is malformed"),
    ],
)
async def test_half_or_malformed_settings_are_named(tmp_path: Path, given: dict[str, str], missing: str) -> None:
    settings = load_settings(given, env_file=None, data_dir=tmp_path)
    with pytest.raises(SettingsError, match=missing) as refused:
        async with open_stores(settings):
            pytest.fail("opened")
    assert "secret@" not in str(refused.value).replace("hermes:secret@db", "").replace(":secret@redis", "")
    shutil.rmtree(tmp_path)
