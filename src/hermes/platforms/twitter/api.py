"""X's API v2 for one account: credentials, requests, and what its answers mean.

Source: https://docs.x.com/x-api unless another is named.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationError

from hermes.errors import HermesError, RateLimited
from hermes.net.answers import retry_after as asked_to_wait
from hermes.net.bodies import Part
from hermes.net.upstream import UpstreamResponse
from hermes.platforms.base import ApiContext, Credentials, Env, Setting
from hermes.platforms.twitter.errors import is_unclear, refusal_error

DIALECT = Setting(
    "TWITTER_DIALECT", "new", "names of X's fields: `new` (post.fields, spec 2.167) or `old` (tweet.fields)"
)
MAX_QUERY = Setting(
    "TWITTER_MAX_QUERY", "512", "longest search query that the developer account may send, at most 4096"
)
MAX_CASHTAGS = Setting("TWITTER_MAX_CASHTAGS", "1", "cashtags that the developer account may put into one post")
MAX_VIDEO_BYTES = Setting(
    "TWITTER_MAX_VIDEO_BYTES", "536870912", "largest video; accounts with X Premium may send more"
)
MAX_VIDEO_SECONDS = Setting("TWITTER_MAX_VIDEO_SECONDS", "140", "longest video; accounts with X Premium may send more")
SETTINGS: Final = (DIALECT, MAX_QUERY, MAX_CASHTAGS, MAX_VIDEO_BYTES, MAX_VIDEO_SECONDS)

_TOKEN = re.compile(r"[!-~]{16,4096}\Z")
_LIMITS: Final = {
    "x-rate-limit": "15_minutes",
    "x-user-limit-24hour": "user_24_hours",
    "x-app-limit-24hour": "app_24_hours",
}

M = TypeVar("M", bound=BaseModel)


def _well_formed(token: SecretStr) -> SecretStr:
    if _TOKEN.match(token.get_secret_value()) is None:
        raise ValueError("must be a token as X gives it, without spaces")
    return token


Token = Annotated[SecretStr, AfterValidator(_well_formed)]


class TwitterCredentials(Credentials):
    """A person's OAuth 2.0 tokens. Without a refresh token the access token ends after two hours."""

    access_token: Annotated[Token, Field(alias="accessToken"), Env("TWITTER_ACCESS_TOKEN")]
    refresh_token: Annotated[Token | None, Field(alias="refreshToken"), Env("TWITTER_REFRESH_TOKEN")] = None
    expires_at: Annotated[
        datetime | None, Field(alias="expiresAt", description="When the access token ends"), Env("TWITTER_EXPIRES_AT")
    ] = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """The names in which posts are asked for. X answers in those of the question; mixed ones are silently dropped.

    Attributes:
        fields_parameter: the query parameter with the fields.
        fields: what is always asked for.
        expansions: our word → X's.
    """

    fields_parameter: str
    fields: tuple[str, ...]
    expansions: Mapping[str, str]


_FIELDS: Final = ("conversation_id", "created_at", "lang", "possibly_sensitive", "public_metrics")
DIALECTS: Final[dict[str, Dialect]] = {
    "new": Dialect(
        "post.fields",
        (*_FIELDS, "note_post"),
        {"authors": "author_id", "referenced": "referenced_posts", "media": "attachments.media_keys"},
    ),
    "old": Dialect(
        "tweet.fields",
        (*_FIELDS, "author_id", "in_reply_to_user_id", "note_tweet", "referenced_tweets"),
        {"authors": "author_id", "referenced": "referenced_tweets.id", "media": "attachments.media_keys"},
    ),
}


