"""What `hermes client-config` prints is valid in each client's own format and leads to this server."""

from __future__ import annotations

import json
import shlex
import tomllib
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from hermes.commands.client_config import Client, client_config

URL = "https://mcp.example.com"
MCP = f"{URL}/mcp"


def run(*arguments: str, **environ: str) -> Result:
    app = typer.Typer()
    app.command("client-config")(client_config)
    return CliRunner().invoke(app, list(arguments), env={"PUBLIC_URL": URL, **environ})


def printed(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def header(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


@pytest.mark.parametrize(
    ("client", "path", "url_member", "env_reference"),
    [
        ("cursor", ("mcpServers",), "url", "${env:MY_KEY}"),
        ("gemini", ("mcpServers",), "httpUrl", "$MY_KEY"),
        ("opencode", ("mcp", "servers"), "url", "{env:MY_KEY}"),
    ],
)
def test_json_clients(client: str, path: tuple[str, ...], url_member: str, env_reference: str) -> None:
    for options, key in (((), "YOUR_API_KEY"), (("--api-key-env", "MY_KEY"), env_reference)):
        found: Any = json.loads(printed(client, *options))
        for member in path:
            found = found[member]
        assert found["hermes"][url_member] == MCP
        assert found["hermes"]["headers"] == header(key)


def test_opencode_does_not_try_oauth() -> None:
    entry = json.loads(printed("opencode"))["mcp"]["servers"]["hermes"]
    assert entry["type"] == "remote"
    assert entry["oauth"] is False


def test_vscode_asks_for_the_key() -> None:
    config = json.loads(printed("vscode"))
    [asked] = config["inputs"]
    assert asked["type"] == "promptString"
    assert asked["password"] is True
    assert config["servers"]["hermes"] == {
        "type": "http",
        "url": MCP,
        "headers": header(f"${{input:{asked['id']}}}"),
    }


@pytest.mark.parametrize(("options", "variable"), [((), "HERMES_API_KEY"), (("--api-key-env", "MY_KEY"), "MY_KEY")])
def test_codex(options: tuple[str, ...], variable: str) -> None:
    assert tomllib.loads(printed("codex", *options)) == {
        "mcp_servers": {"hermes": {"url": MCP, "bearer_token_env_var": variable}}
    }


@pytest.mark.parametrize(("options", "key"), [((), "YOUR_API_KEY"), (("--api-key-env", "MY_KEY"), "$MY_KEY")])
def test_claude_code(options: tuple[str, ...], key: str) -> None:
    words = shlex.split(printed("claude-code", *options))
    assert words[:3] == ["claude", "mcp", "add"]
    assert words[words.index("--transport") + 1] == "http"
    assert words[words.index("http") + 1 :] == ["hermes", MCP, "--header", f"Authorization: Bearer {key}"]


@pytest.mark.parametrize(
    ("url", "allow_http"),
    [(URL, False), ("http://127.0.0.1:3456", False), ("http://box.lan:3456", True)],
)
def test_claude_desktop_goes_through_a_local_command(url: str, allow_http: bool) -> None:
    entry = json.loads(printed("claude", "--url", url))["mcpServers"]["hermes"]
    assert entry["command"] == "npx"
    assert f"{url}/mcp" in entry["args"]
    assert ("--allow-http" in entry["args"]) is allow_http
    assert entry["env"] == {"AUTH_HEADER": "Bearer YOUR_API_KEY"}


def test_chatgpt_signs_in() -> None:
    result = run("chatgpt")
    assert result.stdout.strip() == MCP
    assert "OAuth" in result.stderr
    assert f"{URL}/openapi-living-brief.json" in result.stderr
    assert "local" not in result.stderr
    assert "is local" in run("chatgpt", PUBLIC_URL="http://127.0.0.1:3456").stderr


@pytest.mark.parametrize("client", list(Client))
def test_signing_in_needs_the_address_and_no_key(client: Client) -> None:
    config = json.loads(printed(client.value, "--sign-in", "--json"))
    assert MCP in config["content"]
    for word in ("Authorization", "YOUR_API_KEY", "HERMES_API_KEY", "bearer", "input", '"oauth"'):
        assert word not in config["content"]
    assert "browser" in config["steps"][0]
    assert "key" not in config["steps"][0].replace("API key over MCP", "")


def test_the_forms_for_signing_in_are_those_of_the_clients() -> None:
    assert tomllib.loads(printed("codex", "--sign-in")) == {"mcp_servers": {"hermes": {"url": MCP}}}
    assert json.loads(printed("vscode", "--sign-in")) == {"servers": {"hermes": {"type": "http", "url": MCP}}}
    assert json.loads(printed("cursor", "--sign-in")) == {"mcpServers": {"hermes": {"url": MCP}}}
    assert shlex.split(printed("claude-code", "--sign-in"))[-2:] == ["hermes", MCP]
    assert printed("claude", "--sign-in").strip() == MCP


@pytest.mark.parametrize("client", list(Client))
def test_every_client_as_json(client: Client) -> None:
    config = json.loads(printed(client.value, "--json"))
    assert config["client"] == client.value
    assert config["mcp_url"] == MCP
    assert URL in config["content"]
    assert config["where"]
    assert config["steps"]


@pytest.mark.parametrize(
    "options",
    [
        ("--api-key-env", "not a name"),
        ("--api-key-env", 'X"; rm'),
        ("--nonsense",),
        ("--sign-in", "--api-key-env", "K"),
    ],
)
def test_wrong_usage(options: tuple[str, ...]) -> None:
    assert run("codex", *options).exit_code == 2


def test_unknown_client_is_wrong_usage() -> None:
    result = run("netscape")
    assert result.exit_code == 2
    assert "claude-code" in result.stderr


def test_bad_url_is_one_sentence_and_status_1() -> None:
    result = run("codex", PUBLIC_URL="ftp://example.com")
    assert result.exit_code == 1
    assert "PUBLIC_URL" in result.stderr
    assert result.stdout == ""
