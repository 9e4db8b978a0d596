"""Instagram's tools against the sandbox: both logins, containers, uploads, publishing once, refusals."""

from __future__ import annotations

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
    PlatformRejected,
    PlatformUnavailable,
    RateLimited,
)
from hermes.net.upstream import Upstream
from hermes.platforms.base import ApiContext
from hermes.platforms.instagram import instagram
from hermes.platforms.instagram.api import FACEBOOK_HOST, INSTAGRAM_HOST
from hermes.platforms.instagram.errors import REFUSALS, refusal_of_status
from hermes.settings import Settings, SettingsError

ID = "17841405309211844"
OWN = {"accountId": ID, "accessToken": f"IGAAsandbox-ig-{ID}-x"}
LINKED = {"accountId": ID, "accessToken": f"EAAsandbox-ig-{ID}-x"}
BOTH = pytest.mark.parametrize("account", [OWN, LINKED], ids=["instagram", "facebook"])
JPEG = "https://x.test/a.jpg"
SECRET = "sandbox-app-secret"


def token(word: str, login: str = "EAA") -> dict[str, str]:
    return {"accountId": ID, "accessToken": f"{login}sandbox-ig-{ID}-{word}"}


@pytest.fixture
async def file_type(platform_bench: Any) -> Any:
    """The class of the fake media's files."""

    async def nothing() -> Any:
        yield b""

    handle = await platform_bench.media.keep("cus_1", nothing(), filename="x", content_type="x/y")
    return type(platform_bench.media.files.pop(handle))


@pytest.fixture
def bench(platform_bench: Any, file_type: Any) -> Any:
    """The bench with pictures and a video to post, and little patience."""
    patient(platform_bench, 3)
    platform_bench.sandbox.services["instagram"].processing_seconds = 0.1
    files = platform_bench.media.files
    for name in "abc":
        files[f"https://x.test/{name}.jpg"] = file_type(b"\xff\xd8\xff", "image/jpeg", width=1080, height=1080)
    video = file_type(bytes(range(256)) * 10_000, "video/mp4", "v.mp4", width=1080, height=1920, seconds=10)
    files |= {"https://x.test/v.mp4": video, "media_video": video, "media_picture": files[JPEG]}
    return platform_bench


def patient(bench: Any, seconds: float, **more: str) -> None:
    bench.settings = Settings(
        environ={"INSTAGRAM_POLL_SECONDS": "0.02", "INSTAGRAM_PATIENCE_SECONDS": str(seconds), **more}
    )


def anew(bench: Any) -> None:
    """What follows is another call, which remembers no step of the one before."""
    bench.journal = type(bench.journal)()


async def post(bench: Any, account: Any = LINKED, **arguments: Any) -> Any:
    return await bench.run(instagram, account, "create_post", seconds=60, **({"images": [JPEG]} | arguments))


async def reel(bench: Any, account: Any = LINKED, **arguments: Any) -> Any:
    return await bench.run(instagram, account, "create_reel", seconds=60, **({"video": "media_video"} | arguments))


async def newest(bench: Any) -> Any:
    return (await bench.run(instagram, LINKED, "get_media", limit=1))["media"][0]


def bodies(bench: Any, end: str) -> list[dict[str, Any]]:
    return [orjson.loads(one.body) for one in bench.requests() if one.method == "POST" and one.path.endswith(f"/{end}")]


# the account


@BOTH
async def test_probing_says_whose_account_it_is(bench: Any, account: Any) -> None:
    found = await bench.probe(instagram, account)
    assert (found.id, found.name) == (ID, "@sandbox")


@pytest.mark.parametrize(
    ("account", "kind"),
    [
        (OWN | {"accountId": "999999999"}, InvalidArguments),
        (LINKED | {"accountId": "999999999"}, NotFound),
        (token("expired"), NeedsReconnect),
        (token("revoked", "IGAA"), NeedsReconnect),
        (token("limited"), RateLimited),
    ],
)
async def test_probing_proves_control(bench: Any, account: Any, kind: type[HermesError]) -> None:
    with pytest.raises(kind):
        await bench.probe(instagram, account)


