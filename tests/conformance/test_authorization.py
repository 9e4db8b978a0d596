"""The suite's two scenarios for authorization servers, with a person who signs in and agrees in a real browser."""

from __future__ import annotations

import socket
from typing import Any

import httpx2
import pytest

from harness.person import person

pytestmark = pytest.mark.timeout(300)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def test_the_authorization_server(suite: Any, house: dict[str, Any]) -> None:
    port = free_port()
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
