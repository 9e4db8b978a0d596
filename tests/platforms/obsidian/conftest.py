"""A vault in a temporary folder, and the platform's tools called on it as the gateway calls them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hermes.platforms.base import ApiContext
from hermes.platforms.context import ToolContext
from hermes.platforms.obsidian import ObsidianCredentials, VaultApi, obsidian
from hermes.platforms.obsidian.index import Index
from hermes.platforms.obsidian.search import Page, Request, search
from hermes.platforms.obsidian.vault import Limits, Vault
from hermes.settings import Settings

Call = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The vault's folder, with nothing in it."""
    vault = tmp_path / "vault"
    vault.mkdir()
    return vault


@pytest.fixture
def vault(folder: Path, tmp_path: Path) -> Vault:
    return Vault(
        folder, lock_file=tmp_path / "vault.lock", limits=Limits(note_bytes=1000, notes=50, total_bytes=20_000)
    )


@pytest.fixture
def find(vault: Vault) -> Callable[..., Page]:
    """Search the vault as it is on disk, always with the same index."""
    index = Index()

    def run(query: str, **options: Any) -> Page:
        index.refresh(vault)
        return search(index, Request(query, **options))

    return run


@pytest.fixture
def open_vault(tmp_path: Path, folder: Path) -> Callable[..., VaultApi]:
    """Open a customer's vault, or the operator's own (the `folder` fixture), as the gateway does."""

    def run(customer_id: str = "operator", vault: str = "notes", **settings: Any) -> VaultApi:
        given = {
            "data_dir": tmp_path / "data",
            "obsidian_vaults_root": tmp_path / "vaults",
            "obsidian_vault_path": folder,
        }
        context = SimpleNamespace(customer_id=customer_id, account="default", settings=Settings(**(given | settings)))
        return obsidian.open(cast("ApiContext", context), ObsidianCredentials(vault=vault))

    return run


@pytest.fixture
def call(open_vault: Callable[..., VaultApi]) -> Call:
    """Call a tool on the operator's vault with JSON arguments."""
    api = open_vault()

    async def run(name: str, **arguments: Any) -> dict[str, Any]:
        tool = obsidian.tools[name]
        return await tool.run(api, tool.validate(arguments), ToolContext("call", None))

    return run
