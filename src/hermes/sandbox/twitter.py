"""X's API v2, as docs.x.com says: one account per token, its posts, search, and uploads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hermes.sandbox.base import ActionError, Magic, Service, Stage, StandIn
from hermes.sandbox.http import Answer, Incoming, MalformedBody, account_key, html_error, json_answer
from hermes.sandbox.oauth_vendors import X
from hermes.sandbox.twitter_dialects import dialect_of, shown_page, shown_user
from hermes.sandbox.twitter_media import MediaStore
from hermes.sandbox.twitter_posts import check_post
from hermes.sandbox.twitter_problems import Refused, forbidden, invalid, missing, problem, unshown
from hermes.sandbox.twitter_state import MISSING_NAMES, Account, Post, id_of

TOKEN = re.compile(r"^[!-~]{16,4096}$")
USERNAME = re.compile(r"^[A-Za-z0-9_]{1,15}$")
ID = re.compile(r"^[0-9]{1,19}$")
WINDOW = 900
SEARCH_SECONDS = 7 * 86_400
SEARCH_LAG = 10
LONGEST_QUERY = 512
PAGING = {"max_results", "start_time", "end_time", "since_id", "until_id"}
SHOWING = {"user.fields", "expansions", "post.fields", "tweet.fields", "media.fields", "poll.fields", "place.fields"}
USER_QUERY = {"user.fields", "expansions", "post.fields", "tweet.fields"}
LIMITS = {"me": 75, "user": 900, "posts": 900, "search": 300, "post": 100, "media": 1875, "status": 1000}
"""Requests per 15 minutes and user."""

APP_ONLY = (
    "Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint. Supported authentication types are "
    "[OAuth 1.0a User Context, OAuth 2.0 User Context]."
)
NEGATIVE_ONLY = re.compile(r"^(-\S+|(is|has|lang):\S+|AND|OR|[()])$")


class TwitterService(Service):
    """All accounts of the sandbox."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._accounts: dict[str, Account] = {}
        self._media = MediaStore(stage.clock)
        self._used: dict[tuple[str, str], tuple[int, float]] = {}

    def token_of(self, incoming: Incoming) -> str | None:
        return incoming.bearer

    async def answer(self, incoming: Incoming) -> Answer:
        try:
            return await self._run(incoming)
        except Refused as refused:
            return refused.answer()

    def rate_limited(self, retry_after: int | None) -> Answer:
        refused = problem(429, "Too Many Requests")
        if retry_after is not None:
            refused.headers = self._headers(15, 0, self._stage.clock.now() + retry_after)
        return refused.answer()

    def error(self, code: int, message: str | None) -> Answer:
        status = code if 400 <= code <= 599 else 400
        return problem(status, message or {401: "Unauthorized", 403: "Forbidden"}.get(status, "Error")).answer()

    def too_large(self) -> Answer:
        return problem(413, "Request Entity Too Large").answer()

    def account(self, token: str) -> dict[str, Any]:
        if not TOKEN.match(token):
            raise ActionError("token: at least 16 visible characters")
        account = self._account(token)
        return {"user_id": account.id, "username": account.username, "posts": len(account.posts)}

    def reset(self) -> None:
        self._accounts.clear()
        self._media.clear()
        self._used.clear()

    # the way in

    async def _run(self, incoming: Incoming) -> Answer:
        token = incoming.bearer
        if token is None or not TOKEN.match(token) or "expired" in token or "revoked" in token:
            raise problem(401, "Unauthorized")
        if "broken" in token:
            return html_error(503, "Service Unavailable")
        if "limited" in token:
            refused = problem(429, "Too Many Requests")
            refused.headers = self._headers(15, 0, self._stage.clock.now() + 60)
            raise refused
        if "credits" in token:
            detail = "Your enrolled account [1] does not have any credits to fulfill this request."
            raise problem(402, detail, "credits")
        if "capped" in token:
            raise problem(
                429, "Usage cap exceeded: Monthly product cap", "usage-capped", period="Monthly", scope="Product"
            )
        if "unenrolled" in token:
            raise problem(
                403, "Appropriate level of API access is needed.", "client-forbidden", reason="client-not-enrolled"
            )
        if not incoming.path.startswith("/2/"):
            raise problem(404, "Not Found")
        route, answer, status = await self._routed(self._account(token), incoming, incoming.path[3:].split("/"))
        return json_answer(answer, status, self._count(token, route))

    async def _routed(self, account: Account, incoming: Incoming, parts: list[str]) -> tuple[str, dict[str, Any], int]:
        """The limit's name, the answer and its status."""
        query = incoming.query_args()
        match (incoming.method, *parts):
            case ("GET", "users", "me"):
                self._user_only(account)
                return "me", self._user(account, query, "id", account.id), 200
            case ("GET", "users", "by", "username", name):
                return "user", self._user(account, query, "username", name), 200
            case ("GET", "users", number):
                return "user", self._user(account, query, "id", number), 200
            case ("GET", "users", number, "tweets"):
                return "posts", self._posts_of(account, number, query), 200
            case ("GET", "tweets", "search", "recent"):
                return "search", self._search(account, query), 200
            case ("POST", "tweets"):
                self._may_write(account, "tweet.write")
                return "post", self._create(account, _json(incoming)), 201
            case ("GET", "media", "upload"):
                return "status", self._status(account, query), 200
            case ("POST", "media", *rest):
                self._may_write(account, "media.write")
                return "media", await self._media_call(account, incoming, rest), 200
        raise problem(404, "Not Found")

    def _user_only(self, account: Account) -> None:
        if "apponly" in account.token:
            raise problem(403, APP_ONLY, "unsupported-authentication")

    def _may_write(self, account: Account, scope: str) -> None:
        self._user_only(account)
        if "readonly" in account.token or (scope == "media.write" and "nomedia" in account.token):
            raise forbidden("You are not permitted to perform this action.")

    # reading

    def _user(self, account: Account, query: Mapping[str, str], parameter: str, value: str) -> dict[str, Any]:
        _only(query, USER_QUERY)
        pattern = USERNAME if parameter == "username" else ID
        if not pattern.match(value):
            raise invalid(f"The `{parameter}` query parameter value [{value}] is not valid", **{parameter: value})
        fault = _unknown_user(parameter, value)
        if fault:
            return {"errors": [fault]}
        if parameter == "id" or value.lower() == account.username:
            user = account.user(value if parameter == "id" else account.id)
        else:
            user = account.user(id_of(value)) | {"username": value}
        return {"data": shown_user(user, query, dialect_of(query))}

    def _posts_of(self, account: Account, number: str, query: Mapping[str, str]) -> dict[str, Any]:
        _only(query, PAGING | SHOWING | {"pagination_token", "exclude"})
        if not ID.match(number):
            raise invalid(f"The `id` query parameter value [{number}] is not valid", id=number)
        fault = _unknown_user("id", number)
        if number.startswith("403"):
            told = f"Sorry, you are not authorized to see the user with id: [{number}]."
            fault = unshown("user", "id", number, told)
        if fault:
            return {"errors": [fault]}
        excluded = {"replies": "reply", "retweets": "retweet"}
        unwanted = {excluded[one] for one in query.get("exclude", "").split(",") if one in excluded}
        posts = [post for post in account.posts_of(number) if post.kind not in unwanted]
        return self._page(account, posts, query, "pagination_token", least=5)

    def _search(self, account: Account, query: Mapping[str, str]) -> dict[str, Any]:
        _only(query, PAGING | SHOWING | {"query", "next_token", "pagination_token", "sort_order"})
        wanted = query.get("query", "")
        if not 1 <= len(wanted) <= LONGEST_QUERY:
            raise invalid(f"query length must be between 1 and {LONGEST_QUERY}", query=wanted)
        if all(NEGATIVE_ONLY.match(word) for word in wanted.split()):
            raise invalid("There must be at least one standalone operator in this query", query=wanted)
        if "next_token" in query and "pagination_token" in query:
            raise invalid("next_token and pagination_token are mutually exclusive", next_token=query["next_token"])
        if "start_time" in query and "since_id" in query:
            raise invalid("start_time and since_id are mutually exclusive", since_id=query["since_id"])
        if query.get("sort_order", "recency") not in ("recency", "relevancy"):
            raise invalid("sort_order is not valid", sort_order=query["sort_order"])
        now = self._stage.clock.now()
        start, end = _time(query, "start_time"), _time(query, "end_time")
        if start is not None and start < now - SEARCH_SECONDS - 60:
            raise invalid("'start_time' must be on or after 7 days ago", start_time=query["start_time"])
        if end is not None and end > now - SEARCH_LAG + 1:
            raise invalid(
                "'end_time' must be a minimum of 10 seconds prior to the request time", end_time=query["end_time"]
            )
        token = "next_token" if "pagination_token" not in query else "pagination_token"
        page = self._page(account, account.search(wanted), query, token, least=10)
        if "partial" in wanted.lower() and "data" in page:
            page["errors"] = [missing("tweet", "referenced_tweets.id", "20")]
        if "loops" in wanted.lower():
            page.pop("data", None)
            page["meta"] = {"result_count": 0, "next_token": "loop"}
        return page

    def _page(
        self, account: Account, posts: list[Post], query: Mapping[str, str], token: str, *, least: int
    ) -> dict[str, Any]:
        given = query.get("max_results", "10")
        if not given.isdigit() or not least <= int(given) <= 100:
            raise invalid(
                f"The `max_results` query parameter value [{given}] is not between {least} and 100", max_results=given
            )
        size, kept = int(given), _within(posts, query)
        at = query.get(token, "p0")
        if not re.fullmatch(r"p[0-9]{1,6}", at) and at != "loop":
            raise invalid(f"The `{token}` query parameter value [{at}] is not valid", **{token: at})
        first = int(at[1:]) if at != "loop" else 0
        page = kept[first : first + size]
        meta: dict[str, Any] = {"result_count": len(page)}
        if page:
            meta |= {"newest_id": page[0].id, "oldest_id": page[-1].id}
        if first + size < len(kept):
            meta["next_token"] = f"p{first + size}"
        if first:
            meta["previous_token"] = f"p{max(0, first - size)}"
        return shown_page(account, page, query) | {"meta": meta}

    # writing

    def _create(self, account: Account, body: dict[str, Any]) -> dict[str, Any]:
        check_post(account, body, self._stage.clock.now())
        media = body.get("media", {}).get("media_ids", [])
        self._media.check_attached(account.token, media)
        replied = body.get("reply", {}).get("in_reply_to_tweet_id")
        post = account.add(
            body.get("text", ""),
            kind="reply" if replied else "post",
            refers_to=("replied_to", replied) if replied else None,
            body=body,
        )
        peer = replied or body.get("community_id") or "everyone"
        self._stage.note("twitter", account.token, "out", account.id, peer, "post", post.text, post.id, "sent")
        # As the service answers today; its description says edit_history_post_ids.
        return {"data": {"id": post.id, "text": post.text, "edit_history_tweet_ids": [post.id]}}

    async def _media_call(self, account: Account, incoming: Incoming, rest: list[str]) -> dict[str, Any]:
        match rest:
            case ["upload", "initialize"]:
                return {"data": self._media.initialize(account.token, _json(incoming))}
            case ["upload", number, "append"]:
                try:
                    args, files = await incoming.body_args()
                except MalformedBody as error:
                    raise invalid(str(error)) from None
                return {"data": self._media.append(account.token, number, args, files)}
            case ["upload", number, "finalize"]:
                media, shown = self._media.finalize(account.token, number)
                told = f"{media.media_type}, {media.total} bytes, sha256 {media.sha256}"
                self._stage.note(
                    "twitter", account.token, "out", account.id, "media", media.category, told, media.id, "received"
                )
                return {"data": shown}
            case ["metadata"]:
                return {"data": self._media.describe(account.token, _json(incoming))}
        raise problem(404, "Not Found")

    def _status(self, account: Account, query: Mapping[str, str]) -> dict[str, Any]:
        self._may_write(account, "media.write")
        _only(query, {"media_id", "command"})
        if query.get("command", "STATUS") != "STATUS":
            raise invalid("command must be STATUS", command=query["command"])
        return {"data": self._media.status(account.token, query.get("media_id", ""))}

    # parts

    def _account(self, token: str) -> Account:
        account = self._accounts.get(token)
        if account is None:
            account = self._accounts[token] = Account(token, self._stage.clock)
        return account

    def _count(self, token: str, route: str) -> tuple[tuple[str, str], ...]:
        """Count a request of this route; the limit holds only with the vendors' limits on."""
        now, most = self._stage.clock.now(), LIMITS[route]
        used, ends = self._used.get((token, route), (0, 0.0))
        used, ends = (1, now + WINDOW) if now >= ends else (used + 1, ends)
        self._used[token, route] = used, ends
        headers = self._headers(most, max(0, most - used), ends)
        if used > most and self._stage.options.vendor_limits:
            refused = problem(429, "Too Many Requests")
            refused.headers = headers
            raise refused
        return (*headers, ("x-transaction-id", account_key(f"{token}{used}{ends}")))

    def _headers(self, limit: int, remaining: int, resets: float) -> tuple[tuple[str, str], ...]:
        return (
            ("x-rate-limit-limit", str(limit)),
            ("x-rate-limit-remaining", str(remaining)),
            ("x-rate-limit-reset", str(round(resets))),
            ("api-version", "2.167"),
        )


