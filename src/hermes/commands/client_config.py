"""`hermes client-config`: what to paste into an MCP client so that it reaches this server."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import typer

from hermes.settings import SettingsError, load_settings

SERVER = "hermes"
KEY_PLACEHOLDER = "YOUR_API_KEY"
DEFAULT_KEY_ENV = "HERMES_API_KEY"

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Client(StrEnum):
    """The clients whose configuration is known."""

    CLAUDE = "claude"
    CHATGPT = "chatgpt"
    CLAUDE_CODE = "claude-code"
    CODEX = "codex"
    OPENCODE = "opencode"
    CURSOR = "cursor"
    VSCODE = "vscode"
    GEMINI = "gemini"


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """What to paste, where, and what else a person must know.

    Attributes:
        content: the text to paste, in `format`.
        where: the file, shell or page it goes into.
        speaks_mcp: false when the client cannot send an API key over MCP, so that `content` is another way in.
        steps: what to do besides pasting, and what does not work.
    """

    client: Client
    title: str
    where: str
    format: Literal["json", "toml", "shell", "text"]
    content: str
    speaks_mcp: bool = True
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """This server as a client sees it.

    Attributes:
        public_url: where it answers, without a trailing slash.
        key_env: the environment variable that the client shall read the API key from; None: pasted in its place.
    """

    public_url: str
    key_env: str | None = None

    @property
    def mcp_url(self) -> str:
        return f"{self.public_url}/mcp"

    @property
    def is_local(self) -> bool:
        return urlsplit(self.public_url).hostname in _LOOPBACK

    def bearer(self, reference: str) -> str:
        """The header's value; `reference` is how the client writes an environment variable, as a format string."""
        return f"Bearer {reference.format(self.key_env) if self.key_env else KEY_PLACEHOLDER}"

    def key_step(self) -> tuple[str, ...]:
        """What to do with the key when it stands in the pasted text or in the environment."""
        if self.key_env:
            return (f"Set {self.key_env} to the API key in the environment that the client starts in.",)
        return (f"Put the API key in the place of {KEY_PLACEHOLDER}.",)


def describe(client: Client, server: Server) -> ClientConfig:
    """What to paste into `client` for `server`."""
    return _DESCRIBE[client](server)


def _claude(server: Server) -> ClientConfig:
    """Connectors sign in with OAuth (https://claude.com/docs/connectors/building/authentication); Claude Desktop starts
    local commands, and mcp-remote is one that adds the header (https://github.com/geelen/mcp-remote#custom-headers)."""
    plain_http = () if server.public_url.startswith("https://") or server.is_local else ("--allow-http",)
    # The header comes from a variable because Claude Desktop on Windows does not quote arguments with spaces.
    command = ["-y", "mcp-remote", server.mcp_url, *plain_http, "--header", "Authorization:${AUTH_HEADER}"]
    entry = {"command": "npx", "args": command, "env": {"AUTH_HEADER": f"Bearer {KEY_PLACEHOLDER}"}}
    return ClientConfig(
        Client.CLAUDE,
        "Claude (desktop app)",
        "claude_desktop_config.json (Settings > Developer > Edit Config), then restart Claude",
        "json",
        _json({"mcpServers": {SERVER: entry}}),
        steps=(
            f"Put the API key in the place of {KEY_PLACEHOLDER}. The desktop app needs Node.js for npx.",
            "Connectors on claude.ai and in the mobile apps sign in with OAuth, which this version of hermes does not "
            "offer yet. If your account's Add custom connector dialog has a Request headers section, "
            f"use {server.mcp_url} there with the header Authorization: Bearer {KEY_PLACEHOLDER}.",
        ),
    )


def _chatgpt(server: Server) -> ClientConfig:
    """Source: https://developers.openai.com/api/docs/guides/developer-mode (OAuth, no authentication, or mixed)."""
    reach = () if not server.is_local else (f"ChatGPT must be able to reach the server: {server.public_url} is local.",)
    return ClientConfig(
        Client.CHATGPT,
        "ChatGPT",
        "a custom GPT: Configure > Actions > Import from URL",
        "text",
        f"{server.public_url}/openapi-living-brief.json",
        speaks_mcp=False,
        steps=(
            "ChatGPT's MCP apps (developer mode) sign in with OAuth and cannot send an API key; this version of hermes "
            "does not offer OAuth yet. What works today is a custom GPT with this address as its action, for Obsidian.",
            "As the action's authentication choose API Key, type Bearer, and paste the API key.",
            *reach,
        ),
    )


def _claude_code(server: Server) -> ClientConfig:
    """Source: https://code.claude.com/docs/en/mcp, "Add a remote HTTP server"."""
    header = f"Authorization: {server.bearer('${}')}"
    # Double quotes, so that the shell puts the variable's value in.
    command = f'claude mcp add --scope user --transport http {SERVER} {shlex.quote(server.mcp_url)} --header "{header}"'
    return ClientConfig(Client.CLAUDE_CODE, "Claude Code", "a shell", "shell", command, steps=server.key_step())


