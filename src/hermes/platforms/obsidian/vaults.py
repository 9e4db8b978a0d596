"""Which folder is whose vault, and what is kept of vaults between calls: threads and search indexes, both bounded."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from hermes.errors import Internal, NotConnected
from hermes.platforms.obsidian.index import Index
from hermes.platforms.obsidian.vault import Limits, Vault
from hermes.settings import Settings, SettingsError

OPERATOR = "operator"
"""The id that `ApiContext.customer_id` has in single-user mode; no customer can have it."""

MAX_INDEXES = 64
MAX_INDEXED_BYTES = 384 * 1024 * 1024
THREADS = 8
_THREADS_PER_VAULT = 2
_CUSTOMER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

T = TypeVar("T")


@dataclass
class OpenVault:
    """A vault with what is kept of it. `gate` leaves threads for others when one vault is busy."""

    vault: Vault
    index: Index = field(default_factory=Index)
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_THREADS_PER_VAULT))


class Vaults:
    """The vaults in use, the least recently used ones forgotten first."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[str, str], OpenVault] = OrderedDict()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="obsidian")

    def get(self, settings: Settings, customer_id: str, vault: str) -> OpenVault:
        """The vault of a customer, or the operator's own.

        Args:
            settings: where vaults are.
            customer_id: the tenant that the call is bound to; never from an argument.
            vault: the vault's name, as in the customer's credential.

        Raises:
            NotConnected: the operator has set no vault.
            Internal: the folders overlap, or the customer's id could not be a folder.
        """
        found = _locate(settings, customer_id, vault)
        key = (customer_id, str(found.folder))
        kept = self._open.get(key)
        if kept is None:
            self._make_room()
            kept = self._open[key] = OpenVault(found)
        self._open.move_to_end(key)
        return kept

    async def run(self, opened: OpenVault, work: Callable[[], T]) -> T:
        """Run blocking work on a vault in a thread."""
        async with opened.gate:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _make_room(self) -> None:
        size = sum(opened.index.size for opened in self._open.values())
        while self._open and (len(self._open) >= MAX_INDEXES or size > MAX_INDEXED_BYTES):
            _, forgotten = self._open.popitem(last=False)
            size -= forgotten.index.size


def vaults_root(settings: Settings) -> Path:
    """The folder that holds the customers' vaults."""
    return settings.obsidian_vaults_root or settings.data_dir / "vaults"


def check_folders(settings: Settings) -> None:
    """Refuse settings under which a customer's vault could lie in the operator's own, or the other way round.

    Raises:
        SettingsError: the two folders are the same, or one holds the other.
    """
    if settings.obsidian_vault_path is None:
        return
    own, root = settings.obsidian_vault_path.resolve(), vaults_root(settings).resolve()
    if own.is_relative_to(root) or root.is_relative_to(own):
        raise SettingsError(
            f"OBSIDIAN_VAULT_PATH ({own}) and OBSIDIAN_VAULTS_ROOT ({root}) overlap; "
            "put them beside each other (example: OBSIDIAN_VAULTS_ROOT=/var/lib/hermes/vaults)"
        )


def _locate(settings: Settings, customer_id: str, vault: str) -> Vault:
    try:
        check_folders(settings)
    except SettingsError as error:
        raise Internal(
            "The server's Obsidian folders overlap; its operator has to separate them.", detail=str(error)
        ) from None
    if customer_id == OPERATOR:
        own = settings.obsidian_vault_path
        if own is None:
            raise NotConnected("No vault is set; set OBSIDIAN_VAULT_PATH on the server.", platform="obsidian")
        name = hashlib.sha256(str(own.resolve()).encode()).hexdigest()[:32]
        lock = settings.data_dir / "locks" / f"{name}.lock"
        return Vault(own, lock_file=lock, limits=Limits(notes=None, total_bytes=None))
    if not _CUSTOMER_ID.fullmatch(customer_id):
        raise Internal("This account cannot have a vault.", detail=f"customer id {customer_id!r} is no folder name")
    root = vaults_root(settings)
    # Beside the vault, so that all replicas that share the folder share the lock; no vault's name starts with a dot.
    return Vault(root, (customer_id, vault), lock_file=root / customer_id / f".{vault}.lock")
