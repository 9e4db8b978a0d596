"""LinkedIn's uploads against the sandbox: what is received, in which order, and what happens when it goes wrong."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import orjson
import pytest

from hermes.errors import (
    InvalidArguments,
    NotFound,
    OutcomeUnknown,
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnavailable,
)
from hermes.platforms.linkedin import api as linkedin_api
from hermes.platforms.linkedin import linkedin, posts, uploads
from hermes.settings import Settings

MEMBER = {"access_token": "AQXtokentokentokentoken", "member_id": "S1"}
PARTNER = {"access_token": "AQXpartnertokentokentoken"}
PART = 4 * 1024 * 1024
JPEG = b"\xff\xd8\xff" + b"photo" * 100
MP4 = b"\x00\x00\x00\x18ftypmp42"


@pytest.fixture
def bench(platform_bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bench whose time passes only in the sandbox, with some files."""

    async def advance(seconds: float) -> None:
        platform_bench.sandbox.clock.advance(seconds)

    for module in (linkedin_api, posts, uploads):
        monkeypatch.setattr(module, "sleep", advance)
    platform_bench.media.add("media_photo", JPEG, "image/jpeg", width=800, height=600)
    platform_bench.media.add("media_video", MP4 + b"v" * 80_000, "video/mp4", seconds=12.0)
    platform_bench.media.add("media_pdf", b"%PDF-1.7 " + b"d" * 50, "application/pdf")
    return platform_bench


def me(bench: Any) -> dict[str, str]:
    account = bench.sandbox.services["linkedin"].account(MEMBER["access_token"])
    return {**MEMBER, "member_id": account["member"].rpartition(":")[2]}


def paths(bench: Any) -> list[str]:
    return [f"{one.method} {one.path.partition('/dms-uploads')[0] or '/dms-uploads'}" for one in bench.requests()]


def body_of(bench: Any, path: str, query: str = "") -> Any:
    found = [one for one in bench.requests() if one.path == path and query in one.query and one.body]
    return orjson.loads(found[-1].body)


async def test_one_image_is_posted(bench: Any) -> None:
    image = {"source": "media_photo", "alt_text": "A hill"}
    await bench.run(linkedin, me(bench), "create_post", text="Look", images=[image])
    assert paths(bench)[:3] == ["POST /rest/images", "PUT /dms-uploads", "POST /rest/posts"]
    media = body_of(bench, "/rest/posts")["content"]["media"]
    assert (media["altText"], media["id"].rpartition(":")[0]) == ("A hill", "urn:li:image")
    [asset] = bench.sandbox.services["linkedin"]._assets.all()
    assert asset.digests == [hashlib.sha256(JPEG).hexdigest()]


async def test_several_images_are_posted_in_their_order(bench: Any) -> None:
    bench.media.add("media_second", b"\x89PNG\r\n\x1a\n" + b"p" * 90, "image/png", width=5, height=5)
    await bench.run(
        linkedin, me(bench), "create_post", text="Two", images=[{"source": "media_photo"}, {"source": "media_second"}]
    )
    images = body_of(bench, "/rest/posts")["content"]["multiImage"]["images"]
    assets = {asset.urn: asset for asset in bench.sandbox.services["linkedin"]._assets.all()}
    assert [assets[image["id"]].start[:3] for image in images] == [b"\xff\xd8\xff", b"\x89PN"]


async def test_a_document_and_a_thumbnail_are_uploaded(bench: Any) -> None:
    document = {"source": "media_pdf", "title": "Report"}
    await bench.run(linkedin, me(bench), "create_post", text="Read", document=document)
    assert body_of(bench, "/rest/posts")["content"]["media"]["title"] == "Report"
    bench.journal = type(bench.journal)()
    article = {"url": "https://example.com", "title": "T", "thumbnail": "media_photo"}
    await bench.run(linkedin, me(bench), "create_post", text="Link", article=article)
    assert body_of(bench, "/rest/posts")["content"]["article"]["thumbnail"].startswith("urn:li:image:")


