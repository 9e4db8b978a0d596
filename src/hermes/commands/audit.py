"""`hermes audit`: a customer's trail as a file."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import orjson
import typer

from hermes.commands.common import command_house, run

app = typer.Typer(no_args_is_help=True, help="Export customers' audit trails.")


def register(commands: typer.Typer) -> None:
    """Add the commands to the command line."""
    commands.add_typer(app, name="audit")


_COLUMNS: tuple[str, ...] = (
    "id", "at", "caller_kind", "caller_id", "client", "tool", "account", "arguments", "outcome", "error",
    "duration_ms", "request_id",
)  # fmt: skip
_DEFAULT_DAYS = 30


class Format(StrEnum):
    """How entries are written."""

    JSONL = "jsonl"
    CSV = "csv"


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day; write YYYY-MM-DD") from None


@app.callback()
def _group() -> None:
    """Audit trails."""


@app.command("export", no_args_is_help=True)
def export(
    customer: Annotated[str, typer.Argument(help="The customer's id or e-mail; `operator` for single-user mode.")],
    since: Annotated[
        date | None, typer.Option(parser=_day, metavar="YYYY-MM-DD", help="First day (UTC); default: 30 days ago.")
    ] = None,
    until: Annotated[
        date | None, typer.Option(parser=_day, metavar="YYYY-MM-DD", help="Last day (UTC); default: today.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="One JSON object per line, or CSV.")] = Format.JSONL,
) -> None:
    """Write a customer's audit trail to standard output, oldest first."""
    last = until or datetime.now(UTC).date()
    first = since or last - timedelta(days=_DEFAULT_DAYS)

    async def work() -> None:
        async with command_house() as house:
            operator = house.callers.operator.customer_id
            customer_id = operator if customer == operator else (await house.customers.find(customer)).id
            rows = csv.DictWriter(sys.stdout, _COLUMNS)
            if form is Format.CSV:
                rows.writeheader()
            async for entry in house.trail.export(customer_id, first, last):
                if form is Format.CSV:
                    rows.writerow(_flat(entry))
                else:
                    sys.stdout.write(orjson.dumps(entry).decode() + "\n")

    run(work())


def _flat(entry: dict[str, Any]) -> dict[str, Any]:
    caller = entry["caller"]
    flat = {name: entry.get(name) for name in _COLUMNS}
    flat |= {"caller_kind": caller["kind"], "caller_id": caller["id"], "client": caller["client"]}
    flat["arguments"] = orjson.dumps(entry["arguments"]).decode()
    # A cell that begins like a formula would be run by a spreadsheet (OWASP, CSV injection).
    return {
        name: "'" + value if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
        for name, value in flat.items()
    }
