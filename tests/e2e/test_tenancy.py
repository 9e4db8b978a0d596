"""Two hundred customers side by side on all transports: nothing of one ever appears at another."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from hermes.app import open_house
from hermes.settings import load_settings

CUSTOMERS = int(os.environ.get("HERMES_TENANTS", "200"))
STEPS = 10


@pytest.mark.timeout(600)  # ends a hang; linking a WhatsApp number asks Meta eight things, hundreds of times
async def test_customers_never_see_each_other(new_hermes: Callable[..., Any], town_class: Any) -> None:
    server = new_hermes().start()
    settings = load_settings({}, env_file=None, data_dir=server.data_dir, public_url=server.url)
    async with open_house(settings, holder="command") as house:
        town = town_class(
            server.url, server.sandbox, server.operator_key, house, house.stores.redis,
            customers=CUSTOMERS, steps=STEPS,
        )  # fmt: skip
        await town.run()
