"""TikTok's publications against the sandbox: the plan, the upload in order, and what happens when it goes wrong."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.errors import (
    HermesError,
    InvalidArguments,
    NotFound,
    OutcomeUnknown,
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnavailable,
    RateLimited,
)
from hermes.platforms.tiktok import publishing, tiktok
from hermes.platforms.tiktok.chunks import ChunkPlan, plan_chunks
from hermes.sandbox.tiktok_posts import check_source

CREATOR = {"access_token": "act.tokentokentokentoken"}
MP4 = b"\x00\x00\x00\x18ftypmp42"
KNOWN = {"width": 1080, "height": 1920, "seconds": 12.0}
DIRECT = "/v2/post/publish/video/init/"
STATUS = "/v2/post/publish/status/fetch/"
PUBLIC = {"video": "media_video", "privacy_level": "PUBLIC_TO_EVERYONE"}


def token(word: str) -> dict[str, str]:
    return {"access_token": f"act.{word}tokentokentoken"}


@pytest.fixture
def bench(platform_bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bench whose time passes only in the sandbox, with a video."""

    async def advance(seconds: float) -> None:
        platform_bench.sandbox.clock.advance(seconds)

    monkeypatch.setattr(publishing, "sleep", advance)
    platform_bench.media.add("media_video", MP4 + b"v" * 1000, "video/mp4", **KNOWN)
    return platform_bench


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks without a file of 64 MB: the sandbox's limits are lowered by the same factor."""

    def plan(size: int) -> ChunkPlan:
        return ChunkPlan(size, 1000, size // 1000)

    monkeypatch.setattr(publishing, "plan_chunks", plan)
    monkeypatch.setattr("hermes.sandbox.tiktok_posts.SMALLEST_CHUNK", 500)


def paths(bench: Any) -> list[str]:
    return ["PUT" if one.method == "PUT" else one.path for one in bench.requests()]


def puts(bench: Any) -> list[Any]:
    return [one for one in bench.requests() if one.method == "PUT"]


def published(bench: Any) -> list[Any]:
    return list(bench.sandbox.services["tiktok"]._publications.values())


@pytest.mark.parametrize(
    ("size", "chunk_size", "count", "last"),
    [
        (4_999_999, 4_999_999, 1, "bytes 0-4999998/4999999"),
        (50_000_123, 50_000_123, 1, "bytes 0-50000122/50000123"),
        (64_000_000, 64_000_000, 1, "bytes 0-63999999/64000000"),
        (64_000_001, 10_000_000, 6, "bytes 50000000-64000000/64000001"),
        (70_000_000, 10_000_000, 7, "bytes 60000000-69999999/70000000"),
        (75_000_000, 10_000_000, 7, "bytes 60000000-74999999/75000000"),
        (4_000_000_000, 10_000_000, 400, "bytes 3990000000-3999999999/4000000000"),
    ],
)
def test_the_plan(size: int, chunk_size: int, count: int, last: str) -> None:
    plan = plan_chunks(size)
    assert (plan.chunk_size, plan.count) == (chunk_size, count)
    assert list(plan.chunks())[-1].content_range == last


def test_a_plan_of_the_vendors_own_example() -> None:
    chunks = list(ChunkPlan(50_000_123, 10_000_000, 5).chunks())
    assert (len(chunks), chunks[-1].content_range) == (5, "bytes 40000000-50000122/50000123")


@given(st.integers(1, 4_000_000_000) | st.integers(63_000_000, 66_000_000))
def test_every_plan_is_allowed_and_leaves_no_gap(size: int) -> None:
    plan = plan_chunks(size)
    source = {
        "source": "FILE_UPLOAD",
        "video_size": size,
        "chunk_size": plan.chunk_size,
        "total_chunk_count": plan.count,
    }
    assert check_source(source)[:3] == (size, plan.chunk_size, plan.count)
    at = 0
    for chunk in plan.chunks():
        assert chunk.first == at
        at = chunk.last + 1
    assert at == size


async def test_a_video_is_posted(bench: Any) -> None:
    video = await bench.run(tiktok, CREATOR, "create_video", **PUBLIC, title="Hi #tag", allow_comments=True)
    assert video["status"] == "PUBLISH_COMPLETE"
    assert video["url"].endswith(f"/video/{video['post_ids'][0]}")
    assert paths(bench)[:3] == ["/v2/post/publish/creator_info/query/", DIRECT, "PUT"]
    sent = orjson.loads(bench.requests()[1].body)
    assert sent["post_info"] == {
        "privacy_level": "PUBLIC_TO_EVERYONE", "title": "Hi #tag", "disable_comment": False, "disable_duet": True,
        "disable_stitch": True, "brand_content_toggle": False, "brand_organic_toggle": False, "is_aigc": False,
    }  # fmt: skip
    size = len(MP4) + 1000
    assert sent["source_info"] == {
        "source": "FILE_UPLOAD", "video_size": size, "chunk_size": size, "total_chunk_count": 1,
    }  # fmt: skip
    [publication] = published(bench)
    assert publication.digest.hexdigest() == hashlib.sha256(MP4 + b"v" * 1000).hexdigest()
    assert puts(bench)[0].query.endswith("upload_token=Xza123%2Fsecret%3D")
    assert bench.journal.states == ["created", "uploading", "processing", "published"]
    assert bench.reported == [(size, size)]


@pytest.mark.usefixtures("small_chunks")
async def test_chunks_go_in_order_and_the_last_takes_the_rest(bench: Any) -> None:
    bench.media.add("media_long", MP4 + b"v" * 3988, "video/quicktime", **KNOWN)
    bench.media.files["media_long"].content += b"end"
    video = await bench.run(tiktok, CREATOR, "create_video", video="media_long", privacy_level="SELF_ONLY")
    assert [one.size for one in puts(bench)] == [1000, 1000, 1000, 1003]
    assert (video["status"], "post_ids" in video) == ("PUBLISH_COMPLETE", False)
    assert "private" in video["explanation"]
    assert [done for done, _ in bench.reported] == [1000, 2000, 3000, 4003]


async def test_a_draft_goes_to_the_inbox(bench: Any) -> None:
    video = await bench.run(tiktok, token("nopublish"), "create_video", video="media_video", mode="inbox")
    assert video["status"] == "SEND_TO_USER_INBOX"
    assert orjson.loads(bench.requests()[0].body).keys() == {"source_info"}


async def test_too_many_drafts(bench: Any) -> None:
    error = await bench.refused(tiktok, token("pending"), "create_video", video="media_video", mode="inbox")
    assert (type(error), error.retry_after) == (RateLimited, 86_400)


async def test_tiktok_fetches_a_url_by_itself(bench: Any) -> None:
    arguments = {"video": "https://media.example.com/a.mp4", "privacy_level": "SELF_ONLY", "pull_by_tiktok": True}
    video = await bench.run(tiktok, CREATOR, "create_video", **arguments)
    assert (video["status"], puts(bench)) == ("PUBLISH_COMPLETE", [])
    for url, kind in (
        ("https://unverified.example/a.mp4", InvalidArguments),
        ("https://x.example/missing", PlatformRejected),
    ):
        bench.journal = type(bench.journal)()
        assert type(await bench.refused(tiktok, CREATOR, "create_video", **{**arguments, "video": url})) is kind


async def test_a_publication_that_takes_long_is_told_about(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def not_at_all(seconds: float) -> None:
        assert seconds > 0

    monkeypatch.setattr(publishing, "sleep", not_at_all)
    video = await bench.run(tiktok, CREATOR, "create_video", **PUBLIC)
    assert video["status"] == "PROCESSING_UPLOAD"
    assert "get_video_status" in video["explanation"]
    bench.sandbox.clock.advance(15)
    later = await bench.run(tiktok, CREATOR, "get_video_status", publish_id=video["publish_id"])
    assert (later["status"], len(later["post_ids"])) == ("PUBLISH_COMPLETE", 1)


@pytest.mark.parametrize(
    ("credentials", "arguments", "field"),
    [
        (CREATOR, {"privacy_level": None}, "privacy_level"),
        (CREATOR, {"privacy_level": "FOLLOWER_OF_CREATOR"}, "privacy_level"),
        (CREATOR, {"privacy_level": "SELF_ONLY", "paid_partnership": True}, "privacy_level"),
        (CREATOR, {"title": "👋" * 1101}, "title"),
        (CREATOR, {"pull_by_tiktok": True}, "pull_by_tiktok"),
        (CREATOR, {"mode": "inbox"}, "privacy_level"),
        (CREATOR, {"mode": "inbox", "privacy_level": None, "ai_generated": True}, "ai_generated"),
        (token("nocomment"), {"allow_comments": True}, "allow_comments"),
        (token("private"), {"privacy_level": "SELF_ONLY", "allow_duet": True}, "allow_duet"),
        (token("short"), {"video": "media_long"}, "video"),
        (CREATOR, {"video": "media_text"}, "video"),
        (CREATOR, {"video": "media_tiny"}, "video"),
    ],
)
async def test_what_cannot_be_posted_is_not_begun(bench: Any, credentials: Any, arguments: Any, field: str) -> None:
    bench.media.add("media_long", MP4 + b"v" * 50, "video/mp4", **{**KNOWN, "seconds": 61.0})
    bench.media.add("media_tiny", MP4 + b"v" * 50, "video/mp4", **{**KNOWN, "width": 359})
    bench.media.add("media_text", b"text", "text/plain")
    wanted = {name: value for name, value in {**PUBLIC, **arguments}.items() if value is not None}
    error = await bench.refused(tiktok, credentials, "create_video", **wanted)
    assert type(error) is InvalidArguments
    assert (error.data["fields"][0]["field"], error.nothing_sent) == (field, True)
    assert published(bench) == []


async def test_files_that_are_not_there_or_too_large(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(await bench.refused(tiktok, CREATOR, "create_video", **{**PUBLIC, "video": "media_no"})) is NotFound
    huge = type("Huge", (), {"size": 4_000_000_001, "content_type": "video/mp4", "sha256": "x", **KNOWN})()
    bench.media.files["media_huge"] = huge
    error = await bench.refused(tiktok, CREATOR, "create_video", **{**PUBLIC, "video": "media_huge"})
    assert type(error) is PayloadTooLarge


async def test_an_app_that_was_not_audited(bench: Any) -> None:
    error = await bench.refused(tiktok, token("unaudited"), "create_video", **PUBLIC)
    assert type(error) is PlatformRejected
    assert "audit" in error.message
    bench.journal = type(bench.journal)()
    private = {"video": "media_video", "privacy_level": "SELF_ONLY"}
    assert (await bench.run(tiktok, token("unauditedprivate"), "create_video", **private))["publish_id"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [({"video": "media_bad"}, "file_format_check_failed"), ({"title": "#spam"}, "spam_risk_text")],
)
async def test_a_publication_that_fails(bench: Any, arguments: Any, reason: str) -> None:
    bench.media.add("media_bad", b"no video at all, really", "video/mp4", **KNOWN)
    error = await bench.refused(tiktok, CREATOR, "create_video", **{**PUBLIC, **arguments})
    assert type(error) is PlatformRejected
    assert (error.data["platform_code"], bench.journal.states[-1]) == (reason, "failed")
    seen = await bench.run(tiktok, CREATOR, "get_video_status", publish_id=error.data["publish_id"])
    assert seen["fail_reason"] == reason


@pytest.mark.parametrize(
    "switch",
    ["timeout_before", "cut_before", "server_error", "timeout_after", "cut_after", "cut_body", "giant", "malformed"],
)
async def test_a_publication_is_never_begun_twice(bench: Any, switch: str) -> None:
    bench.fail(switch, match=DIRECT, times="always")
    for _ in range(2):
        assert type(await bench.refused(tiktok, CREATOR, "create_video", **PUBLIC)) is OutcomeUnknown
        assert bench.http.may_have_acted or paths(bench).count(DIRECT) == 1
    assert paths(bench).count(DIRECT) == 1
    assert len(published(bench)) <= 1


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(
    "switch", ["timeout_before", "cut_before", "server_error", "timeout_after", "cut_after", "malformed"]
)
@pytest.mark.parametrize("size", [1000, 2500])
async def test_a_chunk_that_fails_once(bench: Any, switch: str, size: int) -> None:
    content = MP4 + b"v" * (size - len(MP4))
    bench.media.add("media_long", content, "video/mp4", **KNOWN)
    bench.fail(switch, match="/upload/")
    video = await bench.run(tiktok, CREATOR, "create_video", **{**PUBLIC, "video": "media_long"})
    assert video["status"] == "PUBLISH_COMPLETE"
    [publication] = published(bench)
    assert publication.digest.hexdigest() == hashlib.sha256(content).hexdigest()


@pytest.mark.usefixtures("small_chunks")
async def test_a_chunk_that_never_gets_through_publishes_nothing(bench: Any) -> None:
    bench.media.add("media_long", MP4 + b"v" * 2500, "video/mp4", **KNOWN)
    bench.fail("server_error", match="/upload/", times="always")
    error = await bench.refused(tiktok, CREATOR, "create_video", **{**PUBLIC, "video": "media_long"})
    assert type(error) is PlatformUnavailable
    assert error.data["publish_id"] == published(bench)[0].id
    assert len(puts(bench)) == 3


async def test_a_last_chunk_without_answer_is_left_to_the_status(bench: Any) -> None:
    bench.fail("server_error", match="/upload/", times="always")
    video = await bench.run(tiktok, CREATOR, "create_video", **PUBLIC)
    assert (video["status"], video["uploaded_bytes"]) == ("PROCESSING_UPLOAD", 0)
    assert "may not have arrived" in video["explanation"]
    assert paths(bench).count(DIRECT) == 1


@pytest.mark.usefixtures("small_chunks")
async def test_a_call_that_is_resumed_goes_on_where_it_was(bench: Any) -> None:
    content = MP4 + b"v" * 2500
    bench.media.add("media_long", content, "video/mp4", **KNOWN)
    arguments = {**PUBLIC, "video": "media_long"}
    bench.fail("slow", match="/upload/", delay=0)
    bench.fail("server_error", match="/upload/", times=None)
    # two chunks: the first gets through, the last does not
    await bench.run(tiktok, CREATOR, "create_video", **arguments)
    bench.sandbox.failures.remove()
    video = await bench.run(tiktok, CREATOR, "create_video", **arguments)
    assert video["status"] == "PUBLISH_COMPLETE"
    assert paths(bench).count(DIRECT) == 1
    [publication] = published(bench)
    assert publication.digest.hexdigest() == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("status", "kind"), [(400, PlatformRejected), (403, PlatformRejected), (404, PlatformRejected)]
)
async def test_an_upload_that_is_refused(bench: Any, status: int, kind: type[HermesError]) -> None:
    bench.fail("answer", match="/upload/", status=status, body="")
    error = await bench.refused(tiktok, CREATOR, "create_video", **PUBLIC)
    assert (type(error), error.data["platform_code"], len(puts(bench))) == (kind, status, 1)


async def test_looks_that_fail_do_not_hide_the_publication(bench: Any) -> None:
    bench.fail("server_error", match=STATUS, times="always")
    video = await bench.run(tiktok, CREATOR, "create_video", **PUBLIC)
    assert (video["status"], video["publish_id"]) == ("PROCESSING_UPLOAD", published(bench)[0].id)


@pytest.mark.parametrize("url", ["https://evil.example/u", "http://open-upload.tiktokapis.com/u", "", None, 5])
async def test_bytes_go_to_tiktok_only(bench: Any, url: Any) -> None:
    data = {"publish_id": "v_pub_file~v2.1", "upload_url": url}
    bench.fail("answer", match=DIRECT, status=200, body={"data": data, "error": {"code": "ok"}})
    error = await bench.refused(tiktok, CREATOR, "create_video", **PUBLIC)
    assert (type(error), puts(bench)) == (PlatformRejected, [])


@pytest.mark.parametrize("data", [{}, {"publish_id": 5}, {"publish_id": "a b"}, {"upload_url": "https://x"}])
async def test_a_publication_without_id_is_not_clear(bench: Any, data: Any) -> None:
    bench.fail("answer", match=DIRECT, status=200, body={"data": data, "error": {"code": "ok"}})
    assert type(await bench.refused(tiktok, CREATOR, "create_video", **PUBLIC)) is OutcomeUnknown
