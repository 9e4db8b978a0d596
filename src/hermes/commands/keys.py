"""`hermes keys`: the keys that credentials are encrypted with."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from hermes.app import House
from hermes.commands.common import AsJson, command_house, print_fields, print_json, print_table, run
from hermes.connections import rotation
from hermes.connections.key_check import sealed_by
from hermes.connections.rotation import Report
from hermes.crypto import Keyring, generate_key, parse_key
from hermes.identity.factor_rotation import FactorReport, reseal_second_factors

app = typer.Typer(no_args_is_help=True, help="Make, rotate and check the keys that credentials are encrypted with.")


@app.command("generate")
def generate(as_json: AsJson = False) -> None:
    """Make a new key and print it. Nothing is stored or changed."""
    key = generate_key()
    if as_json:
        print_json({"key": key, "id": Keyring(parse_key(key)).current_id})
    else:
        typer.echo(key)


@app.command("rotate")
def rotate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Re-encrypt credentials and second factors with the current key, while the server serves. Can be started again.

    First give every server the new key in CREDENTIAL_ENCRYPTION_KEYS_OLD, so that all can read what it encrypts. Then
    make it CREDENTIAL_ENCRYPTION_KEY, with the former one in CREDENTIAL_ENCRYPTION_KEYS_OLD, and rotate. A day after
    that the former one can go.
    """

    factors = FactorReport()

    async def work(house: House, progress: rotation.Progress) -> Report:
        nonlocal factors
        factors = await reseal_second_factors(house.stores.database, house.keyring, dry_run=dry_run)
        return await rotation.rotate(
            house.stores.database, house.stores.redis, house.keyring, progress, dry_run=dry_run
        )

    report, key_ids = _with_progress("Checking" if dry_run else "Re-encrypting", work, as_json)
    if as_json:
        print_json({"dry_run": dry_run, "key_id": key_ids[0], **_members(report), "second_factors": asdict(factors)})
    else:
        verb = "would be re-encrypted" if dry_run else "re-encrypted"
        typer.echo(f"{report.done} of {report.total} credentials {verb} with the key {key_ids[0]}.")
        if factors.done:
            typer.echo(f"{factors.done} second factors {verb}.")
        if factors.unreadable:
            typer.echo(f"Second factors that do not open: {', '.join(factors.unreadable)}.")
        if report.remaining:
            typer.echo(f"{report.remaining} were changed again and again meanwhile; run it once more.")
        if report.complete and not dry_run and len(key_ids) > 1:
            typer.echo("Nothing stored needs the old keys any more; take them out of the settings in 24 hours.")
        _print_unreadable(report)
    if not report.complete or factors.unreadable:
        raise typer.Exit(1)


@app.command("check")
def check(as_json: AsJson = False) -> None:
    """Open every stored credential with the keys of the settings. Nothing is changed."""
    counts: dict[str, int] = {}

    async def work(house: House, progress: rotation.Progress) -> Report:
        counts.update(await sealed_by(house.stores.database))
        return await rotation.check(house.stores.database, house.stores.redis, house.keyring, progress)

    report, key_ids = _with_progress("Checking", work, as_json)
    keys = [{"id": key_id, "current": key_id == key_ids[0], "credentials": counts.get(key_id, 0)} for key_id in key_ids]
    if as_json:
        print_json({"keys": keys, **_members(report)})
    else:
        print_fields(
            {
                f"key {key['id']}": f"{key['credentials']} credentials{', current' if key['current'] else ''}"
                for key in keys
            }
        )
        typer.echo(f"{report.done} of {report.total} credentials open.")
        _print_unreadable(report)
    if not report.complete:
        raise typer.Exit(1)


def _with_progress(what: str, work: Any, as_json: bool) -> tuple[Report, tuple[str, ...]]:
    """Run `work(house, progress)` under a progress bar on stderr; returns its report and the ids of the keys."""
    from rich.console import Console  # noqa: PLC0415  (large, and a server does without it)
    from rich.progress import (  # noqa: PLC0415  (as above)
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=as_json,
    )

    async def inside() -> tuple[Report, tuple[str, ...]]:
        async with command_house() as house:
            report = await work(house, lambda done, total: bar.update(task, completed=done, total=total))
            return report, house.keyring.key_ids

    with bar:
        task = bar.add_task(what, total=None)
        return run(inside())


def _members(report: Report) -> dict[str, Any]:
    return {**asdict(report), "complete": report.complete}


def _print_unreadable(report: Report) -> None:
    if report.unreadable:
        rows = [(item.customer_id, item.platform, item.account, item.reason) for item in report.unreadable]
        print_table(("CUSTOMER", "PLATFORM", "ACCOUNT", "DOES NOT OPEN"), rows, empty="")
        typer.echo("Put the key they were encrypted with into CREDENTIAL_ENCRYPTION_KEYS_OLD, or connect them again.")
