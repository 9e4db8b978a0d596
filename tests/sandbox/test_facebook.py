"""Facebook's stand-in: whose a Page is, what a post, photo and upload must look like, Graph's manners."""

from __future__ import annotations

from typing import Any

import aiohttp
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hermes.sandbox.app import Sandbox
from hermes.sandbox.http import Incoming
from hermes.sandbox.options import SandboxOptions

PAGE = "104735472193865"
TOKEN = f"EAAsandbox-page-{PAGE}-acme"


async def graph(sandbox: Any, method: str, path: str, token: str = TOKEN, **body: Any) -> Any:
    headers = {"authorization": f"Bearer {token}"}
    return await sandbox.request(method, f"/facebook/v26.0/{path}", headers=headers, json=body or None)


def code(reply: Any) -> tuple[int, int, int | None]:
    said = reply.json["error"]
    return reply.status, said["code"], said.get("error_subcode")


async def test_a_person_has_pages_and_their_tokens(sandbox: Any) -> None:
    person = "EAAsandbox-user-ann"
    assert (await graph(sandbox, "GET", "me", person)).json["name"] == "Ann Sandbox"
    (page,) = (await graph(sandbox, "GET", "me/accounts?fields=id,access_token,tasks", person)).json["data"]
    assert (await graph(sandbox, "GET", "me", page["access_token"])).json["id"] == page["id"]
    assert code(await graph(sandbox, "POST", f"{page['id']}/feed", person, message="x")) == (403, 200, None)
    assert code(await graph(sandbox, "GET", f"{page['id']}/feed", person)) == (401, 190, 2069032)


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", f"{PAGE}/feed", {}, (400, 100, None)),
        ("POST", f"{PAGE}/feed", {"message": "x" * 63_207}, (400, 100, None)),
        ("POST", f"{PAGE}/feed", {"link": "https://x.test/missing"}, (400, 100, 1609005)),
        ("POST", f"{PAGE}/feed", {"attached_media": [{"media_fbid": "5"}]}, (400, 100, 33)),
        ("POST", f"{PAGE}/feed", {"message": "x", "scheduled_publish_time": 1}, (400, 100, None)),
        ("POST", f"{PAGE}/feed", {"message": "x", "published": False, "scheduled_publish_time": 1}, (400, 100, None)),
        ("POST", f"{PAGE}/photos", {}, (400, 100, None)),
        ("POST", f"{PAGE}/photos", {"url": "https://x.test/missing.png"}, (400, 324, 2061006)),
        ("POST", f"{PAGE}/videos", {"file_url": "https://x.test/missing.mp4"}, (400, 389, None)),
        ("POST", f"{PAGE}/videos", {"upload_phase": "start", "file_size": 1}, (400, 382, None)),
        ("POST", f"{PAGE}/videos", {"upload_phase": "transfer", "upload_session_id": "1"}, (400, 6000, 1363041)),
        ("GET", f"{PAGE}?fields=colour", {}, (400, 100, None)),
        ("GET", f"{PAGE}/colour", {}, (400, 100, None)),
        ("GET", "999999999", {}, (400, 100, 33)),
    ],
)
async def test_what_is_refused(sandbox: Any, method: str, path: str, body: Any, expected: Any) -> None:
    assert code(await graph(sandbox, method, path, **body)) == expected


async def test_usage_is_told_in_minutes(sandbox: Any) -> None:
    reply = await graph(sandbox, "GET", "me", "EAAxx-limited-xx")
    assert code(reply)[1] == 80001
    (usage,) = next(iter(orjson.loads(reply.headers["X-Business-Use-Case-Usage"]).values()))
    assert (usage["type"], usage["estimated_time_to_regain_access"]) == ("pages", 1)


async def test_hidden_photos_become_a_post(sandbox: Any) -> None:
    photo = (await graph(sandbox, "POST", f"{PAGE}/photos", url="https://x.test/a.png", published=False)).json
    assert set(photo) == {"id"}
    post = (await graph(sandbox, "POST", f"{PAGE}/feed", attached_media=[{"media_fbid": photo["id"]}])).json["id"]
    shown = (await graph(sandbox, "GET", f"{post}?fields=id,attachments,message")).json
    assert shown["attachments"]["data"][0]["media_type"] == "photo"
    assert "message" not in shown
    assert (await graph(sandbox, "DELETE", post)).json == {"success": True}
    assert code(await graph(sandbox, "GET", post)) == (400, 100, 33)


