"""`hermes connect`, `hermes disconnect` and `hermes connections`: customers' linked accounts."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from typer.core import TyperGroup

from hermes.commands.common import AsJson, command_house, fail, print_json, print_table, run
from hermes.identity.caller import Caller
from hermes.platforms.base import DEFAULT_ACCOUNT

if TYPE_CHECKING:
    from hermes.app import House
    from hermes.connections.models import Connection
    from hermes.connections.revocation import Unlinked

Who = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id or e-mail address.")]
PlatformId = Annotated[str, typer.Argument(metavar="PLATFORM", help="The platform's id, for example telegram.")]

_LONGEST = 64 * 1024
_EXAMPLE = """for example: echo '{"bot_token": "123:abc"}' | hermes connect CUSTOMER telegram --credentials-stdin"""


class _ListFirst(TyperGroup):
    """`hermes connections CUSTOMER` lists: a customer is never called like one of the commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "--help"}:
            args = ["list", *args]
        return super().parse_args(ctx, args)


def register(commands: typer.Typer) -> None:
    """Add the commands to the command line."""
    commands.command("connect", no_args_is_help=True)(connect)
    commands.command("disconnect", no_args_is_help=True)(disconnect)
    accounts = typer.Typer(
        cls=_ListFirst, help="List and check a customer's linked accounts, and choose the one that is used by default."
    )
    accounts.command("list", no_args_is_help=True)(connections)
    accounts.command("default", no_args_is_help=True)(make_default)
    accounts.command("check", no_args_is_help=True)(check)
    commands.add_typer(accounts, name="connections", no_args_is_help=True)


def connect(
    customer: Who,
    platform: PlatformId,
    credentials_stdin: Annotated[
        bool, typer.Option("--credentials-stdin", help="Read the credentials from standard input, as a JSON object.")
    ] = False,
    account: Annotated[str, typer.Option(help="The account's label.")] = DEFAULT_ACCOUNT,
    as_json: AsJson = False,
) -> None:
    """Link a customer's account: the credentials are tried at the platform, then kept encrypted."""
    if not credentials_stdin:
        raise typer.BadParameter(
            f"Credentials are read from standard input only, {_EXAMPLE}", param_hint="--credentials-stdin"
        )
    credentials = _read_credentials()

    async def work() -> Connection:
        async with command_house() as house:
            return await house.connections.connect(await _acting(house, customer), platform, credentials, account)

    connection = run(work())
    if as_json:
        print_json({"connected": True, **connection.as_dict()})
    else:
        named = f" ({connection.display_name})" if connection.display_name else ""
        typer.echo(f"{platform} is linked as {connection.label!r}{named}.")


def disconnect(
    customer: Who,
    platform: PlatformId,
    account: Annotated[str | None, typer.Option(help="The account's label; needed if there are several.")] = None,
    as_json: AsJson = False,
) -> None:
    """Unlink one account of a customer and forget its credential."""

    async def work() -> Unlinked:
        async with command_house() as house:
            return await house.connections.disconnect(await _acting(house, customer), platform, account)

    unlinked = run(work())
    if as_json:
        print_json({"disconnected": True, "platform": platform, **asdict(unlinked)})
    else:
        typer.echo(
            " ".join(filter(None, (f"{platform} account {unlinked.account!r} is no longer linked.", unlinked.left)))
        )


def make_default(
    customer: Who,
    platform: PlatformId,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's label.")],
    as_json: AsJson = False,
) -> None:
    """Choose the account that a customer's calls use when they name none."""

    async def work() -> None:
        async with command_house() as house:
            await house.connections.make_default(await _acting(house, customer), platform, account)

    run(work())
    if as_json:
        print_json({"platform": platform, "account": account})
    else:
        typer.echo(f"Calls that name no {platform} account use {account!r} from now on.")


def check(
    customer: Who,
    platform: PlatformId,
    account: Annotated[str | None, typer.Option(help="The account's label; default: the one used by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Try at the platform whether a customer's account still works. Exit status 1 if it does not."""

    async def work() -> dict[str, Any]:
        async with command_house() as house:
            return await house.connection_checks.check(await _acting(house, customer), platform, account)

    found = run(work())
    if as_json:
        print_json(found)
    elif found["outcome"] == "works":
        typer.echo(f"The {platform} account {found['account']!r} works.")
    else:
        typer.echo(f"The {platform} account {found['account']!r}: {found['outcome']}. {found['error']}", err=True)
    if found["outcome"] != "works":
        raise typer.Exit(1)


def connections(customer: Who, as_json: AsJson = False) -> None:
    """List a customer's linked accounts. Secrets are never shown."""

    async def work() -> dict[str, Any]:
        async with command_house() as house:
            return await house.connections.overview(await _acting(house, customer))

    overview = run(work())
    if as_json:
        print_json(overview)
        return
    rows = [
        (
            each["platform"],
            f"{each['account']} *" if each["default"] else each["account"],
            each["status"],
            each["display_name"] or each["external_id"],
            (each["expires_at"] or "")[:10],
            " ".join(filter(None, (each["last_error"], *(item["message"] for item in each["missing"])))),
        )
        for each in overview["details"]
    ]
    print_table(
        ("PLATFORM", "ACCOUNT", "STATUS", "WHOSE", "EXPIRES", "LACKS"),
        rows,
        empty="This customer has no linked account; link one with `hermes connect CUSTOMER PLATFORM`.",
    )


async def _acting(house: House, customer: str) -> Caller:
    found = await house.customers.find(customer)
    caller = await house.callers.act_for(house.callers.operator, found.id)
    return replace(caller, client="hermes cli")


def _read_credentials() -> dict[str, Any]:
    text = sys.stdin.buffer.read(_LONGEST + 1)
    try:
        credentials = orjson.loads(text) if len(text) <= _LONGEST else None
    except orjson.JSONDecodeError:
        credentials = None
    if not isinstance(credentials, dict):
        fail(f"There is no JSON object with credentials on standard input; {_EXAMPLE}")
    return credentials
