"""One account of the X stand-in: who it is, what it posted, and what others post."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from hermes.sandbox.clock import Clock
from hermes.sandbox.http import account_key, derived_digits

EPOCH_MS = 1_288_834_974_657
"""X's: 2010. An id's bits from the 22nd up are milliseconds since then."""

OTHERS_POSTS = 23
FOUND_POSTS = 37
SEED_SECONDS = 600
MISSING_NAMES = ("missing", "nope")


@dataclass(slots=True)
class Post:
    """A post, in no dialect."""

    id: str
    author_id: str
    text: str
    at: float
    kind: str = "post"
    refers_to: tuple[str, str] | None = None
    media: tuple[str, ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Account:
    """All that one token can do."""

    token: str = field(repr=False)
    clock: Clock

    def __post_init__(self) -> None:
        self.id = "1" + derived_digits(self.token, "x-user", 17)  # ids that begin with 404 are nobody's
        self.username = f"sandbox_{account_key(self.token)[:6]}"
        self.posts: list[Post] = []
        self._sequence = count(1)
        self._born = self.clock.now()

    def add(self, text: str, **more: Any) -> Post:
        post = Post(self._id_at(self.clock.now()), self.id, text, self.clock.now(), **more)
        self.posts.append(post)
        return post

    def user(self, user_id: str) -> dict[str, Any]:
        """Anybody, by id."""
        if user_id == self.id:
            return person(self.id, self.username, len(self.posts))
        return person(user_id, name_of(user_id), OTHERS_POSTS)

    def posts_of(self, user_id: str) -> list[Post]:
        """Somebody's posts, newest first."""
        if user_id == self.id:
            return self.posts[::-1]
        return [
            Post(
                self._id_at(self._born - SEED_SECONDS * number, number),
                user_id,
                _written(number),
                self._born - SEED_SECONDS * number,
                kind=("post", "reply", "retweet")[number % 3],
                refers_to=(("", "replied_to", "retweeted")[number % 3], "1346889436626259968") if number % 3 else None,
            )
            for number in range(1, OTHERS_POSTS + 1)
        ]

    def search(self, query: str) -> list[Post]:
        """What a search finds, newest first: own posts with its words, and made-up posts of others that echo it."""
        words = [word.lower() for word in re.findall(r"[^\s()\"]+", query) if ":" not in word and word[0] != "-"]
        if "nothing" in words:
            return []
        own = [post for post in self.posts[::-1] if all(word in post.text.lower() for word in words)]
        writer = re.search(r"\bfrom:@?(\w{1,15})", query)
        author = id_of(writer[1]) if writer else "2244994945"
        made_up = [
            Post(
                self._id_at(self._born - SEED_SECONDS * number, 500 + number),
                author,
                f"{' '.join(words)} {number}",
                self._born - SEED_SECONDS * number,
                media=("3_1",) if number % 5 == 0 else (),
            )
            for number in range(1, FOUND_POSTS + 1)
        ]
        return own + made_up

    def _id_at(self, at: float, low: int | None = None) -> str:
        return str(((int(at * 1000) - EPOCH_MS) << 22) | (next(self._sequence) if low is None else low))


def _written(number: int) -> str:
    return f"Post number {number}" + (" which goes on and on" * 20 if number == 4 else "")


def id_of(username: str) -> str:
    """The id that belongs to a name."""
    if username.lower() == "xdevelopers":
        return "2244994945"
    digits = derived_digits(username.lower(), "x-name", 15)
    return f"403{digits[3:]}" if "protected" in username.lower() else f"5{digits[1:]}"


def name_of(user_id: str) -> str:
    return "XDevelopers" if user_id == "2244994945" else f"user_{user_id[-9:]}"


def person(user_id: str, username: str, posts: int) -> dict[str, Any]:
    return {
        "id": user_id,
        "name": username.replace("_", " ").title(),
        "username": username,
        "created_at": "2013-12-14T04:35:55.000Z",
        "description": f"About {username}",
        "location": "Somewhere",
        "url": "https://t.co/sandbox",
        "protected": False,
        "verified": False,
        "verified_type": "none",
        "profile_image_url": "https://pbs.twimg.com/profile_images/1/sandbox_normal.jpg",
        "public_metrics": {
            "followers_count": 11,
            "following_count": 7,
            "post_count": posts,
            "listed_count": 1,
            "like_count": 3,
            "media_count": 0,
        },
    }


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
