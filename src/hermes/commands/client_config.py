"""`hermes client-config`: what to paste into an MCP client so that it reaches this server."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
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
        steps: what to do besides pasting, and what does not work.
    """

    client: Client
    title: str
    where: str
    format: Literal["json", "toml", "shell", "text"]
    content: str
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """This server as a client sees it.

    Attributes:
        public_url: where it answers, without a trailing slash.
        key_env: the environment variable that the client shall read the API key from; None: pasted in its place.
        sign_in: the client gets no key; it opens a browser, where the person signs in (OAuth).
    """

    public_url: str
    key_env: str | None = None
    sign_in: bool = False

    @property
    def mcp_url(self) -> str:
        return f"{self.public_url}/mcp"

    @property
    def is_local(self) -> bool:
        return urlsplit(self.public_url).hostname in _LOOPBACK

    def bearer(self, reference: str) -> str:
        """The header's value; `reference` is how the client writes an environment variable, as a format string."""
        return f"Bearer {reference.format(self.key_env) if self.key_env else KEY_PLACEHOLDER}"

    def headers(self, reference: str) -> dict[str, Any]:
        """The member of a JSON configuration that holds the key; none where the person signs in."""
        return {} if self.sign_in else {"headers": {"Authorization": self.bearer(reference)}}

    def steps(self, sign_in: str) -> tuple[str, ...]:
        """What to do with the key when it stands in the pasted text or in the environment, or how to sign in.

        Args:
            sign_in: how this client begins, e.g. `Run …`.
        """
        if self.sign_in:
            return (f"{sign_in}; a browser opens, where you sign in and tick what it may do.",)
        if self.key_env:
            return (f"Set {self.key_env} to the API key in the environment that the client starts in.",)
        return (f"Put the API key in the place of {KEY_PLACEHOLDER}.",)


def describe(client: Client, server: Server) -> ClientConfig:
    """What to paste into `client` for `server`."""
    return _DESCRIBE[client](server)


def _claude(server: Server) -> ClientConfig:
    """Connectors sign in with OAuth (https://claude.com/docs/connectors/building/authentication); Claude Desktop starts
    local commands, and mcp-remote is one that adds the header (https://github.com/geelen/mcp-remote#custom-headers)."""
    if server.sign_in:
        return ClientConfig(
            Client.CLAUDE,
            "Claude (web, desktop, mobile)",
            "Settings > Connectors > Add custom connector, as the remote MCP server URL",
            "text",
            server.mcp_url,
            steps=(*server.steps("Choose Connect"), *_reach(server, "Claude's servers")),
        )
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
            "On claude.ai and in the mobile apps no key is needed: `hermes client-config claude --sign-in`.",
        ),
    )


def _chatgpt(server: Server) -> ClientConfig:
    """Source: https://developers.openai.com/api/docs/guides/developer-mode (OAuth, no authentication, or mixed)."""
    return ClientConfig(
        Client.CHATGPT,
        "ChatGPT",
        "Settings > Apps & Connectors > Advanced settings > Developer mode, then Create, as the MCP server URL",
        "text",
        server.mcp_url,
        steps=(
            "As Authentication choose OAuth; ChatGPT cannot send an API key over MCP. A browser opens, where you sign "
            "in and tick what it may do.",
            f"A custom GPT works with an API key instead, for Obsidian: import {server.public_url}"
            "/openapi-living-brief.json as its action, with Bearer and the key as its authentication.",
            *_reach(server, "ChatGPT"),
        ),
    )


def _reach(server: Server, who: str) -> tuple[str, ...]:
    return (f"{who} must be able to reach the server: {server.public_url} is local.",) if server.is_local else ()


def _claude_code(server: Server) -> ClientConfig:
    """Source: https://code.claude.com/docs/en/mcp, "Add a remote HTTP server"."""
    command = f"claude mcp add --scope user --transport http {SERVER} {shlex.quote(server.mcp_url)}"
    if not server.sign_in:
        # Double quotes, so that the shell puts the variable's value in.
        command += f' --header "Authorization: {server.bearer("${}")}"'
    steps = server.steps("In Claude Code, enter /mcp, choose hermes and Authenticate")
    return ClientConfig(Client.CLAUDE_CODE, "Claude Code", "a shell", "shell", command, steps=steps)


