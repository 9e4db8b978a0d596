"""Facebook's tools against the sandbox: what is sent, what comes back, what each refusal means."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from pydantic import SecretStr, ValidationError

from hermes.errors import (
    HermesError,
    InvalidArguments,
    NeedsReconnect,
    NotFound,
    OutcomeUnknown,
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnavailable,
    RateLimited,
)
from hermes.platforms.facebook import facebook
from hermes.platforms.facebook.errors import ERRORS, REFUSALS
from hermes.platforms.meta.graph import appsecret_proof
from hermes.settings import Settings, SettingsError

PAGE = "104735472193865"
ACCOUNT = {"pageId": PAGE, "accessToken": f"EAAsandbox-page-{PAGE}-x"}
SECRET = "sandbox-app-secret"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (640).to_bytes(4, "big") + (480).to_bytes(4, "big") + bytes(200)
MEBIBYTE = 1024 * 1024


def account(word: str) -> dict[str, str]:
    return {**ACCOUNT, "accessToken": f"EAAsandbox-page-{PAGE}-{word}"}


def later(**after: float) -> str:
    return (datetime.now(UTC) + timedelta(**after)).isoformat()


@pytest.fixture
def bench(platform_bench: Any, file_type: Any) -> Any:
    """The bench with pictures and a video to post, and little patience."""
    platform_bench.settings = Settings(environ={"FACEBOOK_POLL_SECONDS": "0.02", "FACEBOOK_PATIENCE_SECONDS": "3"})
    platform_bench.sandbox.services["facebook"].processing_seconds = 0.1
    for name in ("a", "b", "c"):
        platform_bench.media.files[f"https://x.test/{name}.png"] = file_type(PNG + name.encode(), "image/png", "p.png")
    video = bytes(range(256)) * 10_000
    platform_bench.media.files["https://x.test/v.mp4"] = file_type(video, "video/mp4", "v.mp4", seconds=4)
    return platform_bench


@pytest.fixture
async def file_type(platform_bench: Any) -> Any:
    """The class of the fake media's files."""

    async def nothing() -> Any:
        yield b""

    handle = await platform_bench.media.keep("cus_1", nothing(), filename="x", content_type="x/y")
    return type(platform_bench.media.files.pop(handle))


# the account


async def test_probing_says_whose_page_it_is(bench: Any) -> None:
    found = await bench.probe(facebook, ACCOUNT)
    assert (found.id, found.name) == (PAGE, "Sandbox Page")


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"accessToken": f"EAAsandbox-page-{PAGE}-user"}, InvalidArguments),
        ({"pageId": "999999999"}, InvalidArguments),
        ({"accessToken": f"EAAsandbox-page-{PAGE}-expired"}, NeedsReconnect),
        ({"accessToken": f"EAAsandbox-page-{PAGE}-limited"}, RateLimited),
        ({"accessToken": "not-a-token"}, NeedsReconnect),
    ],
)
async def test_probing_wants_the_pages_own_token(bench: Any, changed: Any, kind: type[HermesError]) -> None:
    with pytest.raises(kind) as caught:
        await bench.probe(facebook, ACCOUNT | changed)
    if kind is InvalidArguments:
        assert "me/accounts" in caught.value.message


async def test_every_request_names_version_token_and_proof(bench: Any) -> None:
    bench.settings = Settings(meta_app_secret=SecretStr(SECRET), environ={"FACEBOOK_GRAPH_VERSION": "v25.0"})
    await bench.run(facebook, ACCOUNT, "get_page")
    await bench.run(facebook, ACCOUNT, "create_post", message="Hi")
    for request in bench.requests():
        assert request.path.startswith("/v25.0/")
        assert f"appsecret_proof={appsecret_proof(SecretStr(SECRET), ACCOUNT['accessToken'])}" in request.query
        assert ACCOUNT["accessToken"] not in request.path + request.query + request.body.decode()


# reading


async def test_the_page(bench: Any) -> None:
    page = await bench.run(facebook, ACCOUNT, "get_page")
    assert (page["id"], page["followers_count"], page["picture_url"]) == (PAGE, 125, "https://scontent.example/p.jpg")
    assert page["instagram_username"] == "sandboxpage"
    assert "website" not in page


