"""A command loads its own module and no other, and the list of all loads none."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest
import typer
from typer.main import get_group

from hermes import commands
from hermes.cli import LISTED, load

LOADED = """
import sys
from hermes.cli import LISTED, app, load
{}
print(*(name for name in {!r} if name in sys.modules), file=sys.stderr)
"""


def loaded(work: str, *modules: str) -> list[str]:
    """Which of these modules a new process has imported after the work."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(work, modules)], capture_output=True, text=True, check=True
    )
    return done.stderr.split()


@pytest.mark.parametrize("name", LISTED)
def test_the_list_says_of_a_command_what_it_says_itself(name: str) -> None:
    command = load(name)
    assert " ".join(command.help.split("\n\n")[0].split()) == LISTED[name].summary
    assert command.hidden == LISTED[name].hidden


def test_every_command_is_listed() -> None:
    registered = typer.Typer()
    for module in pkgutil.iter_modules(commands.__path__):
        register = getattr(import_module(f"hermes.commands.{module.name}"), "register", None)
        if register is not None:
            register(registered)
    assert get_group(registered).commands.keys() == LISTED.keys()


def test_the_list_needs_nothing_but_typer() -> None:
    heavy = ("hermes.settings", "pydantic", "sqlalchemy", "redis", "aiohttp", "rich")
    assert loaded("app(['--help'], standalone_mode=False)", *heavy) == ["rich"]


def test_help_does_without_the_house() -> None:
    heavy = ("hermes.app", "hermes.gateway.call", "hermes.server", "streaq", "coredis")
    assert loaded("for name in LISTED: load(name)", *heavy) == []
