"""Photos and videos on their way to X: segments, processing, resuming, posting once."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hermes.errors import (
    Conflict,
    HermesError,
    InvalidArguments,
    OutcomeUnknown,
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnavailable,
    RateLimited,
)
from hermes.platforms.twitter import twitter
from hermes.platforms.twitter.upload import LARGEST_FILE, MOST_SEGMENTS, segment_size
from hermes.settings import Settings

ME = {"access_token": "eFhYc2FuZGJveC1kZW1vLWFjY2Vzcy10b2tlbg"}
MIB = 1024 * 1024
VIDEO = bytes(range(256)) * 4096 * 2 + b"the end"
FITS = {"content_type": "video/mp4", "width": 640, "height": 480, "seconds": 5.0}


async def put(bench: Any, content: bytes, **members: Any) -> str:
    """Keep a file for the customer; returns its handle."""

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    handle: str = await bench.media.keep("cus_1", pieces(), filename="file", content_type="video/mp4")
    for name, value in (FITS | members).items():
        setattr(bench.media.files[handle], name, value)
    return handle


@pytest.fixture
async def bench(platform_bench: Any) -> Any:
    """A bench on which waiting takes no time: the stand-in's clock moves on instead."""
    usual, waits = platform_bench.open, []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        platform_bench.sandbox.clock.advance(seconds)

    def opened(*given: Any, **named: Any) -> Any:
        api = usual(*given, **named)
        api.sleep = sleep
        return api

    platform_bench.open, platform_bench.waits = opened, waits
    return platform_bench


async def upload(bench: Any, content: bytes = VIDEO, **arguments: Any) -> Any:
    handle = await put(bench, content)
    return await bench.run(twitter, ME, "upload_video", video=handle, **arguments)


async def upload_refused(bench: Any, content: bytes = VIDEO, **arguments: Any) -> HermesError:
    handle = await put(bench, content)
    error: HermesError = await bench.refused(twitter, ME, "upload_video", video=handle, **arguments)
    return error


def steps(bench: Any) -> list[str]:
    """The requests' last path parts: initialize, append …"""
    return [request.path.rpartition("/")[2] for request in bench.requests()]


def messages(bench: Any) -> list[Any]:
    return [(one.kind, one.text, one.id) for one in bench.sandbox.recorder.messages("twitter")][::-1]


async def test_a_video_is_uploaded_in_segments_processed_and_posted(bench: Any) -> None:
    result = await upload(bench, text="Look 👀", made_with_ai=True)
    assert steps(bench) == [
        "initialize", "append", "append", "append", "finalize", "upload", "upload", "tweets",
    ]  # fmt: skip
    (kind, told, media_id), (_, text, tweet_id) = messages(bench)
    assert (kind, result["media_id"]) == ("tweet_video", media_id)
    assert told == f"video/mp4, {len(VIDEO)} bytes, sha256 {hashlib.sha256(VIDEO).hexdigest()}"
    assert (text, result["tweet"]["id"], result["tweet"]["media_ids"]) == ("Look 👀", tweet_id, [media_id])
    assert bench.waits == [1.0, 1.0]
    assert bench.journal.states == ["uploading", "processing", "published"]
    done = [one for one, _ in bench.reported]
    assert done == sorted(set(done))
    assert bench.reported[-1] == (len(VIDEO) + 100, len(VIDEO) + 100)


async def test_without_text_nothing_is_posted(bench: Any) -> None:
    result = await upload(bench)
    assert "tweet" not in result
    assert "published" not in bench.journal.states
    assert steps(bench)[-1] == "upload"
    posted = await bench.run(twitter, ME, "create_tweet", media_ids=[result["media_id"]])
    assert posted["text"] == ""
    assert posted["media_ids"] == [result["media_id"]]


async def test_a_url_is_held_so_that_a_resumed_call_has_the_same_bytes(bench: Any) -> None:
    bench.media.files["https://x.test/v.mp4"] = bench.media.files[await put(bench, VIDEO)]
    await bench.run(twitter, ME, "upload_video", video="https://x.test/v.mp4")
    assert bench.journal.done["video"].startswith("media_")


async def test_a_failed_segment_is_sent_again(bench: Any) -> None:
    for switch in ("server_error", "cut_before", "cut_after"):
        bench.fail(switch, match="append")
    bench.fail("rate_limit", match="append", retry_after=7)
    result = await upload(bench, text="Look")
    assert result["tweet"]["id"]
    assert steps(bench).count("tweets") == 1
    assert any(5 <= wait <= 9 for wait in bench.waits)


