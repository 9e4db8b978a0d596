"""What every command does alike: read the settings, open the house, print, and fail in one sentence."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import orjson
import typer

from hermes.settings import load_settings

if TYPE_CHECKING:
    from hermes.app import House

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; what goes wrong is one sentence on stderr and exit status 1."""
    with one_sentence():
        return asyncio.run(work)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Within the block, what a person can put right ends the process with status 1 and one sentence on stderr."""
    try:
        yield
    except Exception as error:
        # It knows the errors of SQLAlchemy and Redis, a quarter of a second that only a command that failed needs.
        from hermes.commands.refusals import sentence_of  # noqa: PLC0415

        if (sentence := sentence_of(error)) is None:
            raise
        fail(sentence)


def fail(message: str) -> NoReturn:
    """End with status 1 and one sentence on stderr."""
    typer.echo(message, err=True)
    raise typer.Exit(1)


@asynccontextmanager
async def command_house() -> AsyncIterator[House]:
    """The house for one command: beside a running server, or by itself."""
    # The house is most of what a start costs, more than a second, and help does without it.
    from hermes.app import open_house  # noqa: PLC0415
    from hermes.observability.logs import configure_logging  # noqa: PLC0415

    settings = load_settings()
    # Standard output belongs to the command's answer, and a person wants that and not what the services note beside it.
    quiet = (
        settings if "log_level" in settings.model_fields_set else settings.model_copy(update={"log_level": "WARNING"})
    )
    configure_logging(quiet)
    async with open_house(settings, holder="command") as house:
        yield house


def print_json(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode() + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Rows for a person; `empty` is said when there are none."""
    if not rows:
        typer.echo(empty)
        return
    from rich.console import Console  # noqa: PLC0415  (large, and a server does without it)
    from rich.table import Table  # noqa: PLC0415  (as above)

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    Console().print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """One thing's fields for a person, a line each."""
    width = max(map(len, fields))
    for name, value in fields.items():
        typer.echo(f"{name.ljust(width)}  {value if value is not None else ''}")
