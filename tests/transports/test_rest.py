"""The tools' REST routes: arguments in, results and problem documents out."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from hermes import errors

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "given", "content", "status", "expected"),
    [
        ("GET", "/api/toy/me", {}, None, 200, {"said": "me"}),
        ("GET", "/api/toy/echo?text=a%20b&times=3", {}, None, 200, {"said": "a b", "times": 3}),
        ("GET", "/api/toy/echo?text=a&tags=x&tags=y", {}, None, 200, {"said": "a", "times": 1, "tags": ["x", "y"]}),
        ("GET", "/api/toy/echo?text=a&tags=x", {}, None, 200, {"said": "a", "times": 1, "tags": ["x"]}),
        ("GET", "/api/toy/echo?text=", {}, None, 200, {"said": "", "times": 1}),
        ("GET", "/api/toy/echo?text=a&text=b", {}, None, 400, "invalid_arguments"),
        ("GET", "/api/toy/echo?text=a&times=many", {}, None, 400, "invalid_arguments"),
        ("GET", "/api/toy/echo", {}, None, 400, "invalid_arguments"),
        ("GET", "/api/toy/echo?text=%ff", {}, None, 400, "invalid_arguments"),
        ("GET", "/api/toy/echo?" + "&".join(f"a{n}=1" for n in range(300)), {}, None, 400, "invalid_arguments"),
        ("POST", "/api/toy/message", JSON, b'{"text":"hi"}', 200, {"said": "hi"}),
        ("PUT", "/api/toy/message", JSON, b'{"text":"hi"}', 200, {"said": "hi"}),
        ("POST", "/api/toy/message", JSON, b'{"text":5}', 400, "invalid_arguments"),
        ("POST", "/api/toy/message", JSON, b'{"text":"hi","more":1}', 400, "invalid_arguments"),
        ("POST", "/api/toy/message", JSON, b"[]", 400, "invalid_arguments"),
        ("POST", "/api/toy/message", JSON, b"{", 400, "invalid_arguments"),
        ("POST", "/api/toy/message", JSON, b"", 400, "invalid_arguments"),
        ("POST", "/api/toy/message", JSON, b'{"a":' * 90 + b"1" + b"}" * 90, 400, "invalid_arguments"),
        ("POST", "/api/toy/message", {"content-type": "text/plain"}, b"hi", 415, "invalid_arguments"),
        ("POST", "/api/toy/message", JSON, b"x" * (1024 * 1024 + 1), 413, "payload_too_large"),
        ("PATCH", "/api/toy/message", JSON, b"{}", 405, "invalid_arguments"),
        ("POST", "/api/toy/me", JSON, b"{}", 405, "invalid_arguments"),
        ("GET", "/api/toy/nothing", {}, None, 404, "not_found"),
        ("GET", "/api/toy/me", {"x-api-key": ""}, None, 401, "not_authenticated"),
        ("GET", "/api/toy/me", {"x-api-key": "key-suspended"}, None, 403, "suspended"),
    ],
)
async def test_each_request(
    rest: Any, method: str, path: str, given: dict[str, str], content: Any, status: int, expected: Any
) -> None:
    answer = await rest.request(method, path, headers=given, content=content)
    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.json() == expected
        assert answer.headers["x-call-id"] == "call-1"
        return
    assert answer.headers["content-type"] == "application/problem+json"
    shown = answer.json()
    assert (shown["status"], shown["code"], shown["detail"]) == (status, expected, shown["message"])
    assert shown["type"] == "about:blank"
    assert shown["title"]


async def test_405_lists_what_the_path_takes(rest: Any) -> None:
    assert (await rest.delete("/api/toy/message")).headers["allow"] == "POST, PUT"
    assert (await rest.delete("/api/other")).headers["allow"] == "POST"


async def test_a_hidden_tool_is_unknown(house: Any, rest: Any) -> None:
    house.gateway.hidden.add("toy_get_me")
    assert (await rest.get("/api/toy/me")).status_code == 404


async def test_what_a_call_carries(house: Any, rest: Any) -> None:
    await rest.get("/api/toy/me", headers={"idempotency-key": "k", "x-request-id": "mine-1", "user-agent": "curl/8"})
    caller, name, _, options = house.gateway.calls[-1]
    assert (caller.customer_id, name) == ("alice", "toy_get_me")
    assert (options.transport, options.idempotency_key, options.request_id, options.client, options.query) == (
        "rest",
        "k",
        "mine-1",
        "curl/8",
        True,
    )


@pytest.mark.parametrize(("given", "kept"), [("abc-1.2_3", True), ("x" * 65, False), ("a b", False), ("", False)])
async def test_request_ids(rest: Any, given: str, kept: bool) -> None:
    answer = await rest.get("/api/toy/me", headers={"x-request-id": given})
    assert (answer.headers["x-request-id"] == given) == kept
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("error", "status", "header", "value"),
    [
        (errors.QuotaExceeded("None left.", retry_after=10.2), 429, "retry-after", "11"),
        (errors.NotConnected("Not linked.", connect_url="https://h/c"), 409, None, None),
        (errors.PlatformUnavailable("Down."), 503, None, None),
        (errors.OutcomeUnknown("Who knows.", call_id="c"), 504, None, None),
        (errors.InsufficientScope("More.", scope="toy:write"), 403, "www-authenticate", 'scope="toy:write"'),
        (errors.Internal("Something.", detail="secret"), 500, None, None),
    ],
)
async def test_each_error(house: Any, rest: Any, fails: Any, error: Any, status: int, header: Any, value: Any) -> None:
    house.gateway.on["toy_get_me"] = fails(error)
    answer = await rest.get("/api/toy/me")
    assert answer.status_code == status
    assert {key: answer.json()[key] for key in error.as_dict()} == error.as_dict()
    assert "secret" not in answer.text
    if header:
        assert value in answer.headers[header]


async def test_errors_of_other_rooms(rest: Any) -> None:
    answer = await rest.post("/api/other?limit=x", content=orjson.dumps({}), headers=JSON)
    assert answer.status_code == 400
    assert [item["field"] for item in answer.json()["fields"]] == ["limit", "email"]
    assert (await rest.post("/api/other", content=b"{", headers=JSON)).status_code == 400
    refused = await rest.get("/api/refused")
    assert (refused.status_code, refused.headers["retry-after"], refused.json()["limit"]) == (429, "60", 100)
    broken = await rest.get("/api/broken")
    assert (broken.status_code, broken.json()["code"]) == (500, "internal")
    assert "secret" not in broken.text
    assert broken.headers["x-request-id"]