async def test_what_is_uploaded_belongs_to_the_page_that_was_linked(bench: Any) -> None:
    page, owner = {**PARTNER, "organization_id": "1337"}, "urn:li:organization:1337"
    await bench.run(linkedin, page, "create_post", text="Look", images=[{"source": "media_photo"}])
    bench.journal = type(bench.journal)()
    await bench.run(linkedin, page, "create_post", text="Read", document={"source": "media_pdf", "title": "T"})
    bench.journal = type(bench.journal)()
    await bench.run(linkedin, page, "upload_video", video="media_video", text="Watch")
    assert [asset.owner for asset in bench.sandbox.services["linkedin"]._assets.all()] == [owner] * 3
    posts = [orjson.loads(one.body)["author"] for one in bench.requests() if one.path == "/rest/posts"]
    assert set(posts) == {owner}


@pytest.mark.parametrize(
    ("arguments", "kind", "field"),
    [
        ({"images": [{"source": "media_pdf"}]}, InvalidArguments, "images.0.source"),
        ({"images": [{"source": "media_huge"}]}, InvalidArguments, "images.0.source"),
        ({"images": [{"source": "media_none"}]}, NotFound, None),
        ({"document": {"source": "media_photo", "title": "T"}}, InvalidArguments, "document.source"),
    ],
)
async def test_files_that_do_not_fit_are_not_sent(bench: Any, arguments: Any, kind: Any, field: str | None) -> None:
    bench.media.add("media_huge", JPEG, "image/jpeg", width=6026, height=6000)
    error = await bench.refused(linkedin, me(bench), "create_post", text="Hi", **arguments)
    assert type(error) is kind
    if field is not None:
        assert error.data["fields"][0]["field"] == field
    assert bench.requests() == []


async def test_an_image_that_linkedin_cannot_read(bench: Any) -> None:
    bench.media.add("media_bad", b"no picture", "image/png", width=1, height=1)
    error = await bench.refused(linkedin, me(bench), "create_post", text="Hi", images=[{"source": "media_bad"}])
    assert type(error) is PlatformRejected
    assert error.data["platform_code"] == "MEDIA_ASSET_PROCESSING_FAILED"


async def test_a_video_is_uploaded_in_parts_and_finished_in_their_order(bench: Any) -> None:
    content = MP4 + os.urandom(2 * PART + 1000)
    bench.media.add("media_long", content, "video/mp4", seconds=60.0)
    video = await bench.run(linkedin, me(bench), "upload_video", video="media_long", seconds=30)
    assert video["status"] == "AVAILABLE"
    puts = [one for one in bench.requests() if one.method == "PUT"]
    assert [one.size for one in puts] == [PART, PART, len(content) - 2 * PART]
    assert {one.query for one in puts} == {"ca=vector%2Fup&sig=2x%2By"}
    [asset] = bench.sandbox.services["linkedin"]._assets.all()
    cut = [content[at : at + PART] for at in range(0, len(content), PART)]
    assert asset.digests == [hashlib.sha256(part).hexdigest()[:24] for part in cut]
    assert bench.reported[-1] == (len(content), len(content))
    assert [done for done, _ in bench.reported] == sorted(done for done, _ in bench.reported)
    assert bench.journal.states == ["created", "uploading", "processing"]
    post = await bench.run(linkedin, me(bench), "create_post", text="Mine", video={"id": video["video"], "title": "T"})
    assert post["post_id"].startswith("urn:li:ugcPost:")


async def test_a_video_is_uploaded_and_posted_at_once(bench: Any) -> None:
    video = await bench.run(linkedin, me(bench), "upload_video", video="media_video", text="Mine", title="T")
    assert video["url"].endswith(f"{video['post_id']}/")
    assert body_of(bench, "/rest/posts")["content"] == {"media": {"id": video["video"], "title": "T"}}
    assert bench.journal.states[-1] == "published"


