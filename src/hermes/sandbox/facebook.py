"""Facebook Pages through the Graph API: a Page, its posts, photos and videos.

Whose is a Page: a token `EAAsandbox-page-<page id>-<anything>` is that Page's; any other `EAA…` token is the Page token
of a Page of its own, whose id follows from it. A token that contains `user` is a person's: it can be asked for its
Pages and their tokens (`me/accounts`), and for nothing that wants a Page's token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson

from hermes.sandbox.base import Magic, Stage, StandIn
from hermes.sandbox.facebook_video import LONGEST_TITLE, Video, Videos
from hermes.sandbox.graph import GraphCall, GraphError, choose_fields, missing_object, page, parameter_error
from hermes.sandbox.graph_service import GraphService, graph_time, moment, truth
from hermes.sandbox.http import Upload, derived_digits, is_web_url
from hermes.sandbox.images import image_size
from hermes.sandbox.oauth_meta import FacebookDesk
from hermes.sandbox.oauth_vendors import FACEBOOK

EMBEDDED = re.compile(r"^EAAsandbox-page-(\d{5,20})-[A-Za-z0-9_-]*$")
LONGEST_MESSAGE = 63_206
LARGEST_PHOTO = 10 * 1024 * 1024
SOONEST = 600
LATEST = 180 * 86_400
STILL = (b"BM", b"II*\x00", b"MM\x00*")
POST_FIELDS = ("created_time", "message", "story", "id")
LISTED = ("published_posts", "posts", "feed", "scheduled_posts")
CHOSEN = {"published_posts": True, "posts": True, "feed": True, "scheduled_posts": False}


@dataclass(slots=True)
class Post:
    """One post of a Page; with `scheduled`, one that comes out by itself then."""

    number: str
    page: str
    created: float
    message: str | None = None
    link: str | None = None
    photos: tuple[str, ...] = ()
    video: str | None = None
    scheduled: float | None = None
    likes: int = 0

    @property
    def id(self) -> str:
        return f"{self.page}_{self.number}"

    def published(self, now: float) -> bool:
        return self.scheduled is None or self.scheduled <= now

    def shown(self, now: float) -> dict[str, Any]:
        """Every field that a post has; absent values are None."""
        kind = "video" if self.video else "photo" if self.photos else "share" if self.link else None
        pictures = [f"https://scontent.example/{photo}.jpg" for photo in self.photos]
        attachment = {"media_type": "link" if kind == "share" else kind, "url": self.link or f"/{self.id}"}
        created = graph_time(self.scheduled if self.scheduled and self.scheduled <= now else self.created)
        statuses = {"photo": "added_photos", "video": "added_video", "share": "shared_story"}
        return {
            "id": self.id,
            "message": self.message,
            "story": None if self.message else "Sandbox Page updated its status.",
            "created_time": created,
            "updated_time": created,
            "permalink_url": f"https://www.facebook.com/{self.page}/posts/{self.number}",
            "full_picture": pictures[0] if pictures else None,
            "status_type": statuses.get(kind or "", "mobile_status_update"),
            "is_published": self.published(now),
            "scheduled_publish_time": int(self.scheduled) if self.scheduled else None,
            "attachments": {"data": [attachment]} if kind else None,
            "shares": {"count": self.likes // 4} if self.likes > 3 else None,
            "reactions": {"data": [], "summary": {"total_count": self.likes}},
            "comments": {"data": [], "summary": {"total_count": self.likes // 2}},
        }


@dataclass(slots=True)
class Page:
    """A Page and what is on it, newest post last. `photos`: id → whether a post shows it yet."""

    id: str
    posts: list[Post] = field(default_factory=list)
    photos: dict[str, bool] = field(default_factory=dict)


class FacebookService(GraphService):
    """All Pages of the sandbox."""

    product = "pages"
    limit_code = 80001
    max_body = 64 * 1024 * 1024

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._pages: dict[str, Page] = {}
        self._videos = Videos(stage.clock)
        self._count = count(1)

    # what every stand-in has

    def number_of(self, token: str) -> str:
        found = EMBEDDED.match(token)
        return found[1] if found else derived_digits(token, "page")

    def account(self, token: str) -> dict[str, Any]:
        self.check_form(token)
        return {"page_id": self.number_of(token), "page_token": page_token(token, self.number_of(token))}

    def reset(self) -> None:
        self._pages.clear()
        self._videos.clear()

    async def route(self, call: GraphCall, files: dict[str, Upload]) -> Any:
        own = self._page(self.number_of(call.token))
        about, edge = (call.parts[0], call.parts[1:]) if call.parts else ("", ())
        person = "user" in call.token
        if about == "me":
            if person:
                return self._me(call, edge)
            about = own.id
        if about == own.id and len(edge) <= 1:
            return self._about_page(call, own, edge[0] if edge else None, files, person=person)
        if edge or not about:
            raise missing_object(call.method, about)
        return self._object(call, own, about, person=person)

    # a person, the Page

    def _me(self, call: GraphCall, edge: tuple[str, ...]) -> dict[str, Any]:
        number = self.number_of(call.token)
        if edge == ("accounts",):
            pages = {"manypages": 3, "nopages": 0}
            number_of_pages = next((count for word, count in pages.items() if word in call.token), 1)
            shown = [_listed_page(call.token, str(int(number) + place), place) for place in range(number_of_pages)]
            fields = ("access_token", "category", "name", "id", "tasks")
            chosen = [choose_fields(one, call.args.get("fields"), fields, "Page") for one in shown]
            return page(chosen, call, self._base(call))
        if edge:
            raise parameter_error(f"Tried accessing nonexisting field ({edge[0]}) on node type (User)")
        person = {"id": derived_digits(call.token, "user"), "name": "Ann Sandbox"}
        return choose_fields(person, call.args.get("fields"), ("name", "id"), "User")

    def _about_page(
        self, call: GraphCall, own: Page, edge: str | None, files: dict[str, Upload], *, person: bool
    ) -> Any:
        if edge is None and call.method == "GET":
            return _present(choose_fields(_page_fields(own), call.args.get("fields"), ("name", "id"), "Page"))
        if edge in LISTED and call.method == "GET":
            if person:
                text = "A Page access token is required for this call for the new Pages experience."
                raise GraphError(190, text, subcode=2069032)
            if "noreading" in call.token:
                raise GraphError(10)
            return self._listing(call, own, edge)
        writers = {"feed": self._post_feed, "photos": self._post_photo, "videos": self._post_video}
        if call.method != "POST" or edge not in writers:
            if call.method == "GET" and edge is not None:
                raise parameter_error(f"Tried accessing nonexisting field ({edge}) on node type (Page)")
            raise missing_object(call.method, own.id)
        if person or "noposting" in call.token:
            text = (
                "(#200) If posting to a page, requires both pages_read_engagement and pages_manage_posts as an admin "
                "with sufficient administrative permission; publishing requires page access token"
            )
            raise GraphError(200, text)
        return writers[edge](call, own, files)

    def _listing(self, call: GraphCall, own: Page, edge: str) -> dict[str, Any]:
        now = self.stage.clock.now()
        wanted = [post for post in own.posts if post.published(now) is CHOSEN[edge]]
        if call.args.get("since"):
            wanted = [post for post in wanted if post.created >= moment(call.args["since"], "since")]
        if call.args.get("until"):
            wanted = [post for post in wanted if post.created <= moment(call.args["until"], "until")]
        fields = call.args.get("fields")
        shown = [_present(choose_fields(post.shown(now), fields, POST_FIELDS, "Post")) for post in reversed(wanted)]
        if not str(call.args.get("limit", "25")).isdigit() or int(str(call.args.get("limit", "25"))[:9]) > 100:
            raise parameter_error("Param limit must be at most 100")
        return page(shown, call, self._base(call))

    def _object(self, call: GraphCall, own: Page, number: str, *, person: bool) -> Any:
        now, fields = self.stage.clock.now(), call.args.get("fields")
        video = self._videos.known.get(number)
        if video is not None and video.page == own.id and call.method == "GET":
            return _present(choose_fields(video.shown(now), fields, ("description", "id"), "Video"))
        post = next((one for one in own.posts if one.id == number), None)
        if post is None or person:
            raise missing_object(call.method, number)
        if call.method == "DELETE":
            own.posts.remove(post)
            return {"success": True}
        if call.method == "POST":
            post.message = str(call.args.get("message") or post.message or "")
            return {"success": True}
        return _present(choose_fields(post.shown(now), fields, POST_FIELDS, "Post"))

    # publishing

    def _post_feed(self, call: GraphCall, own: Page, _files: dict[str, Upload]) -> dict[str, Any]:
        args = call.args
        message, link = str(args.get("message") or ""), str(args.get("link") or "")
        photos = _attached(args)
        if not (message or link or photos):
            raise parameter_error("You must provide a message, a link or attached_media.")
        self._check_message(own, message)
        if link and (not is_web_url(link) or "missing" in link):
            raise GraphError(100, "(#100) Invalid link", subcode=1609005, user=("Link error", "It cannot be fetched."))
        for photo in photos:
            if photo not in own.photos:
                raise missing_object("post", photo)
            own.photos[photo] = True
        post = self._add(own, args, message, link=link or None, photos=photos)
        self._note(call, own, "post", message or link, post.id)
        return {"id": post.id}

    def _post_photo(self, call: GraphCall, own: Page, files: dict[str, Upload]) -> dict[str, Any]:
        args, upload = call.args, files.get("source")
        if upload is None and not args.get("url"):
            raise parameter_error("(#324) Requires upload file")
        if upload is not None:
            _check_photo(upload.content)
        elif not is_web_url(args["url"]) or "missing" in str(args["url"]):
            raise GraphError(324, subcode=2061006, user=("Bad URL", "The picture cannot be fetched."))
        caption = str(args.get("caption") or args.get("message") or "")
        published = truth(args.get("published"), True)
        scheduled = args.get("scheduled_publish_time")
        if published or scheduled:
            self._check_message(own, caption)
        photo = derived_digits(f"{own.id}:{next(self._count)}", "photo", 16)
        own.photos[photo] = published
        if not published and scheduled is None:
            return {"id": photo}
        post = self._add(own, args, caption, photos=(photo,))
        self._note(call, own, "photo", caption, post.id)
        return {"id": photo, "post_id": post.id} if published else {"id": photo}

    def _post_video(self, call: GraphCall, own: Page, files: dict[str, Upload]) -> dict[str, Any]:
        args, now = call.args, self.stage.clock.now()
        scheduled = _scheduled(args, now)
        if args.get("upload_phase") is None:
            video: Video | dict[str, Any] = self._videos.whole(own.id, args, files)
        else:
            _check_video_words(args)
            video = self._videos.phase(own.id, args, files)
        if isinstance(video, dict):
            return video
        video.title, video.description = str(args.get("title") or ""), str(args.get("description") or "")
        video.failing = "unprocessable" in video.title + video.description
        video.scheduled = scheduled
        video.draft = not truth(args.get("published"), True) and video.scheduled is None
        slow = 100.0 if "slowly" in video.title + video.description else 1.0
        video.ready_at = now + slow * self.processing_seconds
        if not video.failing and not video.draft:
            post = self._add(own, args, video.description, video=video.id, ready_at=video.ready_at)
            video.post = post.id
            self._note(call, own, "video", video.description or video.title, video.id)
        return {"success": True} if args.get("upload_phase") else {"id": video.id}

    def _add(
        self,
        own: Page,
        args: Mapping[str, Any],
        message: str,
        *,
        link: str | None = None,
        photos: tuple[str, ...] = (),
        video: str | None = None,
        ready_at: float | None = None,
    ) -> Post:
        now = self.stage.clock.now()
        number = derived_digits(f"{own.id}:{next(self._count)}", "post", 16)
        # A video's post comes out when it is processed, which the stand-in treats as a schedule of its own.
        scheduled = _scheduled(args, now) or ready_at
        post = Post(number, own.id, now, message or None, link, photos, video, scheduled)
        own.posts.append(post)
        return post

    def _check_message(self, own: Page, message: str) -> None:
        if len(message) > LONGEST_MESSAGE:
            raise parameter_error(f"Param message must have at most {LONGEST_MESSAGE} characters")
        last = own.posts[-1].message if own.posts else None
        if "[duplicate]" in message or (self.stage.options.vendor_limits and message and message == last):
            raise GraphError(506, user=("Duplicate Status Update", "This status update is identical to the last one."))

    def _page(self, number: str) -> Page:
        known = self._pages.get(number)
        if known is None:
            known = self._pages[number] = Page(number)
            start = self.stage.clock.now() - 30 * 86_400
            for at in range(7):
                message = None if at == 3 else f"Sandbox post {at + 1}"
                photos = (derived_digits(f"{number}:{at}", "seed", 16),) if at == 3 else ()
                post_number = derived_digits(f"{number}:{at}", "seeded", 16)
                post = Post(post_number, number, start + at * 86_400, message, photos=photos, likes=at)
                known.posts.append(post)
        return known

    def _note(self, call: GraphCall, own: Page, kind: str, text: str, number: str) -> None:
        self.stage.note("facebook", call.token, "out", own.id, "everyone", kind, text, number, "published")

    def _base(self, call: GraphCall) -> str:
        return f"{call.incoming.origin}/facebook"


def page_token(token: str, number: str) -> str:
    """The Page token that belongs to a person's token; a Page token is its own."""
    return f"EAAsandbox-page-{number}-{derived_digits(token, 'token', 8)}" if "user" in token else token


