"""What `--sandbox` brings along: a customer with every platform linked to the stand-ins, and a key to begin with."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from hermes.app import House
from hermes.errors import HermesError, NotAuthenticated, NotFound
from hermes.identity.caller import Caller
from hermes.sandbox_mode import VAULT, demo_credentials
from hermes.storage.data_folder import write_atomically

EMAIL: Final = "demo@sandbox.example"
KEY_FILE: Final = "demo-api-key"
PASSWORD_FILE: Final = "demo-password"  # noqa: S105  (a file's name)
_PASSWORD_BYTES: Final = 12
_WELCOME_NOTE: Final = """---
tags: [welcome]
---
# Welcome

This note lies in the demo customer's vault. Ask your assistant to read it, or to append to it.
"""


@dataclass(frozen=True, slots=True)
class Demo:
    """The furnished customer."""

    customer_id: str
    api_key: str
    key_file: Path
    password: str | None
    """None when somebody chose another one on the account page."""
    password_file: Path
    vault: Path


async def furnish(house: House, data_dir: Path) -> Demo:
    """Find or make the demo customer, with a working key and every platform linked."""
    customer_id = await _customer(house)
    password = await _password(house, customer_id, data_dir / PASSWORD_FILE)
    api_key = await _api_key(house, customer_id, data_dir / KEY_FILE)
    caller = await house.callers.from_api_key(api_key)
    await _link(house, caller)
    root = house.settings.obsidian_vaults_root or data_dir
    vault = (root / customer_id / VAULT).resolve()
    await asyncio.to_thread(_put_welcome, vault)
    return Demo(
        customer_id=customer_id,
        api_key=api_key,
        key_file=(data_dir / KEY_FILE).resolve(),
        password=password,
        password_file=(data_dir / PASSWORD_FILE).resolve(),
        vault=vault,
    )


def _read(path: Path) -> str | None:
    return path.read_text().strip() if path.exists() else None


def _put_welcome(vault: Path) -> None:
    note = vault / "Welcome.md"
    if not note.exists():
        note.write_text(_WELCOME_NOTE)


async def _customer(house: House) -> str:
    try:
        return (await house.customers.find(EMAIL)).id
    except NotFound:
        return (await house.customers.create(EMAIL, plan="growth")).row.id


async def _api_key(house: House, customer_id: str, path: Path) -> str:
    """The key in the file if it still works, otherwise a new one, kept there."""
    kept = await asyncio.to_thread(_read, path)
    if kept is not None:
        try:
            if (await house.callers.from_api_key(kept)).customer_id == customer_id:
                return kept
        except NotAuthenticated:
            pass
    made = await house.api_keys.create(customer_id, "Demo")
    write_atomically(path, made.secret + "\n")
    return made.secret


async def _password(house: House, customer_id: str, path: Path) -> str | None:
    """The password in the file, or a new one that is kept there; none if the one in the file was replaced."""
    kept = await asyncio.to_thread(_read, path)
    if kept is not None:
        return kept if await house.people.account.has_password(customer_id, SecretStr(kept)) else None
    made = secrets.token_urlsafe(_PASSWORD_BYTES)
    await house.people.account.set_password(customer_id, SecretStr(made))
    write_atomically(path, made + "\n")
    return made


async def _link(house: House, caller: Caller) -> None:
    linked = await house.connections.accounts(caller.customer_id)
    for platform, credentials in demo_credentials().items():
        if platform not in linked:
            try:
                await house.connections.connect(caller, platform, credentials)
            except HermesError as error:
                raise type(error)(f"The demo account on {platform} could not be linked: {error.message}") from None
