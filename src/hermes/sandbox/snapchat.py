"""Snap's Ads API, and below `/business` its Public Profile API.

A token is at least 8 of A-Z a-z 0-9 . _ -; each is a member of an organization of its own, with one ad account and one
public profile. What is uploaded is really received: parts in order and complete, and a profile's media decrypted with
the key that was given for it. Bytes are looked at, not kept.
Source: developers.snap.com/api/marketing-api and developers.snap.com/api/public-profile-api.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid4, uuid5

from hermes.sandbox.base import ActionError, Magic, Service, Stage, StandIn
from hermes.sandbox.http import Answer, Incoming, MalformedBody, html_error, json_answer
from hermes.sandbox.oauth_vendors import SNAPCHAT
from hermes.sandbox.snapchat_media import LARGEST_PART, Medium, SnapError, looks_like, read_key

TOKEN: Final = re.compile(r"^[A-Za-z0-9._-]{8,}$")
BUSINESS: Final = "/business"
UUID: Final = r"([0-9a-f-]{36})"
LONGEST: Final = {"name": 375, "headline": 34, "brand_name": 32}
READY_AFTER: Final = 1.0
TRANSCODED_AFTER: Final = 3.0

Route = Callable[[str, Incoming, dict[str, Any], Any], Any]


class SnapchatService(Service):
    """All members of the sandbox."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._media: dict[str, Medium] = {}
        self._routes: tuple[tuple[str, re.Pattern[str], Route], ...] = tuple(
            (method, re.compile(f"^{path}$"), route)
            for method, path, route in (
                ("GET", "/v1/me", self._me),
                ("GET", "/v1/me/organizations", self._organizations),
                ("POST", f"/v1/adaccounts/{UUID}/media", self._create_media),
                ("POST", f"/v1/media/{UUID}/upload", self._upload),
                ("POST", f"/v1/media/{UUID}/multipart-upload-v2", self._start_parts),
                ("POST", f"/us/v1/media/{UUID}/multipart-upload-v2/add", self._add_part),
                ("POST", f"/us/v1/media/{UUID}/multipart-upload-v2/finalize", self._finish_parts),
                ("GET", f"/v1/media/{UUID}", self._show_media),
                ("POST", f"/v1/adaccounts/{UUID}/creatives", self._create_creative),
                ("GET", f"{BUSINESS}/v1/public_profiles/my_profile", self._my_profile),
                ("POST", f"{BUSINESS}/v1/public_profiles/{UUID}/media", self._create_encrypted),
                ("POST", f"{BUSINESS}/us/v1/public_profiles/media/{UUID}/add", self._add_encrypted),
                ("POST", f"{BUSINESS}/us/v1/public_profiles/media/{UUID}/finalize", self._finish_encrypted),
                ("POST", f"{BUSINESS}/v1/public_profiles/{UUID}/stories", self._story),
                ("POST", f"{BUSINESS}/v1/public_profiles/{UUID}/saved_stories", self._saved_story),
                ("POST", f"{BUSINESS}/v1/public_profiles/{UUID}/spotlights", self._spotlight),
            )
        )

    # what every stand-in has

    def token_of(self, incoming: Incoming) -> str | None:
        return incoming.bearer

    async def answer(self, incoming: Incoming) -> Answer:
        try:
            token = _check_token(incoming.bearer)
            if "broken" in token:
                return html_error(502, "Bad Gateway")
            if incoming.path.startswith(BUSINESS) and "noprofile" in token:
                return Answer(403, b"")  # an app that is not allow-listed is told nothing
            return json_answer(await self._run(token, incoming))
        except SnapError as error:
            return _failure(error)
        except MalformedBody as error:
            return _failure(SnapError(400, "E1001", f"Malformed request: {error}"))

    def rate_limited(self, retry_after: int | None) -> Answer:
        answer = _failure(SnapError(429, "E1429", "Rate limit exceeded"))
        answer.headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
        return answer

    def error(self, code: int, message: str | None) -> Answer:
        status = code if 400 <= code <= 599 else 400
        return _failure(SnapError(status, f"E{code}", message or "The request was refused"))

    def account(self, token: str) -> dict[str, Any]:
        if not TOKEN.match(token):
            raise ActionError("token: at least 8 of A-Z a-z 0-9 . _ -")
        return {name: _id(token, name) for name in ("member", "organization", "ad_account", "profile")}

    def reset(self) -> None:
        self._media.clear()

    # the way in

    async def _run(self, token: str, incoming: Incoming) -> dict[str, Any]:
        for method, path, route in self._routes:
            found = path.match(incoming.path)
            if found and method == incoming.method:
                args, files = await incoming.body_args()
                content = next(iter(files.values())).content if files else None
                shown = route(token, incoming, {**args, "id": found[1] if found.groups() else ""}, content)
                return {"request_status": "SUCCESS", "request_id": uuid4().hex, **shown}
        raise SnapError(404, "E1008", "Resource can not be found")

    # the Ads API

    def _me(self, token: str, _incoming: Incoming, _args: dict[str, Any], _content: Any) -> Any:
        return {
            "me": {
                "id": _id(token, "member"),
                "email": "member@example.com",
                "display_name": "Sandbox member",
                "organization_id": _id(token, "organization"),
                "snapchat_username": "sandbox_member",
                "member_status": "MEMBER",
                "created_at": "2026-01-01T00:00:00.000Z",
                "updated_at": "2026-01-01T00:00:00.000Z",
            }
        }

    def _organizations(self, token: str, incoming: Incoming, _args: dict[str, Any], _content: Any) -> Any:
        organization: dict[str, Any] = {
            "id": _id(token, "organization"),
            "name": "Sandbox organization",
            "type": "ENTERPRISE",
            "my_display_name": "Sandbox member",
            "roles": ["admin"],
        }
        if incoming.query_args().get("with_ad_accounts") == "true":
            ids = [_id(token, "ad_account")] + ([_id(token, "second")] if "several" in token else [])
            organization["ad_accounts"] = [
                {
                    "id": account,
                    "name": f"Sandbox ad account {number}",
                    "type": "PARTNER",
                    "status": "ACTIVE",
                    "organization_id": organization["id"],
                    "currency": "USD",
                    "timezone": "America/Los_Angeles",
                    "roles": ["account_admin"],
                }
                for number, account in enumerate(ids, start=1)
            ]
        return {"organizations": [{"sub_request_status": "SUCCESS", "organization": organization}]}

    def _create_media(self, token: str, _incoming: Incoming, args: dict[str, Any], _content: Any) -> Any:
        self._own_account(token, args["id"])
        wanted = _only(args.get("media"))
        if wanted.get("type") not in ("VIDEO", "IMAGE") or not wanted.get("name"):
            return {"media": [_refused("E2002", "media.type and media.name are required")]}
        medium = self._new(token, wanted["type"])
        return {"media": [{"sub_request_status": "SUCCESS", "media": self._shown(medium)}]}

    def _upload(self, token: str, _incoming: Incoming, args: dict[str, Any], content: Any) -> Any:
        medium = self._find(token, args["id"])
        if content is None or len(content) > LARGEST_PART:
            raise SnapError(400, "E2003", "file is required and at most 32 MB")
        medium.receive(1, content)
        medium.finish(self._stage.clock.now())
        return {"result": self._shown(medium)}

    def _start_parts(self, token: str, incoming: Incoming, args: dict[str, Any], _content: Any) -> Any:
        medium = self._find(token, args["id"])
        if incoming.query_args().get("action") != "INIT":
            raise SnapError(400, "E2004", "action must be INIT")
        medium.expect(_number(args, "file_size"), _number(args, "number_of_parts"))
        path = f"/us/v1/media/{medium.id}/multipart-upload-v2"
        return {"upload_id": medium.upload_id, "add_path": f"{path}/add", "finalize_path": f"{path}/finalize"}

    def _add_part(self, token: str, _incoming: Incoming, args: dict[str, Any], content: Any) -> Any:
        medium = self._find(token, args["id"])
        if args.get("upload_id") != medium.upload_id or content is None or len(content) > LARGEST_PART:
            raise SnapError(400, "E2005", "upload_id, part_number and a file of at most 32 MB are required")
        medium.receive(_number(args, "part_number"), content)
        return {"result": {"part_number": _number(args, "part_number")}}

    def _finish_parts(self, token: str, _incoming: Incoming, args: dict[str, Any], _content: Any) -> Any:
        medium = self._find(token, args["id"])
        if args.get("upload_id") != medium.upload_id:
            raise SnapError(400, "E2005", "upload_id does not belong to this media")
        medium.finish(self._stage.clock.now())
        return {"result": self._shown(medium)}

    def _show_media(self, token: str, _incoming: Incoming, args: dict[str, Any], _content: Any) -> Any:
        medium = self._find(token, args["id"])
        return {"media": [{"sub_request_status": "SUCCESS", "media": self._shown(medium)}]}

    def _create_creative(self, token: str, _incoming: Incoming, args: dict[str, Any], _content: Any) -> Any:
        self._own_account(token, args["id"])
        wanted = _only(args.get("creatives"))
        too_long = next((key for key, most in LONGEST.items() if len(str(wanted.get(key) or "")) > most), None)
        if too_long is not None:
            return {"creatives": [_refused("E2006", f"{too_long} is too long")]}
        if wanted.get("type") != "SNAP_AD" or not wanted.get("profile_properties", {}).get("profile_id"):
            return {"creatives": [_refused("E2007", "type and profile_properties.profile_id are required")]}
        medium = self._find(token, str(wanted.get("top_snap_media_id")))
        if self._status(medium) != "READY":
            return {"creatives": [_refused("E2008", "top_snap_media_id is not READY")]}
        creative = {**wanted, "id": str(uuid4()), "packaging_status": "PENDING", "review_status": "PENDING_REVIEW"}
        self._note(token, "creative", str(wanted.get("headline") or wanted["name"]), creative["id"])
        return {"creatives": [{"sub_request_status": "SUCCESS", "creative": creative}]}

    # the Public Profile API

    def _my_profile(self, token: str, _incoming: Incoming, _args: dict[str, Any], _content: Any) -> Any:
        if "unlisted" in token:
            return {"public_profiles": []}
        profile = {
            "id": _id(token, "profile"),
            "organization_id": _id(token, "organization"),
            "display_name": "Sandbox profile",
            "snap_user_name": "sandbox_member",
            "profile_type": "BUSINESS",
            "profile_tier": "TIER_PUBLIC",
        }
        if "wrapped" in token:
            return {"public_profiles": [{"sub_request_status": "SUCCESS", "public_profile": profile}]}
        return {"public_profile": profile}

    def _create_encrypted(self, token: str, _incoming: Incoming, args: dict[str, Any], _content: Any) -> Any:
        self._own_profile(token, args["id"])
        if args.get("type") not in ("VIDEO", "IMAGE"):
            raise SnapError(400, "E3001", "type must be VIDEO or IMAGE")
        medium = self._new(token, str(args["type"]))
        medium.secret = read_key(args.get("key"), args.get("iv"))
        path = f"/us/v1/public_profiles/media/{medium.id}"
        made = {"media_id": medium.id, "add_path": f"{path}/add", "finalize_path": f"{path}/finalize"}
        return {"media": [{"sub_request_status": "SUCCESS", "media": made}]} if "wrapped" in token else made

    def _add_encrypted(self, token: str, _incoming: Incoming, args: dict[str, Any], content: Any) -> Any:
        medium = self._find(token, args["id"])
        if args.get("action") != "ADD" or content is None or len(content) > LARGEST_PART:
            raise SnapError(400, "E3002", "action ADD, part_number and a file of at most 32 MB are required")
        medium.receive(_number(args, "part_number"), content)
        return {}

    def _finish_encrypted(self, token: str, _incoming: Incoming, args: dict[str, Any], _content: Any) -> Any:
        if args.get("action") != "FINALIZE":
            raise SnapError(400, "E3003", "action must be FINALIZE")
        self._find(token, args["id"]).finish(self._stage.clock.now())
        return {}

    def _story(self, token: str, _incoming: Incoming, args: dict[str, Any], _content: Any) -> Any:
        return {"snap_id": self._published(token, args, args.get("media_id"), "story", "")}

    def _saved_story(self, token: str, _incoming: Incoming, args: dict[str, Any], _content: Any) -> Any:
        story = _only(args.get("saved_stories"))
        title = str(story.get("title") or "")
        if not 1 <= len(title) <= 45:
            raise SnapError(400, "E3005", "title must have 1 to 45 characters")
        number = self._published(token, args, _only(story.get("snap_sources")).get("media_id"), "saved story", title)
        return {"saved_stories": [{"sub_request_status": "SUCCESS", "saved_story": {"id": number, "title": title}}]}

    def _spotlight(self, token: str, _incoming: Incoming, args: dict[str, Any], _content: Any) -> Any:
        text = str(args.get("description") or "")
        if len(text) > 160 or not args.get("locale"):
            raise SnapError(400, "E3006", "locale is required, and description has at most 160 characters")
        if self._find(token, str(args.get("media_id"))).kind != "VIDEO":
            raise SnapError(400, "E3007", "a spotlight is a video")
        return {"spotlight_id": self._published(token, args, args.get("media_id"), "spotlight", text)}

    # state

    def _published(self, token: str, args: dict[str, Any], media_id: Any, kind: str, text: str) -> str:
        self._own_profile(token, args["id"])
        medium = self._find(token, str(media_id))
        if medium.finished_at is None:
            raise SnapError(400, "E3008", "Media was not finalized")
        if self._stage.clock.now() < medium.finished_at + TRANSCODED_AFTER:
            raise SnapError(400, "E3009", "Media is still being processed")
        if not looks_like(medium):
            raise SnapError(400, "E3010", "Media could not be decrypted, or is corrupt")
        number = str(uuid4())
        self._note(token, kind, text, number)
        return number

    def _note(self, token: str, kind: str, text: str, number: str) -> None:
        self._stage.note("snapchat", token, "out", _id(token, "profile"), "everyone", kind, text, number, "published")

    def _new(self, token: str, kind: str) -> Medium:
        medium = Medium(str(uuid4()), kind, _id(token, "member"))
        self._media[medium.id] = medium
        return medium

    def _find(self, token: str, media_id: str) -> Medium:
        medium = self._media.get(media_id)
        if medium is None or medium.owner != _id(token, "member"):
            raise SnapError(404, "E1008", "Resource can not be found")
        return medium

    def _status(self, medium: Medium) -> str:
        if medium.finished_at is None:
            return "PENDING_UPLOAD"
        if self._stage.clock.now() < medium.finished_at + READY_AFTER:
            return "PROCESSING"
        return "READY" if looks_like(medium) else "FAILED"

    def _shown(self, medium: Medium) -> dict[str, Any]:
        return {"id": medium.id, "type": medium.kind, "media_status": self._status(medium)}

    @staticmethod
    def _own_account(token: str, account: str) -> None:
        if "norole" in token or account not in (_id(token, "ad_account"), _id(token, "second")):
            raise SnapError(403, "E1004", "Member does not have a role that allows this")

    @staticmethod
    def _own_profile(token: str, profile: str) -> None:
        if profile != _id(token, "profile"):
            raise SnapError(404, "E1008", "Resource can not be found")