def _listed_page(token: str, number: str, place: int) -> dict[str, Any]:
    return {
        "id": number,
        "name": "Sandbox Page" if place == 0 else f"Sandbox Page {place + 1}",
        "username": "sandboxpage",
        "access_token": page_token(token, number),
        "category": "Software",
        "tasks": ["MANAGE", "CREATE_CONTENT", "MODERATE", "MESSAGING", "ADVERTISE", "ANALYZE"],
    }


def _page_fields(own: Page) -> dict[str, Any]:
    return {
        "id": own.id,
        "name": "Sandbox Page",
        "username": "sandboxpage",
        "about": "A Page of the sandbox",
        "category": "Software",
        "link": f"https://www.facebook.com/{own.id}",
        "fan_count": 120,
        "followers_count": 125,
        "picture": {"data": {"height": 50, "width": 50, "is_silhouette": False, "url": "https://scontent.example/p.jpg"}},
        "website": None,
        "verification_status": "not_verified",
        "instagram_business_account": {"id": derived_digits(own.id, "instagram"), "username": "sandboxpage"},
        "tasks": ["MANAGE", "CREATE_CONTENT"],
    }  # fmt: skip


def _present(node: Mapping[str, Any]) -> dict[str, Any]:
    """Graph leaves out what has no value."""
    return {name: value for name, value in node.items() if value is not None}