def _unknown_user(parameter: str, value: str) -> dict[str, Any] | None:
    lower = value.lower()
    if any(word in lower for word in MISSING_NAMES) or lower.startswith("404"):
        return missing("user", parameter, value)
    if "suspended" in lower:
        return unshown("user", parameter, value, f"User has been suspended: [{value}].")
    return None


def _only(query: Mapping[str, str], known: set[str]) -> None:
    for name in query:
        if name not in known:
            raise invalid(
                f"The query parameter [{name}] is not one of [{','.join(sorted(known))}]", **{name: query[name]}
            )


def _within(posts: list[Post], query: Mapping[str, str]) -> list[Post]:
    start, end = _time(query, "start_time"), _time(query, "end_time")
    for name in ("since_id", "until_id"):
        if not ID.match(query.get(name, "0")):
            raise invalid(f"The `{name}` query parameter value is not valid", **{name: query[name]})
    since, until = int(query.get("since_id", 0)), int(query.get("until_id", 10**19))
    return [
        post
        for post in posts
        if since < int(post.id) < until and (start is None or post.at >= start) and (end is None or post.at < end)
    ]


def _time(query: Mapping[str, str], name: str) -> float | None:
    given = query.get(name)
    if given is None:
        return None
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", given):
        raise invalid(
            f"The `{name}` query parameter value [{given}] is not a valid RFC 3339 date-time", **{name: given}
        )
    return datetime.fromisoformat(given).timestamp()