async def test_posts_are_listed_page_by_page(bench: Any) -> None:
    seen: list[Any] = []
    after: dict[str, str] = {}
    while True:
        page = await bench.run(facebook, ACCOUNT, "get_posts", limit=3, **after)
        assert 1 <= len(page["posts"]) <= 3
        assert ACCOUNT["accessToken"] not in str(page)
        seen += page["posts"]
        if "after" not in page:
            break
        after = {"after": page["after"]}
    assert len(seen) == 7
    assert [post.get("message") for post in seen[:4]] == [
        "Sandbox post 7", "Sandbox post 6", "Sandbox post 5", None,
    ]  # fmt: skip
    assert (seen[0]["reaction_count"], seen[0]["comment_count"], seen[0]["share_count"]) == (6, 3, 1)
    assert seen[3]["attachments"][0]["media_type"] == "photo"
    assert datetime.fromisoformat(seen[0]["created_time"]) > datetime.fromisoformat(seen[1]["created_time"])


async def test_posts_of_a_span(bench: Any) -> None:
    page = await bench.run(facebook, ACCOUNT, "get_posts", since=later(days=-28.5), until=later(days=-26.5))
    assert [post.get("message") for post in page["posts"]] == [None, "Sandbox post 3"]
    assert await bench.run(facebook, ACCOUNT, "get_posts", since=later(days=-1)) == {"posts": []}


async def test_a_page_that_is_too_large_is_asked_for_in_halves(bench: Any) -> None:
    bench.fail("error", code=1, message="Please reduce the amount of data you're asking for, then retry", times=2)
    page = await bench.run(facebook, ACCOUNT, "get_posts", limit=20)
    assert len(page["posts"]) == 5


# publishing


@pytest.mark.parametrize(
    "arguments", [{"message": "Hello"}, {"link": "https://x.test/a"}, {"message": "See", "link": "https://x.test/a"}]
)
async def test_posting(bench: Any, arguments: dict[str, str]) -> None:
    posted = await bench.run(facebook, ACCOUNT, "create_post", **arguments)
    assert posted["state"] == "published"
    assert posted["url"] == f"https://www.facebook.com/{posted['post_id']}"
    newest = (await bench.run(facebook, ACCOUNT, "get_posts", limit=1))["posts"][0]
    assert (newest["id"], newest.get("message")) == (posted["post_id"], arguments.get("message"))
    assert orjson.loads(bench.requests()[0].body) == arguments


async def test_posting_later(bench: Any) -> None:
    at = later(hours=1)
    posted = await bench.run(facebook, ACCOUNT, "create_post", message="Soon", scheduled_for=at)
    assert posted["state"] == "scheduled"
    body = orjson.loads(bench.requests()[0].body)
    assert body["published"] is False
    assert body["scheduled_publish_time"] == int(datetime.fromisoformat(at).timestamp())
    assert len((await bench.run(facebook, ACCOUNT, "get_posts"))["posts"]) == 7


@pytest.mark.parametrize(
    ("tool", "arguments", "field"),
    [
        ("create_post", {}, "message"),
        ("create_post", {"message": "a", "scheduled_for": later(minutes=5)}, "scheduled_for"),
        ("create_photo_post", {"photos": ["media_abc"], "alt_texts": ["a", "b"]}, "alt_texts"),
        ("create_video_post", {"video": "media_abc", "scheduled_for": later(minutes=-5)}, "scheduled_for"),
    ],
)
async def test_arguments_that_do_not_fit_together(bench: Any, tool: str, arguments: dict[str, Any], field: str) -> None:
    error = await bench.refused(facebook, ACCOUNT, tool, **arguments)
    assert type(error) is InvalidArguments
    assert error.data["fields"][0]["field"] == field
    assert error.nothing_sent
    assert bench.requests() == []