def _attached(args: Mapping[str, Any]) -> tuple[str, ...]:
    """The photos of `attached_media`: a list, its JSON, or `attached_media[0]` and so on."""
    given = args.get("attached_media") or [
        value for name, value in sorted(args.items()) if name.startswith("attached_media[")
    ]
    if isinstance(given, str):
        given = _json(given)
    items = [_json(item) if isinstance(item, str) else item for item in given] if isinstance(given, list) else None
    if items is None or not all(isinstance(item, dict) and item.get("media_fbid") for item in items):
        raise parameter_error("Param attached_media must be an array of objects with media_fbid.")
    return tuple(str(item["media_fbid"]) for item in items)


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise parameter_error("Param attached_media must be an array.") from None


def _check_photo(content: bytes) -> None:
    if len(content) > LARGEST_PHOTO or (image_size(content) is None and not content.startswith(STILL)):
        text = "Photos should be smaller than 10 MB and saved as JPG, PNG, GIF or TIFF files."
        raise GraphError(324, subcode=1366046, user=("Can't Read Files", text))


def _check_video_words(args: Mapping[str, Any]) -> None:
    if len(str(args.get("title") or "")) > LONGEST_TITLE:
        raise parameter_error(f"Param title must have at most {LONGEST_TITLE} characters")


