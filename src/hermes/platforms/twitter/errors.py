"""What X's problems mean.

Decided by the problem's type, its last path part, or by the numeric code of the older form. Posts that are refused come
as `about:blank` with 403 and nothing but a sentence in `detail`: only there the sentence decides.

Source: https://docs.x.com/x-api/fundamentals/response-codes-and-errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hermes.errors import (
    Conflict,
    HermesError,
    InvalidArguments,
    NeedsReconnect,
    NotFound,
    PayloadTooLarge,
    PlatformRejected,
    RateLimited,
)
from hermes.platforms.refusals import Refusal

UNCLEAR: Final = frozenset({"internal-error"})

_ENTERPRISE: Final = "https://docs.x.com/enterprise-api/introduction"
_CONSOLE: Final = "https://console.x.com"

_TOKEN = Refusal(NeedsReconnect, "The access token has expired or was revoked (they last two hours): link a new one.")
_KIND = Refusal(
    NeedsReconnect,
    "This needs a token of a person (OAuth 2.0 with PKCE), not the app's own bearer token: link one with the scopes "
    "tweet.read, tweet.write, users.read, media.write and offline.access.",
)
_SCOPE = Refusal(
    PlatformRejected,
    "The token lacks a scope (posting: tweet.write, media: media.write), or the app lacks write access in the "
    f"developer console ({_CONSOLE}): grant it and link a new token.",
)
_ENROL = Refusal(
    PlatformRejected, f"The app must belong to a project that may use API v2: attach it in the console, {_CONSOLE}."
)
_CREDITS = Refusal(
    PlatformRejected,
    f"The developer account has no credits left: buy some in the console, {_CONSOLE}. Waiting does not help.",
)
_CAP = Refusal(
    RateLimited, f"The developer account's usage cap is reached: wait for its reset or raise it, {_CONSOLE}."
)
_FAST = Refusal(RateLimited, "Wait until the limit resets, then try again.")
_DUPLICATE = Refusal(
    Conflict,
    "The account posted this same text a short while ago: look with twitter_get_user_tweets before changing the text "
    "to post it again.",
)
_REPLY = Refusal(
    PlatformRejected,
    "X lets self-serve apps reply only where the author mentioned or answered this account; other replies need "
    f"Enterprise access: {_ENTERPRISE}.",
)
_QUOTE = Refusal(
    PlatformRejected, f"X does not let self-serve apps quote posts; that needs Enterprise access: {_ENTERPRISE}."
)
_MISSING = Refusal(NotFound, "It does not exist, or was deleted: check the name or id.")
_HIDDEN = Refusal(PlatformRejected, "The account is protected, suspended or has blocked this one: X does not show it.")
_LOCKED = Refusal(PlatformRejected, "The account is suspended or locked: its owner has to log in at x.com.")
_CASHTAGS = Refusal(InvalidArguments, "may have one cashtag at most", "text")
_WRONG = Refusal(InvalidArguments, "Correct what is named here and try again.")

PROBLEMS: Final[dict[str, Refusal]] = {
    "invalid-request": _WRONG,
    "resource-not-found": _MISSING,
    "resource-unavailable": _HIDDEN,
    "not-authorized-for-resource": _HIDDEN,
    "disallowed-resource": Refusal(PlatformRejected, "X does not allow this resource to be used."),
    "not-authorized-for-field": _SCOPE,
    "field-unauthorized": _SCOPE,
    "field-hydration-failure": Refusal(PlatformRejected, "X could not fill in a part of it."),
    "client-forbidden": _ENROL,
    "client-not-enrolled": _ENROL,
    "usage-capped": _CAP,
    "rate-limit-exceeded": _FAST,
    "unsupported-authentication": _KIND,
    "oauth1-permissions": _SCOPE,
    "credits": _CREDITS,
    "credits-depleted": _CREDITS,
    "duplicate-rules": _DUPLICATE,
    "noncompliant-rules": _WRONG,
}
"""Last part of a problem's type → meaning."""

CODES: Final[dict[int, Refusal]] = {
    32: _TOKEN, 89: _TOKEN, 99: _TOKEN, 34: _MISSING, 50: _MISSING, 144: _MISSING, 63: _HIDDEN, 179: _HIDDEN,
    64: _LOCKED, 326: _LOCKED, 88: _FAST, 185: _FAST, 187: _DUPLICATE, 220: _KIND, 261: _SCOPE, 433: _REPLY,
    186: Refusal(InvalidArguments, "must be shorter", "text"),
    324: Refusal(InvalidArguments, "must be media that this account uploaded and X has processed", "media_ids"),
}  # fmt: skip
"""Codes of the older form, `{"errors": [{"code": …}]}`."""

