"""`hermes serve`, `hermes worker`, `hermes sandbox`: the processes that stay."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer
import uvloop

from hermes.app import House, open_house
from hermes.commands.common import fail, one_sentence
from hermes.demo import EMAIL, Demo, furnish
from hermes.observability.logs import configure_logging
from hermes.sandbox.app import build_sandbox
from hermes.sandbox.options import DEFAULT_PORT, SandboxOptions
from hermes.sandbox.server import serve_sandbox
from hermes.settings import Settings, SettingsError, likely_typos, load_settings
from hermes.storage.data_folder import write_atomically
from hermes.worker import work

log = structlog.get_logger(__name__)

_WELCOME_FILE = "welcome.txt"


def serve_command(
    host: Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on (default 3456).")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the embedded default keeps everything (default ./data).")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer requests.")] = 1,
    no_jobs: Annotated[bool, typer.Option("--no-jobs", help="Leave background jobs to `hermes worker`.")] = False,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Start the platforms' stand-ins too, and use them instead.")
    ] = False,
    sandbox_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the stand-ins.")] = DEFAULT_PORT,
) -> None:
    """Run the gateway. With no setting at all it keeps everything in ./data and prints how to begin."""
    from hermes.server import ServeOptions, serve  # noqa: PLC0415  (slow to import, and no other command needs it)

    try:
        with one_sentence():
            settings = load_settings(host=host, port=port, data_dir=data_dir)
            configure_logging(settings)
            for name, meant in likely_typos(settings.environ).items():
                log.warning("setting_not_known", name=name, did_you_mean=meant)
            options = ServeOptions(workers=workers, jobs=not no_jobs, sandbox=sandbox, sandbox_port=sandbox_port)
            uvloop.run(serve(settings, options, _greet))
    except asyncio.CancelledError:
        pass  # told to end while it started: there was nothing to finish
    except OSError as error:
        fail(f"hermes cannot listen or start ({error.strerror or error}); choose another --port or stop what uses it.")


def serve_child_command(descriptor: int, parent: int) -> None:
    """One of the processes of `hermes serve --workers`; not for people."""
    from hermes.server import serve_child  # noqa: PLC0415  (as above)

    settings = load_settings(env_file=None)
    configure_logging(settings)
    uvloop.run(serve_child(settings, descriptor, parent))


def worker_command() -> None:
    """Run background jobs only; as many of these as wanted."""

    async def run_worker(settings: Settings) -> None:
        async with open_house(settings, holder="command") as house:
            await work(house.queue)

    with one_sentence():
        settings = load_settings()
        configure_logging(settings)
        uvloop.run(run_worker(settings))


def sandbox_command(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = DEFAULT_PORT,
) -> None:
    """Run the platforms' stand-ins alone; the inspection page is at /."""
    try:
        settings = load_settings()
        configure_logging(settings)
    except SettingsError as error:
        fail(str(error))
    open_to_network = host not in ("127.0.0.1", "::1", "localhost")
    options = SandboxOptions.from_settings(settings, open_to_network=open_to_network)

    def say(origin: str) -> None:
        typer.echo(f"The sandbox answers at {origin}/ (inspection page, loopback only).")
        sys.stdout.flush()

    try:
        uvloop.run(serve_sandbox(build_sandbox(options), host, port, say))
    except OSError as error:
        fail(
            f"The sandbox cannot listen on {host}:{port} ({error.strerror or error}); choose another --port or stop "
            "what uses it."
        )


async def _greet(house: House) -> None:
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
