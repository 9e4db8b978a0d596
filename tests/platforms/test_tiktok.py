"""TikTok's tools against the sandbox: what is asked, what comes back, what each refusal means."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from hermes.errors import (
    HermesError,
    InvalidArguments,
    NeedsReconnect,
    NotFound,
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnavailable,
    RateLimited,
)
from hermes.platforms.tiktok import tiktok
from hermes.platforms.tiktok.errors import FAILURES, REFUSALS, failure_error, upload_error
from hermes.settings import Settings

CREATOR = {"access_token": "act.tokentokentokentoken"}


def token(word: str) -> dict[str, str]:
    return {"access_token": f"act.{word}tokentokentoken"}


async def test_the_creator_is_described(platform_bench: Any) -> None:
    me = await platform_bench.run(tiktok, CREATOR, "get_profile")
    assert me["username"].startswith("sandbox")
    assert (me["follower_count"], me["is_verified"]) == (12, False)
    assert len(platform_bench.requests()) == 1


async def test_only_what_was_granted_is_asked_for(platform_bench: Any) -> None:
    credentials = {**token("basiconly"), "scopes": "user.info.basic"}
    me = await platform_bench.run(tiktok, credentials, "get_profile")
    assert ("open_id" in me, "username" in me) == (True, False)
    assert len(platform_bench.requests()) == 1
    me = await platform_bench.run(tiktok, token("basiconly"), "get_profile")
    assert ("open_id" in me, "username" in me) == (True, False)
    assert len(platform_bench.requests()) == 3


async def test_probing_says_whose_token_it_is(platform_bench: Any) -> None:
    account = await platform_bench.probe(tiktok, {**token("basiconly"), "scopes": "user.info.basic,video.upload"})
    assert account.id.startswith("-000")
    assert account.scopes == ("user.info.basic", "video.upload")
    assert platform_bench.requests()[0].query.startswith("fields=open_id")


async def test_what_the_creator_may_post(platform_bench: Any) -> None:
    info = await platform_bench.run(tiktok, CREATOR, "get_creator_info")
    assert info["privacy_level_options"] == ["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]
    private = await platform_bench.run(tiktok, token("privatenocomment"), "get_creator_info")
    assert private["privacy_level_options"][0] == "FOLLOWER_OF_CREATOR"
    assert (private["comment_disabled"], private["duet_disabled"]) == (True, True)


@pytest.mark.parametrize(
    ("name", "scope", "arguments"),
    [
        ("get_profile", "user.info.basic", {}),
        ("get_creator_info", "video.publish", {}),
        ("get_video_status", "video.publish", {"publish_id": "v_pub_file~v2.1"}),
        ("create_video", "video.publish", {"video": "media_x", "privacy_level": "SELF_ONLY"}),
        ("create_video", "video.upload", {"video": "media_x", "mode": "inbox"}),
    ],
)
async def test_a_permission_that_was_not_granted(platform_bench: Any, name: str, scope: str, arguments: Any) -> None:
    error = await platform_bench.refused(tiktok, {**CREATOR, "scopes": "video.list"}, name, **arguments)
    assert type(error) is PlatformRejected
    assert (error.data["missing_scope"], error.nothing_sent) == (scope, True)
    assert platform_bench.requests() == []


KINDS: dict[str, tuple[int, type[HermesError]]] = {
    "access_token_invalid": (401, NeedsReconnect),
    "scope_not_authorized": (401, PlatformRejected),
    "scope_permission_missed": (400, PlatformRejected),
    "rate_limit_exceeded": (429, RateLimited),
    "invalid_params": (400, InvalidArguments),
    "invalid_param": (400, InvalidArguments),
    "invalid_file_upload": (400, InvalidArguments),
    "spam_risk_too_many_posts": (403, RateLimited),
    "spam_risk_user_banned_from_posting": (403, PlatformRejected),
    "spam_risk_too_many_pending_share": (403, RateLimited),
    "reached_active_user_cap": (403, RateLimited),
    "unaudited_client_can_only_post_to_private_accounts": (403, PlatformRejected),
    "url_ownership_unverified": (403, InvalidArguments),
    "privacy_level_option_mismatch": (403, InvalidArguments),
    "app_version_check_failed": (400, PlatformRejected),
    "invalid_publish_id": (400, NotFound),
    "token_not_authorized_for_specified_publish_id": (400, PlatformRejected),
}


def test_every_code_is_tested() -> None:
    assert KINDS.keys() == REFUSALS.keys()


@pytest.mark.parametrize("code", [*KINDS, "something_new"])
@pytest.mark.parametrize("as_success", [False, True])
async def test_what_each_code_means_whatever_the_status(platform_bench: Any, code: str, as_success: bool) -> None:
    status, kind = KINDS.get(code, (400, PlatformRejected))
    body = {"data": {}, "error": {"code": code, "message": "said", "log_id": "L1"}}
    platform_bench.fail("answer", status=200 if as_success else status, body=body)
    error = await platform_bench.refused(tiktok, CREATOR, "get_video_status", publish_id="p")
    assert type(error) is kind
    assert (error.data["platform_code"], error.data["log_id"]) == (code, "L1")
    if kind is RateLimited:
        assert error.data["limited_by"] == "tiktok"
        assert error.retry_after == (60 if code == "rate_limit_exceeded" else 86_400)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {}, NeedsReconnect),
        (404, [], NotFound),
        (413, None, PayloadTooLarge),
        (418, {"error": "flat"}, PlatformRejected),
        (429, {}, RateLimited),
        (200, {"data": {}, "error": {"code": "internal_error"}}, PlatformUnavailable),
        (500, {"data": {}, "error": {"code": "internal_error"}}, PlatformUnavailable),
        (502, {"data": {}, "error": {"code": "something_new"}}, PlatformUnavailable),
        (500, {"data": {}, "error": {"code": "ok"}}, PlatformUnavailable),
        (200, {"data": {"status": 5}, "error": {"code": "ok"}}, PlatformUnavailable),
        (200, {"data": {}, "error": {"code": "ok"}}, PlatformUnavailable),
        (200, {"data": {"status": "FAILED"}}, PlatformUnavailable),
        (200, [], PlatformUnavailable),
        (302, {}, PlatformUnavailable),
    ],
)
async def test_answers_of_other_shapes(platform_bench: Any, status: int, body: Any, kind: type[HermesError]) -> None:
    platform_bench.fail("answer", status=status, body=body)
    assert type(await platform_bench.refused(tiktok, CREATOR, "get_video_status", publish_id="p")) is kind


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        *(
            (reason, PlatformRejected)
            for reason in sorted(FAILURES.keys() - {"auth_removed", "spam_risk_too_many_posts"})
        ),
        ("auth_removed", NeedsReconnect),
        ("spam_risk_too_many_posts", RateLimited),
        ("something_new", PlatformRejected),
        (None, PlatformRejected),
    ],
)
async def test_what_each_failure_means(platform_bench: Any, reason: str | None, kind: type[HermesError]) -> None:
    error = failure_error(reason, "p1")
    assert type(error) is kind
    assert error.data["publish_id"] == "p1"
    data = {"status": "FAILED"} | ({"fail_reason": reason} if reason else {})
    platform_bench.fail("answer", status=200, body={"data": data, "error": {"code": "ok"}})
    seen = await platform_bench.run(tiktok, CREATOR, "get_video_status", publish_id="p1")
    assert (seen["status"], seen.get("fail_reason")) == ("FAILED", reason)
    assert seen["explanation"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, PlatformRejected),
        (403, PlatformRejected),
        (404, PlatformRejected),
        (413, PayloadTooLarge),
        (429, RateLimited),
    ],
)
def test_what_a_refused_upload_means(status: int, kind: type[HermesError]) -> None:
    assert type(upload_error(status, "p1")) is kind


async def test_post_ids_are_texts(platform_bench: Any) -> None:
    data = {"status": "PUBLISH_COMPLETE", "publicaly_available_post_id": [7512345678901234567]}
    platform_bench.fail("answer", status=200, body={"data": data, "error": {"code": "ok"}})
    seen = await platform_bench.run(tiktok, CREATOR, "get_video_status", publish_id="p1")
    assert seen["post_ids"] == ["7512345678901234567"]


async def test_a_publication_that_is_not_known(platform_bench: Any) -> None:
    error = await platform_bench.refused(tiktok, CREATOR, "get_video_status", publish_id="v_pub_file~v2.99")
    assert type(error) is NotFound


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("expired", NeedsReconnect),
        ("revoked", NeedsReconnect),
        ("limited", RateLimited),
        ("broken", PlatformUnavailable),
    ],
)
async def test_tokens_that_do_not_work(platform_bench: Any, word: str, kind: type[HermesError]) -> None:
    assert type(await platform_bench.refused(tiktok, token(word), "get_profile")) is kind


@pytest.mark.parametrize(
    ("word", "kind"), [("banned", PlatformRejected), ("toomany", RateLimited), ("capped", RateLimited)]
)
async def test_creators_who_cannot_post_now(platform_bench: Any, word: str, kind: type[HermesError]) -> None:
    assert type(await platform_bench.refused(tiktok, token(word), "get_creator_info")) is kind


@pytest.mark.parametrize(("retry_after", "seen"), [(17, 17.0), (None, 60.0)])
async def test_too_fast(platform_bench: Any, retry_after: int | None, seen: float) -> None:
    platform_bench.fail("rate_limit", retry_after=retry_after)
    error = await platform_bench.refused(tiktok, CREATOR, "get_creator_info")
    assert (type(error), error.retry_after) == (RateLimited, seen)
    assert len(platform_bench.requests()) == 1


SWITCHES = [
    "timeout_before",
    "cut_before",
    "server_error",
    "timeout_after",
    "cut_after",
    "cut_body",
    "giant",
    "malformed",
]


@pytest.mark.parametrize("name", ["get_profile", "get_creator_info"])
@pytest.mark.parametrize("switch", SWITCHES)
async def test_a_read_without_clear_answer_is_unavailable(platform_bench: Any, name: str, switch: str) -> None:
    platform_bench.fail(switch, times="always")
    assert type(await platform_bench.refused(tiktok, CREATOR, name)) is PlatformUnavailable
    assert len(platform_bench.requests()) <= 2
    assert not platform_bench.http.may_have_acted


@pytest.mark.parametrize("switch", ["timeout_before", "cut_before", "cut_after", "cut_body", "giant"])
async def test_a_read_that_fails_once_is_read_again(platform_bench: Any, switch: str) -> None:
    platform_bench.fail(switch)
    assert (await platform_bench.run(tiktok, CREATOR, "get_creator_info"))["privacy_level_options"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "video"),
        ({"video": "http://example.com/a.mp4"}, "video"),
        ({"video": "media_../x"}, "video"),
        ({"video": "media_x", "mode": "later"}, "mode"),
        ({"video": "media_x", "privacy_level": "EVERYBODY"}, "privacy_level"),
        ({"video": "media_x", "title": "x" * 2201}, "title"),
        ({"video": "media_x", "allow_duet": "yes"}, "allow_duet"),
        ({"video": "media_x", "cover_timestamp_ms": -1}, "cover_timestamp_ms"),
        ({"video": "media_x", "nonsense": 1}, "nonsense"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        tiktok.tools["create_video"].validate(arguments)
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


@pytest.mark.parametrize("given", ["", "short", "act. with spaces", "act.token\n"])
def test_tokens_of_another_form_are_refused_and_not_shown(given: str) -> None:
    with pytest.raises(ValidationError) as caught:
        tiktok.credentials.model_validate({"access_token": given})
    assert not given or given not in str(caught.value)


def test_credentials_of_a_connect_flow_fit() -> None:
    full = {
        "accessToken": "act.tokentoken", "refreshToken": "rft.refresh", "expiresAt": "2026-11-20T20:00:00Z",
        "refreshExpiresAt": "2027-05-19T00:00:00Z", "openId": "-000abc", "scopes": "user.info.basic,video.publish",
    }  # fmt: skip
    credentials = tiktok.credentials.model_validate(full)
    assert tiktok.credentials.model_validate_json(credentials.to_json()) == credentials
    assert "token" not in repr(credentials).replace("access_token", "").replace("refresh_token", "")
    environ = {"TIKTOK_ACCESS_TOKEN": "act.tokentoken"}
    assert tiktok.environ_accounts(Settings(environ=environ))["default"].scopes is None


async def test_secrets_are_neither_in_urls_nor_in_errors(platform_bench: Any) -> None:
    secret = CREATOR["access_token"]
    body = {"data": {}, "error": {"code": "invalid_params", "message": f"token {secret} is odd"}}
    platform_bench.fail("answer", status=400, body=body)
    error = await platform_bench.refused(tiktok, CREATOR, "get_profile")
    assert "[token]" in error.message
    assert all(secret not in request.path + request.query for request in platform_bench.requests())


def test_the_surface() -> None:
    assert {name: (tool.rest_method, tool.rest_path, tool.effect.access) for name, tool in tiktok.tools.items()} == {
        "get_profile": ("GET", "/api/tiktok/profile", "read"),
        "get_creator_info": ("GET", "/api/tiktok/creator", "read"),
        "create_video": ("POST", "/api/tiktok/video", "write"),
        "get_video_status": ("GET", "/api/tiktok/video/status", "read"),
    }
    redactions = tiktok.tools["create_video"].redactions
    assert (redactions["title"], redactions["privacy_level"]) == ("text", "plain")


async def test_creators_at_the_same_time_do_not_mix(platform_bench: Any) -> None:
    creators = [token(f"creator{number}") for number in range(10)]
    found = await asyncio.gather(*(platform_bench.run(tiktok, one, "get_profile") for one in creators))
    assert len({one["open_id"] for one in found}) == 10
