"""What the X stand-in takes as a post. Source: docs.x.com, "Create Post" and "Counting characters"."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from hermes.sandbox.twitter_problems import forbidden, invalid, problem
from hermes.sandbox.twitter_state import Account

LONGEST = 280
LONGEST_PREMIUM = 25_000
URL = re.compile(r"https?://\S*[\w/]")
CASHTAG = re.compile(r"(?<!\w)\$[A-Za-z]{1,6}\b")
ID = re.compile(r"^[0-9]{1,19}$")
DUPLICATE_SECONDS = 86_400
EXCLUSIVE = ("media", "poll", "quote_tweet_id")
REPLY_SETTINGS = ("following", "mentionedUsers", "subscribers", "verified")
NOT_ENGAGED = (
    "Reply to this conversation is not allowed because you have not been mentioned or otherwise engaged by the "
    "author of the post you are replying to."
)
JOINERS = frozenset("\u200d\ufe0f\u20e3")


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and ID.match(value) is not None


def _ids(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and least <= len(value) <= most and all(map(_is_id, value))


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _members(known: Mapping[str, Callable[[Any], bool]], *required: str) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, dict)
        and all(name in value for name in required)
        and all(name in known and known[name](given) for name, given in value.items())
    )


def _options(value: Any) -> bool:
    return isinstance(value, list) and 2 <= len(value) <= 4 and all(_text(one) and 1 <= len(one) <= 25 for one in value)


def _minutes(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 5 <= value <= 10_080


KEYS: dict[str, Callable[[Any], bool]] = {
    "text": _text,
    "card_uri": _text,
    "direct_message_deep_link": _text,
    "community_id": _is_id,
    "quote_tweet_id": _is_id,
    "for_super_followers_only": _flag,
    "made_with_ai": _flag,
    "nullcast": _flag,
    "paid_partnership": _flag,
    "share_with_followers": _flag,
    "reply_settings": lambda value: value in REPLY_SETTINGS,
    "edit_options": _members({"previous_post_id": _is_id}, "previous_post_id"),
    "geo": _members({"place_id": _text}, "place_id"),
    "media": _members(
        {
            "media_ids": _ids(1, 4), "tagged_user_ids": _ids(0, 10), "title": _text, "description": _text,
            "embeddable": _flag, "preview_media_id": _is_id, "call_to_actions": lambda value: isinstance(value, dict),
        },
        "media_ids",
    ),
    "poll": _members(
        {"options": _options, "duration_minutes": _minutes, "reply_settings": lambda value: value in REPLY_SETTINGS},
        "options",
        "duration_minutes",
    ),
    "reply": _members(
        {
            "in_reply_to_tweet_id": _is_id, "exclude_reply_user_ids": _ids(0, 50),
            "auto_populate_reply_metadata": _flag,
        },
        "in_reply_to_tweet_id",
    ),
}  # fmt: skip
"""Every key that `POST /2/tweets` knows, and what it may hold; additionalProperties is false."""


def check_post(account: Account, body: Mapping[str, Any], now: float) -> None:
    """Refuse what X refuses, except media, which their store judges.

    Raises:
        Refused: as X words it.
    """
    for name, value in body.items():
        if name not in KEYS:
            raise invalid(f"$.{name}: is not defined in the schema and the schema does not allow additional properties")
        if not KEYS[name](value):
            raise invalid(f"$.{name}: is not valid", **{name: value})
    together = [name for name in EXCLUSIVE if name in body]
    if len(together) > 1:
        raise invalid(f"The parameters {', '.join(together)} are mutually exclusive.", **{together[0]: ""})
    text = body.get("text", "")
    if not text.strip() and "media" not in body:
        raise invalid("text: is required unless media is provided", text=text)
    length = weight(text)
    if length > (LONGEST_PREMIUM if "premium" in account.token else LONGEST):
        raise problem(403, "Your Tweet text is too long. For more information about text limits see the docs.")
    if len(CASHTAG.findall(text)) > 1:
        raise forbidden("You are limited to a maximum of one cashtag per post.")
    _check_references(account, body)
    if any(one.text == text and now - one.at < DUPLICATE_SECONDS for one in account.posts if text):
        raise forbidden("You are not allowed to create a Tweet with duplicate content.")


def _check_references(account: Account, body: Mapping[str, Any]) -> None:
    own = {post.id for post in account.posts}
    quoted = body.get("quote_tweet_id")
    if quoted is not None and quoted not in own:
        raise forbidden("Quoting this post is not allowed because quoting is not available to self-serve apps.")
    replied = body.get("reply", {}).get("in_reply_to_tweet_id")
    if replied is None or replied in own:
        return
    if replied.startswith("404"):
        raise forbidden("You attempted to reply to a Tweet that is deleted or not visible to you.")
    # The author of such a post mentioned the account, as far as the stand-in is concerned.
    if not replied.endswith("7"):
        raise forbidden(NOT_ENGAGED)


def weight(text: str) -> int:
    """The length as X counts it: light characters 1, others 2, an emoji with all that is joined to it 2, a URL 23."""
    text = unicodedata.normalize("NFC", text)
    text, urls = URL.subn("", text)
    total, joined, flag = 23 * urls, False, False
    for char in text:
        code = ord(char)
        if char in JOINERS or 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F:
            joined = char == "\u200d"
            continue
        is_flag = 0x1F1E6 <= code <= 0x1F1FF
        if not joined and not (is_flag and flag):
            total += 1 if code <= 0x10FF or 0x2000 <= code <= 0x201F or 0x2032 <= code <= 0x2037 else 2
        flag = is_flag and not flag
        joined = False
    return total
