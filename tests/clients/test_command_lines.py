"""Programs that people have, as npm gives them, with an API key and without a model: each says that it is connected,
and our log has its `tools/list`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client

pytestmark = pytest.mark.timeout(240)

PROGRAMS = Path(__file__).parents[2] / ".tools/node/node_modules/.bin"
OPENCODE = PROGRAMS.parent / "opencode-linux-x64/bin/opencode"
"""Its package on npm is a script that looks for this one."""

NAMES = {"telegram_get_me", "telegram_send_message", "gateway_get_call"}


class Programs:
    """Runs them, each at home in a folder of the test's own."""

    def __init__(self, hermes: Any, home: Path) -> None:
        self.hermes = hermes
        self.home = home
        self.url = f"{hermes.url}/mcp"
        self.environ = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "HOME": str(home), "NO_COLOR": "1"}
        self._seen = len(hermes.output)

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one to its end."""
        command = [program if "/" in program else str(PROGRAMS / program), *arguments]
        done = subprocess.run(
            command, env=self.environ, cwd=self.home, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def listed(self) -> bool:
        """Whether the log has a `tools/list` since this began."""
        return any("tools/list" in line for line in self.hermes.output[self._seen :])


@pytest.fixture
def programs(hermes: Any, tmp_path: Path) -> Programs:
    if not (PROGRAMS / "codex").exists():
        pytest.skip("the programs are not installed: make setup-node, which needs npm")
    return Programs(hermes, tmp_path)


def test_the_inspector(programs: Programs) -> None:
    key = f"x-api-key: {programs.hermes.api_key}"
    said = programs.run(
        "mcp-inspector", "--cli", programs.url, "--transport", "http", "--method", "tools/list", "--header", key
    )
    assert {tool["name"] for tool in json.loads(said.stdout)["tools"]} >= NAMES
    assert programs.listed()


async def test_mcp_remote(programs: Programs) -> None:
    """For assistants that only start programs."""
    server = StdioServerParameters(
        command=str(PROGRAMS / "mcp-remote"),
        args=[programs.url, "--allow-http", "--header", f"x-api-key:{programs.hermes.api_key}"],
        env=programs.environ,
    )
    async with stdio_client(server) as (read, write), ClientSession(read, write) as client:
        await client.initialize()
        assert {tool.name for tool in (await client.list_tools()).tools} >= NAMES
        assert not (await client.call_tool("telegram_get_me", {})).is_error
    assert programs.listed()


def test_opencode(programs: Programs) -> None:
    entry = {"type": "remote", "url": programs.url, "headers": {"x-api-key": programs.hermes.api_key}, "oauth": False}
    config = {"mcp": {"hermes": entry}, "autoupdate": False, "share": "disabled"}
    (programs.home / "opencode.json").write_text(json.dumps(config))
    said = programs.run(str(OPENCODE), "mcp", "list")
    assert "hermes" in said.stdout + said.stderr
    assert "connected" in said.stdout + said.stderr
    assert programs.listed()


def test_codex(programs: Programs) -> None:
    folder = programs.home / ".codex"
    folder.mkdir()
    key = json.dumps(programs.hermes.api_key)
    entry = f'[mcp_servers.hermes]\nurl = "{programs.url}"\nhttp_headers = {{ "x-api-key" = {key} }}\n'
    (folder / "config.toml").write_text(entry)
    assert programs.url in programs.run("codex", "mcp", "list").stdout
    status = status_of_codex(programs)
    assert status["name"] == "hermes"
    assert status["tools"].keys() >= NAMES
    assert programs.listed()


def status_of_codex(programs: Programs) -> dict[str, Any]:
    """What codex says of its one server, as its own interfaces ask it (JSON-RPC, one message a line)."""
    server = subprocess.Popen(
        [str(PROGRAMS / "codex"), "app-server"],
        env=programs.environ,
        cwd=programs.home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    about = {"name": "test", "title": "test", "version": "1"}
    try:
        for message in (
            {"id": 0, "method": "initialize", "params": {"clientInfo": about}},
            {"method": "initialized"},
            {"id": 1, "method": "mcpServerStatus/list", "params": {}},
        ):
            server.stdin.write(json.dumps(message) + "\n")
            server.stdin.flush()
        for line in server.stdout:
            answer = json.loads(line)
            if answer.get("id") == 1:
                found: dict[str, Any] = answer["result"]["data"][0]
                return found
    finally:
        server.kill()
        server.wait()
    raise AssertionError("codex said nothing of its servers")
