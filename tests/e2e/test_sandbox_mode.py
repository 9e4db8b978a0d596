"""Real credentials and the sandbox never meet, and nobody but this machine looks into the sandbox."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

REAL_TOKEN = "987654321:AAreal-token-of-the-operators-own-bot"
REAL_WHATSAPP = "EAArealtokenofabusiness"


@pytest.fixture
def real_vault(tmp_path: Path) -> Path:
    vault = tmp_path / "my vault"
    vault.mkdir()
    (vault / "Private.md").write_text("My own secret thoughts")
    return vault


@pytest.fixture
def server(new_hermes: Callable[..., Any], real_vault: Path) -> Any:
    """A sandbox in an environment full of real accounts."""
    env = {
        "TELEGRAM_BOT_TOKEN": REAL_TOKEN,
        "WHATSAPP_DEFAULT_ACCESS_TOKEN": REAL_WHATSAPP,
        "WHATSAPP_DEFAULT_PHONE_NUMBER_ID": "5550001111",
        "WHATSAPP_DEFAULT_BUSINESS_ACCOUNT_ID": "5550002222",
        "OBSIDIAN_VAULT_PATH": str(real_vault),
        "TELEGRAM_API_BASE_URL": "http://127.0.0.1:9/real",
    }
    return new_hermes(env=env).start()


def everything_sent(server: Any) -> str:
    return json.dumps(httpx2.get(f"{server.sandbox}/_sandbox/requests", params={"limit": 10_000}).json())


def test_the_environments_accounts_are_not_used(server: Any, real_vault: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in real_vault.iterdir()}
    with httpx2.Client(base_url=server.url, headers={"x-api-key": server.operator_key}) as http:
        assert http.get("/api/telegram/me").json()["id"] == 110201543
        assert http.get("/api/whatsapp/templates").status_code == 200
        assert http.post("/api/obsidian/search", json={"query": "secret"}).json()["results"] == []
        assert http.get("/api/obsidian/note", params={"path": "Private.md"}).status_code == 404
        note = {"path": "New.md", "content": "x", "create": True}
        assert http.post("/api/obsidian/note/append", json=note).status_code == 200
    called = server.run("tools", "call", "telegram_get_me", "--json")
    assert json.loads(called.stdout)["result"]["id"] == 110201543, called.stderr
    found = server.run("tools", "call", "obsidian_search_notes", "query=secret", "--json")
    assert json.loads(found.stdout)["result"]["results"] == [], found.stderr
    sent = everything_sent(server)
    assert "getMe" in sent
    for real in ("987654321", "AAreal", "EAAreal", "5550001111", "5550002222"):
        assert real not in sent
    assert {path: path.stat().st_mtime_ns for path in real_vault.iterdir()} == before


def test_commands_stay_on_the_sandbox_when_the_server_is_gone(server: Any) -> None:
    server.stop()
    called = server.run("tools", "call", "telegram_get_me", "--json")
    assert called.returncode == 1
    assert json.loads(called.stdout)["error"]["code"] == "platform_unavailable", called.stdout


def test_a_folder_is_for_one_of_the_two(server: Any, new_hermes: Callable[..., Any]) -> None:
    server.stop()
    assert (server.data_dir / "mode").read_text().strip() == "sandbox"
    refused = _serve(server)
    assert refused.returncode == 1
    assert "has been used with --sandbox" in refused.stderr
    live = new_hermes("--live", folder="live").start()
    live.stop()
    refused = _serve(live, "--sandbox", "--sandbox-port", "0")
    assert refused.returncode == 1
    assert "has been used without --sandbox" in refused.stderr


def _serve(server: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    return server.run("serve", "--port", "0", *arguments)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 200),
        ("GET", "/", {"host": "sandbox.example"}, 403),
        ("GET", "/_sandbox/requests", {"host": "sandbox.example:3457"}, 403),
        ("GET", "/_sandbox/messages", {"host": "127.0.0.1.nip.io"}, 403),
        ("GET", "/", {"x-forwarded-for": "203.0.113.9"}, 403),
        ("GET", "/", {"forwarded": "for=203.0.113.9"}, 403),
        ("POST", "/_sandbox/reset", {"origin": "https://evil.example"}, 403),
        ("POST", "/_sandbox/reset", {"origin": "null"}, 403),
        ("POST", "/_sandbox/failures", {"origin": "http://127.0.0.1:1"}, 403),
        ("POST", "/_sandbox/advance", {"sec-fetch-site": "cross-site"}, 403),
        ("POST", "/telegram/bot1:AAAAAAAAAAAAAAAAAAAAAAAA/getMe", {"host": "sandbox.example"}, 403),
    ],
)
def test_only_this_machine_looks_in(
    shared_hermes: Any, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = httpx2.request(method, shared_hermes.sandbox.rstrip("/") + path, headers=headers)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


def test_the_page_listens_on_loopback_only(shared_hermes: Any) -> None:
    """The port of the stand-ins is bound to 127.0.0.1 and nothing else (proc(5), net/tcp)."""
    port = f"{int(shared_hermes.sandbox.rstrip('/').rpartition(':')[2]):04X}"
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[1].endswith(f":{port}") and row[3] == "0A"]
    assert listening == [f"0100007F:{port}"]
