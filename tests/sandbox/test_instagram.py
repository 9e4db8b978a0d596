"""Instagram's stand-in: both logins, the states of a container, uploads, publishing once."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hermes.sandbox.app import Sandbox
from hermes.sandbox.http import Incoming
from hermes.sandbox.options import SandboxOptions

ID = "17841405309211844"
OWN = f"IGAAsandbox-ig-{ID}-acme"
LINKED = f"EAAsandbox-ig-{ID}-acme"
JPEG = "https://x.test/a.jpg"


async def graph(sandbox: Any, method: str, path: str, token: str = LINKED, **body: Any) -> Any:
    headers = {"authorization": f"Bearer {token}"}
    return await sandbox.request(method, f"/instagram/v26.0/{path}", headers=headers, json=body or None)


def code(reply: Any) -> tuple[int, int, int | None]:
    said = reply.json["error"]
    return reply.status, said["code"], said.get("error_subcode")


async def state(sandbox: Any, container: str) -> str:
    return str((await graph(sandbox, "GET", f"{container}?fields=status_code,status")).json["status_code"])


async def test_each_login_has_its_own_fields(sandbox: Any) -> None:
    own = (await graph(sandbox, "GET", "me?fields=id,user_id,account_type", OWN)).json
    assert own["user_id"] == ID
    assert own["id"] != ID
    assert code(await graph(sandbox, "GET", f"{ID}?fields=account_type")) == (400, 100, None)
    assert (await graph(sandbox, "GET", f"{ID}?fields=username")).json == {"username": "sandbox", "id": ID}


@pytest.mark.parametrize(
    ("token", "body", "expected"),
    [
        (LINKED, {}, (400, 100, None)),
        (LINKED, {"image_url": "https://x.test/missing.jpg"}, (400, 9004, 2207052)),
        (LINKED, {"image_url": "https://x.test/a.png"}, (400, 36001, 2207005)),
        (LINKED, {"image_url": "https://x.test/toolarge.jpg"}, (400, 36000, 2207004)),
        (LINKED, {"image_url": "https://x.test/toowide.jpg"}, (400, 36003, 2207009)),
        (LINKED, {"image_url": JPEG, "caption": "x" * 2201}, (400, 100, 2207010)),
        (LINKED, {"image_url": JPEG, "caption": "@a " * 21}, (400, 100, 2207040)),
        (LINKED, {"media_type": "VIDEO"}, (400, 100, 2207023)),
        (LINKED, {"media_type": "CAROUSEL", "children": ["1", "2"]}, (400, 100, 2207028)),
        (LINKED, {"media_type": "REELS"}, (400, 100, None)),
        (LINKED, {"media_type": "REELS", "video_url": JPEG, "thumb_offset": -1}, (400, 1, 2207057)),
        (OWN, {"media_type": "REELS", "upload_type": "resumable"}, (400, 100, None)),
        (f"EAAsandbox-ig-{ID}-nopublishing", {"image_url": JPEG}, (403, 10, None)),
    ],
)
async def test_what_is_refused(sandbox: Any, token: str, body: Any, expected: Any) -> None:
    assert code(await graph(sandbox, "POST", f"{ID}/media", token, **body)) == expected


async def test_a_container_goes_its_way_and_is_published_once(sandbox: Any) -> None:
    container = (await graph(sandbox, "POST", f"{ID}/media", media_type="REELS", video_url=JPEG)).json["id"]
    assert await state(sandbox, container) == "IN_PROGRESS"
    publish = {"creation_id": container}
    assert code(await graph(sandbox, "POST", f"{ID}/media_publish", **publish)) == (400, 9007, 2207027)
    await sandbox.advance(2)
    assert await state(sandbox, container) == "FINISHED"
    media = (await graph(sandbox, "POST", f"{ID}/media_publish", **publish)).json["id"]
    assert await state(sandbox, container) == "PUBLISHED"
    assert code(await graph(sandbox, "POST", f"{ID}/media_publish", **publish)) == (400, 24, 2207006)
    assert "permalink" in (await graph(sandbox, "GET", f"{media}?fields=permalink,shortcode")).json
    limit = (await graph(sandbox, "GET", f"{ID}/content_publishing_limit?fields=quota_usage,config")).json["data"]
    assert limit == [{"quota_usage": 1, "config": {"quota_total": 100, "quota_duration": 86400}}]


async def test_a_container_expires(sandbox: Any) -> None:
    container = (await graph(sandbox, "POST", f"{ID}/media", image_url=JPEG)).json["id"]
    await sandbox.advance(86_500)
    assert await state(sandbox, container) == "EXPIRED"
    assert code(await graph(sandbox, "POST", f"{ID}/media_publish", creation_id=container)) == (400, -2, 2207020)


async def test_an_upload_wants_its_headers_and_goes_on(sandbox: Any) -> None:
    made = (await graph(sandbox, "POST", f"{ID}/media", media_type="REELS", upload_type="resumable")).json
    path = made["uri"].removeprefix(sandbox.origin)

    async def send(content: bytes, offset: int, scheme: str = "OAuth", size: int = 100) -> tuple[int, Any]:
        headers = {"authorization": f"{scheme} {LINKED}", "offset": str(offset), "file_size": str(size)}
        reply = await sandbox.request("POST", path, headers=headers, data=content)
        return reply.status, reply.json

    assert (await send(bytes(100), 0, "Bearer"))[0] == 401
    status, body = await send(bytes(40), 0)
    assert (status, body["debug_info"]["retriable"]) == (400, True)
    shown = (await graph(sandbox, "GET", f"{made['id']}?fields=video_status")).json
    assert shown["video_status"]["uploading_phase"] == {"status": "in_progress", "bytes_transferred": 40}
    assert (await send(bytes(60), 0))[1]["debug_info"]["type"] == "OffsetInvalidError"
    assert (await send(bytes(61), 40))[1]["debug_info"]["retriable"] is False
    assert (await send(bytes(60), 40))[1]["success"] is True
    assert (await send(bytes(60), 40))[0] == 404
    await sandbox.advance(2)
    assert await state(sandbox, made["id"]) == "FINISHED"


NAMES = (
    "media_type", "image_url", "video_url", "caption", "children", "creation_id", "collaborators", "thumb_offset",
    "upload_type", "fields", "limit", "after", "since", "until", "is_carousel_item", "cover_url",
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8)
    | st.sampled_from(["REELS", "CAROUSEL", "resumable", "http://[", JPEG, "[1", "9" * 30]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["me", ID, f"{ID}/media", f"{ID}/media_publish", f"{ID}/content_publishing_limit"]),
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5),
    st.sampled_from([OWN, LINKED]),
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
    answer = await sandbox.services["instagram"].answer(incoming)
    assert answer.status in (200, 400, 401, 403, 500)
    orjson.loads(answer.body)
