"""Snapchat's tools against the sandbox: what is sent, what comes back, what each refusal means."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

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
from hermes.platforms.snapchat import api as snapchat_api
from hermes.platforms.snapchat import publishing, snapchat
from hermes.platforms.snapchat.errors import refusal_error

PHOTO = b"\x89PNG\r\n\x1a\n" + b"\0" * 1000
VIDEO = b"\0\0\0\x18ftypmp42" + b"\0" * 5000


def token(word: str = "") -> dict[str, str]:
    return {"access_token": f"snap-{word}-token-of-a-member"}


MEMBER = token()


@pytest.fixture(autouse=True)
def _clock_instead_of_waiting(monkeypatch: pytest.MonkeyPatch, platform_bench: Any) -> None:
    """Waiting moves the sandbox's clock instead of the test's."""

    async def pass_time(seconds: float) -> None:
        platform_bench.sandbox.clock.advance(seconds)

    monkeypatch.setattr(snapchat_api, "sleep", pass_time)
    give = platform_bench.media.add
    give("media_photo", PHOTO, "image/png", filename="photo.png", width=1080, height=1920)
    give("media_video", VIDEO, "video/mp4", filename="video.mp4", width=1080, height=1920, seconds=10.0)


async def test_the_member_and_the_profile(platform_bench: Any) -> None:
    me = await platform_bench.run(snapchat, MEMBER, "get_me")
    assert me["display_name"] == "Sandbox member"
    assert me["public_profile"]["display_name"] == "Sandbox profile"
    wrapped = await platform_bench.run(snapchat, token("wrapped"), "get_me")
    assert wrapped["public_profile"]["snap_user_name"] == "sandbox_member"
    for word in ("noprofile", "unlisted"):
        assert "public_profile" not in await platform_bench.run(snapchat, token(word), "get_me")
    account = await platform_bench.probe(snapchat, MEMBER)
    assert (account.id, account.name) == (me["id"], "Sandbox member")


async def test_ad_accounts_of_all_organizations(platform_bench: Any) -> None:
    listed = await platform_bench.run(snapchat, token("several"), "get_ad_accounts")
    assert [account["name"] for account in listed["ad_accounts"]] == ["Sandbox ad account 1", "Sandbox ad account 2"]
    assert listed["ad_accounts"][0]["organization_name"] == "Sandbox organization"


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"media": "media_photo"}, "story"),
        ({"media": "media_video", "publish_as": "saved_story", "title": "Keep"}, "saved story"),
        ({"media": "media_video", "publish_as": "spotlight", "description": "Look #here"}, "spotlight"),
        ({"media": "media_photo", "publish_as": "ad_creative", "headline": "Buy", "brand_name": "Acme"}, "creative"),
        ({"media": "media_video", "publish_as": "ad_creative"}, "creative"),
    ],
)
@pytest.mark.parametrize("word", ["", "wrapped"])
async def test_a_snap_is_published(platform_bench: Any, arguments: dict[str, Any], kind: str, word: str) -> None:
    snap = await platform_bench.run(snapchat, token(word), "create_snap", **arguments)
    [message] = list(platform_bench.sandbox.recorder.messages())
    assert (message.kind, message.id) == (kind, snap["id"])
    assert platform_bench.journal.states[-1] == "published"
    assert snap["published_as"] == arguments.get("publish_as", "story")


async def test_a_profiles_media_is_encrypted_in_parts(platform_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "PART_BYTES", 2048)
    await platform_bench.run(snapchat, MEMBER, "create_snap", media="media_video")
    sent = [request for request in platform_bench.requests() if "/add" in request.path]
    assert len(sent) == 3
    assert all(b"ftyp" not in str(request.body).encode() for request in sent)
    assert platform_bench.reported[-1] == (len(VIDEO), len(VIDEO))


async def test_a_large_ad_video_goes_in_parts(platform_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "PART_BYTES", 2048)
    monkeypatch.setattr(publishing, "ONE_PIECE", 100)
    snap = await platform_bench.run(snapchat, MEMBER, "create_snap", media="media_video", publish_as="ad_creative")
    assert "paid ad" in snap["explanation"]
    assert len([r for r in platform_bench.requests() if r.path.endswith("/add")]) == 3


async def test_a_resumed_call_makes_nothing_twice(platform_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "PART_BYTES", 2048)
    platform_bench.fail("server_error", platform="snapchat", match="/add", times=4)
    with pytest.raises(HermesError):
        await platform_bench.run(snapchat, MEMBER, "create_snap", media="media_video")
    platform_bench.sandbox.failures.remove()
    await platform_bench.run(snapchat, MEMBER, "create_snap", media="media_video")
    made = [r for r in platform_bench.requests() if r.method == "POST" and r.path.endswith("/media")]
    assert len(made) == 1
    assert len(list(platform_bench.sandbox.recorder.messages())) == 1


@pytest.mark.parametrize(
    ("word", "name", "arguments", "kind", "told"),
    [
        ("expired", "get_me", {}, NeedsReconnect, "link the account again"),
        ("revoked", "get_ad_accounts", {}, NeedsReconnect, "link the account again"),
        ("limited", "get_me", {}, RateLimited, "Wait"),
        ("broken", "get_me", {}, PlatformUnavailable, ""),
        ("noprofile", "create_snap", {"media": "media_photo"}, PlatformRejected, "allow-listed"),
        ("unlisted", "create_snap", {"media": "media_photo"}, PlatformRejected, "no public profile"),
        ("norole", "create_snap", {"media": "media_photo", "publish_as": "ad_creative"}, PlatformRejected, "role"),
        ("several", "create_snap", {"media": "media_photo", "publish_as": "ad_creative"}, InvalidArguments, "which ad"),
        ("", "create_snap", {"media": "media_gone"}, NotFound, ""),
        ("", "create_snap", {"media": "media_photo", "publish_as": "spotlight"}, InvalidArguments, ""),
        ("", "create_snap", {"media": "media_video", "publish_as": "saved_story"}, InvalidArguments, "title"),
        ("", "create_snap", {"media": "media_video", "headline": "x"}, InvalidArguments, "ad_creative"),
        (
            "",
            "create_snap",
            {"media": "media_photo", "profile_id": "00000000-0000-4000-8000-000000000000"},
            NotFound,
            "Check the id",
        ),
    ],
)
async def test_what_is_refused(
    platform_bench: Any, word: str, name: str, arguments: dict[str, Any], kind: type[HermesError], told: str
) -> None:
    error = await platform_bench.refused(snapchat, token(word), name, **arguments)
    assert isinstance(error, kind)
    assert told in error.message
    if kind is RateLimited:
        assert (error.retry_after, error.data["limited_by"]) == (5.0, "snapchat")


@pytest.mark.parametrize(
    ("failure", "read", "write"),
    [
        ("server_error", PlatformUnavailable, OutcomeUnknown),
        ("timeout_before", PlatformUnavailable, OutcomeUnknown),
        ("timeout_after", PlatformUnavailable, OutcomeUnknown),
        ("cut_after", PlatformUnavailable, OutcomeUnknown),
        ("cut_body", PlatformUnavailable, OutcomeUnknown),
        ("malformed", PlatformUnavailable, OutcomeUnknown),
    ],
)
async def test_no_clear_answer(platform_bench: Any, failure: str, read: type, write: type) -> None:
    platform_bench.fail(failure, platform="snapchat", match="/me", times=None)
    assert isinstance(await platform_bench.refused(snapchat, MEMBER, "get_me"), read)
    platform_bench.sandbox.failures.remove()
    platform_bench.fail(failure, platform="snapchat", match="/stories", times=None)
    assert isinstance(await platform_bench.refused(snapchat, MEMBER, "create_snap", media="media_photo"), write)


@pytest.mark.parametrize("path", ["https://evil.test/x", "//evil.test/x", "/a/../../x", "/a@b", "relative", 5, None])
async def test_an_upload_path_that_leads_elsewhere(platform_bench: Any, path: Any) -> None:
    body = {"request_status": "SUCCESS", "media_id": "m", "add_path": path, "finalize_path": "/f"}
    platform_bench.fail("answer", platform="snapchat", match="/media", body=body, status=200)
    error = await platform_bench.refused(snapchat, MEMBER, "create_snap", media="media_photo")
    assert isinstance(error, PlatformUnavailable)
    assert "Nothing was published" in error.message


PARTS: list[dict[str, Any]] = [
    {"kind": kind}
    for kind in ("cut_before", "cut_after", "cut_body", "timeout_after", "malformed", "server_error", "rate_limit")
]


@pytest.mark.parametrize("failure", PARTS, ids=lambda failure: failure["kind"])
@pytest.mark.parametrize("publish_as", ["story", "ad_creative"])
async def test_a_part_that_fails_is_sent_again(
    platform_bench: Any, monkeypatch: pytest.MonkeyPatch, publish_as: str, failure: dict[str, Any]
) -> None:
    monkeypatch.setattr(publishing, "PART_BYTES", 2048)
    monkeypatch.setattr(publishing, "ONE_PIECE", 100)
    platform_bench.fail(**failure, platform="snapchat", match="/add/", times=2)
    await platform_bench.run(snapchat, MEMBER, "create_snap", media="media_video", publish_as=publish_as)
    [message] = list(platform_bench.sandbox.recorder.messages())
    assert message.kind == {"story": "story", "ad_creative": "creative"}[publish_as]


@pytest.mark.parametrize("match", ["/add/", "/finalize", "/media"])
async def test_what_fails_before_anything_is_published_leaves_nothing_unknown(platform_bench: Any, match: str) -> None:
    platform_bench.fail("cut_after", platform="snapchat", match=match, times=None)
    error = await platform_bench.refused(snapchat, MEMBER, "create_snap", media="media_photo")
    assert isinstance(error, PlatformUnavailable)
    assert list(platform_bench.sandbox.recorder.messages()) == []


async def test_a_failure_inside_a_success(platform_bench: Any) -> None:
    refused = [{"sub_request_status": "ERROR", "sub_request_error_reason": "no space left", "error_code": "E9"}]
    platform_bench.fail(
        "answer", platform="snapchat", match="/creatives", status=200,
        body={"request_status": "SUCCESS", "creatives": refused},
    )  # fmt: skip
    error = await platform_bench.refused(snapchat, MEMBER, "create_snap", media="media_photo", publish_as="ad_creative")
    assert isinstance(error, InvalidArguments)
    assert (error.data["platform_code"], "no space left" in error.message) == ("E9", True)


@pytest.mark.parametrize("given", [{}, {"access_token": "x"}, {**MEMBER, "profile_id": "nope"}, {**MEMBER, "more": 1}])
def test_credentials_that_do_not_fit(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        snapchat.credentials.model_validate(given)


def test_the_public_profile_api_moves_with_the_ads_api() -> None:
    error = refusal_error(403, None, "", profile=True)
    assert "developers.snap.com" in error.message
