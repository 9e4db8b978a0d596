"""The `hermes` command: every subcommand of contract.md, assembled.

A subcommand's module is imported when that subcommand is run or its own help is asked for, because what it imports is
most of what a start costs. The list of all of them is printed from the table below, which stands for the modules until
then. Source: https://click.palletsprojects.com/en/stable/complex/#lazily-loading-subcommands.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group


class Listed(NamedTuple):
    """A subcommand as the list of all shows it.

    Attributes:
        module: the one below `hermes.commands` that registers it.
        summary: the first paragraph of its help.
    """

    module: str
    summary: str
    hidden: bool = False


LISTED: Final = {
    "serve": Listed(
        "serve", "Run the gateway. With no setting at all it keeps everything in ./data and prints how to begin."
    ),
    "worker": Listed("serve", "Run background jobs only; as many of these as wanted."),
    "sandbox": Listed("serve", "Run the platforms' stand-ins alone; the inspection page is at /."),
    "serve-child": Listed("serve", "One of the processes of `hermes serve --workers`; not for people.", hidden=True),
    "migrate": Listed("system", "Bring the database to the newest schema."),
    "doctor": Listed(
        "system", "Check settings, stores, schema, clocks, every stored credential, and each platform's reachability."
    ),
    "connect": Listed(
        "connections", "Link a customer's account: the credentials are tried at the platform, then kept encrypted."
    ),
    "disconnect": Listed("connections", "Unlink one account of a customer and forget its credential."),
    "client-config": Listed("client_config", "Print what to paste into an MCP client so that it reaches this server."),
    "customers": Listed("customers", "Make, look at, suspend and resume customers."),
    "api-keys": Listed("api_keys", "Make, list and revoke customers' API keys."),
    "approvals": Listed("approvals", "List what waits for a customer; list, set and remove their rules."),
    "oauth-clients": Listed("oauth_clients", "Register, list, show and delete OAuth clients."),
    "connections": Listed(
        "connections", "List and check a customer's linked accounts, and choose the one that is used by default."
    ),
    "tools": Listed("tools", "List tools, and call them through the full pipeline."),
    "keys": Listed("keys", "Make, rotate and check the keys that credentials are encrypted with."),
    "audit": Listed("audit", "Export customers' audit trails."),
}


class _Later(TyperCommand):
    """Stands for a subcommand until it is parsed, and then gives way to the real one."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return load(self.name or "").make_context(info_name, args, parent, **extra)


class _Commands(TyperGroup):
    """`hermes` itself, with all of its subcommands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, listed in LISTED.items():
            self.add_command(_Later(name, help=listed.summary, hidden=listed.hidden))


def load(name: str) -> Any:
    """The subcommand of this name, a `TyperCommand` or `TyperGroup`; imports its module."""
    commands = typer.Typer()
    import_module(f"hermes.commands.{LISTED[name].module}").register(commands)
    return get_group(commands).commands[name]


app = typer.Typer(
    name="hermes",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="SquareMCP's gateway: one MCP server for its customers' own accounts.",
)


@app.callback()
def hermes() -> None:
    """What all subcommands have in common, which is nothing; it makes `hermes` a group of them."""