class TwitterApi:
    """One account's API."""

    def __init__(self, context: ApiContext, credentials: TwitterCredentials) -> None:
        self.context = context
        self.expires_at = credentials.expires_at
        self.dialect = DIALECTS.get(context.setting(DIALECT), DIALECTS[DIALECT.default])
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self._token = credentials.access_token

    def number(self, setting: Setting) -> int:
        """A setting that is a number; its default when it is none."""
        value = self.context.setting(setting)
        return int(value if value.isascii() and value.isdigit() else setting.default)

    async def get(self, path: str, query: Mapping[str, str | int]) -> tuple[dict[str, Any], UpstreamResponse]:
        """Read `path`, which is made of checked ids and fixed words. Returns an answer that has `data` or `meta`.

        Raises:
            HermesError: a refusal, understood, also one that came with status 200; or no clear answer.
        """
        return await self._request("GET", path, query=query, write=False)

    async def post(self, path: str, body: Mapping[str, Any] | None) -> tuple[dict[str, Any], UpstreamResponse]:
        """Write to `path`. Raises `HermesError` as `get` does."""
        return await self._request("POST", path, json=body)

    async def append(self, path: str, parts: Sequence[Part]) -> None:
        """Send a segment of a file. It is addressed by its number, so sending it again does no harm.

        Raises:
            HermesError: as `get`; `PlatformUnavailable` for no clear answer.
        """
        # X says 200 with a body today, and has said 204 without one.
        await self._request("POST", path, multipart=parts, write=False, wants_data=False)

    def read(self, model: type[M], content: Any, response: UpstreamResponse) -> M:
        """Read a result.

        Raises:
            HermesError: it is not what was expected, so it is not clear what happened.
        """
        try:
            return model.model_validate(content)
        except ValidationError:
            pass  # its text holds parts of the answer
        raise self.context.http.unclear(response)

    async def _request(
        self, method: str, path: str, *, wants_data: bool = True, **given: Any
    ) -> tuple[dict[str, Any], UpstreamResponse]:
        response = await self.context.http.request(
            method,
            f"{self.context.base_url}/2/{path}",
            headers={"Authorization": f"Bearer {self._token.get_secret_value()}"},
            **given,
        )
        try:
            answer = response.json() if response.body else {}
        except ValueError:
            answer = None
        good = 200 <= response.status < 300
        if good and isinstance(answer, dict):
            if answer.get("data") is not None or "meta" in answer:
                return answer, response
            if not wants_data and not answer.get("errors"):
                return answer, response
        raise self._error(answer if isinstance(answer, dict) else {}, response, good=good)

    def _error(self, answer: dict[str, Any], response: UpstreamResponse, *, good: bool) -> HermesError:
        problem = _problem(answer)
        clear = 400 <= response.status < 500 or (good and problem)
        if not clear or is_unclear(problem):
            return self.context.http.unclear(response)
        wait, limit = _limit(response.headers, time.time())
        limited = response.status == 429
        error = refusal_error(response.status, problem, retry_after=wait if limited else None)
        if isinstance(error, RateLimited):
            error.data["limit"] = "usage_cap" if error.data["platform_code"] == "usage-capped" else limit
        return error


def problems_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What X could not give beside what it gave: 200 with `data` and `errors`."""
    errors = answer.get("errors")
    return [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []


def _problem(answer: dict[str, Any]) -> dict[str, Any]:
    """The problem itself, or the first of a list of them."""
    if any(isinstance(answer.get(key), str) for key in ("type", "title", "detail")):
        return answer
    return next(iter(problems_of(answer)), {})


def _limit(headers: Mapping[str, str], now: float) -> tuple[float | None, str]:
    """Seconds until the limit that is used up resets, and which one it is. Source: "Rate limits"."""
    used_up = [
        (float(reset) - now, name)
        for prefix, name in _LIMITS.items()
        if (reset := headers.get(f"{prefix}-reset", "")).isdigit() and headers.get(f"{prefix}-remaining") == "0"
    ]
    if used_up:
        wait, name = max(used_up)
        return max(0.0, round(wait, 1)), name
    return asked_to_wait(headers), "15_minutes"
