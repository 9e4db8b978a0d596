"""`hermes api-keys`: customers' keys."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hermes.commands.common import AsJson, command_house, print_fields, print_json, print_table, run
from hermes.identity.models import ApiKey
from hermes.identity.service import LARGEST_PAGE, NewKey
from hermes.identity.views import ApiKeyView, NewApiKeyView

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke customers' API keys.")


def register(commands: typer.Typer) -> None:
    """Add the commands to the command line."""
    commands.add_typer(app, name="api-keys")


Who = Annotated[str, typer.Option("--customer", metavar="CUSTOMER", help="The customer's id or e-mail address.")]


@app.command("create")
def create(
    customer: Who,
    name: Annotated[str, typer.Option(help="By which a person recognises the key.")] = "Made at the command line",
    grants: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GRANT,…",
            help="What it may use, e.g. telegram:read,email:write; * is every platform. Default: everything.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it, this once."""
    words = None if grants is None else [word.strip() for part in grants for word in part.split(",") if word.strip()]

    async def work() -> NewKey:
        async with command_house() as house:
            found = await house.customers.find(customer)
            return await house.api_keys.create(found.id, name, words)

    new = run(work())
    if as_json:
        print_json(NewApiKeyView.made(new).model_dump(mode="json"))
        return
    print_fields({"id": new.row.id, "name": new.row.name, "grants": ", ".join(new.row.grants), "API key": new.secret})
    typer.echo("The key is shown this once; only its hash is kept.")


@app.command("list")
def list_api_keys(
    customer: Who,
    revoked: Annotated[bool, typer.Option("--revoked", help="Also keys that were revoked.")] = False,
    as_json: AsJson = False,
) -> None:
    """List a customer's API keys, by their last four characters."""

    async def work() -> list[ApiKey]:
        async with command_house() as house:
            found = await house.customers.find(customer)
            page = await house.api_keys.page(found.id, limit=LARGEST_PAGE, revoked=revoked)
            rows = page.rows
            while page.cursor is not None:
                page = await house.api_keys.page(found.id, cursor=page.cursor, limit=LARGEST_PAGE, revoked=revoked)
                rows += page.rows
            return rows

    rows = run(work())
    if as_json:
        print_json([ApiKeyView.of(row).model_dump(mode="json") for row in rows])
        return
    print_table(
        ("ID", "NAME", "KEY", "GRANTS", "MADE", "LAST USED", "REVOKED"),
        [_cells(row) for row in rows],
        empty="This customer has no API keys; make one with `hermes api-keys create --customer …`.",
    )


@app.command("revoke", no_args_is_help=True)
def revoke(
    customer: Who,
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id; `hermes api-keys list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """End an API key; within five seconds it is refused everywhere."""

    async def work() -> ApiKey:
        async with command_house() as house:
            found = await house.customers.find(customer)
            await house.api_keys.revoke(found.id, key_id)
            return await house.api_keys.get(found.id, key_id)

    row = run(work())
    if as_json:
        print_json(ApiKeyView.of(row).model_dump(mode="json"))
    else:
        typer.echo(f"Key {row.id} ({row.name}, …{row.hint}) is revoked; within five seconds it is refused everywhere.")


def _cells(row: ApiKey) -> tuple[Any, ...]:
    used = f"{row.last_used_at:%Y-%m-%d %H:%M}" if row.last_used_at else "never"
    ended = f"{row.revoked_at:%Y-%m-%d}" if row.revoked_at else None
    return row.id, row.name, f"…{row.hint}", ", ".join(row.grants), f"{row.created_at:%Y-%m-%d}", used, ended