@pytest.mark.parametrize(
    ("tool", "arguments", "field"),
    [
        ("create_post", {"message": ""}, "message"),
        ("create_post", {"message": "x" * 63_207}, "message"),
        ("create_post", {"link": "ftp://x.test"}, "link"),
        ("create_post", {"message": "a", "scheduled_for": "tomorrow"}, "scheduled_for"),
        ("create_post", {"message": "a", "scheduled_for": "2030-01-01T00:00:00"}, "scheduled_for"),
        ("create_photo_post", {"photos": []}, "photos"),
        ("create_photo_post", {"photos": ["http://x.test/a.png"]}, "photos"),
        ("create_photo_post", {"photos": ["media_a"] * 11}, "photos"),
        ("create_video_post", {"video": "/etc/passwd"}, "video"),
        ("create_video_post", {"video": "media_a", "title": "x" * 256}, "title"),
        ("get_posts", {"limit": 101}, "limit"),
        ("get_posts", {"after": "a&b"}, "after"),
    ],
)
def test_arguments_that_do_not_fit(tool: str, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        facebook.tools[tool].validate(arguments)
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


async def test_one_photo(bench: Any) -> None:
    posted = await bench.run(
        facebook, ACCOUNT, "create_photo_post", photos=["https://x.test/a.png"], caption="Look", alt_texts=["A dot"]
    )
    assert posted["post_id"].startswith(f"{PAGE}_")
    (request,) = bench.requests()
    assert request.path == f"/v26.0/{PAGE}/photos"
    for part in (b'name="caption"\r\n\r\nLook', b'name="alt_text_custom"\r\n\r\nA dot', b'name="source"', PNG + b"a"):
        assert part in request.body
    newest = (await bench.run(facebook, ACCOUNT, "get_posts", limit=1))["posts"][0]
    assert (newest["message"], newest["attachments"][0]["media_type"]) == ("Look", "photo")


async def test_several_photos_become_one_post(bench: Any) -> None:
    photos = [f"https://x.test/{name}.png" for name in "abc"]
    posted = await bench.run(facebook, ACCOUNT, "create_photo_post", photos=photos, caption="Three")
    assert len(posted["photo_ids"]) == 3
    *uploads, feed = bench.requests()
    assert all(b'name="published"\r\n\r\nfalse' in upload.body for upload in uploads)
    assert orjson.loads(feed.body) == {
        "attached_media": [{"media_fbid": photo} for photo in posted["photo_ids"]],
        "message": "Three",
    }
    assert len((await bench.run(facebook, ACCOUNT, "get_posts"))["posts"]) == 8


@pytest.mark.parametrize("photos", [["https://x.test/a.png"], ["https://x.test/a.png", "https://x.test/b.png"]])
async def test_photos_later(bench: Any, photos: list[str]) -> None:
    posted = await bench.run(facebook, ACCOUNT, "create_photo_post", photos=photos, scheduled_for=later(hours=2))
    assert posted["state"] == "scheduled"
    assert len((await bench.run(facebook, ACCOUNT, "get_posts"))["posts"]) == 7


@pytest.mark.parametrize(
    ("content", "content_type", "kind"),
    [(bytes(10 * MEBIBYTE + 1), "image/png", PayloadTooLarge), (b"%PDF", "application/pdf", InvalidArguments)],
)
async def test_photos_that_facebook_does_not_take(
    bench: Any, file_type: Any, content: bytes, content_type: str, kind: type[HermesError]
) -> None:
    bench.media.files["media_bad"] = file_type(content, content_type)
    assert type(await bench.refused(facebook, ACCOUNT, "create_photo_post", photos=["media_bad"])) is kind
    assert bench.requests() == []


async def test_a_photo_that_only_facebook_cannot_read(bench: Any, file_type: Any) -> None:
    bench.media.files["media_bad"] = file_type(b"x" * 100, "image/png")
    error = await bench.refused(facebook, ACCOUNT, "create_photo_post", photos=["media_bad"])
    assert type(error) is InvalidArguments
    assert (error.data["platform_code"], error.data["platform_subcode"]) == (324, 1366046)
    assert "Can't Read Files" in error.data["platform_message"]


# videos


async def upload(bench: Any, **words: str) -> Any:
    return await bench.run(facebook, ACCOUNT, "create_video_post", seconds=60, video="https://x.test/v.mp4", **words)


async def test_a_video_is_uploaded_in_chunks_and_published(bench: Any) -> None:
    posted = await upload(bench, title="T", description="D")
    content = bench.media.files["https://x.test/v.mp4"].content
    video = bench.sandbox.services["facebook"]._videos.known[posted["video_id"]]
    assert (video.received, video.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (video.title, video.description) == ("T", "D")
    assert posted["state"] == "published"
    newest = (await bench.run(facebook, ACCOUNT, "get_posts", limit=1))["posts"][0]
    assert (newest["id"], newest["message"]) == (posted["post_id"], "D")
    phases = [request for request in bench.requests() if request.path.endswith("/videos")]
    assert len(phases) == 1 + 3 + 1


async def test_a_video_later(bench: Any) -> None:
    posted = await upload(bench, description="D", scheduled_for=later(hours=1))
    assert posted["state"] == "scheduled"
    assert "post_id" not in posted


async def test_a_video_that_takes_long(bench: Any) -> None:
    bench.settings = Settings(environ={"FACEBOOK_POLL_SECONDS": "0.02", "FACEBOOK_PATIENCE_SECONDS": "0.1"})
    posted = await upload(bench, title="slowly")
    assert (posted["state"], "post_id" in posted) == ("processing", False)
    assert posted["video_id"] in posted["url"]


async def test_a_video_that_cannot_be_processed(bench: Any) -> None:
    error = await bench.refused(
        facebook, ACCOUNT, "create_video_post", seconds=60, video="https://x.test/v.mp4", title="unprocessable"
    )
    assert type(error) is PlatformRejected
    assert "could not be processed" in error.message
    assert error.data["video_id"]


@pytest.mark.parametrize("switch", ["cut_before", "cut_after", "cut_body", "server_error", "malformed", "giant"])
async def test_a_chunk_that_fails_is_sent_again(bench: Any, switch: str) -> None:
    original = bench.sandbox.services["facebook"]._videos._transfer
    state = {"failed": False}

    def transfer(*given: Any) -> Any:
        if not state["failed"]:
            state["failed"] = True
            bench.fail(switch, match="/videos", times=2)
        return original(*given)

    bench.sandbox.services["facebook"]._videos._transfer = transfer
    posted = await upload(bench, description="D")
    video = bench.sandbox.services["facebook"]._videos.known[posted["video_id"]]
    content = bench.media.files["https://x.test/v.mp4"].content
    assert (posted["state"], video.sha256) == ("published", hashlib.sha256(content).hexdigest())


async def test_an_upload_goes_on_where_facebook_says(bench: Any) -> None:
    """A chunk that arrived although its answer was lost is refused the second time, with the right offset."""
    service = bench.sandbox.services["facebook"]
    original = service._videos._transfer
    chunks: list[str] = []

    def transfer(session: Any, args: Any, files: Any) -> Any:
        chunks.append(str(args["start_offset"]))
        if len(chunks) == 1:
            original(session, args, files)  # received, as if in an attempt whose answer was lost
        return original(session, args, files)

    service._videos._transfer = transfer
    posted = await upload(bench)
    content = bench.media.files["https://x.test/v.mp4"].content
    assert service._videos.known[posted["video_id"]].sha256 == hashlib.sha256(content).hexdigest()
    assert chunks == ["0", str(MEBIBYTE), str(2 * MEBIBYTE)]


async def test_a_session_that_is_gone(bench: Any) -> None:
    videos = bench.sandbox.services["facebook"]._videos
    original = videos._start
    videos._start = lambda page, args: {**original(page, args), "upload_session_id": "1"}
    error = await bench.refused(facebook, ACCOUNT, "create_video_post", video="https://x.test/v.mp4")
    assert type(error) is PlatformUnavailable
    assert error.data["platform_subcode"] == 1363041


@pytest.mark.parametrize(
    "offsets", [{"start_offset": "9", "end_offset": "5"}, {"start_offset": "0", "end_offset": "99999999999"}, {}]
)
async def test_offsets_that_make_no_sense(bench: Any, offsets: dict[str, str]) -> None:
    bench.fail("answer", status=200, body={"upload_session_id": "1", "video_id": "2", **offsets}, match="videos")
    error = await bench.refused(facebook, ACCOUNT, "create_video_post", video="https://x.test/v.mp4")
    assert type(error) is PlatformUnavailable
    assert "Nothing was published" in error.message


@pytest.mark.parametrize(("switch", "ends"), [("cut_after", "published"), ("cut_before", "unknown")])
async def test_a_finish_without_answer_is_looked_after(bench: Any, switch: str, ends: str) -> None:
    videos = bench.sandbox.services["facebook"]._videos
    original = videos._transfer

    def transfer(*given: Any) -> Any:
        offsets = original(*given)
        if offsets["start_offset"] == offsets["end_offset"]:
            bench.fail(switch, match="/videos")
        return offsets

    videos._transfer = transfer
    if ends == "published":
        assert (await upload(bench, description="D"))["state"] == "published"
    else:
        error = await bench.refused(
            facebook, ACCOUNT, "create_video_post", seconds=60, video="https://x.test/v.mp4", description="D"
        )
        assert type(error) is OutcomeUnknown


async def test_a_call_that_is_resumed_uploads_and_finishes_nothing_twice(bench: Any) -> None:
    videos = bench.sandbox.services["facebook"]._videos
    original = videos.phase

    def phase(page: str, args: Any, files: Any) -> Any:
        done = original(page, args, files)
        if args["upload_phase"] == "finish":
            bench.fail("cut_after", times=2)  # the answer, and what is asked after it
        return done

    videos.phase = phase
    videos_sent = bench.media.files["https://x.test/v.mp4"].content
    bench.fail("cut_after", match="no-such-path")
    first = await upload(bench, description="D")
    again = await upload(bench, description="D")
    assert again["video_id"] == first["video_id"]
    sent = [request for request in bench.requests() if request.path.endswith("/videos")]
    assert len(sent) == 1 + -(-len(videos_sent) // MEBIBYTE) + 1


async def test_a_chunk_that_leads_nowhere_ends_the_upload(bench: Any) -> None:
    error = {
        "message": "x",
        "code": 6000,
        "error_subcode": 1363037,
        "error_data": {"start_offset": "0", "end_offset": "9"},
    }
    videos = bench.sandbox.services["facebook"]._videos
    original = videos._start

    def start(page: str, args: Any) -> Any:
        bench.fail("answer", status=400, body={"error": error}, match="/videos", times="always", let_pass=1)
        return original(page, args)

    videos._start = start
    refused = await bench.refused(facebook, ACCOUNT, "create_video_post", video="https://x.test/v.mp4")
    assert type(refused) is PlatformUnavailable
    assert len(bench.requests()) < 10


@pytest.mark.parametrize("switch", ["cut_before", "cut_after", "malformed"])
async def test_hidden_photos_leave_nothing_unknown(bench: Any, switch: str) -> None:
    bench.fail(switch)
    error = await bench.refused(
        facebook, ACCOUNT, "create_photo_post", photos=["https://x.test/a.png", "https://x.test/b.png"]
    )
    assert type(error) is PlatformUnavailable
    assert len(bench.requests()) == 1


async def test_memory_holds_one_chunk_of_a_video(bench: Any, file_type: Any) -> None:
    video = file_type(bytes(4 * MEBIBYTE), "video/mp4", seconds=4)
    largest = 0
    read = video.read

    async def watched(start: int = 0, length: int | None = None) -> Any:
        nonlocal largest
        assert length is not None
        largest = max(largest, length)
        async for piece in read(start, length):
            yield piece

    bench.media.files["media_big"] = video
    object.__setattr__(video, "read", watched)
    await bench.run(facebook, ACCOUNT, "create_video_post", seconds=60, video="media_big")
    assert largest == MEBIBYTE


# refusals


@pytest.mark.parametrize(
    ("word", "tool", "kind"),
    [
        ("expired", "get_page", NeedsReconnect),
        ("revoked", "create_post", NeedsReconnect),
        ("limited", "get_posts", RateLimited),
        ("limited", "create_post", RateLimited),
        ("broken", "create_post", OutcomeUnknown),
        ("broken", "get_page", PlatformUnavailable),
        ("user", "create_post", PlatformRejected),
        ("user", "get_posts", NeedsReconnect),
        ("noposting", "create_post", PlatformRejected),
        ("noreading", "get_posts", PlatformRejected),
    ],
)
async def test_tokens_that_do_not_do(bench: Any, word: str, tool: str, kind: type[HermesError]) -> None:
    arguments = {"message": "Hi"} if tool == "create_post" else {}
    error = await bench.refused(facebook, account(word), tool, **arguments)
    assert type(error) is kind
    if kind is RateLimited:
        assert (error.retry_after, error.data["limited_by"]) == (60.0, "facebook")


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        ({"message": "[duplicate]"}, PlatformRejected, 506),
        ({"link": "https://x.test/missing"}, InvalidArguments, 100),
    ],
)
async def test_posts_that_are_refused(bench: Any, arguments: Any, kind: type[HermesError], code: int) -> None:
    error = await bench.refused(facebook, ACCOUNT, "create_post", **arguments)
    assert type(error) is kind
    assert error.data["platform_code"] == code


@pytest.mark.parametrize(("code", "subcode"), sorted(REFUSALS, key=str))
async def test_each_code(bench: Any, code: int | None, subcode: int | None) -> None:
    envelope = {"message": "No", "type": "OAuthException", "code": 100 if code is None else code}
    if subcode is not None:
        envelope["error_subcode"] = subcode
    bench.fail("answer", status=400, body={"error": envelope})
    error = await bench.refused(facebook, ACCOUNT, "create_post", message="Hi")
    assert type(error) is REFUSALS[code, subcode].kind
    assert error.data["platform_message"] == "No"
    assert error.data.get("platform_subcode") == subcode
    assert len(bench.requests()) == 1
    if isinstance(error, RateLimited):
        assert error.retry_after


def test_permissions_have_a_hundred_codes() -> None:
    for code in (10, 200, 210, 299):
        error = ERRORS.error(ERRORS.refusal_of(code, None, "x"), code, None, "x", None)
        assert "pages_manage_posts" in error.message


@pytest.mark.parametrize("code", [1, 2])
async def test_codes_that_do_not_say_what_happened(bench: Any, code: int) -> None:
    bench.fail("error", code=code, times="always")
    assert type(await bench.refused(facebook, ACCOUNT, "create_post", message="Hi")) is OutcomeUnknown
    assert type(await bench.refused(facebook, ACCOUNT, "get_page")) is PlatformUnavailable


async def test_an_unknown_transient_error_is_not_clear(bench: Any) -> None:
    body = {"error": {"message": "?", "code": 987, "is_transient": True}}
    bench.fail("answer", status=400, body=body)
    assert type(await bench.refused(facebook, ACCOUNT, "create_post", link="https://x.test")) is OutcomeUnknown


@pytest.mark.parametrize(("retry_after", "seen"), [(300, 300.0), (None, 60.0)])
@pytest.mark.parametrize("tool", ["get_posts", "create_post"])
async def test_too_fast(bench: Any, tool: str, retry_after: int | None, seen: float) -> None:
    bench.fail("rate_limit", retry_after=retry_after)
    arguments = {"message": "Hi"} if tool == "create_post" else {}
    error = await bench.refused(facebook, ACCOUNT, tool, **arguments)
    assert (type(error), error.retry_after) == (RateLimited, seen)


SWITCHES = (
    "timeout_before", "timeout_after", "cut_before", "cut_after", "cut_body", "malformed", "giant", "server_error",
)  # fmt: skip


@pytest.mark.parametrize("switch", SWITCHES)
async def test_a_post_without_clear_answer_is_never_sent_twice(bench: Any, switch: str) -> None:
    bench.fail(switch, times="always")
    error = await bench.refused(facebook, ACCOUNT, "create_post", message="Hi")
    assert type(error) is OutcomeUnknown
    assert [request.method for request in bench.requests()].count("POST") == 1


@pytest.mark.parametrize("switch", [switch for switch in SWITCHES if "before" not in switch and "error" not in switch])
@pytest.mark.parametrize("tool", ["create_post", "create_photo_post"])
async def test_a_post_without_answer_is_found_on_the_page(bench: Any, switch: str, tool: str) -> None:
    bench.fail(switch)
    arguments: dict[str, Any] = {"message": "Once"}
    if tool == "create_photo_post":
        arguments = {"caption": "Once", "photos": ["https://x.test/a.png"]}
    posted = await bench.run(facebook, ACCOUNT, tool, **arguments)
    newest = (await bench.run(facebook, ACCOUNT, "get_posts", limit=2))["posts"]
    assert (newest[0]["id"], newest[0]["message"]) == (posted["post_id"], "Once")
    assert newest[1]["message"] == "Sandbox post 7"


@pytest.mark.parametrize("arguments", [{"message": "Hi"}, {"link": "https://x.test/a"}])
async def test_a_post_that_the_page_does_not_show_stays_unknown(bench: Any, arguments: dict[str, str]) -> None:
    bench.fail("cut_before")
    assert type(await bench.refused(facebook, ACCOUNT, "create_post", **arguments)) is OutcomeUnknown


@pytest.mark.parametrize("switch", SWITCHES)
async def test_a_read_without_clear_answer_is_unavailable(bench: Any, switch: str) -> None:
    bench.fail(switch, times="always")
    assert type(await bench.refused(facebook, ACCOUNT, "get_posts")) is PlatformUnavailable
    assert len(bench.requests()) <= 2


@pytest.mark.parametrize("body", [{}, {"id": 5}, {"error": {}}, [], 7])
async def test_an_answer_of_another_shape_is_not_clear(bench: Any, body: Any) -> None:
    bench.fail("answer", status=200, body=body, times="always")
    assert type(await bench.refused(facebook, ACCOUNT, "create_post", message="Hi")) is OutcomeUnknown


@pytest.mark.parametrize("body", [{}, {"data": 5}, {"data": ["x"]}, {"data": [{"id": 5}]}])
async def test_a_listing_of_another_shape_is_not_clear(bench: Any, body: Any) -> None:
    bench.fail("answer", status=200, body=body, times="always")
    assert type(await bench.refused(facebook, ACCOUNT, "get_posts")) is PlatformUnavailable


async def test_another_pages_objects_do_not_exist(bench: Any) -> None:
    with pytest.raises(NotFound):
        await bench.run(facebook, {**ACCOUNT, "pageId": "555555555"}, "get_page")


@pytest.mark.parametrize("kind", ["rate_limit", "cut_before", "server_error"])
async def test_a_video_that_facebook_has_is_no_failure_when_looking_fails(bench: Any, kind: str) -> None:
    bench.settings = Settings(environ={"FACEBOOK_POLL_SECONDS": "0.02", "FACEBOOK_PATIENCE_SECONDS": "0.1"})
    videos = bench.sandbox.services["facebook"]._videos
    original = videos.phase

    def phase(page: str, args: Any, files: Any) -> Any:
        video = original(page, args, files)
        if args["upload_phase"] == "finish":
            bench.fail(kind, match=f"/v26.0/{video.id}", times="always")
        return video

    videos.phase = phase
    assert (await upload(bench))["state"] == "processing"


# the declaration


def test_credentials_in_both_spellings_and_from_the_environment() -> None:
    one = facebook.credentials.model_validate({"page_id": PAGE, "access_token": "EAAtokentoken"})
    assert one == facebook.credentials.model_validate({"pageId": PAGE, "accessToken": "EAAtokentoken"})
    assert facebook.credentials.model_validate_json(one.to_json()) == one
    environ = {"FACEBOOK_PAGE_ID": PAGE, "FACEBOOK_ACCESS_TOKEN": "EAAtokentoken"}
    assert facebook.environ_accounts(Settings(environ=environ))["default"] == one
    assert "EAAtokentoken" not in repr(one)
    for name, wrong in (("page_id", "1/2"), ("access_token", "EAA x\r\ny")):
        with pytest.raises(ValidationError) as caught:
            facebook.credentials.model_validate({"page_id": PAGE, "access_token": "EAAtokentoken", name: wrong})
        assert wrong not in str(caught.value)


@pytest.mark.parametrize("value", ["0", "-1", "soon"])
def test_settings_that_are_no_numbers_stop_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match="FACEBOOK_PATIENCE_SECONDS"):
        facebook.check_settings(Settings(environ={"FACEBOOK_PATIENCE_SECONDS": value}))
    facebook.check_settings(Settings())


def test_the_surface() -> None:
    assert {name: (tool.rest_method, tool.rest_path, tool.effect.access) for name, tool in facebook.tools.items()} == {
        "get_page": ("GET", "/api/facebook/page", "read"),
        "get_posts": ("GET", "/api/facebook/posts", "read"),
        "create_post": ("POST", "/api/facebook/post", "write"),
        "create_photo_post": ("POST", "/api/facebook/photo", "write"),
        "create_video_post": ("POST", "/api/facebook/video", "write"),
    }
    facebook.tools["get_posts"].validate_query({"limit": "5", "since": "2026-11-01T00:00:00Z"})
    assert asyncio.iscoroutinefunction(facebook.tools["get_page"].function)
