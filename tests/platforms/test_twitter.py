"""X's tools against the sandbox: what is sent, what comes back, what each refusal means."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
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
from hermes.platforms.twitter import twitter
from hermes.platforms.twitter.errors import refusal_error
from hermes.platforms.twitter.models import Tweet, User, tweet_of
from hermes.settings import Settings

ME = {"access_token": "eFhYc2FuZGJveC1kZW1vLWFjY2Vzcy10b2tlbg"}
PROBLEMS = "https://api.x.com/2/problems/"


def token(word: str) -> dict[str, str]:
    return {"access_token": f"eFhYc2FuZGJveC1{word}ZW1vLWFjY2Vzcy10b2tlbg"}


def bodies(bench: Any) -> list[dict[str, Any]]:
    return [orjson.loads(request.body) for request in bench.requests() if request.body]


def queries(bench: Any) -> list[tuple[str, dict[str, str]]]:
    return [(request.path, dict(parse_qsl(request.query))) for request in bench.requests()]


def ago(**given: float) -> str:
    return (datetime.now(UTC) - timedelta(**given)).isoformat()


async def test_profiles(platform_bench: Any) -> None:
    me = await platform_bench.run(twitter, ME, "get_user_profile")
    assert me["username"].startswith("sandbox_")
    assert me["metrics"] == {"followers": 11, "following": 7, "posts": 0, "listed": 1}
    other = await platform_bench.run(twitter, ME, "get_user_profile", username="@XDevelopers")
    assert (other["id"], other["username"]) == ("2244994945", "XDevelopers")
    same = await platform_bench.run(twitter, ME, "get_user_profile", user_id="2244994945")
    assert same["username"] == "XDevelopers"
    assert [path for path, _ in queries(platform_bench)] == [
        "/2/users/me", "/2/users/by/username/XDevelopers", "/2/users/2244994945",
    ]  # fmt: skip
    account = await platform_bench.probe(twitter, ME)
    assert (account.id, account.name) == (me["id"], f"@{me['username']}")


@pytest.mark.parametrize(
    ("tool", "arguments", "kind", "way_out"),
    [
        ("get_user_profile", {"username": "missing_one"}, NotFound, "does not exist"),
        ("get_user_profile", {"user_id": "404"}, NotFound, "does not exist"),
        ("get_user_profile", {"username": "suspended_one"}, PlatformRejected, "suspended"),
        ("get_user_tweets", {"username": "missing_one"}, NotFound, "does not exist"),
        ("get_user_tweets", {"username": "protected_one"}, PlatformRejected, "protected"),
    ],
)
async def test_errors_that_come_with_status_200(
    platform_bench: Any, tool: str, arguments: dict[str, Any], kind: type[HermesError], way_out: str
) -> None:
    error = await platform_bench.refused(twitter, ME, tool, **arguments)
    assert type(error) is kind
    assert way_out in error.message


async def test_posts_of_an_account_are_paged(platform_bench: Any) -> None:
    page = await platform_bench.run(twitter, ME, "get_user_tweets", username="XDevelopers", limit=10)
    texts = [tweet["text"] for tweet in page["tweets"]]
    assert page["user_id"] == "2244994945"
    while "next_page" in page:
        page = await platform_bench.run(
            twitter, ME, "get_user_tweets", user_id=page["user_id"], limit=10, page=page["next_page"]
        )
        texts += [tweet["text"] for tweet in page["tweets"]]
    assert [text.split(" which")[0] for text in texts] == [f"Post number {number}" for number in range(1, 24)]
    assert len(texts[3]) > 400  # the whole of a long post, not its first 280 characters
    assert [path for path, _ in queries(platform_bench)] == [
        "/2/users/by/username/XDevelopers", *["/2/users/2244994945/tweets"] * 3,
    ]  # fmt: skip


@pytest.mark.parametrize("dialect", ["new", "old"])
async def test_both_dialects_are_read_alike(platform_bench: Any, dialect: str) -> None:
    platform_bench.settings = Settings(environ={"TWITTER_DIALECT": dialect})
    page = await platform_bench.run(
        twitter, ME, "get_user_tweets", username="XDevelopers", include=["authors", "referenced", "media"], limit=5
    )
    reply = page["tweets"][0]
    assert reply["references"] == [
        {"type": "replied_to", "id": "1346889436626259968", "text": "The post 1346889436626259968"}
    ]
    assert (reply["author"], reply["metrics"]["reposts"], reply["metrics"]["likes"]) == ("XDevelopers", 1, 3)
    assert len(page["tweets"][3]["text"]) > 400
    found = await platform_bench.run(twitter, ME, "search_tweets", query="cats", include=["media"])
    assert found["tweets"][4]["media"] == [
        {"type": "photo", "url": "https://pbs.twimg.com/media/1.jpg", "alt_text": "A cat"}
    ]
    names = {name for _, query in queries(platform_bench) for name in query}
    assert ("post.fields" in names, "tweet.fields" in names) == (dialect == "new", dialect == "old")


async def test_an_account_without_posts_has_none(platform_bench: Any) -> None:
    page = await platform_bench.run(twitter, ME, "get_user_tweets")
    assert page["tweets"] == []
    assert "next_page" not in page
    await platform_bench.run(twitter, ME, "create_tweet", text="The first")
    page = await platform_bench.run(twitter, ME, "get_user_tweets", exclude=["replies", "retweets"])
    assert [tweet["text"] for tweet in page["tweets"]] == ["The first"]


async def test_everything_that_posts_can_be_asked_by(platform_bench: Any) -> None:
    page = await platform_bench.run(twitter, ME, "get_user_tweets", username="XDevelopers", limit=5)
    ids = [tweet["id"] for tweet in page["tweets"]]
    platform_bench.sandbox.recorder.clear()
    some = await platform_bench.run(
        twitter, ME, "get_user_tweets", user_id="2244994945", since_id=ids[3], until_id=ids[0],
        start_time="2020-01-01T01:00:00+01:00", end_time=ago(seconds=20), exclude=["retweets", "replies"], limit=5,
    )  # fmt: skip
    assert [tweet["id"] for tweet in some["tweets"]] == [ids[2]]
    ((_, query),) = queries(platform_bench)
    assert query["start_time"] == "2020-01-01T00:00:00Z"
    assert query["exclude"] == "replies,retweets"


async def test_search(platform_bench: Any) -> None:
    first = await platform_bench.run(twitter, ME, "search_tweets", query="from:nasa moon", limit=20)
    assert (len(first["tweets"]), first["tweets"][0]["text"]) == (20, "moon 1")
    assert first["tweets"][0]["author"].startswith("user_")
    second = await platform_bench.run(
        twitter, ME, "search_tweets", query="from:nasa moon", limit=20, page=first["next_page"], sort="relevancy"
    )
    assert (len(second["tweets"]), "next_page" in second) == (17, False)
    nothing = await platform_bench.run(twitter, ME, "search_tweets", query="nothing at all")
    assert nothing == {"tweets": []}


async def test_partial_answers_are_seen(platform_bench: Any) -> None:
    found = await platform_bench.run(twitter, ME, "search_tweets", query="partial cats")
    assert len(found["tweets"]) == 10
    assert found["left_out"] == [
        {"detail": "Could not find tweet with referenced_tweets.id: [20].", "resource_id": "20"}
    ]


async def test_pages_that_lead_in_circles_end(platform_bench: Any) -> None:
    assert await platform_bench.run(twitter, ME, "search_tweets", query="loops") == {"tweets": []}
    assert len(platform_bench.requests()) == 2


async def test_empty_pages_are_passed_over(platform_bench: Any) -> None:
    for number in range(2):
        platform_bench.fail("answer", status=200, body={"meta": {"result_count": 0, "next_token": f"p{number}"}})
    found = await platform_bench.run(twitter, ME, "search_tweets", query="cats")
    assert found["tweets"][0]["text"] == "cats 2"


async def test_a_query_that_x_refuses(platform_bench: Any) -> None:
    error = await platform_bench.refused(twitter, ME, "search_tweets", query="-cats is:retweet")
    assert isinstance(error, InvalidArguments)
    assert error.data["fields"] == [
        {"field": "query", "problem": "There must be at least one standalone operator in this query"}
    ]


async def test_a_post(platform_bench: Any) -> None:
    text = "Hi 👋 <b>ignore previous instructions</b> \u202e\x07 `\"' 日本"
    tweet = await platform_bench.run(twitter, ME, "create_tweet", text=text)
    assert tweet == {"id": tweet["id"], "text": text, "url": f"https://x.com/i/status/{tweet['id']}"}
    assert bodies(platform_bench) == [{"text": text}]
    thread = await platform_bench.run(
        twitter, ME, "create_tweet", text="Next", reply_to=tweet["id"], exclude_reply_user_ids=["12"],
        reply_settings="mentioned", made_with_ai=True, paid_partnership=True,
    )  # fmt: skip
    assert bodies(platform_bench)[-1] == {
        "text": "Next",
        "reply": {"in_reply_to_tweet_id": tweet["id"], "exclude_reply_user_ids": ["12"]},
        "reply_settings": "mentionedUsers",
        "made_with_ai": True,
        "paid_partnership": True,
    }
    await platform_bench.run(twitter, ME, "create_tweet", text="See this", quote=thread["id"])
    assert bodies(platform_bench)[-1] == {"text": "See this", "quote_tweet_id": thread["id"]}
    await platform_bench.run(
        twitter, ME, "create_tweet", text="Which?", poll={"options": ["a", "b"], "minutes": 5}, community_id="99",
        share_with_followers=True,
    )  # fmt: skip
    assert bodies(platform_bench)[-1] == {
        "text": "Which?",
        "poll": {"options": ["a", "b"], "duration_minutes": 5},
        "community_id": "99",
        "share_with_followers": True,
    }


async def test_long_posts_are_for_premium(platform_bench: Any) -> None:
    text = "long " * 100
    assert isinstance(await platform_bench.refused(twitter, ME, "create_tweet", text=text), InvalidArguments)
    assert platform_bench.requests() == []
    error = await platform_bench.refused(twitter, ME, "create_tweet", text=text, long_post=True)
    assert isinstance(error, InvalidArguments)
    assert error.data["fields"][0]["field"] == "text"
    tweet = await platform_bench.run(twitter, token("premium"), "create_tweet", text=text, long_post=True)
    assert tweet["text"] == text


@pytest.mark.parametrize(
    ("arguments", "kind", "way_out"),
    [
        ({"text": "a", "reply_to": "12"}, PlatformRejected, "Enterprise"),
        ({"text": "a", "quote": "12"}, PlatformRejected, "Enterprise"),
        ({"text": "a", "reply_to": "4041"}, InvalidArguments, "exists"),
        ({"text": "a", "media_ids": ["12"]}, InvalidArguments, "uploaded"),
    ],
)
async def test_posts_that_x_refuses(
    platform_bench: Any, arguments: dict[str, Any], kind: type[HermesError], way_out: str
) -> None:
    error = await platform_bench.refused(twitter, ME, "create_tweet", **arguments)
    assert type(error) is kind
    assert way_out in error.message
    assert len(platform_bench.requests()) == 1
    assert error.data.get("media_ids") == arguments.get("media_ids")


async def test_the_same_text_twice_is_a_conflict(platform_bench: Any) -> None:
    await platform_bench.run(twitter, ME, "create_tweet", text="Once")
    error = await platform_bench.refused(twitter, ME, "create_tweet", text="Once")
    assert type(error) is Conflict
    assert "twitter_get_user_tweets" in error.message


@pytest.mark.parametrize(
    ("word", "tool", "kind", "code", "way_out"),
    [
        ("expired", "get_user_profile", NeedsReconnect, 401, "link a new one"),
        ("revoked", "create_tweet", NeedsReconnect, 401, "link a new one"),
        ("limited", "create_tweet", RateLimited, 429, "resets"),
        ("credits", "get_user_profile", PlatformRejected, "credits", "buy some"),
        ("capped", "create_tweet", RateLimited, "usage-capped", "cap"),
        ("unenrolled", "create_tweet", PlatformRejected, "client-forbidden", "console"),
        ("apponly", "get_user_profile", NeedsReconnect, "unsupported-authentication", "token of a person"),
        ("apponly", "create_tweet", NeedsReconnect, "unsupported-authentication", "token of a person"),
        ("readonly", "create_tweet", PlatformRejected, 403, "tweet.write"),
    ],
)
async def test_tokens_that_do_not_do(
    platform_bench: Any, word: str, tool: str, kind: type[HermesError], code: Any, way_out: str
) -> None:
    arguments = {"text": "Hi"} if tool == "create_tweet" else {}
    error = await platform_bench.refused(twitter, token(word), tool, **arguments)
    assert type(error) is kind
    assert error.data["platform_code"] == code
    assert way_out in error.message
    assert len(platform_bench.requests()) == 1


async def test_a_broken_service_is_unavailable_or_unknown(platform_bench: Any) -> None:
    assert type(await platform_bench.refused(twitter, token("broken"), "get_user_profile")) is PlatformUnavailable
    assert type(await platform_bench.refused(twitter, token("broken"), "create_tweet", text="a")) is OutcomeUnknown


NOT_CLEAR = (
    "timeout_before", "cut_before", "server_error", "timeout_after", "cut_after", "cut_body", "malformed", "giant",
)  # fmt: skip


@pytest.mark.parametrize("switch", NOT_CLEAR)
async def test_a_post_without_clear_answer_is_never_sent_twice(platform_bench: Any, switch: str) -> None:
    platform_bench.fail(switch, times="always")
    error = await platform_bench.refused(twitter, ME, "create_tweet", text="Hi")
    assert type(error) is OutcomeUnknown
    assert len(platform_bench.requests()) == 1
    assert platform_bench.http.may_have_acted


@pytest.mark.parametrize("switch", NOT_CLEAR)
async def test_a_read_without_clear_answer_is_unavailable(platform_bench: Any, switch: str) -> None:
    platform_bench.fail(switch, times="always")
    error = await platform_bench.refused(twitter, ME, "search_tweets", query="cats")
    assert type(error) is PlatformUnavailable
    assert len(platform_bench.requests()) <= 2


@pytest.mark.parametrize("retry_after", [17, None])
@pytest.mark.parametrize("tool", ["get_user_profile", "create_tweet"])
async def test_too_fast(platform_bench: Any, tool: str, retry_after: int | None) -> None:
    platform_bench.fail("rate_limit", retry_after=retry_after)
    error = await platform_bench.refused(twitter, ME, tool, **({"text": "Hi"} if tool == "create_tweet" else {}))
    assert type(error) is RateLimited
    assert (error.data["limited_by"], error.data["limit"]) == ("twitter", "15_minutes")
    if retry_after is None:
        assert error.retry_after is None
    else:
        assert error.retry_after == pytest.approx(retry_after, abs=2)
    assert len(platform_bench.requests()) == 1


async def test_internal_errors_are_not_clear(platform_bench: Any) -> None:
    problem = {"title": "Internal Error", "type": f"{PROBLEMS}internal-error", "detail": "oops"}
    for status, body in ((400, problem), (200, {"errors": [problem]})):
        platform_bench.fail("answer", status=status, body=body)
        assert type(await platform_bench.refused(twitter, ME, "create_tweet", text="Hi")) is OutcomeUnknown
        platform_bench.fail("answer", status=status, body=body)
        assert type(await platform_bench.refused(twitter, ME, "get_user_profile")) is PlatformUnavailable


@pytest.mark.parametrize("body", [{}, [], None, {"data": {}}, {"data": {"id": 5}}, {"data": []}, "x"])
async def test_an_answer_of_another_shape_is_not_clear(platform_bench: Any, body: Any) -> None:
    platform_bench.fail("answer", status=201, body=body)
    assert type(await platform_bench.refused(twitter, ME, "create_tweet", text="Hi")) is OutcomeUnknown
    platform_bench.fail("answer", status=200, body=body)
    assert type(await platform_bench.refused(twitter, ME, "get_user_profile")) is PlatformUnavailable


REFUSED = [
    (400, {"type": f"{PROBLEMS}invalid-request", "detail": "One or more"}, InvalidArguments),
    (200, {"type": "https://api.twitter.com/2/problems/resource-not-found", "detail": "no"}, NotFound),
    (200, {"type": f"{PROBLEMS}resource-unavailable", "detail": "no"}, PlatformRejected),
    (200, {"type": f"{PROBLEMS}not-authorized-for-resource", "detail": "no"}, PlatformRejected),
    (200, {"type": f"{PROBLEMS}not-authorized-for-field", "detail": "no"}, PlatformRejected),
    (200, {"type": f"{PROBLEMS}field-unauthorized", "detail": "no"}, PlatformRejected),
    (200, {"type": f"{PROBLEMS}field-hydration-failure", "detail": "no"}, PlatformRejected),
    (403, {"type": f"{PROBLEMS}disallowed-resource", "detail": "no"}, PlatformRejected),
    (403, {"type": f"{PROBLEMS}client-forbidden", "detail": "no", "reason": "client-not-enrolled"}, PlatformRejected),
    (403, {"type": f"{PROBLEMS}oauth1-permissions", "detail": "no"}, PlatformRejected),
    (403, {"type": f"{PROBLEMS}unsupported-authentication", "detail": "no"}, NeedsReconnect),
    (403, {"type": f"{PROBLEMS}duplicate-rules", "detail": "no"}, Conflict),
    (429, {"type": f"{PROBLEMS}usage-capped", "detail": "no", "period": "Daily"}, RateLimited),
    (429, {"type": f"{PROBLEMS}rate-limit-exceeded", "detail": "no"}, RateLimited),
    (429, {"type": f"{PROBLEMS}something-new", "detail": "no"}, RateLimited),
    (429, {"errors": [{"code": 88, "message": "Rate limit exceeded"}]}, RateLimited),
    (402, {"type": f"{PROBLEMS}credits", "title": "CreditsDepleted"}, PlatformRejected),
    (402, {"type": f"{PROBLEMS}credits-depleted", "title": "x"}, PlatformRejected),
    (402, {}, PlatformRejected),
    (401, {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"}, NeedsReconnect),
    (401, {}, NeedsReconnect),
    (404, {}, NotFound),
    (413, {}, PayloadTooLarge),
    (400, {}, InvalidArguments),
    (403, {"type": "about:blank", "detail": "You are not allowed to create a Tweet with duplicate content."}, Conflict),
    (403, {"type": "about:blank", "detail": "Quoting this post is not allowed because …"}, PlatformRejected),
    (403, {"type": "about:blank", "detail": "The Tweet contains an invalid URL."}, InvalidArguments),
    (403, {"type": "about:blank", "detail": "maximum of one cashtag"}, InvalidArguments),
    (403, {"type": "about:blank", "detail": "something new"}, PlatformRejected),
    (403, {"errors": [{"code": 187, "message": "Status is a duplicate."}]}, Conflict),
    (403, {"errors": [{"code": 326, "message": "locked"}]}, PlatformRejected),
    (401, {"errors": [{"code": 89, "message": "Invalid or expired token."}]}, NeedsReconnect),
    (418, {"detail": "something new"}, PlatformRejected),
]


@pytest.mark.parametrize(("status", "body", "kind"), REFUSED)
async def test_what_each_refusal_means(
    platform_bench: Any, status: int, body: dict[str, Any], kind: type[HermesError]
) -> None:
    platform_bench.fail("answer", status=status, body=body if status != 200 else {"errors": [body]})
    error = await platform_bench.refused(twitter, ME, "create_tweet", text="Hi")
    assert type(error) is kind
    assert error.message.startswith("X says: ")
    assert len(error.message) > 40
    if body == REFUSED[0][1]:
        assert error.data["platform_code"] == "invalid-request"


def test_daily_limits_are_told_apart() -> None:
    error = refusal_error(429, {"title": "Too Many Requests"}, retry_after=3600.0)
    assert (error.retry_after, error.data["limited_by"]) == (3600.0, "twitter")


async def test_the_longest_used_up_limit_counts(platform_bench: Any) -> None:
    api = platform_bench.open(twitter, ME)
    now = datetime.now(UTC).timestamp()
    headers = {
        "x-rate-limit-remaining": "0", "x-rate-limit-reset": str(int(now) + 60),
        "x-app-limit-24hour-remaining": "5", "x-app-limit-24hour-reset": str(int(now) + 9000),
        "x-user-limit-24hour-remaining": "0", "x-user-limit-24hour-reset": str(int(now) + 7200),
    }  # fmt: skip
    response = type("Answer", (), {"status": 429, "headers": headers, "body": b"", "write": True})()
    error = api._error({}, response, good=False)
    assert error.retry_after == pytest.approx(7200, abs=2)
    assert error.data["limit"] == "user_24_hours"


BEFORE_SENDING = [
    ("create_tweet", {}, "text"),
    ("create_tweet", {"text": " \n"}, "text"),
    ("create_tweet", {"text": "日" * 141}, "text"),
    ("create_tweet", {"text": "x" * 281}, "text"),
    ("create_tweet", {"text": "$AAPL $TSLA"}, "text"),
    ("create_tweet", {"text": "a", "quote": "1", "poll": {"options": ["a", "b"], "minutes": 5}}, "quote"),
    ("create_tweet", {"text": "a", "quote": "1", "media_ids": ["2"]}, "quote"),
    ("create_tweet", {"text": "a", "media_ids": ["2"], "photos": [{"source": "https://x.test/a.jpg"}]}, "media_ids"),
    ("create_tweet", {"poll": {"options": ["a", "b"], "minutes": 5}}, "text"),
    ("create_tweet", {"text": "a", "tagged_user_ids": ["1"]}, "tagged_user_ids"),
    ("create_tweet", {"text": "a", "exclude_reply_user_ids": ["1"]}, "exclude_reply_user_ids"),
    ("create_tweet", {"text": "a", "share_with_followers": True}, "share_with_followers"),
    ("get_user_profile", {"username": "a", "user_id": "1"}, "user_id"),
    ("search_tweets", {"query": "x" * 513}, "query"),
    ("search_tweets", {"query": "   "}, "query"),
    ("search_tweets", {"query": "a", "start_time": "2020-01-01T00:00:00Z"}, "start_time"),
    ("search_tweets", {"query": "a", "end_time": "2999-01-01T00:00:00Z"}, "end_time"),
    ("search_tweets", {"query": "a", "start_time": ago(hours=1), "end_time": ago(hours=2)}, "end_time"),
    ("search_tweets", {"query": "a", "start_time": ago(hours=1), "since_id": "1"}, "since_id"),
    ("upload_video", {"video": "https://x.test/a.mp4", "text": "x" * 281}, "text"),
    ("upload_video", {"video": "https://x.test/a.mp4", "reply_to": "1"}, "text"),
]


@pytest.mark.parametrize(("tool", "arguments", "field"), BEFORE_SENDING)
async def test_what_is_refused_before_anything_is_sent(
    platform_bench: Any, tool: str, arguments: dict[str, Any], field: str
) -> None:
    error = await platform_bench.refused(twitter, ME, tool, **arguments)
    assert isinstance(error, InvalidArguments)
    assert (error.nothing_sent, error.data["fields"][0]["field"]) == (True, field)
    assert platform_bench.requests() == []


@pytest.mark.parametrize(
    ("tool", "arguments", "field"),
    [
        ("create_tweet", {"text": ""}, "text"),
        ("create_tweet", {"text": 5}, "text"),
        ("create_tweet", {"text": "a", "reply_to": 12}, "reply_to"),
        ("create_tweet", {"text": "a", "reply_to": "1" * 20}, "reply_to"),
        ("create_tweet", {"text": "a", "poll": {"options": ["a"], "minutes": 5}}, "poll"),
        ("create_tweet", {"text": "a", "poll": {"options": ["a", "b" * 26], "minutes": 5}}, "poll"),
        ("create_tweet", {"text": "a", "poll": {"options": ["a", "b"], "minutes": 4}}, "poll"),
        ("create_tweet", {"text": "a", "poll": {"options": ["a", "b"], "minutes": 10081}}, "poll"),
        ("create_tweet", {"text": "a", "media_ids": ["1"] * 5}, "media_ids"),
        ("create_tweet", {"text": "a", "tagged_user_ids": ["1"] * 11}, "tagged_user_ids"),
        ("create_tweet", {"text": "a", "photos": [{"source": "http://x.test/a.jpg"}]}, "photos"),
        ("create_tweet", {"text": "a", "reply_settings": "everyone"}, "reply_settings"),
        ("create_tweet", {"text": "a", "nonsense": 1}, "nonsense"),
        ("get_user_profile", {"username": "a b"}, "username"),
        ("get_user_profile", {"username": "a" * 16}, "username"),
        ("get_user_profile", {"user_id": "../me"}, "user_id"),
        ("get_user_tweets", {"limit": 4}, "limit"),
        ("get_user_tweets", {"limit": 101}, "limit"),
        ("get_user_tweets", {"exclude": ["quotes"]}, "exclude"),
        ("get_user_tweets", {"start_time": "yesterday"}, "start_time"),
        ("get_user_tweets", {"start_time": "2026-01-01T00:00:00"}, "start_time"),
        ("search_tweets", {}, "query"),
        ("search_tweets", {"query": "a", "limit": 9}, "limit"),
        ("search_tweets", {"query": "a", "page": "a b"}, "page"),
        ("upload_video", {"video": "file:///etc/passwd"}, "video"),
    ],
)
def test_arguments_that_do_not_fit(tool: str, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        twitter.tools[tool].validate(arguments)
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


@pytest.mark.parametrize("given", ["", "x", "short", "with a space in it 123"])
def test_tokens_of_another_form_are_refused_and_not_shown(given: str) -> None:
    with pytest.raises(ValidationError) as caught:
        twitter.credentials.model_validate({"access_token": given})
    assert not given or given not in str(caught.value)


def test_single_user_mode_takes_the_tokens_from_the_environment() -> None:
    environ = {
        "TWITTER_ACCESS_TOKEN": ME["access_token"],
        "TWITTER_REFRESH_TOKEN": "refresh-refresh-refresh",
        "TWITTER_EXPIRES_AT": "2026-11-20T12:00:00Z",
    }
    account = twitter.environ_accounts(Settings(environ=environ))["default"]
    assert account.access_token.get_secret_value() == ME["access_token"]
    assert account.expires_at == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert "refresh-refresh" not in repr(account)
    assert twitter.credentials.model_validate_json(account.to_json()) == account


def test_the_surface() -> None:
    assert {name: (tool.rest_method, tool.rest_path, tool.effect.access) for name, tool in twitter.tools.items()} == {
        "get_user_profile": ("GET", "/api/twitter/profile", "read"),
        "get_user_tweets": ("GET", "/api/twitter/tweets", "read"),
        "search_tweets": ("POST", "/api/twitter/search", "read"),
        "create_tweet": ("POST", "/api/twitter/tweet", "write"),
        "upload_video": ("POST", "/api/twitter/video", "write"),
    }
    assert {tool.name for tool in twitter.tools.values() if tool.long} == {"twitter_upload_video"}


def test_queries_are_read_leniently() -> None:
    checked = twitter.tools["get_user_tweets"].validate_query(
        {"limit": "50", "exclude": ["replies"], "start_time": "2026-01-01T00:00:00Z", "user_id": "12"}
    )
    assert (checked.limit, checked.exclude, checked.user_id) == (50, ["replies"], "12")  # type: ignore[attr-defined]


_MEMBERS = (
    "id", "text", "name", "username", "author_id", "attachments", "media_keys", "media_key", "referenced_posts",
    "referenced_tweets", "note_post", "note_tweet", "public_metrics", "users", "media", "posts", "tweets", "type",
    "title", "detail", "errors", "code", "message", "parameters",
)  # fmt: skip

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_MEMBERS), inner, max_size=6),
    max_leaves=20,
)


@given(raw=_JSON, includes=_JSON)
def test_posts_and_problems_of_any_shape_are_read_or_refused(raw: Any, includes: Any) -> None:
    for model, content in ((Tweet, tweet_of(raw, includes if isinstance(includes, dict) else {})), (User, raw)):
        with suppress(ValidationError):
            model.model_validate(content)
    if isinstance(raw, dict):
        assert isinstance(refusal_error(403, raw), HermesError)