@pytest.mark.parametrize(
    ("account", "base_url", "asked"),
    [
        (OWN, INSTAGRAM_HOST, INSTAGRAM_HOST),
        (LINKED, INSTAGRAM_HOST, FACEBOOK_HOST),
        (LINKED | {"login": "instagram"}, INSTAGRAM_HOST, INSTAGRAM_HOST),
        (LINKED, "http://127.0.0.1:1/x", "http://127.0.0.1:1/x"),
        (OWN, "http://127.0.0.1:1/x", "http://127.0.0.1:1/x"),
    ],
)
async def test_each_login_has_its_host(bench: Any, account: Any, base_url: str, asked: str) -> None:
    upstream = Upstream()
    context = ApiContext("cus_1", "default", upstream.bind("x", False, 0), base_url, Settings(), None)  # type: ignore[arg-type]  # no port is used
    assert instagram.open(context, instagram.credentials.model_validate(account)).base_url == asked


@BOTH
async def test_the_secret_is_proved_to_facebooks_host_only(bench: Any, account: Any) -> None:
    bench.settings = Settings(meta_app_secret=SecretStr(SECRET))
    await bench.run(instagram, account, "get_profile")
    (request,) = bench.requests()
    assert ("appsecret_proof" in request.query) is (account is LINKED)
    assert account["accessToken"] not in request.path + request.query


@BOTH
async def test_the_profile(bench: Any, account: Any) -> None:
    profile = await bench.run(instagram, account, "get_profile")
    assert (profile["id"], profile["username"], profile["media_count"]) == (ID, "sandbox", 7)
    assert ("account_type" in profile) is (account is OWN)
    assert "biography" not in profile


async def test_media_are_listed_page_by_page(bench: Any) -> None:
    seen: list[Any] = []
    after: dict[str, str] = {}
    while True:
        page = await bench.run(instagram, OWN, "get_media", limit=3, **after)
        assert OWN["accessToken"] not in str(page)
        seen += page["media"]
        if "after" not in page:
            break
        after = {"after": page["after"]}
    assert [one["media_type"] for one in seen] == [
        "IMAGE", "CAROUSEL_ALBUM", "VIDEO", "IMAGE", "CAROUSEL_ALBUM", "VIDEO", "IMAGE",
    ]  # fmt: skip
    assert "caption" not in seen[3]
    assert len(seen[1]["children"]) == 2
    since = (datetime.now(UTC) - timedelta(days=25)).isoformat()
    assert len((await bench.run(instagram, OWN, "get_media", since=since))["media"]) == 2


# pictures


@BOTH
async def test_a_picture(bench: Any, account: Any) -> None:
    made = await post(bench, account, caption="Look", alt_texts=["A dot"], collaborators=["ann"])
    assert made["state"] == "published"
    assert made["permalink"].startswith("https://www.instagram.com/p/")
    assert bodies(bench, "media") == [
        {"image_url": JPEG, "alt_text": "A dot", "caption": "Look", "collaborators": ["ann"]}
    ]
    assert bodies(bench, "media_publish") == [{"creation_id": made["container_id"]}]
    out = await newest(bench)
    assert (out["id"], out["caption"], out["media_type"]) == (made["media_id"], "Look", "IMAGE")


async def test_a_carousel(bench: Any) -> None:
    made = await post(bench, images=[f"https://x.test/{name}.jpg" for name in "abc"], caption="Three")
    *children, parent = bodies(bench, "media")
    assert [(child["is_carousel_item"], "caption" in child) for child in children] == [(True, False)] * 3
    assert (parent["media_type"], len(parent["children"]), parent["caption"]) == ("CAROUSEL", 3, "Three")
    out = await newest(bench)
    assert (out["id"], out["media_type"], len(out["children"])) == (made["media_id"], "CAROUSEL_ALBUM", 3)


async def test_a_handle_is_refused_where_instagram_fetches(bench: Any) -> None:
    for account, tool, arguments in (
        (LINKED, "create_post", {"images": ["media_picture"]}),
        (OWN, "create_reel", {"video": "media_video"}),
    ):
        error = await bench.refused(instagram, account, tool, **arguments)
        assert type(error) is InvalidArguments
        assert "https URL that anyone can open" in error.message
        assert error.nothing_sent
    assert bench.requests() == []


