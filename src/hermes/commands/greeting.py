"""What `hermes serve` says once it is ready: where to point a client, and with which key."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import typer

from hermes.app import House
from hermes.demo import EMAIL, Demo, furnish
from hermes.settings import Settings
from hermes.storage.data_folder import write_atomically

_WELCOME_FILE = "welcome.txt"


async def greet(house: House) -> None:
    """Say where to point a client. Secrets go to a terminal only; without one, to a file that only the owner reads."""
    settings = house.settings
    terminal = sys.stdout.isatty()
    origin = settings.public_url
    lines = [f"hermes is ready at {origin}", "", f"  MCP        {origin}/mcp   (older clients: {origin}/sse)"]
    if house.sandbox_origin is not None:
        demo = await furnish(house, settings.data_dir)
        shown = demo.api_key if terminal else f"$(cat {demo.key_file})"
        lines += [
            f"  API key    {demo.api_key if terminal else demo.key_file}   (the demo customer's)",
            f"  Sign in    {origin}/login   ({EMAIL}, {_shown_password(demo, terminal=terminal)})",
            f"  Vault      {demo.vault}",
            f"  Sandbox    {house.sandbox_origin}/   (what was sent, and how to make it fail)",
            "",
            "First call, to paste into another terminal:",
            "",
            f"  curl -s {origin}/api/telegram/message -H \"x-api-key: {shown}\" -H 'content-type: application/json' \\",
            '    -d \'{"chat_id": "987654321", "text": "Hello from hermes"}\'',
            "",
            f"An MCP client:  PUBLIC_URL={origin} {_program()} client-config claude-code",
        ]
    else:
        lines += _live_greeting(settings, terminal=terminal)
    typer.echo("\n".join(lines) + "\n")
    sys.stdout.flush()


def _program() -> str:
    """This program, as it can be called from any folder."""
    called = Path(sys.argv[0])
    if called.name != "hermes":
        return f"{sys.executable} -m hermes"
    return "hermes" if shutil.which("hermes") == str(called) else str(called.absolute())


def _shown_password(demo: Demo, *, terminal: bool) -> str:
    if demo.password is None:
        return "with the password that you chose"
    return f"password {demo.password}" if terminal else f"password in {demo.password_file}"


def _live_greeting(settings: Settings, *, terminal: bool) -> list[str]:
    if settings.mcp_api_key is None or not settings.embedded:
        return ["", "Log in with MCP_API_KEY as x-api-key, or make customers: hermes customers create --email …"]
    welcome = settings.data_dir / _WELCOME_FILE
    if not terminal:
        write_atomically(welcome, f"MCP_API_KEY={settings.mcp_api_key.get_secret_value()}\n")
    key = settings.mcp_api_key.get_secret_value() if terminal else f"in {welcome.resolve()}"
    return [
        f"  Your key   {key}   (the operator's: x-api-key or Authorization: Bearer)",
        f"  Sign in    {settings.public_url}/login   (customers, with their address and password)",
        "",
        "Your own accounts come from the environment (TELEGRAM_BOT_TOKEN …, docs/settings.md).",
        "For other people: hermes customers create --email ann@example.com --plan starter --password-stdin",
    ]
