"""X's two dialects: which fields may be asked for, and posts shown in the one that was asked in.

Source: X's OpenAPI description 2.166 (old) and 2.167 (new). A field that the dialect does not know is dropped silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hermes.sandbox.twitter_state import Account, Post, stamp


@dataclass(frozen=True, slots=True)
class Dialect:
    fields_parameter: str
    references_expansion: str
    references_field: str | None
    references: str
    includes: str
    reposts: str
    posts: str
    note: str
    history: str


NEW = Dialect(
    "post.fields", "referenced_posts", None, "referenced_posts", "posts", "repost_count", "post_count", "note_post",
    "edit_history_post_ids",
)  # fmt: skip
OLD = Dialect(
    "tweet.fields", "referenced_tweets.id", "referenced_tweets", "referenced_tweets", "tweets", "retweet_count",
    "tweet_count", "note_tweet", "edit_history_tweet_ids",
)  # fmt: skip


def dialect_of(query: Mapping[str, str]) -> Dialect:
    """New names win; without any, the old ones, as the service has it for who asks nothing."""
    expansions = _words(query, "expansions")
    return NEW if "post.fields" in query or "referenced_posts" in expansions else OLD


def shown_user(user: Mapping[str, Any], query: Mapping[str, str], dialect: Dialect) -> dict[str, Any]:
    fields = {"id", "name", "username"} | _words(query, "user.fields")
    shown = {name: value for name, value in user.items() if name in fields}
    if "public_metrics" in shown:
        metrics = dict(shown["public_metrics"])
        metrics[dialect.posts] = metrics.pop("post_count")
        shown["public_metrics"] = metrics
    return shown


def shown_page(account: Account, posts: Iterable[Post], query: Mapping[str, str]) -> dict[str, Any]:
    """`data` and `includes` of a page of posts; neither, when there is no post."""
    dialect = dialect_of(query)
    page = list(posts)
    expansions = _words(query, "expansions")
    answer: dict[str, Any] = {}
    if page:
        answer["data"] = [_shown(post, query, dialect, expansions) for post in page]
    includes: dict[str, Any] = {}
    if "author_id" in expansions:
        authors = dict.fromkeys(post.author_id for post in page)
        includes["users"] = [shown_user(account.user(one), query, dialect) for one in authors]
    if dialect.references_expansion in expansions:
        ids = dict.fromkeys(post.refers_to[1] for post in page if post.refers_to)
        includes[dialect.includes] = [{"id": one, "text": f"The post {one}"} for one in ids]
    if "attachments.media_keys" in expansions and any(post.media for post in page):
        photo = {"media_key": "3_1", "type": "photo", "url": "https://pbs.twimg.com/media/1.jpg", "alt_text": "A cat"}
        wanted = {"media_key", "type"} | _words(query, "media.fields")
        includes["media"] = [{name: value for name, value in photo.items() if name in wanted}]
    includes = {name: value for name, value in includes.items() if value}
    return answer | ({"includes": includes} if includes and page else {})


def _shown(post: Post, query: Mapping[str, str], dialect: Dialect, expansions: set[str]) -> dict[str, Any]:
    fields = _words(query, dialect.fields_parameter)
    everything: dict[str, Any] = {
        "conversation_id": post.id,
        "created_at": stamp(post.at),
        "lang": "en",
        "possibly_sensitive": False,
        "reply_settings": "everyone",
        "public_metrics": {
            dialect.reposts: 1, "reply_count": 2, "like_count": 3, "quote_count": 0, "bookmark_count": 0,
            "impression_count": 40,
        },
    }  # fmt: skip
    if len(post.text) > 280:
        everything[dialect.note] = {"text": post.text}
    if post.media:
        everything["attachments"] = {"media_keys": list(post.media)}
    shown: dict[str, Any] = {"id": post.id, "text": post.text if len(post.text) <= 280 else post.text[:279] + "…"}
    shown |= {name: value for name, value in everything.items() if name in fields}
    if dialect is OLD:
        shown[dialect.history] = [post.id]
    if "author_id" in expansions or (dialect is OLD and "author_id" in fields):
        shown["author_id"] = post.author_id
    if post.refers_to and (dialect.references_expansion in expansions or dialect.references_field in fields):
        shown[dialect.references] = [{"type": post.refers_to[0], "id": post.refers_to[1]}]
    return shown


def _words(query: Mapping[str, str], name: str) -> set[str]:
    return {word for word in query.get(name, "").split(",") if word}
