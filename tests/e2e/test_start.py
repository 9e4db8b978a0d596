"""Starting, refusing to start, running as several processes, and ending."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

TOKEN = "4000:" + "S" * 30
SERVE = ("serve", "--port", "0")
IN_SANDBOX = ("--sandbox", "--sandbox-port", "0")
SECRETS = ("MCP_API_KEY", "CREDENTIAL_ENCRYPTION_KEY", "JWT_SECRET")


def refusal(done: Any) -> str:
    """The one sentence with which a command ended."""
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return str(done.stderr).strip()


def content(data_dir: Path) -> str:
    """Everything in the database."""
    with closing(sqlite3.connect(data_dir / "hermes.db")) as database:
        return "\n".join(database.iterdump())


def usage_rows(data_dir: Path) -> set[str]:
    """The calls that are charged."""
    with closing(sqlite3.connect(data_dir / "hermes.db")) as database:
        return {call_id for (call_id,) in database.execute("SELECT call_id FROM usage")}


async def test_a_second_serve_on_a_data_folder_names_the_first(shared_hermes: Any) -> None:
    said = refusal(shared_hermes.run(*SERVE, *IN_SANDBOX))
    assert f"pid {shared_hermes.pid}" in said
    assert "--data-dir" in said


async def test_a_wrong_encryption_key_is_refused_and_nothing_changed(new_hermes: Any, api: Any) -> None:
    hermes = new_hermes().start()
    assert (await api(hermes, hermes.api_key).send("before")).code == "success"
    assert await asyncio.to_thread(hermes.stop) == 0
    before = content(hermes.data_dir)
    said = refusal(hermes.run(*SERVE, *IN_SANDBOX, env={"CREDENTIAL_ENCRYPTION_KEY": "ab" * 32}))
    assert "CREDENTIAL_ENCRYPTION_KEY" in said
    assert hermes.secrets["CREDENTIAL_ENCRYPTION_KEY"] not in said
    assert "--sandbox" in refusal(hermes.run(*SERVE))  # real accounts have no business in this folder
    assert content(hermes.data_dir) == before
    await asyncio.to_thread(hermes.start)
    assert (await api(hermes, hermes.api_key).send("after")).code == "success"


async def test_the_sandbox_never_comes_to_a_folder_of_real_accounts(new_hermes: Any) -> None:
    hermes = new_hermes("--live").start()
    assert await asyncio.to_thread(hermes.stop) == 0
    assert "--sandbox" in refusal(hermes.run(*SERVE, *IN_SANDBOX))


async def test_a_taken_port_is_told_in_one_sentence(new_hermes: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = refusal(new_hermes().run("serve", "--port", str(taken.getsockname()[1])))
    assert "--port" in said


@pytest.mark.parametrize("missing", [SECRETS, ("JWT_SECRET",)])
async def test_with_stores_of_its_own_every_missing_secret_is_named(
    shared_hermes: Any, tmp_path: Path, missing: tuple[str, ...]
) -> None:
    given = {name: value for name, value in shared_hermes.secrets.items() if name not in missing}
    env = {**shared_hermes.stores, **given, "DATA_DIR": str(tmp_path / "own")}
    said = refusal(shared_hermes.run(*SERVE, env=env))
    assert tuple(name for name in SECRETS if name in said) == missing
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"REDIS_URL": "unix:///nowhere/valkey.sock"}, "REDIS_URL"),
        ({"REDIS_URL": ""}, "REDIS_URL"),
        ({"DATABASE_URL": "sqlite+aiosqlite:////nowhere/hermes.db"}, "DATABASE_URL"),
    ],
)
async def test_stores_that_cannot_be_used_are_named(
    shared_hermes: Any, tmp_path: Path, changed: dict[str, str], named: str
) -> None:
    env = {**shared_hermes.stores, **shared_hermes.secrets, "DATA_DIR": str(tmp_path / "own"), **changed}
    assert named in refusal(shared_hermes.run(*SERVE, env=env))


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_told_to_end_it_finishes_what_it_began(
    new_hermes: Any, sandbox: Any, api: Any, until: Any, lives: Any, workers: str
) -> None:
    hermes = new_hermes("--live", "--workers", workers, env=sandbox.env).start()
    customer = await api(hermes).new_customer("ending")
    await customer.connect("telegram", bot_token=TOKEN)
    await sandbox.fail(customer.http, kind="slow", delay=1.5, token=TOKEN, times=None)
    listening = await customer.http.get(f"{hermes.url}/sse", headers={"x-api-key": customer.key})
    assert listening.status == 200
    calls = [asyncio.create_task(customer.send(f"text {number}")) for number in range(5)]

    async def all_sent() -> bool:
        return len(await sandbox.sent(customer.http)) == 5

    await until(all_sent, 20, "the calls are at the platform")
    started = [hermes.valkey_pid, *hermes.worker_pids]
    hermes.tell(signal.SIGTERM)
    answers = await asyncio.gather(*calls)
    assert {answer.code for answer in answers} == {"success"}
    assert await asyncio.to_thread(hermes.wait) == 0
    assert not any(lives(pid) for pid in started)
    listening.close()
    exported = hermes.run("audit", "export", customer.customer_id)
    lines = {line["id"]: line["outcome"] for line in map(json.loads, exported.stdout.splitlines())}
    assert {lines[answer.call_id] for answer in answers} == {"success"}
    assert usage_rows(hermes.data_dir) == {answer.call_id for answer in answers}


async def test_several_processes_answer_and_are_replaced(new_hermes: Any, api: Any, until: Any, lives: Any) -> None:
    hermes = new_hermes("--workers", "2").start()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        customer = api(hermes, hermes.api_key)
        await until(lambda: len(hermes.worker_pids) == 2, 20, "two processes")

        async def alive() -> bool:
            async with http.get(f"{hermes.url}/livez") as response:
                return response.status == 200

        for pid in hermes.worker_pids:
            await _answers_while_others_stand_still(hermes, http, pid, until)
        assert (await customer.send("both answer")).code == "success"
        first, second = hermes.worker_pids
        os.kill(first, signal.SIGKILL)
        replaced = await until(
            lambda: len(pids := hermes.worker_pids) == 2 and first not in pids and pids, 20, "it is replaced"
        )
        assert second in replaced
        [new] = [pid for pid in replaced if pid != second]
        await _answers_while_others_stand_still(hermes, http, new, until)
        assert await alive()
    started = [hermes.valkey_pid, *hermes.worker_pids]
    assert all(lives(pid) for pid in started)
    await asyncio.to_thread(hermes.kill)
    await until(lambda: not any(lives(pid) for pid in started), 20, "everything ends with the main process")


async def _answers_while_others_stand_still(hermes: Any, http: aiohttp.ClientSession, pid: int, until: Any) -> None:
    """Only this process can have answered: the others are stopped, with a new connection for every request."""
    others = [other for other in hermes.worker_pids if other != pid]
    for other in others:
        os.kill(other, signal.SIGSTOP)

    async def answers() -> bool:
        try:
            async with http.get(f"{hermes.url}/livez", timeout=aiohttp.ClientTimeout(total=2)) as response:
                return response.status == 200
        except (TimeoutError, aiohttp.ClientError):
            return False  # a stopped process had taken the connection already

    try:
        await until(answers, 20, "this process answers alone")
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


async def test_suspending_and_revoking_work_on_every_replica(
    new_hermes: Any, sandbox: Any, api: Any, until: Any
) -> None:
    first = new_hermes("--live", env=sandbox.env).start()
    env = {**sandbox.env, **first.stores, **first.secrets}
    second = new_hermes("--live", folder="second", env=env).start()
    operator = api(first)
    suspended, revoked = [await operator.new_customer(name) for name in ("suspended", "revoked")]
    for customer, token in ((suspended, TOKEN), (revoked, TOKEN + "R")):
        await customer.connect("telegram", bot_token=token)
        for replica in (customer, api(second, customer.key)):
            assert (await replica.send("known to both")).code == "success"

    async def becomes(customer: Any, status: int) -> None:
        """Both replicas come to answer so on every kind of route; five seconds from now at the latest."""
        since = time.monotonic()
        doors = [
            (replica, path)
            for replica in (customer, api(second, customer.key))
            for path in ("/api/me", "/api/usage", "/api/telegram/me")
        ]
        await asyncio.gather(*(_becomes(replica, path, status, since, until) for replica, path in doors))

    admin = "/api/admin/customers"
    [key] = (await revoked.get("/api/api-keys"))["api_keys"]
    assert (await operator.request("DELETE", f"{admin}/{revoked.customer_id}/api-keys/{key['id']}"))[0] == 204
    assert (await operator.request("POST", f"{admin}/{suspended.customer_id}/suspend"))[0] == 200
    await asyncio.gather(becomes(suspended, 403), becomes(revoked, 401))
    assert (await operator.request("POST", f"{admin}/{suspended.customer_id}/resume"))[0] == 200
    await becomes(suspended, 200)


async def _becomes(replica: Any, path: str, status: int, since: float, until: Any) -> None:
    asked = since

    async def answers() -> bool:
        nonlocal asked
        moment = time.monotonic()
        if (await replica.request("GET", path))[0] == status:
            return True
        asked = moment
        return False

    await until(answers, 15, f"{path} answers {status}")
    assert asked - since <= 5, f"{path} did not answer {status} when asked {asked - since} s later"


async def test_told_to_end_while_it_starts(new_hermes: Any, until: Any, lives: Any) -> None:
    hermes = new_hermes()
    starting = asyncio.create_task(asyncio.to_thread(hermes.start))
    valkey = await until(lambda: hermes.launched and hermes.valkey_pid, 30, "Valkey is started")
    hermes.tell(signal.SIGTERM)
    assert await asyncio.to_thread(hermes.wait) == 0
    assert not lives(valkey)
    await asyncio.gather(starting, return_exceptions=True)
    await asyncio.to_thread(hermes.start)
