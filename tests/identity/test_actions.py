"""Who changed a customer or a key stands in that customer's trail."""

from __future__ import annotations

from typing import Any

import pytest

from hermes.identity.caller import OPERATOR

pytestmark = pytest.mark.storage


async def test_every_change_leaves_a_line(identity: Any) -> None:
    new = await identity.customers.create("ada@example.com", "starter")
    customer_id = new.row.id
    caller = await identity.process().from_api_key(new.key.secret)
    key = await identity.api_keys.create(customer_id, "assistant", ["telegram:read"], by=caller)
    await identity.api_keys.revoke(customer_id, key.row.id)
    await identity.customers.set_plan(customer_id, "growth")
    await identity.customers.suspend(customer_id)
    await identity.customers.resume(customer_id)
    operator = OPERATOR.key_id
    assert identity.audit.lines == [
        (customer_id, operator, "customer.create", {"plan": "starter", "role": "customer"}),
        (customer_id, caller.key_id, "api_key.create", {"key": key.row.id, "grants": "telegram:read"}),
        (customer_id, operator, "api_key.revoke", {"key": key.row.id}),
        (customer_id, operator, "customer.set_plan", {"plan": "growth"}),
        (customer_id, operator, "customer.suspend", {}),
        (customer_id, operator, "customer.resume", {}),
    ]
    assert new.key.secret not in str(identity.audit.lines)