async def test_a_video_that_takes_long_is_told_about(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def not_at_all(seconds: float) -> None:
        assert seconds > 0

    monkeypatch.setattr(uploads, "sleep", not_at_all)
    monkeypatch.setattr(posts, "sleep", not_at_all)
    video = await bench.run(linkedin, me(bench), "upload_video", video="media_video", text="Mine")
    assert (video["status"], "post_id" in video) == ("PROCESSING", False)
    assert "create_post" in video["explanation"]
    bench.journal = type(bench.journal)()
    early = await bench.refused(linkedin, me(bench), "create_post", text="Mine", video={"id": video["video"]})
    assert (early.code, early.data["platform_code"]) == ("conflict", "MEDIA_ASSET_PROCESSING")
    bench.sandbox.clock.advance(10)
    bench.journal = type(bench.journal)()
    assert await bench.run(linkedin, me(bench), "create_post", text="Mine", video={"id": video["video"]})


async def test_a_video_that_linkedin_cannot_process(bench: Any) -> None:
    bench.media.add("media_bad", b"x" * 90_000, "video/mp4", seconds=12.0)
    error = await bench.refused(linkedin, me(bench), "upload_video", video="media_bad", text="Mine")
    assert type(error) is PlatformRejected
    assert error.data["video"].startswith("urn:li:video:")
    assert bench.journal.states[-1] == "failed"
    assert "POST /rest/posts" not in paths(bench)


@pytest.mark.parametrize(
    ("size", "known", "kind"),
    [
        (74_999, {"seconds": 12.0}, InvalidArguments),
        (80_000, {"seconds": 2.9}, InvalidArguments),
        (80_000, {"seconds": 1801.0}, InvalidArguments),
        (1_000_001, {"seconds": 12.0}, PayloadTooLarge),
    ],
)
async def test_videos_that_do_not_fit_are_not_sent(bench: Any, size: int, known: Any, kind: Any) -> None:
    bench.settings = Settings(environ={"LINKEDIN_VIDEO_MAX_MB": "1"})
    bench.media.add("media_odd", MP4 + b"v" * (size - len(MP4)), "video/mp4", **known)
    assert type(await bench.refused(linkedin, me(bench), "upload_video", video="media_odd")) is kind
    assert bench.requests() == []


async def test_a_title_without_post_is_refused(bench: Any) -> None:
    error = await bench.refused(linkedin, me(bench), "upload_video", video="media_video", title="T")
    assert error.data["fields"][0]["field"] == "title"


@pytest.mark.parametrize("switch", ["server_error", "timeout_before", "cut_before", "cut_after", "timeout_after"])
async def test_a_part_that_fails_is_sent_again(bench: Any, switch: str) -> None:
    bench.fail(switch, match="/dms-uploads/")
    video = await bench.run(linkedin, me(bench), "upload_video", video="media_video")
    assert video["status"] == "AVAILABLE"
    assert paths(bench).count("PUT /dms-uploads") == 2
    assert paths(bench).count("POST /rest/videos") == 2


async def test_a_part_that_never_gets_through(bench: Any) -> None:
    bench.fail("server_error", match="/dms-uploads/", times="always")
    error = await bench.refused(linkedin, me(bench), "upload_video", video="media_video", text="Mine")
    assert type(error) is PlatformUnavailable
    assert paths(bench).count("PUT /dms-uploads") == 3
    assert "POST /rest/posts" not in paths(bench)


async def test_an_upload_address_that_expired(bench: Any) -> None:
    bench.fail("answer", match="/dms-uploads/", status=403, body={"message": "The upload URL has expired"})
    error = await bench.refused(linkedin, me(bench), "upload_video", video="media_video")
    assert (type(error), error.data["platform_code"]) == (PlatformRejected, 403)
    assert "missing_scope" not in error.data


@pytest.mark.parametrize("switch", ["server_error", "cut_before", "timeout_before"])
async def test_an_upload_whose_start_is_not_clear_is_not_started_again(bench: Any, switch: str) -> None:
    bench.fail(switch, match="/rest/videos")
    assert type(await bench.refused(linkedin, me(bench), "upload_video", video="media_video")) is OutcomeUnknown
    assert type(await bench.refused(linkedin, me(bench), "upload_video", video="media_video")) is OutcomeUnknown
    assert paths(bench).count("POST /rest/videos") == 1


async def test_a_lost_finish_is_settled_by_asking(bench: Any) -> None:
    fail_finish(bench, "cut_after")
    video = await bench.run(linkedin, me(bench), "upload_video", video="media_video")
    assert video["status"] == "AVAILABLE"
    assert paths(bench).count("POST /rest/videos") == 2


async def test_a_finish_that_never_arrived_stays_unknown(bench: Any) -> None:
    fail_finish(bench, "cut_before")
    assert type(await bench.refused(linkedin, me(bench), "upload_video", video="media_video")) is OutcomeUnknown


def fail_finish(bench: Any, switch: str) -> None:
    """Switch a failure on once the upload's only part has arrived."""
    assets = bench.sandbox.services["linkedin"]._assets
    receive = assets.receive

    def after(incoming: Any) -> Any:
        bench.fail(switch, match="/rest/videos")
        return receive(incoming)

    assets.receive = after


async def test_a_call_that_is_resumed_goes_on_where_it_was(bench: Any) -> None:
    bench.media.add("media_long", MP4 + b"v" * (PART + 9), "video/mp4", seconds=60.0)
    bench.fail("server_error", match="/1:done", times=3)
    assert type(await bench.refused(linkedin, me(bench), "upload_video", video="media_long")) is PlatformUnavailable
    video = await bench.run(linkedin, me(bench), "upload_video", video="media_long", text="Mine")
    assert video["post_id"]
    sent = [one for one in bench.requests() if one.method == "PUT"]
    assert [one.path.rpartition("/")[2] for one in sent] == ["0:done", *["1:done"] * 4]
    assert paths(bench).count("POST /rest/videos") == 2
    again = await bench.run(linkedin, me(bench), "upload_video", video="media_long", text="Mine")
    assert again["post_id"] == video["post_id"]
    assert paths(bench).count("POST /rest/posts") == 1


async def test_bytes_and_token_go_to_linkedin_only(bench: Any) -> None:
    urls = ["http://evil.example/up", "https://www.linkedin.com.evil.example/up", "https://x@evil.example/", None]
    for url in urls:
        bench.journal = type(bench.journal)()
        value = {"uploadUrl": url, "image": "urn:li:image:C1"}
        bench.fail("answer", match="/rest/images", status=200, body={"value": value})
        arguments = {"text": "Hi", "images": [{"source": "media_photo"}]}
        assert type(await bench.refused(linkedin, me(bench), "create_post", **arguments)) is OutcomeUnknown
    assert set(paths(bench)) == {"POST /rest/images"}


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [(0, 79_999)],
        [(0, 10), (12, 80_011)],
        [(5, 80_011)],
        [(0, 80_011), (80_012, 80_012)],
    ],
)
async def test_instructions_that_leave_gaps_are_not_followed(bench: Any, parts: list[tuple[int, int]]) -> None:
    given = [
        {"uploadUrl": f"{bench.origin}/linkedin/dms-uploads/a/0", "firstByte": first, "lastByte": last}
        for first, last in parts
    ]
    value = {"video": "urn:li:video:C1", "uploadToken": "", "uploadInstructions": given}
    bench.fail("answer", match="/rest/videos", status=200, body={"value": value})
    assert type(await bench.refused(linkedin, me(bench), "upload_video", video="media_video")) is OutcomeUnknown
    assert paths(bench) == ["POST /rest/videos"]


async def test_a_urls_colons_stay_quoted(bench: Any) -> None:
    await bench.run(linkedin, me(bench), "upload_video", video="media_video")
    assert any(one.method == "GET" and one.status == 200 for one in bench.requests())
