"""The secrets of the embedded default: made once, kept in the data folder, never printed from here."""

from __future__ import annotations

import secrets
import string
from typing import Final

from dotenv import dotenv_values
from pydantic import SecretStr

from hermes.settings import Settings, SettingsError
from hermes.storage.data_folder import DataFolder, DataFolderError, write_once

_BASE62: Final = string.digits + string.ascii_letters
_BASE62_OF_32_BYTES: Final = 43
"""The number of base62 digits that hold 32 bytes."""

_NEEDED: Final = ("mcp_api_key", "credential_encryption_key", "jwt_secret")


def ensure_secrets(settings: Settings, data_folder: DataFolder | None) -> Settings:
    """Complete the settings by the secrets that hermes cannot work without.

    In the embedded default those that the environment does not give come from `secrets.env` in the data folder, which
    is made at the first start. A hermes with servers of its own (DATABASE_URL, REDIS_URL) never makes any, because
    every replica must have the same.

    Returns:
        The settings with `mcp_api_key`, `credential_encryption_key` and `jwt_secret` set. With servers of its own, a
        hermes whose keys a KMS wraps may do without `credential_encryption_key`.

    Raises:
        SettingsError: one is missing and may not be made; the message names it and shows an example.
        DataFolderError: `secrets.env` is there but lacks one.
    """
    missing = [name for name in _NEEDED if getattr(settings, name) is None]
    if settings.encryption_key_provider != "local" and not settings.embedded:
        missing = [name for name in missing if name != "credential_encryption_key"]
    if not missing:
        return settings
    if not settings.embedded or data_folder is None:
        raise SettingsError("; ".join(_missing(name) for name in missing))
    path = data_folder.path / "secrets.env"
    write_once(path, _new_secrets())
    kept = dotenv_values(path, interpolate=False)
    lost = [name.upper() for name in missing if not kept.get(name.upper())]
    if lost:
        raise DataFolderError(f"{path} lacks {', '.join(lost)}; put back the file as it was when it was made.")
    return settings.model_copy(update={name: SecretStr(kept[name.upper()] or "") for name in missing})


def new_operator_key() -> str:
    """A new value for MCP_API_KEY: `sq_op_` and 256 random bits in base62."""
    return "sq_op_" + "".join(secrets.choice(_BASE62) for _ in range(_BASE62_OF_32_BYTES))


def _new_secrets() -> str:
    return (
        "# Made by hermes at its first start. Keep a copy in a safe place: without CREDENTIAL_ENCRYPTION_KEY\n"
        "# no stored credential can ever be read again.\n"
        f"MCP_API_KEY={new_operator_key()}\n"
        f"CREDENTIAL_ENCRYPTION_KEY={secrets.token_hex(32)}\n"
        f"JWT_SECRET={secrets.token_hex(32)}\n"
    )


def _missing(name: str) -> str:
    example = (Settings.model_fields[name].examples or ["…"])[0]
    return (
        f"{name.upper()} is missing (example: {name.upper()}={example}); "
        "it must be the same for every process that uses this database and Redis"
    )
