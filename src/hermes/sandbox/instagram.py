"""Instagram's API for professional accounts, with both logins.

Whose is an account: a token `IGAA…` is one of Instagram Login, `EAA…` one of Facebook Login. `IGAAsandbox-ig-<account
id>-<anything>` and `EAAsandbox-ig-<account id>-<anything>` control that account; any other token an account of its own,
whose id follows from it. What only Facebook Login can do (uploading bytes) only its tokens can.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson

from hermes.sandbox.base import Magic, Stage, StandIn
from hermes.sandbox.graph import (
    GraphCall,
    GraphError,
    choose_fields,
    graph_failure,
    missing_object,
    page,
    parameter_error,
    split_version,
    token_in,
)
from hermes.sandbox.graph_service import GraphService, moment
from hermes.sandbox.http import Answer, Incoming, Upload, derived_digits, json_answer
from hermes.sandbox.instagram_media import (
    FEWEST_CHILDREN,
    LARGEST_VIDEO,
    MOST_CHILDREN,
    Container,
    Media,
    check_image,
    check_video,
    check_words,
    refusal,
)
from hermes.sandbox.oauth_meta import InstagramDesk
from hermes.sandbox.oauth_vendors import INSTAGRAM

EMBEDDED = re.compile(r"^(?:IGAA|EAA)sandbox-ig-(\d{5,20})-[A-Za-z0-9_-]*$")
UPLOADS = "/ig-api-upload"
QUOTA = 100
IMAGE_SHARE = 0.2
MEDIA_FIELDS = ("id",)


@dataclass(slots=True)
class Account:
    """An account, its containers, and what it has published, newest last."""

    id: str
    containers: dict[str, Container] = field(default_factory=dict)
    media: list[Media] = field(default_factory=list)
    published: list[float] = field(default_factory=list)


class InstagramService(GraphService):
    """All accounts of the sandbox."""

    product = "instagram"
    limit_code = 80002
    token_form = re.compile(r"^(?:IGAA|EAA)[A-Za-z0-9_-]{5,}$")
    max_body = LARGEST_VIDEO + 1024

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._accounts: dict[str, Account] = {}
        self._count = count(1)

    # what every stand-in has

    def number_of(self, token: str) -> str:
        found = EMBEDDED.match(token)
        return found[1] if found else derived_digits(token, "instagram", 17)

    def account(self, token: str) -> dict[str, Any]:
        self.check_form(token)
        return {"account_id": self.number_of(token), "login": "instagram" if _own_login(token) else "facebook"}

    def reset(self) -> None:
        self._accounts.clear()

    async def answer(self, incoming: Incoming) -> Answer:
        if not incoming.path.startswith(f"{UPLOADS}/"):
            return await super().answer(incoming)
        try:
            _, parts = split_version(incoming.path.removeprefix(UPLOADS))
            return self._receive(incoming, parts)
        except GraphError as error:
            return graph_failure(error, "v26.0", "0", product=self.product)

    async def route(self, call: GraphCall, files: dict[str, Upload]) -> Any:
        del files
        own = self._account(self.number_of(call.token))
        about, edge = (call.parts[0], call.parts[1:]) if call.parts else ("", ())
        if about == "me":
            if not _own_login(call.token):
                person = {"id": derived_digits(call.token, "user"), "name": "Ann Sandbox"}
                return choose_fields(person, call.args.get("fields"), ("name", "id"), "User")
            about = own.id
        if about != own.id:
            return self._object(call, own, about, edge)
        edges = {
            ("GET", ()): self._profile,
            ("GET", ("media",)): self._listing,
            ("GET", ("content_publishing_limit",)): self._quota,
            ("POST", ("media",)): self._create,
            ("POST", ("media_publish",)): self._publish,
        }
        handler = edges.get((call.method, edge))
        if handler is None:
            if call.method == "GET" and edge:
                raise parameter_error(f"Tried accessing nonexisting field ({edge[0]}) on node type (IGUser)")
            raise missing_object(call.method, about)
        if call.method == "POST" and "nopublishing" in call.token:
            raise GraphError(10)
        return handler(call, own)

    # reading

    def _profile(self, call: GraphCall, own: Account) -> dict[str, Any]:
        node = {
            "id": derived_digits(call.token, "scoped", 16) if _own_login(call.token) else own.id,
            "username": "sandbox",
            "name": "Sandbox Account",
            "profile_picture_url": "https://scontent.example/p.jpg",
            "followers_count": 150,
            "follows_count": 10,
            "media_count": len(own.media),
            "biography": None,
            "website": "https://sandbox.example",
        }
        if _own_login(call.token):
            node |= {"user_id": own.id, "account_type": "BUSINESS"}
        return _present(choose_fields(node, call.args.get("fields"), ("id",), "IGUser"))

    def _listing(self, call: GraphCall, own: Account) -> dict[str, Any]:
        wanted = own.media
        if call.args.get("since"):
            wanted = [one for one in wanted if one.at >= moment(call.args["since"], "since")]
        if call.args.get("until"):
            wanted = [one for one in wanted if one.at <= moment(call.args["until"], "until")]
        fields = call.args.get("fields")
        shown = [_present(choose_fields(one.shown(), fields, MEDIA_FIELDS, "IGMedia")) for one in reversed(wanted)]
        limit = str(call.args.get("limit", "25"))
        if limit.isdigit() and int(limit[:9]) > 100:
            raise parameter_error("Param limit must be at most 100")
        return page(shown, call, f"{call.incoming.origin}/instagram")

    def _quota(self, call: GraphCall, own: Account) -> dict[str, Any]:
        node = {
            "quota_usage": self._used(call, own),
            "config": {"quota_total": QUOTA, "quota_duration": 86_400},
            "id": own.id,
        }
        chosen = choose_fields(node, call.args.get("fields"), ("quota_usage",), "ContentPublishingLimit")
        return {"data": [{name: value for name, value in chosen.items() if name != "id"}]}

    def _object(self, call: GraphCall, own: Account, about: str, edge: tuple[str, ...]) -> dict[str, Any]:
        fields = call.args.get("fields")
        if edge or call.method != "GET":
            raise missing_object(call.method, about)
        container = own.containers.get(about)
        if container is not None:
            return choose_fields(container.shown(self.stage.clock.now()), fields, ("id",), "IGContainer")
        for media in own.media:
            if media.id == about:
                return _present(choose_fields(media.shown(), fields, MEDIA_FIELDS, "IGMedia"))
        raise missing_object(call.method, about)

    # publishing

    def _create(self, call: GraphCall, own: Account) -> dict[str, Any]:
        args = call.args
        kind = str(args.get("media_type") or "IMAGE")
        if kind not in ("IMAGE", "CAROUSEL", "REELS"):
            raise refusal(100, 2207023, "Unknown media type", f"The media type {kind[:20]} is unknown.")
        check_words(args)
        now = self.stage.clock.now()
        caption = str(args["caption"]) if args.get("caption") else None
        made = Container(self._new_id(own, "container"), own.id, kind, now, caption)
        made.child = str(args.get("is_carousel_item", "")).lower() == "true"
        made.slow = 100.0 if "slowly" in (caption or "") else 1.0
        answer = {"id": made.id}
        if kind == "REELS":
            self._begin_reel(call, made, answer)
        elif kind == "CAROUSEL":
            made.children = self._children(own, args)
            made.ready_at = now + made.slow * IMAGE_SHARE * self.processing_seconds
        else:
            if not args.get("image_url"):
                raise parameter_error("The parameter image_url is required.")
            check_image(args["image_url"])
            made.ready_at = now + made.slow * IMAGE_SHARE * self.processing_seconds
        if "unprocessable" in (caption or ""):
            made.failing = 2207026
        own.containers[made.id] = made
        return answer

    def _begin_reel(self, call: GraphCall, made: Container, answer: dict[str, Any]) -> None:
        args = call.args
        offset = str(args.get("thumb_offset", "0"))
        if not offset.isdigit() or int(offset[:12]) > 900_000:
            raise refusal(1, 2207057, "Invalid thumb offset", "thumb_offset must be within the video's duration.")
        if args.get("cover_url"):
            check_image(args["cover_url"])
        if args.get("upload_type") == "resumable" and not _own_login(call.token):
            answer["uri"] = f"{call.incoming.origin}/instagram{UPLOADS}/{call.version}/{made.id}"
            return
        if not args.get("video_url"):
            raise GraphError(100, "The parameter video_url is required")
        made.failing = check_video(args["video_url"])
        made.ready_at = made.created + made.slow * self.processing_seconds

    def _children(self, own: Account, args: Mapping[str, Any]) -> tuple[str, ...]:
        given = args.get("children")
        if isinstance(given, str) and given.startswith("["):
            try:
                given = orjson.loads(given)
            except orjson.JSONDecodeError:
                raise parameter_error("Param children must be an array.") from None
        names = tuple(str(one) for one in given) if isinstance(given, list) else tuple(str(given or "").split(","))
        children = [own.containers.get(name) for name in names]
        now = self.stage.clock.now()
        fits = FEWEST_CHILDREN <= len(names) <= MOST_CHILDREN and len(set(names)) == len(names)
        if not fits or any(one is None or not one.child or one.state(now) != "FINISHED" for one in children):
            text = f"A carousel has {FEWEST_CHILDREN} to {MOST_CHILDREN} items that were made for it and are ready."
            raise refusal(100, 2207028, "Carousel validation failed", text)
        return names

    def _publish(self, call: GraphCall, own: Account) -> dict[str, Any]:
        number = call.args.get("creation_id")
        if not number:
            raise parameter_error("The parameter creation_id is required.")
        container = own.containers.get(str(number))
        now = self.stage.clock.now()
        state = container.state(now) if container is not None and not container.child else "MISSING"
        if container is None or state in ("MISSING", "PUBLISHED"):
            raise refusal(24, 2207006, "Media Not Found", "The media with this creation id cannot be found.")
        if state == "EXPIRED":
            raise refusal(-2, 2207020, "Media Expired", "The container has expired: make a new one.")
        if state == "IN_PROGRESS":
            raise refusal(9007, 2207027, "Media Not Ready", "The media is not ready to be published: wait a moment.")
        if state == "ERROR":
            raise refusal(352, container.failing or 2207026, "Unsupported", "The media could not be processed.")
        if self._used(call, own) >= QUOTA:
            raise refusal(9, 2207042, "Application request limit reached", "The limit of posts a day is reached.")
        own.published.append(now)
        container.media = self._new_id(own, "media")
        children = tuple(derived_digits(child, "published", 17) for child in container.children)
        own.media.append(Media(container.media, own.id, now, container.kind, container.caption, children))
        self.stage.note(
            "instagram", call.token, "out", own.id, "everyone", container.kind.lower(), container.caption or "",
            container.media, "published",
        )  # fmt: skip
        return {"id": container.media}

    def _receive(self, incoming: Incoming, parts: tuple[str, ...]) -> Answer:
        """Bytes of a video: from `offset` on, all that is left of them in one request."""
        token = self.check(token_in(incoming))
        scheme = incoming.headers.get("authorization", "").partition(" ")[0]
        own = self._account(self.number_of(token))
        made = own.containers.get(parts[0]) if len(parts) == 1 else None
        offset, size = (incoming.headers.get(name, "") for name in ("offset", "file_size"))
        if scheme != "OAuth":
            return _not_taken("AuthorizationError", "The header Authorization must be OAuth and the token.", 401)
        if made is None or made.kind != "REELS" or made.ready_at is not None:
            return _not_taken("NotFoundError", "There is no upload of this id.", 404)
        if incoming.headers.get("file_url"):
            made.failing, made.size = check_video(incoming.headers["file_url"]), 1
            return self._received(made)
        if not (offset.isdigit() and size.isdigit()) or int(size[:15]) > LARGEST_VIDEO:
            return _not_taken("HeaderError", "The headers offset and file_size must be numbers of bytes.")
        if int(offset[:15]) != made.received or made.size not in (None, int(size)):
            return _not_taken("OffsetInvalidError", f"The upload goes on at {made.received}.", retriable=True)
        made.size = int(size)
        content = incoming.body
        if "halves" in token and made.received == 0:
            content = content[: len(content) // 2]
        if made.received + len(content) > made.size:
            return _not_taken("PartialRequestError", "More bytes came than file_size says.")
        made.received += len(content)
        made.digest.update(content)
        if made.received < made.size:
            text = "Partial request (did not match length of file)"
            return _not_taken("PartialRequestError", text, retriable=True)
        return self._received(made)

    def _received(self, made: Container) -> Answer:
        made.ready_at = self.stage.clock.now() + made.slow * self.processing_seconds
        return json_answer({"success": True, "message": "Upload successful."})

    def _used(self, call: GraphCall, own: Account) -> int:
        since = self.stage.clock.now() - 86_400
        return QUOTA if "quota" in call.token else sum(at > since for at in own.published)

    def _new_id(self, own: Account, purpose: str) -> str:
        return derived_digits(f"{own.id}:{next(self._count)}", purpose, 17)

    def _account(self, number: str) -> Account:
        known = self._accounts.get(number)
        if known is None:
            known = self._accounts[number] = Account(number)
            start = self.stage.clock.now() - 30 * 86_400
            kinds = ("IMAGE", "REELS", "CAROUSEL")
            for at in range(7):
                media = derived_digits(f"{number}:{at}", "seed", 17)
                caption = None if at == 3 else f"Sandbox media {at + 1}"
                one = Media(media, number, start + at * 86_400, kinds[at % 3], caption, likes=at)
                if one.kind == "CAROUSEL":
                    one.children = (derived_digits(media, "a", 17), derived_digits(media, "b", 17))
                known.media.append(one)
        return known


def _own_login(token: str) -> bool:
    return token.startswith("IGAA")


def _present(node: Mapping[str, Any]) -> dict[str, Any]:
    """Graph leaves out what has no value."""
    return {name: value for name, value in node.items() if value is not None}


def _not_taken(kind: str, text: str, status: int = 400, *, retriable: bool = False) -> Answer:
    """The upload host's own kind of error."""
    return json_answer({"debug_info": {"retriable": retriable, "type": kind, "message": text}}, status)


