"""The suite's two scenarios for authorization servers, with a person who signs in and agrees in a real browser."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from ephemeral_port_reserve import reserve

from harness.person import person

pytestmark = pytest.mark.timeout(300)


def test_the_authorization_server(suite: Any, house: dict[str, Any]) -> None:
    port = reserve()
    wanted = {
        "client_name": "Conformance",
        "redirect_uris": [f"http://127.0.0.1:{port}/callback"],
        "token_endpoint_auth_method": "none",
    }
    registered = httpx2.post(f"{house['issuer']}/oauth/register", json=wanted, timeout=30)
    assert registered.status_code == 201, registered.text
    with person(house["email"], house["password"]) as somebody:
        outcome = suite.authorization(house, registered.json()["client_id"], port, somebody.agree)
    assert (outcome.failed, outcome.warned, outcome.status) == ({}, {}, 0)
    assert outcome.ran == {"authorization-server-metadata-endpoint", "authorization-code-grant"}
