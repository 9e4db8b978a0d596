"""What LinkedIn's Posts API takes, and how its little text is read.

Source: learn.microsoft.com/linkedin, Community Management, "Posts API" and "little Text Format".
"""

from __future__ import annotations

import re
from typing import Any

RESERVED = frozenset("\\|{}@[]()<>#*_~")
LONGEST_TEXT = 3000
VISIBILITIES = ("PUBLIC", "CONNECTIONS", "LOGGED_IN")
DURATIONS = ("ONE_DAY", "THREE_DAYS", "SEVEN_DAYS", "FOURTEEN_DAYS")
FIELDS = frozenset(
    {
        "author", "commentary", "visibility", "distribution", "lifecycleState", "isReshareDisabledByAuthor", "content",
        "reshareContext", "adContext", "container",
    }
)  # fmt: skip
REQUIRED = ("author", "commentary", "visibility", "distribution", "lifecycleState")
AUTHOR = re.compile(r"urn:li:(person|organization):[A-Za-z0-9_-]+\Z")
MEDIA = re.compile(r"urn:li:(image|video|document):[A-Za-z0-9_-]+\Z")
POST = re.compile(r"urn:li:(share|ugcPost):\d+\Z")
MENTION = re.compile(r"@\[((?:[^\\\]]|\\.)*)\]\((urn:li:(?:person|organization):[A-Za-z0-9_-]+)\)", re.DOTALL)
TEMPLATE = re.compile(r"\{hashtag\|\\?#\|((?:[^\\}]|\\.)+)\}", re.DOTALL)
TAG = re.compile(r"#(?=\w)")


class LinkedInError(Exception):
    """A refusal in LinkedIn's envelope."""

    def __init__(
        self, status: int, code: str | None, message: str, *, service: int | None = None, path: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"status": status, "message": message}
        if service is not None:
            self.body["serviceErrorCode"] = service
        if code is not None and path is None:
            self.body["code"] = code
        if path is not None:
            place = {"inputPath": {"fieldPath": path}}
            self.body["errorDetailType"] = "com.linkedin.common.error.BadRequest"
            self.body["errorDetails"] = {"inputErrors": [{"description": message, "input": place, "code": code}]}


def shown_text(commentary: str) -> str:
    """What people see of a commentary: it ends at the first reserved character that is neither escaped nor marks a
    mention, a hashtag or a template."""
    shown: list[str] = []
    at = 0
    while at < len(commentary):
        sign = commentary[at]
        if sign == "\\":
            if at + 1 == len(commentary):
                break
            shown.append(commentary[at + 1])
            at += 2
        elif sign not in RESERVED:
            shown.append(sign)
            at += 1
        else:
            found = MENTION.match(commentary, at) or TEMPLATE.match(commentary, at) or TAG.match(commentary, at)
            if found is None:
                break
            shown.append(_seen(found))
            at = found.end()
    return "".join(shown)


def _seen(found: re.Match[str]) -> str:
    if found.re is TAG:
        return "#"
    inner = re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL)
    return f"@[{inner}]({found[2]})" if found.re is MENTION else f"#{inner}"


def check_post(post: dict[str, Any]) -> list[str]:
    """Check a post's form; returns the URNs of the media that it shows.

    Raises:
        LinkedInError: a field is missing, unknown or wrong.
    """
    for name in REQUIRED:
        if name not in post:
            raise LinkedInError(422, "MISSING_FIELD", f"{name} :: field is required but not found", path=f"/{name}")
    unknown = post.keys() - FIELDS
    if unknown:
        name = min(unknown)
        raise LinkedInError(422, "UNRECOGNIZED_FIELD", f"{name} :: unrecognized field found", path=f"/{name}")
    author, commentary = post["author"], post["commentary"]
    if not isinstance(author, str) or not AUTHOR.match(author):
        raise _wrong("author", "is not a person or organization URN")
    if not isinstance(commentary, str) or len(shown_text(commentary)) > LONGEST_TEXT:
        raise _wrong("commentary", f"exceeds the maximum length of {LONGEST_TEXT} characters")
    if post["visibility"] not in VISIBILITIES:
        raise _wrong("visibility", f"{post['visibility']} is not an enum symbol")
    if post["visibility"] == "CONNECTIONS" and ":organization:" in author:
        raise _wrong("visibility", "CONNECTIONS is not supported for organizations")
    if post["lifecycleState"] != "PUBLISHED":
        raise _wrong("lifecycleState", "must be PUBLISHED on create")
    distribution = post["distribution"]
    if not isinstance(distribution, dict) or distribution.get("feedDistribution") not in ("MAIN_FEED", "NONE"):
        raise _wrong("distribution", "feedDistribution is required")
    parent = _object(post.get("reshareContext")).get("parent", "urn:li:share:1")
    if not isinstance(parent, str) or not POST.match(parent):
        raise _wrong("reshareContext/parent", "is not a share URN")
    return _content(post.get("content"))


def _content(content: Any) -> list[str]:
    if content is None:
        return []
    if not isinstance(content, dict) or len(content) != 1:
        raise _wrong("content", "is a union with exactly one member")
    kind, given = next(iter(content.items()))
    reader = {"media": _media, "article": _article, "multiImage": _many, "poll": _poll}.get(kind)
    if reader is None or not isinstance(given, dict):
        raise _wrong("content", f"{kind} is not a member of the union")
    return reader(given)


def _media(given: dict[str, Any]) -> list[str]:
    if given.keys() - {"id", "title", "altText"} or not MEDIA.match(str(given.get("id"))):
        raise _wrong("content/media", "needs the URN of an image, video or document")
    if str(given["id"]).startswith("urn:li:document:") and not given.get("title"):
        raise _wrong("content/media/title", "is required for a document")
    if len(str(given.get("altText", ""))) > 4086:
        raise _wrong("content/media/altText", "exceeds 4086 characters")
    return [str(given["id"])]


def _many(given: dict[str, Any]) -> list[str]:
    images = given.get("images")
    if not isinstance(images, list) or not 2 <= len(images) <= 20:
        raise _wrong("content/multiImage/images", "must have 2 to 20 images")
    return [urn for image in images for urn in _media(_object(image))]


def _article(given: dict[str, Any]) -> list[str]:
    if given.keys() - {"source", "title", "description", "thumbnail"}:
        raise _wrong("content/article", "has an unrecognized field")
    if not str(given.get("source", "")).startswith("http") or not given.get("title"):
        raise _wrong("content/article", "source and title are required")
    return [str(given["thumbnail"])] if given.get("thumbnail") else []


def _poll(given: dict[str, Any]) -> list[str]:
    options = given.get("options")
    if not 1 <= len(str(given.get("question", ""))) <= 140:
        raise _wrong("content/poll/question", "must have 1 to 140 characters")
    if not isinstance(options, list) or not 2 <= len(options) <= 4:
        raise _wrong("content/poll/options", "must be 2 to 4")
    if any(not 1 <= len(str(_object(option).get("text", ""))) <= 30 for option in options):
        raise _wrong("content/poll/options", "must have 1 to 30 characters each")
    if _object(given.get("settings")).get("duration") not in DURATIONS:
        raise _wrong("content/poll/settings/duration", "is not an enum symbol")
    return []


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _wrong(path: str, problem: str) -> LinkedInError:
    return LinkedInError(422, "INVALID_CONTENT", f"{path} :: {problem}", path=f"/{path}")
