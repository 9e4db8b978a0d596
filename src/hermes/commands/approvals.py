"""`hermes approvals`: what a customer's assistants have to ask about, and what waits for the customer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hermes.commands.common import AsJson, command_house, print_json, print_table, run

if TYPE_CHECKING:
    from hermes.gateway.models import ApprovalRow
    from hermes.identity.approval_rules import ApprovalRules

app = typer.Typer(no_args_is_help=True, help="List what waits for a customer; list, set and remove their rules.")


def register(commands: typer.Typer) -> None:
    """Add the commands to the command line."""
    commands.add_typer(app, name="approvals")


CustomerArgument = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id or e-mail address.")]
TargetArgument = Annotated[
    str, typer.Argument(metavar="TARGET", help="A tool, an account as telegram:work, or a platform.")
]


@app.command("list", no_args_is_help=True)
def list_approvals(customer: CustomerArgument, as_json: AsJson = False) -> None:
    """List the calls that wait, or waited, for the customer's yes."""

    async def work() -> Sequence[ApprovalRow]:
        async with command_house() as house:
            owner = await house.customers.find(customer)
            acting = await house.callers.act_for(house.callers.operator, owner.id)
            return await house.approvals.page(acting, limit=100)

    rows = run(work())
    columns = ("id", "status", "tool", "account", "created_at", "expires_at", "decided_by", "decided_via")
    if as_json:
        print_json([{name: getattr(row, name) for name in columns} for row in rows])
        return
    print_table(
        ("APPROVAL", "STATUS", "TOOL", "ACCOUNT", "ASKED", "UNTIL", "DECIDED BY", "VIA"),
        [
            (
                row.id,
                row.status,
                row.tool,
                row.account,
                f"{row.created_at:%H:%M:%S}",
                f"{row.expires_at:%H:%M:%S}",
                row.decided_by,
                row.decided_via,
            )
            for row in rows
        ],
        empty="Nothing waits, and nothing waited in the last 24 hours.",
    )


@app.command("rules", no_args_is_help=True)
def rules(customer: CustomerArgument, as_json: AsJson = False) -> None:
    """List the customer's rules."""

    async def work() -> ApprovalRules:
        async with command_house() as house:
            return await house.rules.of((await house.customers.find(customer)).id)

    _print(run(work()), as_json=as_json)


@app.command("set", no_args_is_help=True)
def set_rule(
    customer: CustomerArgument,
    target: TargetArgument,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="allow, ask or never.")],
    as_json: AsJson = False,
) -> None:
    """Set a rule for the customer; it counts within five seconds everywhere."""

    async def work() -> ApprovalRules:
        async with command_house() as house:
            owner = await house.customers.find(customer)
            return await house.rules.set(owner.id, target, rule, by=house.callers.operator)

    _print(run(work()), as_json=as_json)


@app.command("unset", no_args_is_help=True)
def unset_rule(customer: CustomerArgument, target: TargetArgument, as_json: AsJson = False) -> None:
    """Take a rule of the customer's away."""

    async def work() -> ApprovalRules:
        async with command_house() as house:
            owner = await house.customers.find(customer)
            return await house.rules.remove(owner.id, target, by=house.callers.operator)

    _print(run(work()), as_json=as_json)


def _print(found: ApprovalRules, *, as_json: bool) -> None:
    if as_json:
        from hermes.transports.approval_routes import RuleList  # noqa: PLC0415  (a second, which help does without)

        print_json(RuleList.of(found).model_dump(mode="json")["rules"])
        return
    print_table(
        ("TARGET", "RULE", "SET BY"),
        [(each.target, each.rule, each.set_by) for each in found.each],
        empty="There is no rule, so everything is allowed that the customer's keys and assistants may do.",
    )
