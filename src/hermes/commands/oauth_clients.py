"""`hermes oauth-clients`: programs that an operator registers, so that they may ask people for access or act for one
customer by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from hermes.commands.common import AsJson, command_house, fail, print_fields, print_json, print_table, run
from hermes.oauth.client_store import NewClient
from hermes.oauth.customer_routes import ClientRequest, ClientView, NewClientView
from hermes.oauth.models import OAuthClient
from hermes.oauth.registered_clients import LARGEST_PAGE

app = typer.Typer(no_args_is_help=True, help="Register, list, show and delete OAuth clients.")


def register(commands: typer.Typer) -> None:
    """Add the commands to the command line."""
    commands.add_typer(app, name="oauth-clients")


ClientId = Annotated[
    str, typer.Argument(metavar="CLIENT", help="The client's id; `hermes oauth-clients list` shows it.")
]

_METHODS = "none, client_secret_basic, client_secret_post or private_key_jwt"


@app.command("create")
def create(
    name: Annotated[str, typer.Option(help="By which people recognise the program.")],
    redirect_uri: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Where answers may go; may be repeated.")
    ] = None,
    customer: Annotated[
        str | None,
        typer.Option(metavar="CUSTOMER", help="Sign in by itself as this customer, instead of asking people."),
    ] = None,
    scope: Annotated[
        str | None,
        typer.Option(help="The most that it may be given, e.g. 'telegram:read all:write'. Default: everything."),
    ] = None,
    auth: Annotated[str | None, typer.Option(metavar="METHOD", help=f"How it proves who it is: {_METHODS}.")] = None,
    jwks_file: Annotated[
        Path | None, typer.Option(help="Its public keys, a JWK set, for private_key_jwt.", exists=True, dir_okay=False)
    ] = None,
    jwks_uri: Annotated[str | None, typer.Option(metavar="URL", help="Where its public keys are found.")] = None,
    as_json: AsJson = False,
) -> None:
    """Register a client and print its secret, this once."""
    members: dict[str, Any] = {
        "name": name,
        "redirect_uris": redirect_uri or [],
        "scope": scope,
        "token_endpoint_auth_method": auth,
        "jwks": _keys(jwks_file),
        "jwks_uri": jwks_uri,
    }

    async def work() -> NewClient:
        async with command_house() as house:
            owner = None if customer is None else (await house.customers.find(customer)).id
            return await house.oauth.registered.create(ClientRequest(**members, customer_id=owner).wanted())

    view = NewClientView.made(run(work())).model_dump(mode="json")
    if as_json:
        print_json(view)
        return
    print_fields({name: ", ".join(value) if isinstance(value, list) else value for name, value in view.items()})
    if view["client_secret"] is not None:
        typer.echo("The secret is shown this once; only its hash is kept.")


@app.command("list")
def list_clients(as_json: AsJson = False) -> None:
    """List the clients that operators registered."""

    async def work() -> list[OAuthClient]:
        async with command_house() as house:
            page = await house.oauth.registered.page(limit=LARGEST_PAGE)
            rows = page.rows
            while page.cursor is not None:
                page = await house.oauth.registered.page(cursor=page.cursor, limit=LARGEST_PAGE)
                rows += page.rows
            return rows

    views = [ClientView.of(row) for row in run(work())]
    if as_json:
        print_json([view.model_dump(mode="json") for view in views])
        return
    print_table(
        ("CLIENT", "NAME", "PROOF", "ACTS FOR", "SCOPE", "MADE"),
        [
            (
                view.client_id,
                view.name,
                view.token_endpoint_auth_method,
                view.customer_id or "whom it asks",
                view.scope or "everything",
                f"{view.created_at:%Y-%m-%d}",
            )
            for view in views
        ],
        empty="No client is registered; make one with `hermes oauth-clients create --name …`.",
    )


@app.command("show", no_args_is_help=True)
def show(client: ClientId, as_json: AsJson = False) -> None:
    """Show one client."""

    async def work() -> OAuthClient:
        async with command_house() as house:
            return await house.oauth.registered.get(client)

    view = ClientView.of(run(work())).model_dump(mode="json")
    if as_json:
        print_json(view)
    else:
        print_fields({name: ", ".join(value) if isinstance(value, list) else value for name, value in view.items()})


@app.command("delete", no_args_is_help=True)
def delete(client: ClientId, as_json: AsJson = False) -> None:
    """Delete a client and disconnect it from everyone; within five seconds everywhere."""

    async def work() -> None:
        async with command_house() as house:
            await house.oauth.registered.delete(client)

    run(work())
    if as_json:
        print_json({"client_id": client, "deleted": True})
    else:
        typer.echo(f"Client {client} is deleted; within five seconds it is refused everywhere.")


def _keys(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        fail(f"{path} is not JSON; it must hold a JWK set, {{'keys': […]}}.")
