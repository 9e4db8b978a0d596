"""TikTok's open API: the account's data, what a creator may post, direct posts and drafts, and how they fare.

A token is `act.` and at least five characters; each is an account of its own, public and of an audited app, with all
scopes. Words in the token change that (see the magic values below).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

from hermes.sandbox.base import ActionError, Magic, Service, Stage, StandIn
from hermes.sandbox.http import Answer, Incoming, MalformedBody, derived_digits, html_error, json_answer
from hermes.sandbox.limits import RateLimiter
from hermes.sandbox.oauth_vendors import TIKTOK
from hermes.sandbox.tiktok_posts import Publication, TikTokError, check_post, check_source

TOKEN = re.compile(r"^act\.[A-Za-z0-9!*_.-]{5,}$")
UPLOAD_PATH = re.compile(r"^/upload/(v_[a-z_]+~v2\.[0-9]+)$")
UPLOAD_QUERY = "upload_id={id}&upload_token=Xza123%2Fsecret%3D"
FIELDS = {
    "user.info.basic": ("open_id", "union_id", "avatar_url", "avatar_url_100", "avatar_large_url", "display_name"),
    "user.info.profile": ("bio_description", "profile_deep_link", "profile_web_link", "is_verified", "username"),
    "user.info.stats": ("follower_count", "following_count", "likes_count", "video_count"),
}
PUBLIC = ["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]
PRIVATE = ["FOLLOWER_OF_CREATOR", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]
STATUSES = {
    "access_token_invalid": 401,
    "scope_not_authorized": 401,
    "rate_limit_exceeded": 429,
    "spam_risk_too_many_posts": 403,
    "spam_risk_user_banned_from_posting": 403,
    "spam_risk_too_many_pending_share": 403,
    "reached_active_user_cap": 403,
    "unaudited_client_can_only_post_to_private_accounts": 403,
    "url_ownership_unverified": 403,
    "privacy_level_option_mismatch": 403,
    "internal_error": 500,
}
CODES = {401: "access_token_invalid", 403: "spam_risk_too_many_posts", 429: "rate_limit_exceeded"}
Route = Callable[[Incoming, str], dict[str, Any]]


class TikTokService(Service):
    """All accounts of the sandbox."""

    max_body = 129 * 1000 * 1000

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._numbers = count(1)
        self._publications: dict[str, Publication] = {}
        limits = {"user": 600, "creator": 20, "init": 6, "status": 30}
        self._limits = {
            name: RateLimiter(stage.clock, a_minute / 60 if stage.options.vendor_limits else None, burst=a_minute)
            for name, a_minute in limits.items()
        }
        self._routes: dict[tuple[str, str], tuple[str, Route]] = {
            ("GET", "/v2/user/info/"): ("user", self._user),
            ("POST", "/v2/post/publish/creator_info/query/"): ("creator", self._creator),
            ("POST", "/v2/post/publish/video/init/"): ("init", self._direct),
            ("POST", "/v2/post/publish/inbox/video/init/"): ("init", self._inbox),
            ("POST", "/v2/post/publish/status/fetch/"): ("status", self._status),
        }

    # what every stand-in has

    def token_of(self, incoming: Incoming) -> str | None:
        publication = self._upload_of(incoming)
        return publication.token if publication is not None else incoming.bearer

    async def answer(self, incoming: Incoming) -> Answer:
        try:
            return self._answer(incoming)
        except TikTokError as error:
            return _refused(error)
        except MalformedBody as error:
            return _refused(TikTokError(400, "invalid_params", str(error)))

    def rate_limited(self, retry_after: int | None) -> Answer:
        headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
        return _refused(_error("rate_limit_exceeded", "The API rate limit was exceeded"), headers)

    def error(self, code: int, message: str | None) -> Answer:
        """TikTok's codes are words: `message` is taken for one if it looks like it."""
        name = message if message and re.fullmatch(r"[a-z_]+", message) else CODES.get(code, "invalid_params")
        return _refused(_error(name, "" if name == message else message or ""))

    def account(self, token: str) -> dict[str, Any]:
        if not TOKEN.match(token):
            raise ActionError("token: act. and at least five characters")
        return {"open_id": _open_id(token), "username": _username(token)}

    def reset(self) -> None:
        self._publications.clear()
        for limiter in self._limits.values():
            limiter.clear()

    # the way in

    def _answer(self, incoming: Incoming) -> Answer:
        if incoming.path.startswith("/upload/"):
            publication = self._upload_of(incoming)
            wanted = publication is not None and incoming.query == UPLOAD_QUERY.format(id=publication.id)
            if publication is None or not wanted or incoming.method != "PUT":
                return Answer(404, b"", "text/plain")
            return publication.receive(incoming, self._stage.clock.now())
        token = _check_token(incoming.bearer)
        if "broken" in token:
            return html_error(502, "Bad Gateway")
        found = self._routes.get((incoming.method, incoming.path))
        if found is None:
            return html_error(404, "Not Found")
        limit, route = found
        if self._limits[limit].take(token):
            raise _error("rate_limit_exceeded", "The API rate limit was exceeded")
        return json_answer({"data": route(incoming, token), "error": _ok()})

    def _user(self, incoming: Incoming, token: str) -> dict[str, Any]:
        fields = [name for name in incoming.query_args().get("fields", "").split(",") if name]
        if not fields:
            raise _error("invalid_params", "Fields is required")
        for name in fields:
            scope = next((scope for scope, names in FIELDS.items() if name in names), None)
            if scope is None:
                raise _error("invalid_params", f"Invalid field: {name}")
            if scope not in _scopes(token):
                raise _error("scope_not_authorized", f"The user did not authorize the scope {scope}")
        return {"user": {name: _described(token)[name] for name in fields}}

    def _creator(self, incoming: Incoming, token: str) -> dict[str, Any]:
        _post_json(incoming)
        _need(token, "video.publish")
        _may_post(token)
        return {
            "creator_avatar_url": "https://p16-sign.tiktokcdn.com/sandbox.jpeg",
            "creator_username": _username(token),
            "creator_nickname": f"Sandbox {derived_digits(token, 'nickname', 3)}",
            "privacy_level_options": PRIVATE if "private" in token else PUBLIC,
            "comment_disabled": "nocomment" in token,
            "duet_disabled": "private" in token,
            "stitch_disabled": "private" in token,
            "max_video_post_duration_sec": 60 if "short" in token else 600,
        }

    def _direct(self, incoming: Incoming, token: str) -> dict[str, Any]:
        _need(token, "video.publish")
        given = _post_json(incoming)
        _may_post(token)
        source = check_source(given.get("source_info"))
        public, title = check_post(given.get("post_info"), PRIVATE if "private" in token else PUBLIC)
        level = given["post_info"]["privacy_level"]
        if "unaudited" in token and ("private" not in token or level != "SELF_ONLY"):
            raise _error("unaudited_client_can_only_post_to_private_accounts", "Please review our guidelines")
        return self._begun(incoming, token, source, direct=True, public=public, title=title)

    def _inbox(self, incoming: Incoming, token: str) -> dict[str, Any]:
        _need(token, "video.upload")
        given = _post_json(incoming)
        _may_post(token)
        if "pending" in token:
            raise _error("spam_risk_too_many_pending_share", "Too many pending shares")
        return self._begun(
            incoming, token, check_source(given.get("source_info")), direct=False, public=False, title=""
        )

    def _begun(
        self, incoming: Incoming, token: str, source: tuple[int, int, int, str | None], *, direct: bool, public: bool,
        title: str,
    ) -> dict[str, Any]:  # fmt: skip
        size, chunk, chunks, url = source
        kind = f"{'pub' if direct else 'inbox'}_{'url' if url is not None else 'file'}"
        publish_id = f"v_{kind}~v2.{next(self._numbers)}"
        shown = self._stage.note(
            "tiktok", token, "out", _open_id(token), "direct" if direct else "inbox", "video", title or url or "",
            publish_id, "begun" if url is None else "received",
        )  # fmt: skip
        self._publications[publish_id] = Publication(
            publish_id, token, direct, public, title, shown.at, size, chunk, chunks, url, shown=shown
        )
        if url is not None:
            return {"publish_id": publish_id}
        query = UPLOAD_QUERY.format(id=publish_id)
        return {"publish_id": publish_id, "upload_url": f"{incoming.origin}/tiktok/upload/{publish_id}?{query}"}

    def _status(self, incoming: Incoming, token: str) -> dict[str, Any]:
        if not {"video.publish", "video.upload"} & _scopes(token):
            raise _error("scope_not_authorized", "The user did not authorize the scope video.publish")
        publication = self._publications.get(str(_post_json(incoming).get("publish_id")))
        if publication is None:
            raise _error("invalid_publish_id", "The publish_id does not exist")
        if publication.token != token:
            raise _error("token_not_authorized_for_specified_publish_id", "Not this user's publication")
        return publication.described(self._stage.clock.now())

    def _upload_of(self, incoming: Incoming) -> Publication | None:
        found = UPLOAD_PATH.match(incoming.path)
        return self._publications.get(found[1]) if found else None


