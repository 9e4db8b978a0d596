"""`hermes serve`, `hermes worker`, `hermes sandbox`: the processes that stay."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from hermes.commands.common import fail, one_sentence
from hermes.sandbox.options import DEFAULT_PORT, SandboxOptions
from hermes.settings import Settings, SettingsError, likely_typos, load_settings

# What these processes run is imported where it is run: the server takes two seconds, the worker and the stand-ins half
# of that, and none of them needs the others; nor does their help.


def register(commands: typer.Typer) -> None:
    """Add the commands to the command line."""
    commands.command("serve")(serve_command)
    commands.command("worker")(worker_command)
    commands.command("sandbox")(sandbox_command)
    commands.command("serve-child", hidden=True)(serve_child_command)


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
    import structlog  # noqa: PLC0415

    from hermes.commands.greeting import greet  # noqa: PLC0415
    from hermes.observability.logs import configure_logging  # noqa: PLC0415
    from hermes.server import ServeOptions, serve  # noqa: PLC0415

    try:
        with one_sentence():
            settings = load_settings(host=host, port=port, data_dir=data_dir)
            configure_logging(settings)
            for name, meant in likely_typos(settings.environ).items():
                structlog.get_logger(__name__).warning("setting_not_known", name=name, did_you_mean=meant)
            options = ServeOptions(workers=workers, jobs=not no_jobs, sandbox=sandbox, sandbox_port=sandbox_port)
            uvloop.run(serve(settings, options, greet))
    except asyncio.CancelledError:
        pass  # told to end while it started: there was nothing to finish
    except OSError as error:
        fail(f"hermes cannot listen or start ({error.strerror or error}); choose another --port or stop what uses it.")


def serve_child_command(descriptor: int, parent: int) -> None:
    """One of the processes of `hermes serve --workers`; not for people."""
    from hermes.observability.logs import configure_logging  # noqa: PLC0415
    from hermes.server import serve_child  # noqa: PLC0415

    settings = load_settings(env_file=None)
    configure_logging(settings)
    uvloop.run(serve_child(settings, descriptor, parent))


def worker_command() -> None:
    """Run background jobs only; as many of these as wanted."""
    from hermes.app import open_house  # noqa: PLC0415
    from hermes.observability.logs import configure_logging  # noqa: PLC0415
    from hermes.worker import work  # noqa: PLC0415

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
    from hermes.observability.logs import configure_logging  # noqa: PLC0415
    from hermes.sandbox.app import build_sandbox  # noqa: PLC0415
    from hermes.sandbox.server import serve_sandbox  # noqa: PLC0415

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
