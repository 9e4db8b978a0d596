"""`hermes keys`: the keys that credentials are encrypted with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hermes.commands.common import AsJson, command_house, fail, print_fields, print_json, print_table, run
from hermes.connections.rotation import UnreadableCredential
from hermes.crypto import Keyring, generate_key, parse_key
from hermes.keys.data_keys import DataKey, make_data_key
from hermes.keys.seals import Progress, Report
from hermes.keys.service import provider_of
from hermes.keys.wrapping import wrapping_of
from hermes.rekeying import begin_newest, check_all, move_all
from hermes.settings import KeyProvider, load_settings
from hermes.storage.revisions import require_newest_schema
from hermes.storage.stores import open_stores

if TYPE_CHECKING:
    from hermes.app import House

    Work = Callable[[House, Callable[[str], Progress]], Awaitable[list[Report]]]

app = typer.Typer(no_args_is_help=True, help="Make, rotate and check the keys that credentials are encrypted with.")


def register(commands: typer.Typer) -> None:
    """Add the commands to the command line."""
    commands.add_typer(app, name="keys")


@app.command("generate")
def generate(
    provider: Annotated[
        KeyProvider, typer.Option(help="Where the key lives: in the settings, or wrapped by a KMS in the database.")
    ] = "local",
    as_json: AsJson = False,
) -> None:
    """Make a new key. A local one is printed and nothing is stored; a data key of a KMS is stored wrapped."""
    if provider != "local":
        _generate_data_key(as_json)
        return
    key = generate_key()
    if as_json:
        print_json({"key": key, "id": Keyring(parse_key(key)).current_id})
    else:
        typer.echo(key)


def _generate_data_key(as_json: bool) -> None:
    settings = load_settings()
    wrapping = wrapping_of(settings)
    if wrapping is None:
        fail("AWS_KMS_KEY_ID: is missing (example: AWS_KMS_KEY_ID=alias/hermes)")

    async def work() -> DataKey:
        async with open_stores(settings) as stores:
            await require_newest_schema(stores.database)
            return await make_data_key(stores.database, wrapping)

    made = run(work())
    if as_json:
        print_json(asdict(made))
        return
    typer.echo(f"{made.id}, wrapped by {made.wrapped_by}.")
    if made.active:
        typer.echo(f"It seals as soon as ENCRYPTION_KEY_PROVIDER={made.provider} is set for every server.")
    else:
        typer.echo("It waits; `hermes keys rotate` has it seal.")


@app.command("rotate")
def rotate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Re-encrypt everything that is kept with the current key, while the server serves. Can be started again.

    Local keys: first give every server the new key in CREDENTIAL_ENCRYPTION_KEYS_OLD, so that all can read what it
    encrypts. Then make it CREDENTIAL_ENCRYPTION_KEY, with the former one in CREDENTIAL_ENCRYPTION_KEYS_OLD, and rotate.
    Two days after that the former one can go. Keys of a KMS: see docs/keys.md.
    """

    async def work(house: House, telling: Callable[[str], Progress]) -> list[Report]:
        if not dry_run:
            await begin_newest(house.keys, telling)
        stores = house.stores
        reports = await move_all(stores.database, stores.redis, house.keyring, telling, dry_run=dry_run)
        if not dry_run and _complete(reports):
            await house.keys.retire_others()
        return reports

    reports, key_ids = _with_progress(work, as_json)
    if as_json:
        print_json({"dry_run": dry_run, "key_id": key_ids[0], **_members(reports)})
    else:
        verb = "would be re-encrypted" if dry_run else "re-encrypted"
        for report in _worth_saying(reports):
            typer.echo(f"{report.done} of {report.total} {report.what} {verb} with the key {key_ids[0]}.")
            if report.remaining:
                typer.echo(f"{report.remaining} were changed again and again meanwhile; run it once more.")
        if _complete(reports) and not dry_run and len(key_ids) > 1:
            typer.echo("Nothing that lasts needs the other keys any more; take them out of the settings in two days.")
        _print_unreadable(reports)
    if not _complete(reports):
        raise typer.Exit(1)


@app.command("check")
def check(as_json: AsJson = False) -> None:
    """Open everything that is kept encrypted, and say which key of which provider it is under. Nothing is changed."""

    async def work(house: House, telling: Callable[[str], Progress]) -> list[Report]:
        return await check_all(house.stores.database, house.stores.redis, house.keyring, telling)

    reports, key_ids = _with_progress(work, as_json)
    credentials, others = reports[0], reports[1:]
    keys = [
        {
            "id": key_id,
            "provider": provider_of(key_id),
            "current": key_id == key_ids[0],
            "credentials": credentials.keys.get(key_id, 0),
            "others": sum(report.keys.get(key_id, 0) for report in others),
        }
        for key_id in key_ids
    ]
    if as_json:
        print_json({"keys": keys, **_members(reports)})
    else:
        print_fields(
            {
                f"key {key['id']}": f"{key['provider']}, {key['credentials']} credentials, {key['others']} others"
                f"{', current' if key['current'] else ''}"
                for key in keys
            }
        )
        for report in _worth_saying(reports):
            typer.echo(f"{report.done} of {report.total} {report.what} open.")
        _print_unreadable(reports)
    if not _complete(reports):
        raise typer.Exit(1)


def _with_progress(work: Work, as_json: bool) -> tuple[list[Report], tuple[str, ...]]:
    """Run the work under progress bars on stderr; returns its reports and the ids of the keys."""

    async def inside() -> tuple[list[Report], tuple[str, ...]]:
        async with command_house() as house:
            reports = await work(house, telling)
            return reports, house.keyring.key_ids

    with _bars(as_json) as telling:
        return run(inside())


@contextmanager
def _bars(as_json: bool) -> Iterator[Callable[[str], Progress]]:
    from rich.console import Console  # noqa: PLC0415  (large, and a server does without it)
    from rich.progress import (  # noqa: PLC0415  (as above)
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars  # noqa: PLC0415  (as above)

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True, disable=as_json) as bars:

        def telling(what: str) -> Progress:
            task = bars.add_task(what, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield telling


def _complete(reports: list[Report]) -> bool:
    return all(report.complete for report in reports)


def _worth_saying(reports: list[Report]) -> list[Report]:
    """The credentials always, and of the rest what there is."""
    return [report for number, report in enumerate(reports) if number == 0 or report.total]


def _members(reports: list[Report]) -> dict[str, Any]:
    """The credentials' report, with what else is kept encrypted below `others`."""
    credentials, *others = [asdict(report) for report in reports]
    by_key = credentials.pop("keys")
    return {**credentials, "by_key": by_key, "complete": _complete(reports), "others": others}


def _print_unreadable(reports: list[Report]) -> None:
    rows = []
    for report in reports:
        for item in report.unreadable:
            more = (item.customer_id, item.platform, item.account) if isinstance(item, UnreadableCredential) else ()
            rows.append((report.what, item.id, " ".join(more), item.reason))
    if rows:
        print_table(("WHAT", "ID", "OF", "DOES NOT OPEN"), rows, empty="")
    for report in reports:
        if report.unreadable:
            typer.echo(f"{report.what}: {report.remedy}.")