async def test_a_segment_that_keeps_failing_ends_the_call_with_nothing_posted(bench: Any) -> None:
    bench.fail("server_error", match="append", times="always")
    error = await upload_refused(bench, text="Look")
    assert type(error) is PlatformUnavailable
    assert steps(bench).count("append") == 5
    assert "tweets" not in steps(bench)


async def test_a_limit_that_lasts_is_told_instead_of_waited_for(bench: Any) -> None:
    bench.fail("rate_limit", match="append", retry_after=600)
    error = await upload_refused(bench)
    assert type(error) is RateLimited
    assert error.retry_after == pytest.approx(600, abs=2)
    assert bench.waits == []


async def test_a_resumed_call_goes_on_where_it_was(bench: Any) -> None:
    handle = await put(bench, VIDEO)
    bench.fail("rate_limit", match="append", retry_after=600, times=1)
    await bench.refused(twitter, ME, "upload_video", video=handle, text="Look")
    bench.sandbox.recorder.clear()
    result = await bench.run(twitter, ME, "upload_video", video=handle, text="Look")
    assert result["tweet"]["id"]
    assert "initialize" not in steps(bench)
    again = await bench.run(twitter, ME, "upload_video", video=handle, text="Look")
    assert again["tweet"]["id"] == result["tweet"]["id"]
    assert steps(bench).count("tweets") == 1


async def test_another_file_than_before_is_a_conflict(bench: Any) -> None:
    await upload(bench)
    other = next(iter(bench.media.files))
    bench.media.files[other].content = VIDEO + b"changed"
    assert type(await bench.refused(twitter, ME, "upload_video", video=other)) is Conflict


@pytest.mark.parametrize("switch", ["timeout_after", "cut_after", "cut_body", "malformed"])
async def test_a_lost_answer_to_finalize_is_found_out(bench: Any, switch: str) -> None:
    bench.fail(switch, match="finalize")
    assert (await upload(bench, text="Look"))["tweet"]["id"]
    assert steps(bench).count("finalize") == 1


@pytest.mark.parametrize("switch", ["timeout_before", "cut_before", "server_error"])
async def test_a_finalize_that_never_arrived_stays_unknown(bench: Any, switch: str) -> None:
    bench.fail(switch, match="finalize")
    assert type(await upload_refused(bench, text="Look")) is OutcomeUnknown
    assert steps(bench).count("finalize") == 1
    assert "tweets" not in steps(bench)


async def test_a_post_whose_answer_is_lost_is_not_sent_again(bench: Any) -> None:
    bench.fail("cut_after", match="/tweets")
    handle = await put(bench, VIDEO)
    error = await bench.refused(twitter, ME, "upload_video", video=handle, text="Look")
    assert type(error) is OutcomeUnknown
    assert error.data["media_ids"] == [messages(bench)[0][2]]
    assert type(await bench.refused(twitter, ME, "upload_video", video=handle, text="Look")) is OutcomeUnknown
    assert steps(bench).count("tweets") == 1


async def test_a_video_that_x_cannot_process(bench: Any) -> None:
    error = await upload_refused(bench, VIDEO + b"fail-processing", text="Look")
    assert type(error) is PlatformRejected
    assert (error.data["platform_code"], error.data["platform_message"]) == ("InvalidMedia", "Unsupported video format")
    assert bench.journal.states[-1] == "failed"
    assert "tweets" not in steps(bench)


async def test_processing_that_does_not_end(bench: Any) -> None:
    state = {"id": "1", "processing_info": {"state": "in_progress", "check_after_secs": 45, "progress_percent": 3}}
    bench.fail("answer", match="finalize", status=200, body={"data": state})
    handle = await put(bench, VIDEO)
    original = bench.open

    def opened(*given: Any, **named: Any) -> Any:
        api = original(*given, **named)
        get = api.get

        async def stuck(path: str, query: dict[str, Any]) -> Any:
            answer, response = await get("users/me", {})
            return ({"data": state} if path == "media/upload" else answer), response

        api.get = stuck
        return api

    bench.open = opened
    error = await bench.refused(twitter, ME, "upload_video", video=handle, text="Look")
    assert type(error) is PlatformUnavailable
    assert error.data["media_id"] == "1"
    assert sum(bench.waits) <= 600
    assert "tweets" not in steps(bench)