def _id(token: str, what: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"{token}/{what}"))


def _check_token(token: str | None) -> str:
    if token is None or not TOKEN.match(token) or "expired" in token or "revoked" in token:
        raise SnapError(401, "E1401", "The access token is invalid, expired or revoked")
    if "limited" in token:
        raise SnapError(429, "E1429", "Rate limit exceeded")
    return token


def _failure(error: SnapError) -> Answer:
    body = {
        "request_status": "ERROR",
        "request_id": uuid4().hex,
        "debug_message": error.message,
        "display_message": error.message,
        "error_code": error.code,
    }
    return json_answer(body, error.status)


def _refused(code: str, reason: str) -> dict[str, str]:
    return {"sub_request_status": "ERROR", "sub_request_error_reason": reason, "error_code": code}


def _only(value: Any) -> dict[str, Any]:
    if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], dict):
        raise SnapError(400, "E1001", "exactly one entity is expected")
    return value[0]


def _number(args: dict[str, Any], name: str) -> int:
    value = str(args.get(name, ""))
    if not value.isascii() or not value.isdigit():
        raise SnapError(400, "E1001", f"{name} must be a number")
    return int(value)


stand_in = StandIn(
    "snapchat",
    "Snapchat",
    SnapchatService,
    oauth=(SNAPCHAT,),
    magic=(
        Magic("a token with noprofile", "the app is not allow-listed for the Public Profile API: 403 without a body"),
        Magic("a token with norole", "no role in the ad account: 403"),
        Magic("a token with several", "two ad accounts"),
        Magic("a token with wrapped / unlisted", "the profile in a list of wrapped ones / none at all"),
    ),
)
