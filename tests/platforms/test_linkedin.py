"""LinkedIn's tools against the sandbox: what is sent, what comes back, what each refusal means."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from hermes.errors import (
    Conflict,
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
from hermes.platforms.linkedin import api as linkedin_api
from hermes.platforms.linkedin import linkedin
from hermes.platforms.linkedin.api import SHARE, check_settings
from hermes.platforms.linkedin.errors import refusal_error, seconds_to_midnight
from hermes.settings import Settings, SettingsError

MEMBER = {"access_token": "AQXtokentokentokentoken"}
PARTNER = {"access_token": "AQXpartnertokentokentoken"}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(seconds: float) -> None:
        assert seconds > 0

    monkeypatch.setattr(linkedin_api, "sleep", at_once)


def token(word: str) -> dict[str, str]:
    return {"access_token": f"AQX{word}tokentokentoken"}


async def test_the_member_is_described(platform_bench: Any) -> None:
    me = await platform_bench.run(linkedin, MEMBER, "get_profile")
    assert me["name"].startswith("Sandbox Member")
    assert (me["locale"], me["email_verified"]) == ("en-US", True)
    assert "email" not in await platform_bench.run(linkedin, token("noemail"), "get_profile")


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (
            {"sub": "a", "locale": "en-GB", "email_verified": True},
            {"id": "a", "locale": "en-GB", "email_verified": True},
        ),
        (
            {"sub": "a", "locale": {"language": "de"}, "email_verified": "false"},
            {"locale": "de", "email_verified": False},
        ),
        ({"sub": "a", "unheard": 1, "picture": None}, {"id": "a"}),
    ],
)
async def test_profiles_of_several_shapes(platform_bench: Any, answer: Any, seen: dict[str, Any]) -> None:
    platform_bench.fail("answer", status=200, body=answer)
    me = await platform_bench.run(linkedin, MEMBER, "get_profile")
    assert {name: me[name] for name in seen} == seen


async def test_probing_says_whose_token_it_is(platform_bench: Any) -> None:
    account = await platform_bench.probe(linkedin, {**MEMBER, "scopes": "openid,profile w_member_social"})
    assert account.id.startswith("S")
    assert account.scopes == ("openid", "profile", "w_member_social")


async def test_a_token_that_was_issued_a_moment_ago_gets_a_second_chance(platform_bench: Any) -> None:
    platform_bench.fail("error", code=65601)
    assert (await platform_bench.probe(linkedin, MEMBER)).id
    platform_bench.fail("error", code=65601, times=2)
    with pytest.raises(NeedsReconnect):
        await platform_bench.probe(linkedin, MEMBER)


async def test_a_text_is_posted(platform_bench: Any) -> None:
    post = await platform_bench.run(linkedin, MEMBER, "create_post", text="Hi (all) #news", visibility="CONNECTIONS")
    assert post["url"] == f"https://www.linkedin.com/feed/update/{post['post_id']}/"
    [message] = platform_bench.sandbox.recorder.messages()
    assert (message.text, message.id, message.peer) == ("Hi (all) #news", post["post_id"], "CONNECTIONS")
    sent = _sent(platform_bench)[-1]
    assert sent["commentary"] == r"Hi \(all\) #news"
    assert sent["author"].startswith("urn:li:person:S")
    assert platform_bench.journal.states == ["created", "published"]


async def test_what_is_known_of_the_member_saves_a_request(platform_bench: Any) -> None:
    me = await platform_bench.run(linkedin, MEMBER, "get_profile")
    await platform_bench.run(linkedin, {**MEMBER, "member_id": me["id"]}, "create_post", text="Hi")
    assert [request.path for request in platform_bench.requests()] == ["/v2/userinfo", "/rest/posts"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (
            {"article": {"url": "https://example.com", "title": "T", "description": "D"}},
            {"article": {"source": "https://example.com", "title": "T", "description": "D"}},
        ),
        (
            {"poll": {"question": "Q?", "options": ["a", "b"], "duration": "ONE_DAY"}},
            {
                "poll": {
                    "question": "Q?",
                    "options": [{"text": "a"}, {"text": "b"}],
                    "settings": {"duration": "ONE_DAY"},
                }
            },
        ),
    ],
)
async def test_what_a_post_shows_beside_its_text(platform_bench: Any, given: Any, sent: Any) -> None:
    await platform_bench.run(linkedin, MEMBER, "create_post", text="Hi", **given)
    assert _sent(platform_bench)[-1]["content"] == sent


async def test_a_post_is_shared(platform_bench: Any) -> None:
    await platform_bench.run(
        linkedin, MEMBER, "create_post", text="", reshare_of="urn:li:share:12345", allow_reshare=False
    )
    sent = _sent(platform_bench)[-1]
    assert sent["reshareContext"] == {"parent": "urn:li:share:12345"}
    assert sent["isReshareDisabledByAuthor"] is True


async def test_a_page_posts(platform_bench: Any) -> None:
    await platform_bench.run(linkedin, PARTNER, "create_post", text="Hi", organization_id="1337")
    assert _sent(platform_bench)[-1]["author"] == "urn:li:organization:1337"
    platform_bench.journal = type(platform_bench.journal)()
    error = await platform_bench.refused(linkedin, MEMBER, "create_post", text="Hi", organization_id="1337")
    assert error.data["product"] == "Community Management API"


async def test_the_same_post_again_names_the_first(platform_bench: Any) -> None:
    first = await platform_bench.run(linkedin, MEMBER, "create_post", text="Hi")
    platform_bench.journal = type(platform_bench.journal)()
    error = await platform_bench.refused(linkedin, MEMBER, "create_post", text="Hi")
    assert type(error) is Conflict
    assert error.data["post_id"] == first["post_id"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"text": " "}, "text"),
        ({"text": "a", "poll": {"question": "q", "options": ["a", "b"]}, "reshare_of": "urn:li:share:1"}, "images"),
        ({"text": "a", "organization_id": "7", "visibility": "CONNECTIONS"}, "visibility"),
    ],
)
async def test_arguments_that_do_not_fit_together(platform_bench: Any, arguments: Any, field: str) -> None:
    error = await platform_bench.refused(linkedin, PARTNER, "create_post", **arguments)
    assert type(error) is InvalidArguments
    assert (error.data["fields"][0]["field"], error.nothing_sent) == (field, True)
    assert platform_bench.requests() == []


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "text"),
        ({"text": "a" * 3001}, "text"),
        ({"text": 5}, "text"),
        ({"text": "a", "visibility": "FRIENDS"}, "visibility"),
        ({"text": "a", "images": []}, "images"),
        ({"text": "a", "images": [{"source": "media_a"}] * 21}, "images"),
        ({"text": "a", "images": [{"source": "http://example.com/a.jpg"}]}, "images"),
        ({"text": "a", "images": [{"source": "media_a", "alt_text": "x" * 4087}]}, "images"),
        ({"text": "a", "video": {"id": "urn:li:image:1"}}, "video"),
        ({"text": "a", "document": {"source": "media_a"}}, "document"),
        ({"text": "a", "article": {"url": "https://example.com"}}, "article"),
        ({"text": "a", "poll": {"question": "q" * 141, "options": ["a", "b"]}}, "poll"),
        ({"text": "a", "poll": {"question": "q", "options": ["a"]}}, "poll"),
        ({"text": "a", "poll": {"question": "q", "options": ["a", "b" * 31]}}, "poll"),
        ({"text": "a", "poll": {"question": "q", "options": ["a", "b"], "duration": "YEAR"}}, "poll"),
        ({"text": "a", "reshare_of": "urn:li:activity:1"}, "reshare_of"),
        ({"text": "a", "organization_id": "x/../y"}, "organization_id"),
        ({"text": "a", "nonsense": 1}, "nonsense"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        linkedin.tools["create_post"].validate(arguments)
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


async def test_connections_are_paged(platform_bench: Any) -> None:
    first = await platform_bench.run(linkedin, PARTNER, "search_connections", limit=40)
    assert (len(first["connections"]), first["total"], first["next_start"]) == (40, 137, 40)
    assert first["connections"][0]["vanity_name"] == "ada-0"
    rest = await platform_bench.run(linkedin, PARTNER, "search_connections", limit=50, start=120)
    assert (len(rest["connections"]), "next_start" in rest) == (17, False)
    assert await platform_bench.run(linkedin, token("partnerempty"), "search_connections") == {
        "connections": [],
        "searched": 0,
        "total": 0,
    }


async def test_connections_are_searched_for_words(platform_bench: Any) -> None:
    found: list[Any] = []
    start: int | None = 0
    while start is not None:
        page = await platform_bench.run(
            linkedin, PARTNER, "search_connections", keywords="łukasiewicz GRACE", limit=1, start=start
        )
        found += page["connections"]
        start = page.get("next_start")
    assert [one["vanity_name"] for one in found] == ["grace-15", "grace-71", "grace-127"]
    nobody = await platform_bench.run(linkedin, PARTNER, "search_connections", keywords="nobody")
    assert nobody == {"connections": [], "searched": 137, "total": 137}


async def test_a_message_is_sent(platform_bench: Any) -> None:
    sent = await platform_bench.run(
        linkedin, PARTNER, "send_message", recipients=["urn:li:person:C000001"], text="Hi", subject="S"
    )
    assert sent["sent"] is True
    assert sent["message_id"].startswith("urn:li:message:")
    assert _sent(platform_bench)[-1]["messageType"] == "MEMBER_TO_MEMBER"


RESTRICTED = {
    "search_connections": ({}, "r_1st_connections"),
    "send_message": ({"recipients": ["urn:li:person:C000001"], "text": "Hi"}, "w_messages"),
    "create_post": ({"text": "Hi"}, "w_member_social"),
}


@pytest.mark.parametrize("name", RESTRICTED)
@pytest.mark.parametrize("known", [True, False])
async def test_what_approval_is_missing(platform_bench: Any, name: str, known: bool) -> None:
    arguments, scope = RESTRICTED[name]
    credentials = token("noshare") | ({"scopes": "openid profile email"} if known else {})
    error = await platform_bench.refused(linkedin, credentials, name, **arguments)
    assert type(error) is PlatformRejected
    assert (error.data["missing_scope"], error.nothing_sent) == (scope, known)
    assert error.data["ask_at"] in error.message
    assert (platform_bench.requests() == []) is known


async def test_strangers_get_no_message(platform_bench: Any) -> None:
    error = await platform_bench.refused(
        linkedin, PARTNER, "send_message", recipients=["urn:li:person:stranger"], text="Hi"
    )
    assert type(error) is PlatformRejected
    assert "1st-degree" in error.message


DUPLICATE = {
    "status": 422,
    "message": "Content is a duplicate of urn:li:share:699",
    "errorDetails": {
        "inputErrors": [{"input": {"inputPath": {"fieldPath": "/commentary"}}, "code": "DUPLICATE_POST"}],
    },
}
REFUSED: list[tuple[int, dict[str, Any], type[HermesError]]] = [
    (
        401,
        {"serviceErrorCode": 65600, "code": "INVALID_ACCESS_TOKEN", "message": "Invalid access token"},
        NeedsReconnect,
    ),
    (401, {"serviceErrorCode": 65601, "message": "revoked"}, NeedsReconnect),
    (401, {"code": "EXPIRED_ACCESS_TOKEN"}, NeedsReconnect),
    (401, {"message": "Empty oauth2 access token"}, NeedsReconnect),
    (401, {}, NeedsReconnect),
    (403, {"serviceErrorCode": 100, "message": "Not enough permissions to access: X"}, PlatformRejected),
    (403, {"code": "ACCESS_DENIED"}, PlatformRejected),
    (400, {"code": "ILLEGAL_ARGUMENT", "message": "no"}, InvalidArguments),
    (400, {"code": "VERSION_MISSING"}, PlatformRejected),
    (400, {"code": "MEDIA_ASSET_PROCESSING"}, Conflict),
    (422, {"code": "MEDIA_ASSET_WAITING_UPLOAD"}, Conflict),
    (422, {"code": "MEDIA_ASSET_PROCESSING_FAILED"}, PlatformRejected),
    (404, {"code": "RESOURCE_NOT_FOUND"}, NotFound),
    (404, {}, NotFound),
    (409, {"code": "CONFLICT"}, Conflict),
    (413, {}, PayloadTooLarge),
    (418, {}, PlatformRejected),
    (422, DUPLICATE, Conflict),
    (409, {"code": "DUPLICATE_POST", "message": "urn:li:ugcPost:5"}, Conflict),
    (422, {"message": "something new"}, InvalidArguments),
    (426, {"code": "NONEXISTENT_VERSION", "message": "Requested version 20250101 is not active"}, PlatformRejected),
    (429, {"serviceErrorCode": 101, "code": "TOO_MANY_REQUESTS"}, RateLimited),
    (429, {"message": "DAY limit"}, RateLimited),
]


@pytest.mark.parametrize(("status", "answer", "kind"), REFUSED)
async def test_what_each_refusal_means(
    platform_bench: Any, status: int, answer: dict[str, Any], kind: type[HermesError]
) -> None:
    assert type(refusal_error(status, answer, SHARE, None)) is kind
    platform_bench.fail("answer", status=status, body={"status": status, **answer})
    error = await platform_bench.refused(linkedin, {**MEMBER, "member_id": "S1"}, "send_message", **_MESSAGE)
    assert type(error) is kind
    assert len(platform_bench.requests()) == 1
    if kind is RateLimited:
        assert error.data["limited_by"] == "linkedin"
        assert error.retry_after is not None
        assert 0 < error.retry_after <= 86_400


_MESSAGE = {"recipients": ["urn:li:person:C000001"], "text": "Hi"}


def test_the_existing_post_and_the_field_are_named() -> None:
    assert refusal_error(422, DUPLICATE, SHARE, None).data["post_id"] == "urn:li:share:699"
    place = {"inputPath": {"fieldPath": "/content/poll/options"}}
    answer = {"errorDetails": {"inputErrors": [{"code": "INVALID_CONTENT", "input": place}]}}
    assert refusal_error(422, answer, SHARE, None).data["fields"][0]["field"] == "poll"


def test_limits_begin_anew_at_midnight_utc() -> None:
    assert seconds_to_midnight(datetime(2026, 11, 20, 23, 59, 50, tzinfo=UTC)) == 11
    assert seconds_to_midnight(datetime(2026, 11, 20, tzinfo=UTC)) == 86_401


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
    assert type(await platform_bench.refused(linkedin, token(word), "get_profile")) is kind
    assert type(await platform_bench.refused(linkedin, {"access_token": "BQXunknown"}, "get_profile")) is NeedsReconnect


@pytest.mark.parametrize(("retry_after", "most"), [(17, 17), (None, 86_401)])
@pytest.mark.parametrize("name", ["search_connections", "send_message"])
async def test_too_fast(platform_bench: Any, name: str, retry_after: int | None, most: int) -> None:
    platform_bench.fail("rate_limit", retry_after=retry_after)
    error = await platform_bench.refused(linkedin, PARTNER, name, **RESTRICTED[name][0])
    assert type(error) is RateLimited
    assert 0 < error.retry_after <= most


NOT_CLEAR = (
    "timeout_before", "cut_before", "server_error", "timeout_after", "cut_after", "cut_body", "giant",
)  # fmt: skip


@pytest.mark.parametrize("switch", ["server_error", "timeout_before", "cut_before", "timeout_after", "cut_after"])
async def test_a_post_without_clear_answer_is_never_made_twice(platform_bench: Any, switch: str) -> None:
    platform_bench.fail(switch, match="/rest/posts", times="always")
    error = await platform_bench.refused(linkedin, MEMBER, "create_post", text="Hi")
    assert type(error) is OutcomeUnknown
    assert [request.path for request in platform_bench.requests()].count("/rest/posts") == 1
    assert platform_bench.http.may_have_acted
    platform_bench.sandbox.failures.remove()
    resumed = await platform_bench.refused(linkedin, MEMBER, "create_post", text="Hi")
    assert type(resumed) is OutcomeUnknown
    assert [request.path for request in platform_bench.requests()].count("/rest/posts") == 1


@pytest.mark.parametrize("body", [{}, {"id": "urn:li:share:1"}, [], None, {"status": 503}])
async def test_a_post_without_id_is_not_clear(platform_bench: Any, body: Any) -> None:
    platform_bench.fail("answer", match="/rest/posts", status=201, body=body)
    error = await platform_bench.refused(linkedin, MEMBER, "create_post", text="Hi")
    assert type(error) is OutcomeUnknown


async def test_a_refusal_inside_a_success_is_seen(platform_bench: Any) -> None:
    platform_bench.fail("answer", status=200, body={"status": 403, "serviceErrorCode": 100, "message": "no"})
    assert type(await platform_bench.refused(linkedin, MEMBER, "get_profile")) is PlatformRejected


@pytest.mark.parametrize("switch", [*NOT_CLEAR, "malformed"])
async def test_a_read_without_clear_answer_is_unavailable(platform_bench: Any, switch: str) -> None:
    platform_bench.fail(switch, times="always")
    error = await platform_bench.refused(linkedin, MEMBER, "get_profile")
    assert type(error) is PlatformUnavailable
    assert len(platform_bench.requests()) <= 2


@pytest.mark.parametrize("switch", ["timeout_before", "cut_before", "cut_after", "cut_body", "giant"])
async def test_a_read_that_fails_once_is_read_again(platform_bench: Any, switch: str) -> None:
    platform_bench.fail(switch)
    assert (await platform_bench.run(linkedin, MEMBER, "get_profile"))["id"]


async def test_a_version_that_is_no_longer_served(platform_bench: Any) -> None:
    platform_bench.settings = Settings(environ={"LINKEDIN_VERSION": "202401"})
    error = await platform_bench.refused(linkedin, MEMBER, "create_post", text="Hi")
    assert type(error) is PlatformRejected
    assert "LINKEDIN_VERSION" in error.message


@pytest.mark.parametrize(
    "environ",
    [{"LINKEDIN_VERSION": "202613"}, {"LINKEDIN_VIDEO_MAX_MB": "a lot"}, {"LINKEDIN_ORGANIZATIONS": "yes"}],
)
def test_settings_that_linkedin_could_not_understand(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        check_settings(Settings(environ=environ))
    check_settings(Settings(environ={"LINKEDIN_VERSION": "202610", "LINKEDIN_ORGANIZATIONS": "true"}))


async def test_secrets_are_neither_in_urls_nor_in_results(platform_bench: Any) -> None:
    await platform_bench.run(linkedin, MEMBER, "create_post", text="Hi")
    for request in platform_bench.requests():
        assert MEMBER["access_token"] not in request.path + request.query
    platform_bench.fail("error", code=404, message=f"token {PARTNER['access_token']} is odd")
    error = await platform_bench.refused(linkedin, PARTNER, "search_connections")
    assert "[token]" in error.message


@pytest.mark.parametrize("given", ["", "short", "AQX with spaces", "AQXtoken\n"])
def test_tokens_of_another_form_are_refused_and_not_shown(given: str) -> None:
    with pytest.raises(ValidationError) as caught:
        linkedin.credentials.model_validate({"access_token": given})
    assert not given or given not in str(caught.value)


def test_credentials_of_a_connect_flow_fit() -> None:
    full = {
        "accessToken": "AQXtokentoken", "refreshToken": "AQWrefresh", "expiresAt": "2027-01-19T00:00:00Z",
        "memberId": "782bbtaQ", "scopes": "email,openid,profile,w_member_social",
    }  # fmt: skip
    credentials = linkedin.credentials.model_validate(full)
    again = linkedin.credentials.model_validate_json(credentials.to_json())
    assert again == credentials
    assert "AQ" not in repr(credentials)
    environ = {"LINKEDIN_ACCESS_TOKEN": "AQXtokentoken"}
    assert linkedin.environ_accounts(Settings(environ=environ))["default"].refresh_token is None


def test_the_surface() -> None:
    assert {name: (tool.rest_method, tool.rest_path, tool.effect.access) for name, tool in linkedin.tools.items()} == {
        "get_profile": ("GET", "/api/linkedin/profile", "read"),
        "create_post": ("POST", "/api/linkedin/post", "write"),
        "search_connections": ("POST", "/api/linkedin/connections", "read"),
        "send_message": ("POST", "/api/linkedin/message", "write"),
        "upload_video": ("POST", "/api/linkedin/video", "write"),
    }
    redactions = linkedin.tools["send_message"].redactions
    assert (redactions["recipients"], redactions["text"]) == ("recipient", "text")


async def test_members_at_the_same_time_do_not_mix(platform_bench: Any) -> None:
    members = [token(f"member{number}") for number in range(10)]
    found = await asyncio.gather(*(platform_bench.run(linkedin, member, "get_profile") for member in members))
    assert len({one["id"] for one in found}) == 10


def _sent(bench: Any) -> list[dict[str, Any]]:
    return [orjson.loads(request.body) for request in bench.requests() if request.body]