@pytest.mark.parametrize(
    ("content_type", "width", "height", "size"),
    [("image/png", 1000, 1000, 3), ("image/jpeg", 3000, 1000, 3), ("image/jpeg", 1000, 1000, 8 * 1024 * 1024 + 1)],
)
async def test_pictures_that_do_not_fit_are_told_before_instagram_sees_them(
    bench: Any, file_type: Any, content_type: str, width: int, height: int, size: int
) -> None:
    bench.media.files[JPEG] = file_type(bytes(size), content_type, width=width, height=height)
    error = await bench.refused(instagram, LINKED, "create_post", images=[JPEG])
    assert error.status in (400, 413)
    assert bench.requests() == []


async def test_a_picture_that_cannot_be_fetched_from_here_is_left_to_instagram(bench: Any) -> None:
    assert (await post(bench, images=["https://elsewhere.test/a.jpg"]))["state"] == "published"
    anew(bench)
    error = await bench.refused(instagram, LINKED, "create_post", images=["https://elsewhere.test/missing.jpg"])
    assert type(error) is InvalidArguments
    assert (error.data["platform_code"], error.data["platform_subcode"]) == (9004, 2207052)


@pytest.mark.parametrize(
    ("tool", "arguments", "field"),
    [
        ("create_post", {}, "images"),
        ("create_post", {"images": [JPEG], "alt_texts": ["a", "b"]}, "alt_texts"),
        ("create_post", {"images": [JPEG], "container_id": "1234"}, "container_id"),
        ("create_post", {"caption": "a", "container_id": "1234"}, "container_id"),
        ("create_post", {"images": [JPEG], "caption": "#a " * 31}, "caption"),
        ("create_post", {"images": [JPEG], "caption": "@a " * 21}, "caption"),
        ("create_reel", {}, "video"),
        ("create_reel", {"video": "media_video", "container_id": "1234"}, "container_id"),
        ("create_reel", {"video": "media_video", "caption": "#a " * 31}, "caption"),
    ],
)
async def test_arguments_that_do_not_fit_together(bench: Any, tool: str, arguments: Any, field: str) -> None:
    error = await bench.refused(instagram, LINKED, tool, **arguments)
    assert type(error) is InvalidArguments
    assert error.data["fields"][0]["field"] == field
    assert bench.requests() == []