def _scheduled(args: Mapping[str, Any], now: float) -> float | None:
    """The moment a post is to come out at, if it is not now.

    Raises:
        GraphError: 100: too near, too far, or together with `published`.
    """
    given = args.get("scheduled_publish_time")
    if given is None:
        return None
    at = moment(given, "scheduled_publish_time")
    if truth(args.get("published"), True):
        raise parameter_error("You cannot specify a scheduled publish time on a published post")
    if not now + SOONEST - 60 <= at <= now + LATEST:
        raise parameter_error("The specified scheduled publish time is invalid.")
    return at


stand_in = StandIn(
    id="facebook",
    title="Facebook",
    create=FacebookService,
    oauth=(FACEBOOK,),
    desk=FacebookDesk,
    magic=(
        Magic("token EAAsandbox-page-<page id>-<anything>", "is the token of this Page"),
        Magic("any other token EAA…", "is the token of a Page of its own (see “A token's account”)"),
        Magic("token containing user", "is a person's: me/accounts gives the Page's token; the rest wants that one"),
        Magic("token containing expired or revoked", "401, code 190, subcode 463 or 458"),
        Magic("token containing limited", "400, code 80001, with the minutes to wait"),
        Magic("token containing broken", "500, code 2"),
        Magic("token containing noposting", "publishing: 403, code 200"),
        Magic("token containing noreading", "listing posts: 403, code 10"),
        Magic("message or caption containing [duplicate]", "400, code 506"),
        Magic("link, url or file_url containing missing", "cannot be fetched"),
        Magic("video's title or description containing unprocessable", "its processing ends in an error"),
        Magic("video's title or description containing slowly", "its processing takes a hundred times as long"),
    ),
)