async def test_a_scheduled_post_comes_out_at_its_time(sandbox: Any) -> None:
    at = int(sandbox.sandbox.clock.now()) + 3600
    body = {"message": "Later", "published": False, "scheduled_publish_time": at}
    post = (await graph(sandbox, "POST", f"{PAGE}/feed", **body)).json["id"]
    newest = (await graph(sandbox, "GET", f"{PAGE}/published_posts?limit=1")).json["data"][0]
    assert newest["id"] != post
    await sandbox.advance(3700)
    assert (await graph(sandbox, "GET", f"{PAGE}/published_posts?limit=1")).json["data"][0]["id"] == post


async def test_an_upload_is_held_to_its_offsets(sandbox: Any) -> None:
    videos = f"{PAGE}/videos"
    begun = (await graph(sandbox, "POST", videos, upload_phase="start", file_size=1_500_000)).json
    assert (begun["start_offset"], begun["end_offset"]) == ("0", "1048576")

    async def chunk(at: int, content: bytes) -> Any:
        form = aiohttp.FormData(default_to_multipart=True)
        fields = {"upload_phase": "transfer", "start_offset": str(at), "upload_session_id": begun["upload_session_id"]}
        for name, value in fields.items():
            form.add_field(name, value)
        form.add_field("video_file_chunk", content, filename="x", content_type="application/octet-stream")
        headers = {"authorization": f"Bearer {TOKEN}"}
        return await sandbox.request("POST", f"/facebook/v26.0/{videos}", headers=headers, data=form)

    wrong = await chunk(5, bytes(10))
    assert code(wrong) == (400, 6000, 1363037)
    assert wrong.json["error"]["error_data"] == {"start_offset": "0", "end_offset": "1048576"}
    assert code(await chunk(0, bytes(1_048_577))) == (400, 6000, 1363037)
    assert (await chunk(0, bytes(1_048_576))).json == {"start_offset": "1048576", "end_offset": "1500000"}
    finish = {"upload_phase": "finish", "upload_session_id": begun["upload_session_id"]}
    assert code(await graph(sandbox, "POST", videos, **finish)) == (400, 6000, 1363030)
    assert (await chunk(1_048_576, bytes(451_424))).json == {"start_offset": "1500000", "end_offset": "1500000"}
    assert (await graph(sandbox, "POST", videos, **finish)).json == {"success": True}
    assert code(await graph(sandbox, "POST", videos, **finish)) == (400, 6000, 1363041)

    async def state() -> str:
        shown = (await graph(sandbox, "GET", f"{begun['video_id']}?fields=status,post_id")).json
        assert ("post_id" in shown) is (shown["status"]["video_status"] == "ready")
        return str(shown["status"]["video_status"])

    assert await state() == "processing"
    await sandbox.advance(2)
    assert await state() == "ready"


NAMES = (
    "message", "link", "attached_media", "published", "scheduled_publish_time", "url", "file_url", "upload_phase",
    "upload_session_id", "file_size", "start_offset", "title", "fields", "limit", "after", "since", "until",
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8)
    | st.sampled_from(["start", "finish", "http://[", "https://x.test/a", "{", "[1]", "2026-01-01", "9" * 30]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["media_fbid"]), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["GET", "POST", "DELETE"]),
    st.sampled_from(["me", "me/accounts", PAGE, *(f"{PAGE}/{edge}" for edge in ("feed", "photos", "videos", "posts"))]),
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5),
    st.sampled_from([TOKEN, "EAAsandbox-user-ann"]),
)
async def test_any_request_is_answered(method: str, path: str, args: Any, token: str) -> None:
    async def gone() -> None:
        return None

    sandbox = Sandbox(SandboxOptions(frozen_clock=True))
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    try:
        body = orjson.dumps(args)
    except TypeError:  # an integer that JSON's readers do not take
        return
    incoming = Incoming(method, f"/v26.0/{path}", "", headers, body, "http://127.0.0.1:3457", gone)
    answer = await sandbox.services["facebook"].answer(incoming)
    assert answer.status in (200, 400, 401, 403, 500)
    orjson.loads(answer.body)
