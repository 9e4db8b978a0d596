"""`hermes migrate` and `hermes doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from hermes.commands.common import AsJson, print_json, print_table, run
from hermes.settings import load_settings

if TYPE_CHECKING:
    from hermes.doctor import Check


def register(commands: typer.Typer) -> None:
    """Add the commands to the command line."""
    commands.command("migrate")(migrate)
    commands.command("doctor")(doctor)


def migrate(as_json: AsJson = False) -> None:
    """Bring the database to the newest schema."""
    # Not for the help: SQLAlchemy and Alembic take half a second.
    from hermes.storage.migrate import migrate as migrate_database  # noqa: PLC0415
    from hermes.storage.stores import open_stores  # noqa: PLC0415

    async def work() -> list[str]:
        async with open_stores(load_settings()) as stores:
            return await migrate_database(stores.database)

    applied = run(work())
    if as_json:
        print_json({"applied": applied})
    else:
        typer.echo(f"Applied {', '.join(applied)}." if applied else "The database has the newest schema already.")


def doctor(as_json: AsJson = False) -> None:
    """Check settings, stores, schema, clocks, every stored credential, and each platform's reachability."""
    from rich.progress import Progress  # noqa: PLC0415  (large, and a server does without it)

    from hermes.doctor import examine  # noqa: PLC0415  (the house, which takes a second: not for the help)

    with Progress(transient=True, disable=as_json) as progress:
        task = progress.add_task("Checking…", total=None)
        checks = run(examine(load_settings, lambda name: progress.update(task, description=name)))
    if as_json:
        print_json({"healthy": _healthy(checks), "checks": [check.as_dict() for check in checks]})
    else:
        rows = [(check.state, check.name, check.message) for check in checks]
        print_table(("", "CHECK", "FOUND"), rows, empty="Nothing was checked.")
    if not _healthy(checks):
        raise typer.Exit(1)


def _healthy(checks: list[Check]) -> bool:
    return all(check.state != "failed" for check in checks)