def _codex(server: Server) -> ClientConfig:
    """Source: https://developers.openai.com/codex/mcp; a key written into the file is refused."""
    named = Server(server.public_url, server.key_env or DEFAULT_KEY_ENV)
    return ClientConfig(
        Client.CODEX,
        "Codex",
        "~/.codex/config.toml",
        "toml",
        f"[mcp_servers.{SERVER}]\n"
        f"url = {json.dumps(named.mcp_url, ensure_ascii=False)}\n"
        f'bearer_token_env_var = "{named.key_env}"',
        steps=named.key_step(),
    )


def _opencode(server: Server) -> ClientConfig:
    """Source: https://opencode.ai/v2/docs/mcp-servers; V1 had the servers directly below `mcp`."""
    entry = {
        "type": "remote",
        "url": server.mcp_url,
        "oauth": False,
        "headers": {"Authorization": server.bearer("{{env:{}}}")},
    }
    return ClientConfig(
        Client.OPENCODE,
        "OpenCode",
        "opencode.json in the project, or ~/.config/opencode/opencode.json",
        "json",
        _json({"$schema": "https://opencode.ai/config.json", "mcp": {"servers": {SERVER: entry}}}),
        steps=(*server.key_step(), f"OpenCode 1 wants {SERVER} directly below mcp, without servers."),
    )


def _cursor(server: Server) -> ClientConfig:
    """Source: https://cursor.com/docs/mcp."""
    entry = {"url": server.mcp_url, "headers": {"Authorization": server.bearer("${{env:{}}}")}}
    return ClientConfig(
        Client.CURSOR,
        "Cursor",
        "~/.cursor/mcp.json, or .cursor/mcp.json in the project",
        "json",
        _json({"mcpServers": {SERVER: entry}}),
        steps=server.key_step(),
    )


def _vscode(server: Server) -> ClientConfig:
    """Source: https://code.visualstudio.com/docs/copilot/reference/mcp-configuration."""
    key_id = "hermes-api-key"
    prompt = {"type": "promptString", "id": key_id, "description": "API key of hermes", "password": True}
    entry = {"type": "http", "url": server.mcp_url, "headers": {"Authorization": f"Bearer ${{input:{key_id}}}"}}
    return ClientConfig(
        Client.VSCODE,
        "VS Code",
        ".vscode/mcp.json in the project, or the command MCP: Open User Configuration",
        "json",
        _json({"inputs": [prompt], "servers": {SERVER: entry}}),
        steps=("VS Code asks for the API key when it first starts the server, and keeps it encrypted.",),
    )


def _gemini(server: Server) -> ClientConfig:
    """Source: https://geminicli.com/docs/tools/mcp-server (`httpUrl`; `url` would mean the older SSE transport)."""
    entry = {"httpUrl": server.mcp_url, "headers": {"Authorization": server.bearer("${}")}}
    return ClientConfig(
        Client.GEMINI,
        "Gemini CLI",
        "~/.gemini/settings.json, or .gemini/settings.json in the project",
        "json",
        _json({"mcpServers": {SERVER: entry}}),
        steps=server.key_step(),
    )


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


_DESCRIBE: Mapping[Client, Callable[[Server], ClientConfig]] = {
    Client.CLAUDE: _claude,
    Client.CHATGPT: _chatgpt,
    Client.CLAUDE_CODE: _claude_code,
    Client.CODEX: _codex,
    Client.OPENCODE: _opencode,
    Client.CURSOR: _cursor,
    Client.VSCODE: _vscode,
    Client.GEMINI: _gemini,
}


def _check_env_name(value: str | None) -> str | None:
    if value is not None and not _ENV_NAME.fullmatch(value):
        raise typer.BadParameter("must be a variable's name: letters, digits and underscores")
    return value


def client_config(
    client: Annotated[Client, typer.Argument(help="The client to configure.", show_default=False)],
    api_key_env: Annotated[
        str | None,
        typer.Option(help="Let the client read the API key from this environment variable.", callback=_check_env_name),
    ] = None,
    url: Annotated[str | None, typer.Option(help="Where the server answers, if it is not PUBLIC_URL.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")] = False,
) -> None:
    """Print what to paste into an MCP client so that it reaches this server.

    The text to paste goes to standard output, what to do with it to standard error.
    """
    try:
        server = Server(load_settings(public_url=url).public_url, api_key_env)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    config = describe(client, server)
    if as_json:
        typer.echo(_json({**asdict(config), "mcp_url": server.mcp_url}))
        return
    typer.echo(f"{config.title}: paste this into {config.where}", err=True)
    typer.echo(config.content)
    for step in config.steps:
        typer.echo(f"- {step}", err=True)