async def test_a_status_that_fails_now_and_then_is_asked_for_again(bench: Any) -> None:
    handle = await put(bench, VIDEO)
    original = bench.open

    def opened(*given: Any, **named: Any) -> Any:
        api = original(*given, **named)
        get, calls = api.get, []

        async def flaky(path: str, query: dict[str, Any]) -> Any:
            calls.append(path)
            if len(calls) == 1:
                raise PlatformUnavailable("X has a problem at the moment.")
            return await get(path, query)

        api.get = flaky
        return api

    bench.open = opened
    assert (await bench.run(twitter, ME, "upload_video", video=handle))["media_id"]


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"content_type": "image/png"}, InvalidArguments),
        ({"seconds": 141.0}, InvalidArguments),
        ({"seconds": 0.4}, InvalidArguments),
        ({"seconds": None}, InvalidArguments),
        ({"width": 31, "height": 31}, InvalidArguments),
        ({"width": 1280, "height": 400}, InvalidArguments),
        ({"width": 320, "height": 1000}, InvalidArguments),
    ],
)
async def test_videos_that_do_not_fit_are_refused_before_x_sees_them(
    bench: Any, members: dict[str, Any], kind: type[HermesError]
) -> None:
    handle = await put(bench, VIDEO, **members)
    error = await bench.refused(twitter, ME, "upload_video", video=handle)
    assert type(error) is kind
    assert bench.requests() == []


async def test_what_a_premium_account_may_send_is_a_setting(bench: Any) -> None:
    handle = await put(bench, VIDEO, seconds=200.0)
    bench.settings = Settings(environ={"TWITTER_MAX_VIDEO_SECONDS": "600", "TWITTER_MAX_VIDEO_BYTES": "1000"})
    assert type(await bench.refused(twitter, ME, "upload_video", video=handle)) is PayloadTooLarge
    bench.settings = Settings(environ={"TWITTER_MAX_VIDEO_SECONDS": "600", "TWITTER_MAX_VIDEO_BYTES": "nonsense"})
    assert (await bench.run(twitter, ME, "upload_video", video=handle))["media_id"]


async def test_a_token_without_the_scope_for_media(bench: Any) -> None:
    handle = await put(bench, VIDEO)
    credentials = {"access_token": "eFhYc2FuZGJveC1nomediaLWFjY2Vzcy10b2tlbg"}
    error = await bench.refused(twitter, credentials, "upload_video", video=handle, text="Look")
    assert type(error) is PlatformRejected
    assert "media.write" in error.message


@pytest.mark.parametrize(
    "total", [1, MIB, 512 * MIB, 1000 * MIB, 1000 * MIB + 1, 2 * 10**9, LARGEST_FILE - 1000 * 65536]
)
def test_segments_are_never_too_many_nor_too_large(total: int) -> None:
    size = segment_size(total)
    assert MIB <= size <= 5 * MIB
    assert -(-total // size) <= MOST_SEGMENTS


async def test_photos_are_uploaded_described_and_posted(bench: Any) -> None:
    first = await put(bench, b"\x89PNG first", content_type="image/png")
    second = await put(bench, b"\xff\xd8 second", content_type="image/jpeg")
    photos = [{"source": first, "alt_text": "A cat"}, {"source": second}]
    tweet = await bench.run(twitter, ME, "create_tweet", text="Two", photos=photos, tagged_user_ids=["12"])
    kinds = [kind for kind, _, _ in messages(bench)]
    assert kinds == ["tweet_image", "tweet_image", "post"]
    assert tweet["media_ids"] == [one for kind, _, one in messages(bench) if kind == "tweet_image"]
    assert steps(bench).count("metadata") == 1
    gif = await put(bench, b"GIF89a x", content_type="image/gif")
    await bench.run(twitter, ME, "create_tweet", photos=[{"source": gif}])
    assert messages(bench)[-2][0] == "tweet_gif"


async def test_photos_that_do_not_fit_are_refused_before_x_sees_them(bench: Any) -> None:
    gif = await put(bench, b"GIF89a x", content_type="image/gif")
    png = await put(bench, b"\x89PNG", content_type="image/png")
    large = await put(bench, bytes(5 * MIB + 1), content_type="image/png")
    text = await put(bench, b"hello", content_type="text/plain")
    for photos, kind in (
        ([gif, png], InvalidArguments), ([large], PayloadTooLarge), ([png, text], InvalidArguments),
    ):  # fmt: skip
        error = await bench.refused(
            twitter, ME, "create_tweet", text="a", photos=[{"source": source} for source in photos]
        )
        assert type(error) is kind
    assert bench.requests() == []


async def test_a_refused_post_names_its_uploads(bench: Any) -> None:
    png = await put(bench, b"\x89PNG", content_type="image/png")
    await bench.run(twitter, ME, "create_tweet", text="Once")
    error = await bench.refused(twitter, ME, "create_tweet", text="Once", photos=[{"source": png}])
    assert type(error) is Conflict
    again = await bench.run(twitter, ME, "create_tweet", text="Other", media_ids=error.data["media_ids"])
    assert again["media_ids"] == error.data["media_ids"]