def _check_token(token: str | None) -> str:
    if token is None or not TOKEN.match(token) or "expired" in token or "revoked" in token:
        raise _error("access_token_invalid", "The access token is invalid or not found in the request.")
    if "limited" in token:
        raise _error("rate_limit_exceeded", "The API rate limit was exceeded")
    return token


def _may_post(token: str) -> None:
    for word, code in (
        ("banned", "spam_risk_user_banned_from_posting"),
        ("toomany", "spam_risk_too_many_posts"),
        ("capped", "reached_active_user_cap"),
    ):
        if word in token:
            raise _error(code, "Please review our guidelines")


def _scopes(token: str) -> set[str]:
    if "basiconly" in token:
        return {"user.info.basic"}
    scopes = {*FIELDS, "video.publish", "video.upload", "video.list"}
    return scopes - ({"video.publish"} if "nopublish" in token else set())


def _need(token: str, scope: str) -> None:
    if scope not in _scopes(token):
        raise _error("scope_not_authorized", f"The user did not authorize the scope {scope}")


def _post_json(incoming: Incoming) -> dict[str, Any]:
    if incoming.headers.get("content-type", "").lower().replace(" ", "") != "application/json;charset=utf-8":
        raise _error("invalid_params", "Content-Type must be application/json; charset=UTF-8")
    return incoming.json_object() if incoming.body else {}