def _json(incoming: Incoming) -> dict[str, Any]:
    if incoming.content_type != "application/json":
        raise invalid("The Content-Type header must be application/json")
    try:
        return incoming.json_object()
    except MalformedBody as error:
        raise invalid(str(error)) from None


stand_in = StandIn(
    id="twitter",
    title="X",
    create=TwitterService,
    oauth=(X,),
    magic=(
        Magic("any token of 16 or more visible characters", "an account of its own"),
        Magic("token containing expired or revoked", "401 Unauthorized"),
        Magic("token containing limited", "429 with x-rate-limit-reset in a minute"),
        Magic("token containing broken", "503 with an HTML page"),
        Magic("token containing credits", "402 CreditsDepleted"),
        Magic("token containing capped", "429 usage-capped"),
        Magic("token containing unenrolled", "403 client-forbidden"),
        Magic("token containing apponly", "403 unsupported-authentication where a person's token is needed"),
        Magic("token containing readonly, nomedia", "403 for writing, for media only: the scope is missing"),
        Magic("token containing premium", "posts of up to 25,000 units"),
        Magic("username containing missing or nope, id beginning with 404", "200 with errors: resource-not-found"),
        Magic("username containing suspended", "200 with errors: the user has been suspended"),
        Magic("posts of a username containing protected, of an id beginning with 403", "not-authorized-for-resource"),
        Magic("query containing nothing", "no posts: an answer without data"),
        Magic("query containing partial", "posts beside errors"),
        Magic("query containing loops", "empty pages whose next_token never changes"),
        Magic("reply to an id that ends in 7, or to an own post", "allowed; other replies get a 403"),
        Magic("reply to an id beginning with 404", "403: deleted or not visible"),
        Magic("a file containing fail-processing", "processing_info failed"),
    ),
)
