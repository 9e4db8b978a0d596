"""`/api/media` over HTTP: uploading raw bodies, looking, downloading, deleting; nobody else's files."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request

from hermes.identity.caller import Caller, Grants, Via
from hermes.media.limits import MediaLimit, limit_of
from hermes.media.routes import build_router
from hermes.transports.problem_handlers import install_problem_handlers

pytestmark = pytest.mark.storage


class Trail:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, str]]] = []

    async def record(self, customer_id: str, _caller: Caller, action: str, *_: Any, **details: str) -> None:
        self.lines.append((customer_id, action, details))


async def caller_of(request: Request) -> Caller:
    name = request.headers["x-api-key"]
    return Caller("customer", f"cus_{name}", Via.API_KEY, name, Grants.everything(), "free")


@pytest.fixture
def trail() -> Trail:
    return Trail()


@pytest.fixture
async def http(media, trail) -> AsyncIterator[httpx2.AsyncClient]:
    app = FastAPI()
    install_problem_handlers(app)
    app.include_router(build_router(media.store, lambda _plan: MediaLimit(100_000, 150_000), trail, caller_of))
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://t", headers={"x-api-key": "a"}) as client:
        yield client


async def test_a_file_is_uploaded_described_downloaded_and_deleted(http, media, trail) -> None:
    content = media.jpeg()
    headers = {"content-type": "image/png", "x-filename": "f%C3%AAte.jpg"}
    answer = await http.put("/api/media", content=content, headers=headers)
    assert answer.status_code == 201, answer.text
    kept = answer.json()
    handle = kept["handle"]
    assert kept == kept | {
        "filename": "fête.jpg",
        "content_type": "image/jpeg",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "width": 300,
        "height": 200,
    }
    assert (await http.get(f"/api/media/{handle}")).json() == kept
    download = await http.get(f"/api/media/{handle}/content")
    assert download.content == content
    assert download.headers["content-type"] == "image/jpeg"
    assert download.headers["content-disposition"] == "attachment; filename*=UTF-8''f%C3%AAte.jpg"
    assert download.headers["x-content-type-options"] == "nosniff"
    assert download.headers["cache-control"] == "private, no-store"
    assert (await http.delete(f"/api/media/{handle}")).status_code == 204
    assert (await http.get(f"/api/media/{handle}")).status_code == 404
    assert trail.lines == [("cus_a", "media.upload", {"handle": handle}), ("cus_a", "media.delete", {"handle": handle})]


async def test_nobody_reaches_another_customers_file(http, media) -> None:
    handle = (await http.put("/api/media?filename=a.jpg", content=media.jpeg())).json()["handle"]
    other = {"x-api-key": "b"}
    for answer in (
        await http.get(f"/api/media/{handle}", headers=other),
        await http.get(f"/api/media/{handle}/content", headers=other),
        await http.delete(f"/api/media/{handle}", headers=other),
    ):
        assert answer.status_code == 404
        assert answer.json()["code"] == "not_found"
    assert (await http.get(f"/api/media/{handle}")).status_code == 200


CASES: list[tuple[str, dict[str, Any], int, str]] = [
    ("declared too large", {"content": bytes(100_001)}, 413, "payload_too_large"),
    ("a form", {"files": {"file": b"x"}}, 415, "invalid_arguments"),
    ("a photo that is none", {"content": b"text", "headers": {"content-type": "image/png"}}, 400, "invalid_arguments"),
    ("a name too long", {"content": b"x", "params": {"filename": "x" * 256}}, 400, "invalid_arguments"),
]


@pytest.mark.parametrize(("given", "status", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_what_does_not_fit_is_refused_and_not_kept(http, media, given, status, code) -> None:
    answer = await http.put("/api/media", **given)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert media.files() == []


async def test_an_upload_without_a_length_is_cut_off_at_the_limit(http, media) -> None:
    answer = await http.put("/api/media", content=media.pieces(bytes(100_001), 10_000))
    assert (answer.status_code, answer.json()["limit_bytes"]) == (413, 100_000)
    assert media.files() == []


async def test_all_of_a_customers_files_together_have_a_limit(http) -> None:
    assert (await http.put("/api/media", content=bytes(90_000))).status_code == 201
    assert (await http.put("/api/media", content=bytes(90_000))).status_code == 413
    assert (await http.put("/api/media", content=bytes(90_000), headers={"x-api-key": "b"})).status_code == 201


def test_every_plan_has_a_limit() -> None:
    assert limit_of("free").file_bytes < limit_of("starter").file_bytes <= limit_of("enterprise").file_bytes
    assert limit_of("operator").total_bytes >= limit_of("operator").file_bytes