def _described(token: str) -> dict[str, Any]:
    username = _username(token)
    return {
        "open_id": _open_id(token),
        "union_id": f"union-{derived_digits(token, 'union', 12)}",
        **dict.fromkeys(FIELDS["user.info.basic"][2:5], "https://p16-sign.tiktokcdn.com/sandbox.jpeg"),
        "display_name": f"Sandbox {derived_digits(token, 'nickname', 3)}",
        "bio_description": "I dance",
        "profile_deep_link": f"https://vm.tiktok.com/{username}",
        "profile_web_link": f"https://www.tiktok.com/@{username}",
        "is_verified": False,
        "username": username,
        "follower_count": 12,
        "following_count": 3,
        "likes_count": 44,
        "video_count": 5,
    }


def _open_id(token: str) -> str:
    return f"-000{derived_digits(token, 'open', 12)}"


def _username(token: str) -> str:
    return f"sandbox{derived_digits(token, 'username', 6)}"


def _error(code: str, message: str) -> TikTokError:
    return TikTokError(STATUSES.get(code, 400), code, message)


def _ok() -> dict[str, str]:
    return {"code": "ok", "message": "", "log_id": "20261120000000SANDBOX"}


def _refused(error: TikTokError, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    envelope = _ok() | {"code": error.code, "message": error.message}
    return json_answer({"data": {}, "error": envelope}, error.status, headers=headers)


stand_in = StandIn(
    id="tiktok",
    title="TikTok",
    create=TikTokService,
    oauth=(replace(TIKTOK, more=lambda account: {"open_id": _open_id(account)}),),
    magic=(
        Magic("token act.…", "a public account of an audited app, with all scopes"),
        Magic("token containing private", "a private account: other privacy levels, no duets and stitches"),
        Magic("token containing unaudited", "of an app that was not audited: only private accounts and SELF_ONLY"),
        Magic("token containing basiconly, nopublish", "only user.info.basic; all scopes but video.publish"),
        Magic("token containing banned, toomany, capped", "403 where it wants to post"),
        Magic("token containing pending", "drafts: 403 spam_risk_too_many_pending_share"),
        Magic("token containing nocomment, short", "comments are off; videos of at most 60 seconds"),
        Magic("token containing expired or revoked", "401 access_token_invalid"),
        Magic("token containing limited", "429 rate_limit_exceeded"),
        Magic("token containing broken", "502 without JSON"),
        Magic("a URL containing unverified or missing", "its domain is not verified; it cannot be fetched"),
        Magic("a title containing #spam", "the publication fails with spam_risk_text"),
        Magic("a file that is no video", "the publication fails with file_format_check_failed"),
    ),
)
