"""The X stand-in refuses what X refuses."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from hermes.sandbox.options import SandboxOptions

TOKEN = "eFhYc2FuZGJveC1kZW1vLWFjY2Vzcy10b2tlbg"


async def call(sandbox: Any, method: str, path: str, token: str | None = TOKEN, **given: Any) -> Any:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await sandbox.request(method, f"/twitter/2/{path}", headers=headers, **given)


async def begin(sandbox: Any, total: int, category: str = "tweet_video", kind: str = "video/mp4") -> str:
    body = {"media_type": kind, "media_category": category, "total_bytes": total}
    reply = await call(sandbox, "POST", "media/upload/initialize", json=body)
    assert reply.status == 200, reply.body
    return str(reply.json["data"]["id"])


async def append(sandbox: Any, media_id: str, index: int, content: bytes) -> Any:
    form = aiohttp.FormData()
    form.add_field("segment_index", str(index))
    form.add_field("media", content, filename="x")
    return await call(sandbox, "POST", f"media/upload/{media_id}/append", data=form)


async def test_only_a_token_of_the_right_form_is_let_in(sandbox: Any) -> None:
    for token in (None, "short", f"{TOKEN}expired"):
        reply = await call(sandbox, "GET", "users/me", token)
        assert (reply.status, reply.json["title"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"text": "Hi"}, 201),
        ({"text": "Hi", "nonsense": 1}, 400),
        ({"text": 5}, 400),
        ({"text": ""}, 400),
        ({}, 400),
        ({"text": "x" * 281}, 403),
        ({"text": "https://example.com/" + "a" * 400}, 201),
        ({"text": "$AAPL $TSLA"}, 403),
        ({"text": "a", "reply": {"in_reply_to_tweet_id": 17}}, 400),
        ({"text": "a", "reply": {"in_reply_to_tweet_id": "17"}}, 201),
        ({"text": "a", "reply": {"in_reply_to_tweet_id": "18"}}, 403),
        ({"text": "a", "quote_tweet_id": "18"}, 403),
        ({"text": "a", "reply_settings": "everyone"}, 400),
        ({"text": "a", "poll": {"options": ["a"], "duration_minutes": 5}}, 400),
        ({"text": "a", "poll": {"options": ["a", "b"], "duration_minutes": 5}, "media": {"media_ids": ["1"]}}, 400),
        ({"text": "a", "media": {"media_ids": ["1"]}}, 400),
        ({"text": "a", "media": {"media_ids": [1]}}, 400),
    ],
)
async def test_posts(sandbox: Any, body: dict[str, Any], status: int) -> None:
    reply = await call(sandbox, "POST", "tweets", json=body)
    assert reply.status == status, reply.body
    assert {
        "x-rate-limit-limit",
        "x-rate-limit-remaining",
        "x-rate-limit-reset",
    } <= reply.headers.keys() or status > 201


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("users/1/tweets?max_results=5", 200),
        ("users/1/tweets?max_results=4", 400),
        ("users/1/tweets?max_results=101", 400),
        ("users/1/tweets?nonsense=1", 400),
        ("users/1/tweets?pagination_token=nonsense", 400),
        ("users/1/tweets?start_time=yesterday", 400),
        ("users/by/username/too_long_a_username_it_is", 400),
        ("tweets/search/recent", 400),
        ("tweets/search/recent?query=cats", 200),
        ("tweets/search/recent?query=cats&max_results=9", 400),
        ("tweets/search/recent?query=-cats%20lang%3Aen", 400),
        ("tweets/search/recent?query=cats&next_token=p1&pagination_token=p1", 400),
        ("tweets/search/recent?query=cats&start_time=2020-01-01T00:00:00Z", 400),
        ("nothing/here", 404),
    ],
)
async def test_reads(sandbox: Any, path: str, status: int) -> None:
    assert (await call(sandbox, "GET", path)).status == status


async def test_answers_come_in_the_dialect_of_the_question_and_mixed_fields_are_dropped(sandbox: Any) -> None:
    new = (await call(sandbox, "GET", "users/1/tweets?post.fields=public_metrics,author_id")).json["data"][0]
    assert "repost_count" in new["public_metrics"]
    assert "author_id" not in new
    old = (await call(sandbox, "GET", "users/1/tweets?tweet.fields=public_metrics,author_id")).json["data"][0]
    assert "retweet_count" in old["public_metrics"]
    assert old["author_id"] == "1"
    mixed = await call(sandbox, "GET", "users/1/tweets?post.fields=note_tweet&tweet.fields=public_metrics")
    assert mixed.status == 200
    assert set(mixed.json["data"][0]) == {"id", "text"}


async def test_nothing_found_has_no_data(sandbox: Any) -> None:
    reply = await call(sandbox, "GET", "tweets/search/recent?query=nothing")
    assert reply.json == {"meta": {"result_count": 0}}
    missing = await call(sandbox, "GET", "users/by/username/nope")
    assert (missing.status, "data" in missing.json) == (200, False)


async def test_segments_must_be_complete_and_add_up(sandbox: Any) -> None:
    media_id = await begin(sandbox, 6)
    finalize = f"media/upload/{media_id}/finalize"
    assert (await call(sandbox, "POST", finalize)).status == 400
    assert (await append(sandbox, media_id, 1, b"def")).status == 200
    assert (await call(sandbox, "POST", finalize)).status == 400
    assert (await append(sandbox, media_id, 0, b"wrong!")).status == 200
    assert (await call(sandbox, "POST", finalize)).status == 400
    assert (await append(sandbox, media_id, 0, b"abc")).status == 200
    done = await call(sandbox, "POST", finalize)
    assert done.json["data"]["processing_info"] == {"state": "pending", "check_after_secs": 1, "progress_percent": 0}
    assert (await append(sandbox, media_id, 0, b"abc")).status == 400


async def test_media_can_be_posted_when_they_are_processed_and_by_their_owner_only(sandbox: Any) -> None:
    media_id = await begin(sandbox, 3)
    await append(sandbox, media_id, 0, b"abc")
    body = {"media": {"media_ids": [media_id]}}
    assert (await call(sandbox, "POST", "tweets", json=body)).status == 400
    await call(sandbox, "POST", f"media/upload/{media_id}/finalize")
    states = []
    for _ in range(3):
        shown = await call(sandbox, "GET", f"media/upload?command=STATUS&media_id={media_id}")
        states.append(shown.json["data"]["processing_info"]["state"])
        assert (await call(sandbox, "POST", "tweets", json=body)).status == (201 if states[-1] == "succeeded" else 400)
        await sandbox.advance(1)
    assert states == ["pending", "in_progress", "succeeded"]
    assert (await call(sandbox, "POST", "tweets", TOKEN[::-1], json=body)).status == 400
    await sandbox.advance(86_400)
    assert (await call(sandbox, "POST", "tweets", json=body)).status == 400


@pytest.mark.parametrize(
    "body",
    [
        {"media_type": "text/html", "media_category": "tweet_video", "total_bytes": 5},
        {"media_type": "video/mp4", "media_category": "video", "total_bytes": 5},
        {"media_type": "video/mp4", "media_category": "tweet_video", "total_bytes": 0},
        {"media_type": "video/mp4", "media_category": "tweet_video", "total_bytes": "5"},
        {"media_type": "image/png", "media_category": "tweet_image", "total_bytes": 5 * 1024 * 1024 + 1},
        {"media_type": "video/mp4", "media_category": "tweet_video", "total_bytes": 5, "nonsense": 1},
    ],
)
async def test_uploads_that_are_not_begun(sandbox: Any, body: dict[str, Any]) -> None:
    assert (await call(sandbox, "POST", "media/upload/initialize", json=body)).status == 400


async def test_segments_that_are_not_taken(sandbox: Any) -> None:
    media_id = await begin(sandbox, 3)
    assert (await append(sandbox, media_id, 1000, b"abc")).status == 400
    assert (await append(sandbox, media_id, 0, b"")).status == 400
    assert (await append(sandbox, "123", 0, b"abc")).status == 400
    assert (await append(sandbox, media_id, 0, bytes(5 * 1024 * 1024 + 1))).status == 413


async def test_four_photos_or_one_video(sandbox: Any) -> None:
    ids = []
    for category, kind in (("tweet_image", "image/png"), ("tweet_image", "image/png"), ("tweet_video", "video/mp4")):
        ids.append(await begin(sandbox, 3, category, kind))
        await append(sandbox, ids[-1], 0, b"abc")
        await call(sandbox, "POST", f"media/upload/{ids[-1]}/finalize")
    await sandbox.advance(5)
    assert (await call(sandbox, "POST", "tweets", json={"media": {"media_ids": ids}})).status == 400
    assert (await call(sandbox, "POST", "tweets", json={"media": {"media_ids": ids[:2]}})).status == 201


async def test_the_vendors_limits(start_sandbox: Any) -> None:
    sandbox = await start_sandbox(SandboxOptions(frozen_clock=True, vendor_limits=True))
    statuses = [(await call(sandbox, "GET", "users/me")).status for _ in range(76)]
    assert statuses == [200] * 75 + [429]
    refused = await call(sandbox, "GET", "users/me")
    assert refused.headers["x-rate-limit-remaining"] == "0"
    await sandbox.advance(901)
    assert (await call(sandbox, "GET", "users/me")).status == 200