@pytest.mark.parametrize(
    ("tool", "arguments", "field"),
    [
        ("create_post", {"images": []}, "images"),
        ("create_post", {"images": [JPEG] * 11}, "images"),
        ("create_post", {"images": ["http://x.test/a.jpg"]}, "images"),
        ("create_post", {"images": [JPEG], "caption": "x" * 2201}, "caption"),
        ("create_post", {"images": [JPEG], "collaborators": ["a"] * 4}, "collaborators"),
        ("create_post", {"container_id": "1/2"}, "container_id"),
        ("create_reel", {"video": "/etc/passwd"}, "video"),
        ("create_reel", {"video": "media_a", "thumb_offset_ms": -1}, "thumb_offset_ms"),
        ("create_reel", {"video": "media_a", "cover_url": "media_a"}, "cover_url"),
        ("get_media", {"limit": 0}, "limit"),
    ],
)
def test_arguments_that_do_not_fit(tool: str, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        instagram.tools[tool].validate(arguments)
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


def test_what_counts_as_hashtag() -> None:
    instagram.tools["create_post"].validate({"images": [JPEG], "caption": "&#39; a#b " * 40})


# reels


async def test_a_reel_by_url_with_instagram_login(bench: Any) -> None:
    made = await reel(bench, OWN, video="https://x.test/v.mp4", caption="Go", thumb_offset_ms=500)
    assert made["state"] == "published"
    (body,) = bodies(bench, "media")
    assert body == {
        "media_type": "REELS", "share_to_feed": True, "caption": "Go", "thumb_offset": 500,
        "video_url": "https://x.test/v.mp4",
    }  # fmt: skip
    assert (await newest(bench))["media_product_type"] == "REELS"


@pytest.mark.parametrize("video", ["media_video", "https://x.test/v.mp4"])
async def test_a_reel_is_uploaded_with_facebook_login(bench: Any, video: str) -> None:
    made = await reel(bench, video=video, caption="Go", share_to_feed=False)
    container = bench.sandbox.services["instagram"]._accounts[ID].containers[made["container_id"]]
    assert container.digest.hexdigest() == hashlib.sha256(bench.media.files[video].content).hexdigest()
    (body,) = bodies(bench, "media")
    assert (body["upload_type"], body["share_to_feed"], "video_url" in body) == ("resumable", False, False)
    (sent,) = [request for request in bench.requests() if "ig-api-upload" in request.path]
    assert (sent.size, sent.query) == (2_560_000, "")


async def test_an_upload_goes_on_where_it_broke_off(bench: Any) -> None:
    account = token("halves")
    made = await reel(bench, account, caption="Go")
    assert made["state"] == "published"
    sent = [request.size for request in bench.requests() if "ig-api-upload" in request.path]
    assert sent == [2_560_000, 1_280_000]
    container = bench.sandbox.services["instagram"]._accounts[ID].containers[made["container_id"]]
    assert container.received == 2_560_000


@pytest.mark.parametrize("switch", ["cut_before", "cut_after", "cut_body", "malformed", "server_error"])
async def test_an_upload_without_answer_goes_on(bench: Any, switch: str) -> None:
    bench.fail(switch, match="ig-api-upload")
    made = await reel(bench, caption="Go")
    container = bench.sandbox.services["instagram"]._accounts[ID].containers[made["container_id"]]
    assert container.digest.hexdigest() == hashlib.sha256(bench.media.files["media_video"].content).hexdigest()
    assert len(bodies(bench, "media")) == 1


async def test_an_upload_that_instagram_refuses(bench: Any) -> None:
    body = {"debug_info": {"retriable": False, "type": "ProcessingFailedError", "message": "Not a video"}}
    bench.fail("answer", status=400, body=body, match="ig-api-upload")
    error = await bench.refused(instagram, LINKED, "create_reel", video="media_video")
    assert type(error) is PlatformRejected
    assert error.data["platform_code"] == "ProcessingFailedError"


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.test/ig-api-upload/v26.0/1",
        "http://rupload.facebook.com/ig-api-upload/v26.0/1",
        "https://rupload.facebook.com.evil.test/1",
        "https://user@rupload.facebook.com/1",
        "https://rupload.facebook.com:8443/1",
        None,
    ],
)
async def test_the_token_goes_to_metas_upload_host_only(bench: Any, uri: str | None) -> None:
    bench.fail("answer", status=200, body={"id": "1234", "uri": uri}, match=f"/{ID}/media")
    error = await bench.refused(instagram, LINKED, "create_reel", video="media_video")
    assert type(error) is PlatformUnavailable
    assert "nothing was sent there" in error.message
    api = bench.open(instagram, LINKED)
    assert api.may_upload_to("https://rupload.facebook.com/ig-api-upload/v26.0/1")


@pytest.mark.parametrize("change", [{"seconds": 2}, {"seconds": 901}, {"width": 2000}, {"content_type": "video/webm"}])
async def test_videos_that_do_not_fit(bench: Any, change: dict[str, Any]) -> None:
    for name, value in change.items():
        setattr(bench.media.files["media_video"], name, value)
    error = await bench.refused(instagram, LINKED, "create_reel", video="media_video")
    assert type(error) is InvalidArguments
    assert bench.requests() == []


# publishing once


