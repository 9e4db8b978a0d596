"""`hermes customers`: the tenants."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import SecretStr

from hermes.commands.common import AsJson, command_house, fail, print_fields, print_json, print_table, run
from hermes.identity.caller import OPERATOR
from hermes.identity.models import PLAN_NAMES, ROLES, Customer
from hermes.identity.passwords import LONGEST
from hermes.identity.service import LARGEST_PAGE, Customers, NewCustomer
from hermes.identity.views import CustomerView

if TYPE_CHECKING:
    from hermes.identity.sign_up import Invitation

app = typer.Typer(no_args_is_help=True, help="Make, look at, suspend and resume customers.")


def register(commands: typer.Typer) -> None:
    """Add the commands to the command line."""
    commands.add_typer(app, name="customers")


Who = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id or e-mail address.")]

_PLANS = ", ".join(PLAN_NAMES)


@app.command("create")
def create(
    email: Annotated[str, typer.Option(help="The customer's e-mail address.")],
    plan: Annotated[str, typer.Option(help=f"One of {_PLANS}.")] = "free",
    role: Annotated[
        str, typer.Option(help=f"One of {', '.join(ROLES)}; an admin may do what operators do.")
    ] = "customer",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read a password for the dashboard from standard input.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a customer and print the first API key, this once."""
    password = _read_password() if password_stdin else None

    async def work() -> NewCustomer:
        async with command_house() as house:
            return await house.customers.create(email, plan, role, password=password)

    new = run(work())
    shown = {"id": new.row.id, "email": new.row.email, "plan": new.row.plan, "role": new.row.role}
    if as_json:
        print_json({**shown, "api_key": new.key.secret})
        return
    print_fields({**shown, "API key": new.key.secret})
    typer.echo("The key is shown this once; only its hash is kept.")


@app.command("invite")
def invite(
    email: Annotated[str, typer.Option(help="The address to invite.")],
    plan: Annotated[str, typer.Option(help=f"One of {_PLANS}.")] = "free",
    as_json: AsJson = False,
) -> None:
    """Invite somebody to make an account; mails the link, and prints it this once."""
    from hermes.identity.invitation_routes import InvitationView  # noqa: PLC0415  (FastAPI, 0.3 s that help does without)

    async def work() -> Invitation:
        async with command_house() as house:
            return await house.people.sign_up.invite(email, plan, by=OPERATOR)

    shown = InvitationView.of(run(work())).model_dump(mode="json")
    if as_json:
        print_json(shown)
        return
    print_fields(shown)
    typer.echo("The link works once." + ("" if shown["mailed"] else " Mail is not set up: pass it on yourself."))


@app.command("list")
def list_customers(as_json: AsJson = False) -> None:
    """List every customer, in the order they came."""

    async def work() -> list[Customer]:
        async with command_house() as house:
            page = await house.customers.page(limit=LARGEST_PAGE)
            rows = page.rows
            while page.cursor is not None:
                page = await house.customers.page(cursor=page.cursor, limit=LARGEST_PAGE)
                rows += page.rows
            return rows

    rows = run(work())
    if as_json:
        print_json([_members(row) for row in rows])
        return
    print_table(
        ("ID", "EMAIL", "PLAN", "ROLE", "STATUS", "SINCE"),
        [(row.id, row.email, row.plan, row.role, row.status, f"{row.created_at:%Y-%m-%d}") for row in rows],
        empty="There are no customers yet; make one with `hermes customers create --email …`.",
    )


@app.command("show", no_args_is_help=True)
def show(customer: Who, as_json: AsJson = False) -> None:
    """Show one customer."""
    _change(customer, lambda customers, customer_id: customers.get(customer_id), as_json)


@app.command("suspend", no_args_is_help=True)
def suspend(customer: Who, as_json: AsJson = False) -> None:
    """Refuse everything that is called for a customer; within five seconds everywhere."""
    _change(customer, lambda customers, customer_id: customers.suspend(customer_id), as_json)


@app.command("resume", no_args_is_help=True)
def resume(customer: Who, as_json: AsJson = False) -> None:
    """Undo a suspension."""
    _change(customer, lambda customers, customer_id: customers.resume(customer_id), as_json)


@app.command("set-plan", no_args_is_help=True)
def set_plan(
    customer: Who, plan: Annotated[str, typer.Argument(help=f"One of {_PLANS}.")], as_json: AsJson = False
) -> None:
    """Put a customer on another plan."""
    _change(customer, lambda customers, customer_id: customers.set_plan(customer_id, plan), as_json)


def _change(who: str, change: Callable[[Customers, str], Awaitable[Customer]], as_json: bool) -> None:
    async def work() -> Customer:
        async with command_house() as house:
            found = await house.customers.find(who)
            return await change(house.customers, found.id)

    members = _members(run(work()))
    if as_json:
        print_json(members)
    else:
        print_fields(members)


def _members(row: Customer) -> dict[str, Any]:
    return CustomerView.of(row).model_dump(mode="json")


def _read_password() -> SecretStr:
    password = sys.stdin.readline(LONGEST + 2).rstrip("\r\n")
    if not password:
        fail("--password-stdin: there was no password on standard input.")
    return SecretStr(password)