def _codex(server: Server) -> ClientConfig:
    """Source: https://developers.openai.com/codex/mcp; a key written into the file is refused."""
    named = replace(server, key_env=server.key_env or DEFAULT_KEY_ENV)
    key = "" if server.sign_in else f'\nbearer_token_env_var = "{named.key_env}"'
    return ClientConfig(
        Client.CODEX,
        "Codex",
        "~/.codex/config.toml",
        "toml",
        f"[mcp_servers.{SERVER}]\nurl = {json.dumps(named.mcp_url, ensure_ascii=False)}{key}",
        steps=named.steps(f"Run `codex mcp login {SERVER}`"),
    )


def _opencode(server: Server) -> ClientConfig:
    """Source: https://opencode.ai/v2/docs/mcp-servers; V1 had the servers directly below `mcp`."""
    entry = {
        "type": "remote",
        "url": server.mcp_url,
        **({} if server.sign_in else {"oauth": False}),
        **server.headers("{{env:{}}}"),
    }
    return ClientConfig(
        Client.OPENCODE,
        "OpenCode",
        "opencode.json in the project, or ~/.config/opencode/opencode.json",
        "json",
        _json({"$schema": "https://opencode.ai/config.json", "mcp": {"servers": {SERVER: entry}}}),
        steps=(
            *server.steps(f"Run `opencode mcp auth {SERVER}`"),
            f"OpenCode 1 wants {SERVER} directly below mcp, without servers.",
        ),
    )


def _cursor(server: Server) -> ClientConfig:
    """Source: https://cursor.com/docs/mcp."""
    entry = {"url": server.mcp_url, **server.headers("${{env:{}}}")}
    return ClientConfig(
        Client.CURSOR,
        "Cursor",
        "~/.cursor/mcp.json, or .cursor/mcp.json in the project",
        "json",
        _json({"mcpServers": {SERVER: entry}}),
        steps=server.steps("In Cursor's settings, under MCP, choose Connect beside hermes"),
    )


def _vscode(server: Server) -> ClientConfig:
    """Source: https://code.visualstudio.com/docs/copilot/reference/mcp-configuration."""
    key_id = "hermes-api-key"
    prompt = {"type": "promptString", "id": key_id, "description": "API key of hermes", "password": True}
    entry: dict[str, Any] = {"type": "http", "url": server.mcp_url}
    content: dict[str, Any] = {"servers": {SERVER: entry}}
    steps: tuple[str, ...] = ("VS Code asks for the API key when it first starts the server, and keeps it encrypted.",)
    if server.sign_in:
        steps = server.steps("Choose Start above the entry, and Allow")
    else:
        entry["headers"] = {"Authorization": f"Bearer ${{input:{key_id}}}"}
        content = {"inputs": [prompt], **content}
    return ClientConfig(
        Client.VSCODE,
        "VS Code",
        ".vscode/mcp.json in the project, or the command MCP: Open User Configuration",
        "json",
        _json(content),
        steps=steps,
    )


def _gemini(server: Server) -> ClientConfig:
    """Source: https://geminicli.com/docs/tools/mcp-server (`httpUrl`; `url` would mean the older SSE transport)."""
    entry = {"httpUrl": server.mcp_url, **server.headers("${}")}
    return ClientConfig(
        Client.GEMINI,
        "Gemini CLI",
        "~/.gemini/settings.json, or .gemini/settings.json in the project",
        "json",
        _json({"mcpServers": {SERVER: entry}}),
        steps=server.steps(f"In Gemini CLI, enter /mcp auth {SERVER}"),
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


def register(commands: typer.Typer) -> None:
    """Add the command to the command line."""
    commands.command("client-config")(client_config)


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
    sign_in: Annotated[
        bool, typer.Option("--sign-in", help="Without an API key: the client opens a browser to sign in (OAuth).")
    ] = False,
    url: Annotated[str | None, typer.Option(help="Where the server answers, if it is not PUBLIC_URL.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")] = False,
) -> None:
    """Print what to paste into an MCP client so that it reaches this server.

    The text to paste goes to standard output, what to do with it to standard error.
    """
    if sign_in and api_key_env is not None:
        raise typer.BadParameter("signing in needs no API key; give either --sign-in or --api-key-env")
    try:
        server = Server(load_settings(public_url=url).public_url, api_key_env, sign_in)
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
