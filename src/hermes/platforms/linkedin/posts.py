"""Posts: from a tool's arguments to LinkedIn's Posts API. Source: "Posts API"."""

from __future__ import annotations

from asyncio import sleep
from typing import Any, Final

from hermes.errors import Conflict, InvalidArguments
from hermes.platforms.context import ToolContext
from hermes.platforms.linkedin.api import LinkedInApi, is_urn
from hermes.platforms.linkedin.errors import MEDIA_PENDING, Access
from hermes.platforms.linkedin.little import little_text
from hermes.platforms.linkedin.models import Article, Document, Image, Poll, Post, Video
from hermes.platforms.linkedin.uploads import Uploads
from hermes.platforms.ports import PublishState

PENDING_WAITS: Final = (2.0, 3.0, 5.0, 10.0, 10.0)
"""Seconds before a post is made again that was refused because its media were not ready: nothing was posted."""


def post_body(author: str, text: str, visibility: str, *, reshareable: bool = True) -> dict[str, Any]:
    """A post of text alone."""
    return {
        "author": author,
        "commentary": little_text(text),
        "visibility": visibility,
        "distribution": {"feedDistribution": "MAIN_FEED", "targetEntities": [], "thirdPartyDistributionChannels": []},
        "lifecycleState": "PUBLISHED",
        "isReshareDisabledByAuthor": not reshareable,
    }


async def content_of(
    uploads: Uploads,
    images: list[Image] | None,
    video: Video | None,
    document: Document | None,
    article: Article | None,
    poll: Poll | None,
) -> dict[str, Any] | None:
    """What a post shows beside its text; at most one is given. Uploads what has to be uploaded."""
    if images is not None:
        return await _images(uploads, images)
    if video is not None:
        return {"media": {"id": video.id, **({"title": video.title} if video.title else {})}}
    if document is not None:
        urn = await uploads.document(document.source, field="document.source")
        return {"media": {"id": urn, "title": document.title}}
    if article is not None:
        return await _article(uploads, article)
    if poll is not None:
        options = [{"text": option} for option in poll.options]
        return {"poll": {"question": poll.question, "options": options, "settings": {"duration": poll.duration}}}
    return None


async def publish(api: LinkedInApi, context: ToolContext, body: dict[str, Any], access: Access) -> Post:
    """Make the post, once.

    Raises:
        Conflict: its media are not ready after some waiting (nothing was posted), or LinkedIn has this very post.
        HermesError: another refusal, or no clear answer.
    """

    async def make() -> str:
        for wait in (*PENDING_WAITS, None):
            try:
                return await _make(api, body, access)
            except Conflict as refused:
                if wait is None or refused.data.get("platform_code") not in MEDIA_PENDING:
                    raise
            await sleep(wait)
        raise AssertionError("unreachable: the last try returns or raises")

    post_id = str(await context.step("post", make))
    await context.state(PublishState.PUBLISHED)
    return Post(post_id=post_id, url=post_url(post_id))


def post_url(post_id: str) -> str:
    """Where people see a post."""
    return f"https://www.linkedin.com/feed/update/{post_id}/"


def check_audience(text: str, visibility: str, organization_id: str | None, *, has_content: bool) -> None:
    """Refuse a post that LinkedIn would refuse, before anything is uploaded.

    Raises:
        InvalidArguments: nothing to show, or an organization's post for connections.
    """
    if organization_id is not None and visibility == "CONNECTIONS":
        raise wrong("visibility", "must be PUBLIC or LOGGED_IN for an organization, which has no connections")
    if not text.strip() and not has_content:
        raise wrong("text", "is needed when nothing else is posted")


def wrong(field: str, problem: str) -> InvalidArguments:
    """The error for arguments that fit each by itself but not together."""
    return InvalidArguments(f"`{field}` {problem}.", fields=[{"field": field, "problem": problem}], nothing_sent=True)


async def _make(api: LinkedInApi, body: dict[str, Any], access: Access) -> str:
    response = await api.request("POST", "/rest/posts", access, json=body)
    for header in ("x-restli-id", "x-linkedin-id"):
        urn = response.headers.get(header)
        if is_urn(urn, "share", "ugcPost"):
            return str(urn)
    raise api.context.http.unclear(response)


async def _images(uploads: Uploads, images: list[Image]) -> dict[str, Any]:
    shown = []
    for number, image in enumerate(images):
        urn = await uploads.image(image.source, field=f"images.{number}.source", name=f"image-{number}")
        shown.append({"id": urn, "altText": image.alt_text or ""})
    return {"media": shown[0]} if len(shown) == 1 else {"multiImage": {"images": shown}}


async def _article(uploads: Uploads, article: Article) -> dict[str, Any]:
    shown = {"source": article.url, "title": article.title}
    if article.description:
        shown["description"] = article.description
    if article.thumbnail is not None:
        shown["thumbnail"] = await uploads.image(article.thumbnail, field="article.thumbnail", name="thumbnail")
    return {"article": shown}