stand_in = StandIn(
    id="instagram",
    title="Instagram",
    create=InstagramService,
    oauth=(INSTAGRAM,),
    desk=InstagramDesk,
    magic=(
        Magic("token IGAAsandbox-ig-<account id>-<anything>", "controls this account, with Instagram Login"),
        Magic("token EAAsandbox-ig-<account id>-<anything>", "controls this account, with Facebook Login"),
        Magic("any other token IGAA… or EAA…", "controls an account of its own (see “A token's account”)"),
        Magic("token containing expired or revoked", "401, code 190, subcode 463 or 458"),
        Magic("token containing limited", "400, code 80002, with the minutes to wait"),
        Magic("token containing broken", "500, code 2"),
        Magic("token containing nopublishing", "publishing: 403, code 10"),
        Magic("token containing quota", "the posts of the day are used up: code 9, subcode 2207042"),
        Magic("token containing halves", "of an upload's first request only half is kept"),
        Magic("caption containing slowly", "processing takes a hundred times as long"),
        Magic("caption or video_url containing unprocessable", "processing ends in error 2207026"),
        Magic("image_url or video_url containing missing", "cannot be fetched: code 9004, subcode 2207052"),
        Magic("image_url ending in .png, .gif, .webp; containing toolarge; toowide", "codes 36001, 36000, 36003"),
    ),
)