SENTENCES: Final[tuple[tuple[str, Refusal], ...]] = (
    ("duplicate content", _DUPLICATE),
    ("reply to this conversation is not allowed", _REPLY),
    ("quoting this post is not allowed", _QUOTE),
    ("one cashtag", _CASHTAGS),
    ("media ids are invalid", CODES[324]),
    ("text is too long", CODES[186]),
    ("invalid url", Refusal(InvalidArguments, "must hold only URLs that work", "text")),
    ("deleted or not visible", Refusal(InvalidArguments, "must be a post that exists and is visible", "reply_to")),
    ("has been suspended", _HIDDEN),
    ("account is suspended", _LOCKED),
    ("temporarily locked", _LOCKED),
    ("not permitted to perform this action", _SCOPE),
)
"""Part of a sentence in lower case → meaning, where nothing else tells; the first that fits counts."""

_BY_STATUS: Final[dict[int, Refusal]] = {
    400: _WRONG,
    401: _TOKEN,
    402: _CREDITS,
    404: _MISSING,
    413: Refusal(PayloadTooLarge, "Send something smaller."),
    429: _FAST,
}

OTHER: Final = Refusal(PlatformRejected, "Change the request before trying it again.")

_ARGUMENTS: Final = {
    "max_results": "limit", "pagination_token": "page", "next_token": "page", "id": "user_id",
    "in_reply_to_tweet_id": "reply_to", "quote_tweet_id": "quote", "media.media_ids": "media_ids",
    "total_bytes": "video", "media_type": "video",
}  # fmt: skip
"""X's parameter → the tool's argument, where they differ."""


def is_unclear(problem: Mapping[str, Any]) -> bool:
    """Whether a problem says only that something went wrong at X."""
    return _type_of(problem) in UNCLEAR


def refusal_error(status: int, problem: Mapping[str, Any], *, retry_after: float | None = None) -> HermesError:
    """The error for a clear refusal.

    Args:
        status: the HTTP status; it decides where the problem names no type that is known.
        problem: the problem object; empty when there was none.
        retry_after: seconds until the limit resets.
    """
    kind, code = _type_of(problem), problem.get("code")
    words = _words(problem)
    refusal = PROBLEMS.get(kind) or (CODES.get(code) if isinstance(code, int) else None)
    if refusal is _MISSING and "has been suspended" in words:
        refusal = _HIDDEN
    if refusal is None or refusal is _WRONG:
        refusal = next((found for part, found in SENTENCES if part in words.lower()), refusal)
    if refusal is None or (status == 429 and refusal.kind is not RateLimited):
        refusal = _BY_STATUS.get(status, OTHER)
    named: int | str = kind or (code if isinstance(code, int) else status)
    error = refusal.error("twitter", "X", named, words, retry_after=retry_after)
    fields = _fields(problem) if refusal is _WRONG else []
    if fields:
        error.data["fields"] = fields
    return error


def _type_of(problem: Mapping[str, Any]) -> str:
    """The last part of the type's path; both of X's hosts are seen before it."""
    kind = problem.get("type")
    last = kind.rstrip("/").rpartition("/")[2] if isinstance(kind, str) else ""
    return "" if last == "about:blank" else last


def _words(problem: Mapping[str, Any]) -> str:
    """X's own words: the detail, and what its parts add."""
    parts = [problem.get("detail") or problem.get("message") or problem.get("title")]
    details = problem.get("errors")
    parts += [one.get("message") for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    told = [part.strip().rstrip(".") for part in parts if isinstance(part, str) and part.strip()]
    return ": ".join(dict.fromkeys(told)) or "no reason given"


def _fields(problem: Mapping[str, Any]) -> list[dict[str, str]]:
    fields: list[dict[str, str]] = []
    details = problem.get("errors")
    for one in details if isinstance(details, list) else ():
        parameters = one.get("parameters") if isinstance(one, dict) else None
        for name in parameters if isinstance(parameters, dict) else ():
            fields.append({"field": _ARGUMENTS.get(str(name), str(name)), "problem": str(one.get("message"))})
    return fields