async def test_what_takes_long_is_not_published_and_can_be_gone_on_with(bench: Any) -> None:
    patient(bench, 0.1)
    bench.sandbox.services["instagram"].processing_seconds = 3600
    first = await reel(bench, caption="Late")
    assert (first["state"], "media_id" in first) == ("processing", False)
    assert bodies(bench, "media_publish") == []
    bench.sandbox.clock.advance(3600)
    anew(bench)
    second = await bench.run(instagram, LINKED, "create_reel", seconds=60, container_id=first["container_id"])
    assert second["state"] == "published"
    anew(bench)
    third = await bench.run(instagram, LINKED, "create_reel", seconds=60, container_id=first["container_id"])
    assert (third["state"], "media_id" in third) == ("published", False)
    assert len(bodies(bench, "media_publish")) == 1
    assert (await newest(bench))["id"] == second["media_id"]


@pytest.mark.parametrize("switch", ["timeout_after", "cut_after", "cut_body", "malformed", "giant"])
async def test_a_lost_answer_is_read_back(bench: Any, switch: str) -> None:
    bench.fail(switch, match="media_publish")
    made = await post(bench, caption="Once")
    out = await newest(bench)
    assert (made["state"], made["media_id"], out["caption"]) == ("published", out["id"], "Once")
    assert len(bodies(bench, "media_publish")) == 1


@pytest.mark.parametrize("switch", ["timeout_before", "cut_before", "server_error"])
async def test_publishing_without_effect_stays_unknown_and_can_be_gone_on_with(bench: Any, switch: str) -> None:
    bench.fail(switch, match="media_publish")
    error = await bench.refused(instagram, LINKED, "create_post", images=[JPEG], caption="Once")
    assert type(error) is OutcomeUnknown
    assert error.data["container_id"] in error.message
    anew(bench)
    made = await bench.run(instagram, LINKED, "create_post", seconds=60, container_id=error.data["container_id"])
    assert (made["state"], (await newest(bench))["id"]) == ("published", made["media_id"])


async def test_a_call_that_is_resumed_publishes_nothing_twice(bench: Any) -> None:
    service = bench.sandbox.services["instagram"]
    original = service._publish

    def publish(call: Any, own: Any) -> Any:
        bench.fail("cut_before", times="always")  # what is asked after it
        return original(call, own)

    service._publish = publish
    bench.fail("cut_after", match="media_publish")
    error = await bench.refused(instagram, LINKED, "create_reel", video="media_video", caption="Once")
    assert type(error) is OutcomeUnknown
    bench.sandbox.failures.remove()
    resumed = await reel(bench, caption="Once")
    assert (resumed["state"], resumed["media_id"]) == ("published", (await newest(bench))["id"])
    for end, count in (("media", 1), ("media_publish", 1)):
        assert len(bodies(bench, end)) == count
    assert sum("ig-api-upload" in request.path for request in bench.requests()) == 1


async def test_what_another_try_published_is_no_refusal(bench: Any) -> None:
    service = bench.sandbox.services["instagram"]
    original = service._publish

    def twice(call: Any, own: Any) -> Any:
        original(call, own)
        return original(call, own)

    service._publish = twice
    made = await post(bench, caption="Once")
    assert (made["state"], made["media_id"]) == ("published", (await newest(bench))["id"])


async def test_not_ready_after_all_is_waited_for(bench: Any) -> None:
    error = {"message": "Not ready", "code": 9007, "error_subcode": 2207027}
    bench.fail("answer", status=400, body={"error": error}, match="media_publish", times=2)
    assert (await post(bench))["state"] == "published"
    anew(bench)
    bench.fail("answer", status=400, body={"error": error}, match="media_publish", times="always")
    refused = await bench.refused(instagram, LINKED, "create_post", images=[JPEG])
    assert type(refused) is PlatformUnavailable
    assert refused.data["container_id"]


@pytest.mark.parametrize("switch", ["cut_before", "cut_after", "malformed", "server_error"])
async def test_preparing_without_answer_publishes_nothing(bench: Any, switch: str) -> None:
    bench.fail(switch, match=f"/{ID}/media", times="always")
    error = await bench.refused(instagram, LINKED, "create_post", images=[JPEG])
    assert type(error) is PlatformUnavailable
    assert "Nothing was published" in error.message
    assert len(bodies(bench, "media")) == 1


