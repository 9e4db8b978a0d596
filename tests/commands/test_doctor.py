"""`hermes doctor` says how linked accounts stand, and names nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from hermes.app import open_house
from hermes.doctor import examine
from hermes.platforms.base import Account
from hermes.settings import Settings, load_settings
from hermes.storage.migrate import migrate
from hermes.storage.stores import open_stores

pytestmark = pytest.mark.storage


async def test_accounts_are_counted_by_platform_and_status_without_names(tmp_path: Path) -> None:
    def settings() -> Settings:
        nowhere = {"TELEGRAM_API_BASE_URL": "http://127.0.0.1:9"}
        return load_settings(nowhere, env_file=None, data_dir=tmp_path)

    async with open_stores(settings(), holder="command") as stores:
        await migrate(stores.database)
    async with open_house(settings(), holder="server") as house:
        store = house.credentials
        for number in range(3):
            await store.put(f"cus_secret{number}", "telegram", "default", b"{}", Account(str(number)))
        await store.put("cus_secret0", "telegram", "project-x", b"{}", Account("9"))
        await store.mark_needs_reconnect("cus_secret0", "telegram", "project-x", "withdrawn")
    told: list[str] = []
    checks = {check.name: check for check in await examine(settings, told.append)}
    assert checks["connections"].message == "telegram: 3 connected, 1 needs_reconnect"
    assert checks["connections"].state == "ok"
    assert "connections" in told
    assert "secret" not in checks["connections"].message
    assert "project-x" not in checks["connections"].message