@pytest.mark.parametrize(("kind", "found"), [("rate_limit", RateLimited), ("server_error", PlatformUnavailable)])
async def test_looking_fails(bench: Any, kind: str, found: type[HermesError]) -> None:
    patient(bench, 0.1)
    service = bench.sandbox.services["instagram"]
    original = service._create

    def create(call: Any, own: Any) -> Any:
        made = original(call, own)
        bench.fail(kind, match=f"/v26.0/{made['id']}", times="always")
        return made

    service._create = create
    error = await bench.refused(instagram, LINKED, "create_post", images=[JPEG])
    assert type(error) is found
    assert error.data["container_id"] in error.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ({"status_code": "ERROR", "status": "Error: Media upload has failed with error code 2207026"}, 400),
        ({"status_code": "ERROR", "status": "Error: 2207009"}, 400),
        ({"status_code": "ERROR", "status": "Error"}, 422),
        ({"status_code": "ERROR"}, 422),
        ({"status_code": "EXPIRED", "status": "Expired"}, 404),
        ({"status_code": "SOMETHING"}, 503),
        ({}, 503),
    ],
)
async def test_each_end_of_a_container(bench: Any, status: dict[str, str], kind: int) -> None:
    patient(bench, 0.1)
    bench.fail("answer", status=200, body=status, match="/v26.0/1234", times="always")
    error = await bench.refused(instagram, LINKED, "create_reel", container_id="1234")
    assert error.status == kind
    assert bodies(bench, "media_publish") == []


async def test_a_video_that_cannot_be_processed(bench: Any) -> None:
    error = await bench.refused(instagram, LINKED, "create_reel", video="media_video", caption="unprocessable")
    assert type(error) is InvalidArguments
    assert error.data["fields"][0]["field"] == "video"
    assert error.data["platform_code"] == 2207026


async def test_a_container_of_nobody(bench: Any) -> None:
    assert type(await bench.refused(instagram, LINKED, "create_post", container_id="123456")) is NotFound


@pytest.mark.parametrize("tool", ["create_post", "create_reel"])
async def test_the_days_posts_are_used_up(bench: Any, tool: str) -> None:
    arguments = {"images": [JPEG]} if tool == "create_post" else {"video": "media_video"}
    error = await bench.refused(instagram, token("quota"), tool, **arguments)
    assert type(error) is RateLimited
    assert (error.data["limited_by"], bool(error.retry_after)) == ("instagram", True)
    assert bodies(bench, "media") == []


# refusals


@pytest.mark.parametrize(
    ("word", "tool", "kind"),
    [
        ("expired", "get_profile", NeedsReconnect),
        ("revoked", "create_post", NeedsReconnect),
        ("limited", "get_media", RateLimited),
        ("broken", "get_media", PlatformUnavailable),
        ("nopublishing", "create_post", PlatformRejected),
    ],
)
async def test_tokens_that_do_not_do(bench: Any, word: str, tool: str, kind: type[HermesError]) -> None:
    arguments = {"images": [JPEG]} if tool == "create_post" else {}
    assert type(await bench.refused(instagram, token(word), tool, **arguments)) is kind


@pytest.mark.parametrize(("code", "subcode"), sorted(REFUSALS, key=str))
async def test_each_code(bench: Any, code: int | None, subcode: int | None) -> None:
    envelope = {"message": "No", "code": 100 if code is None else code}
    if subcode is not None:
        envelope["error_subcode"] = subcode
    bench.fail("answer", status=400, body={"error": envelope})
    error = await bench.refused(instagram, LINKED, "get_media")
    assert type(error) is REFUSALS[code, subcode].kind
    assert (error.data["platform_message"], error.data.get("platform_subcode")) == ("No", subcode)


@pytest.mark.parametrize("code", [-1, 1, 2])
async def test_codes_that_do_not_say_what_happened(bench: Any, code: int) -> None:
    bench.fail("error", code=code, match="media_publish")
    assert type(await bench.refused(instagram, LINKED, "create_post", images=[JPEG])) is OutcomeUnknown
    bench.fail("error", code=code)
    assert type(await bench.refused(instagram, LINKED, "get_media")) is PlatformUnavailable


def test_numbers_in_a_status_mean_what_they_mean_as_subcodes() -> None:
    assert refusal_of_status(2207026).kind is InvalidArguments
    assert refusal_of_status(1).kind is PlatformRejected


SWITCHES = (
    "timeout_before", "timeout_after", "cut_before", "cut_after", "cut_body", "malformed", "giant", "server_error",
)  # fmt: skip


@pytest.mark.parametrize("switch", SWITCHES)
async def test_a_read_without_clear_answer_is_unavailable(bench: Any, switch: str) -> None:
    bench.fail(switch, times="always")
    assert type(await bench.refused(instagram, OWN, "get_media")) is PlatformUnavailable
    assert len(bench.requests()) <= 2


@pytest.mark.parametrize("switch", SWITCHES)
async def test_publishing_without_clear_answers_is_never_repeated(bench: Any, switch: str) -> None:
    service = bench.sandbox.services["instagram"]
    original = service._object

    def failing(*given: Any) -> Any:
        seen = original(*given)
        if seen.get("status_code") == "FINISHED":
            bench.fail(switch, times="always")
        return seen

    service._object = failing
    error = await bench.refused(instagram, LINKED, "create_post", images=[JPEG])
    assert type(error) is OutcomeUnknown
    assert len(bodies(bench, "media_publish")) == 1


@pytest.mark.parametrize(("retry_after", "seen"), [(300, 300.0), (None, 60.0)])
@pytest.mark.parametrize("tool", ["get_media", "create_post"])
async def test_too_fast(bench: Any, tool: str, retry_after: int | None, seen: float) -> None:
    bench.fail("rate_limit", retry_after=retry_after)
    arguments = {"images": [JPEG]} if tool == "create_post" else {}
    error = await bench.refused(instagram, LINKED, tool, **arguments)
    assert (type(error), error.retry_after) == (RateLimited, seen)


@pytest.mark.parametrize("body", [{}, {"data": []}, {"data": [{"quota_usage": "4"}]}, {"data": 5}, []])
async def test_a_quota_of_another_shape_is_not_clear(bench: Any, body: Any) -> None:
    bench.fail("answer", status=200, body=body, match="content_publishing_limit")
    error = await bench.refused(instagram, LINKED, "create_post", images=[JPEG])
    assert type(error) is PlatformUnavailable


# the declaration


def test_credentials_in_both_spellings_and_from_the_environment() -> None:
    one = instagram.credentials.model_validate({"account_id": ID, "access_token": "IGAAtokentoken"})
    assert one == instagram.credentials.model_validate({"accountId": ID, "accessToken": "IGAAtokentoken"})
    assert instagram.credentials.model_validate_json(one.to_json()) == one
    assert one.own_login
    environ = {"INSTAGRAM_ACCOUNT_ID": ID, "INSTAGRAM_ACCESS_TOKEN": "EAAtokentoken", "INSTAGRAM_LOGIN": "facebook"}
    assert not instagram.environ_accounts(Settings(environ=environ))["default"].own_login
    assert "IGAAtokentoken" not in repr(one)
    for name, wrong in (("account_id", "@ann"), ("access_token", "IG x\r\ny"), ("login", "tiktok")):
        with pytest.raises(ValidationError) as caught:
            instagram.credentials.model_validate({"account_id": ID, "access_token": "IGAAtokentoken", name: wrong})
        assert wrong not in str(caught.value)


def test_settings_that_are_no_numbers_stop_the_start() -> None:
    with pytest.raises(SettingsError, match="INSTAGRAM_REEL_MAX_MB"):
        instagram.check_settings(Settings(environ={"INSTAGRAM_REEL_MAX_MB": "many"}))


def test_the_surface() -> None:
    assert {name: (tool.rest_method, tool.rest_path, tool.effect.access) for name, tool in instagram.tools.items()} == {
        "get_profile": ("GET", "/api/instagram/profile", "read"),
        "get_media": ("GET", "/api/instagram/media", "read"),
        "create_post": ("POST", "/api/instagram/post", "write"),
        "create_reel": ("POST", "/api/instagram/reel", "write"),
    }
    assert instagram.tools["create_reel"].long
    assert instagram.tools["create_post"].redactions["caption"] == "text"
