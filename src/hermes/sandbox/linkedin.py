"""LinkedIn's API: sign-in, posts, uploads, and the two APIs for partners.

A token is `AQ` and at least five of A-Z a-z 0-9 _ -; each is a member of its own. It has the scopes of the self-serve
products (openid profile email w_member_social); one that contains `partner` has the partners' as well, and one that was
issued with the permissions for organizations has those.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import unquote

import orjson

from hermes.sandbox.base import ActionError, Magic, Service, Stage, StandIn
from hermes.sandbox.http import Answer, Incoming, MalformedBody, derived_digits, html_error, json_answer
from hermes.sandbox.linkedin_media import PATH as UPLOAD_PATH
from hermes.sandbox.linkedin_media import Asset, Assets
from hermes.sandbox.linkedin_organizations import ALLOWED, SCOPES, LinkedInDesk, find_roles, look_up, may_post, roles_of
from hermes.sandbox.linkedin_posts import AUTHOR, LinkedInError, check_post, shown_text
from hermes.sandbox.oauth_vendors import LINKEDIN

TOKEN = re.compile(r"^AQ[A-Za-z0-9_-]{5,}$")
LIVING_VERSIONS = range(202512, 202612)
PERSON = re.compile(r"^urn:li:person:[A-Za-z0-9_-]+$")
SELF_SERVE = ("openid", "profile", "email", "w_member_social")
PARTNER = ("r_1st_connections", "w_messages", "r_organization_social", *SCOPES)
POSTS_A_DAY = 150
DUPLICATE_SECONDS = 600.0
CONNECTIONS = 137
FIRST = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Radia")
LAST = ("Lovelace", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "Perlman", "Łukasiewicz")
WORK = ("Engineer at Acme", "Head of Sales", "Designer", "Founder at Umbrella")
ERRORS: dict[int, tuple[int, str | None, int | None, str]] = {
    65600: (401, "INVALID_ACCESS_TOKEN", 65600, "Invalid access token"),
    65601: (401, "REVOKED_ACCESS_TOKEN", 65601, "The token used in the request has been revoked by the user"),
    65602: (401, "EXPIRED_ACCESS_TOKEN", 65602, "The token used in the request has expired"),
    100: (403, "ACCESS_DENIED", 100, "Not enough permissions to access: partnerApiPostsExternal.CREATE.20260901"),
    101: (
        429, "TOO_MANY_REQUESTS", 101,
        "Resource level throttle APPLICATION_AND_MEMBER DAY limit for calls to this resource is reached.",
    ),
    400: (400, "ILLEGAL_ARGUMENT", None, "Illegal argument"),
    404: (404, "RESOURCE_NOT_FOUND", None, "Could not find entity"),
    409: (409, "CONFLICT", None, "Conflicting update"),
    422: (422, "INVALID_CONTENT", None, "Unprocessable entity"),
    426: (426, "NONEXISTENT_VERSION", None, "Requested version 20250101 is not active"),
}  # fmt: skip
Route = Callable[[Incoming, str], Answer]


class LinkedInService(Service):
    """All members of the sandbox."""

    max_body = 128 * 1024 * 1024

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._assets = Assets(stage.clock)
        self._numbers = count(1)
        self._posts: dict[tuple[str, bytes], tuple[str, float]] = {}
        self._today: Counter[tuple[str, str]] = Counter()
        self._routes: dict[tuple[str, str], Route] = {
            ("GET", "/v2/userinfo"): self._userinfo,
            ("GET", "/v2/connections"): self._connections,
            ("GET", "/rest/organizationAcls"): self._roles,
            ("GET", "/rest/organizationsLookup"): self._organizations,
            ("POST", "/v2/messages"): self._message,
            ("POST", "/rest/posts"): self._post,
            ("POST", "/rest/images"): self._upload,
            ("POST", "/rest/documents"): self._upload,
            ("POST", "/rest/videos"): self._upload,
        }

    # what every stand-in has

    def token_of(self, incoming: Incoming) -> str | None:
        return incoming.bearer or self._assets.token_of(incoming.path)

    async def answer(self, incoming: Incoming) -> Answer:
        try:
            return self._answer(incoming)
        except LinkedInError as error:
            return json_answer(error.body, error.status, headers=_trace())
        except MalformedBody as error:
            return json_answer({"status": 400, "message": f"Cannot parse the request body: {error}"}, 400)

    def rate_limited(self, retry_after: int | None) -> Answer:
        headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
        error = _error(101)
        return json_answer(error.body, error.status, headers=headers)

    def error(self, code: int, message: str | None) -> Answer:
        error = _error(code, message)
        return json_answer(error.body, error.status)

    def account(self, token: str) -> dict[str, Any]:
        if not TOKEN.match(token):
            raise ActionError("token: AQ and at least five of A-Z a-z 0-9 _ -")
        organizations = " ".join(str(one.organization) for one in roles_of(token))
        return {"member": member_urn(token), "scopes": " ".join(_scopes(token)), "organizations": organizations}

    def reset(self) -> None:
        self._assets.clear()
        self._posts.clear()
        self._today.clear()

    # the way in

    def _answer(self, incoming: Incoming) -> Answer:
        if UPLOAD_PATH.match(incoming.path):
            return self._assets.receive(incoming)
        token = _check_token(incoming.bearer)
        if "broken" in token:
            return html_error(502, "Bad Gateway")
        if incoming.path.startswith("/rest/"):
            _check_version(incoming)
        route = self._routes.get((incoming.method, incoming.path))
        if route is not None:
            return route(incoming, token)
        kind, _, urn = incoming.path.removeprefix("/rest/").partition("/")
        if incoming.method == "GET" and kind in ("images", "documents", "videos") and urn:
            return self._status(incoming, token, kind)
        raise _error(404, "No virtual resource found")

    def _userinfo(self, _incoming: Incoming, token: str) -> Answer:
        _need(token, "openid", "GET /userinfo")
        number = derived_digits(token.removesuffix(ALLOWED), "member", 6)
        shown = {
            "sub": member_urn(token).rpartition(":")[2],
            "name": f"Sandbox Member {number}",
            "given_name": "Sandbox",
            "family_name": f"Member {number}",
            "picture": "https://media.licdn-ei.com/dms/image/sandbox",
            "locale": {"country": "US", "language": "en"},
        }
        if "noemail" not in token:
            shown |= {"email": f"member{number}@example.com", "email_verified": "true"}
        return json_answer(shown)

    def _connections(self, incoming: Incoming, token: str) -> Answer:
        _need(token, "r_1st_connections", "GET /connections")
        args = incoming.query_args()
        if args.get("q") != "viewer":
            raise _error(400, "Parameter 'q' is required")
        start, size = _number(args, "start", 0), min(_number(args, "count", 10), 50)
        if "partnerempty" in token:
            return json_answer({"elements": [], "paging": {"start": start, "count": size, "total": 0, "links": []}})
        numbers = range(start, min(start + size, CONNECTIONS))
        links = []
        if start + size < CONNECTIONS:
            href = f"/v2/connections?q=viewer&start={start + size}&count={size}"
            links.append({"type": "application/json", "rel": "next", "href": href})
        paging = {"start": start, "count": size, "total": CONNECTIONS, "links": links}
        whole = "to~" in args.get("projection", "")
        return json_answer({"elements": [_connection(number, whole=whole) for number in numbers], "paging": paging})

    def _roles(self, incoming: Incoming, token: str) -> Answer:
        _need(token, "rw_organization_admin", "organizationAcls.FINDER-roleAssignee.20260901")
        args = incoming.query_args()
        start, size = _number(args, "start", 0), min(_number(args, "count", 10), 100)
        return json_answer(find_roles(token, member_urn(token), args, start, size))

    def _organizations(self, incoming: Incoming, token: str) -> Answer:
        _need(token, "rw_organization_admin", "organizationsLookup.BATCH_GET.20260901")
        return json_answer(look_up(incoming.query))

    def _message(self, incoming: Incoming, token: str) -> Answer:
        _need(token, "w_messages", "POST /messages")
        given = incoming.json_object()
        recipients = given.get("recipients")
        if not isinstance(recipients, list) or not recipients or not given.get("body"):
            raise LinkedInError(400, "MISSING_FIELD", "recipients and body are required", path="/recipients")
        if given.get("messageType") != "MEMBER_TO_MEMBER":
            raise LinkedInError(400, "ILLEGAL_ARGUMENT", "messageType is not an enum symbol", path="/messageType")
        known = {_connection(number, whole=False)["to"] for number in range(CONNECTIONS)}
        for urn in recipients:
            if not PERSON.match(str(urn)):
                raise LinkedInError(400, "ILLEGAL_ARGUMENT", f"{urn} is not a person URN", path="/recipients")
            if urn not in known:
                raise _error(100, f"Not enough permissions: {urn} is not a 1st-degree connection")
        urn = f"urn:li:message:{next(self._numbers):010}"
        text = str(given["body"])
        self._stage.note(
            "linkedin", token, "out", member_urn(token), ", ".join(recipients), "message", text, urn, "sent"
        )
        return Answer(201, b"", headers=(("x-restli-id", urn),))

    def _post(self, incoming: Incoming, token: str) -> Answer:
        post = incoming.json_object()
        media = check_post(post)
        self._may_write(token, post["author"], "partnerApiPostsExternal.CREATE.20260901")
        for urn in media:
            self._check_media(urn, post["author"])
        now = self._stage.clock.now()
        same = (post["author"], orjson.dumps([post["commentary"], post.get("content"), post.get("reshareContext")]))
        existing, at = self._posts.get(same, ("", 0.0))
        if existing and now < at + DUPLICATE_SECONDS:
            raise LinkedInError(422, "DUPLICATE_POST", f"Content is a duplicate of {existing}", path="/commentary")
        day = (post["author"], datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d"))
        if self._stage.options.vendor_limits and self._today[day] >= POSTS_A_DAY:
            raise _error(101)
        self._today[day] += 1
        kind = "ugcPost" if any(":video:" in urn for urn in media) else "share"
        urn = f"urn:li:{kind}:{7_000_000_000_000_000_000 + next(self._numbers)}"
        self._posts[same] = (urn, now)
        text = shown_text(post["commentary"])
        self._stage.note("linkedin", token, "out", post["author"], post["visibility"], "post", text, urn, "published")
        return Answer(201, b"", headers=(("x-restli-id", urn), ("Location", f"/posts/{urn}"), *_trace()))

    def _upload(self, incoming: Incoming, token: str) -> Answer:
        kind = incoming.path.removeprefix("/rest/").removesuffix("s")
        action, given = incoming.query_args().get("action"), incoming.json_object()
        if action == "initializeUpload":
            request = given.get("initializeUploadRequest")
            if not isinstance(request, dict) or not AUTHOR.match(str(request.get("owner"))):
                raise LinkedInError(400, "MISSING_FIELD", "owner :: field is required", path="/owner")
            self._may_write(token, request["owner"], f"partnerApi{kind.title()}s.INITIALIZE.20260901")
            return json_answer({"value": self._assets.start(kind, request["owner"], token, request, incoming.origin)})
        if action == "finalizeUpload" and kind == "video":
            request = given.get("finalizeUploadRequest")
            request = request if isinstance(request, dict) else {}
            asset = self._mine(str(request.get("video")), token)
            self._assets.finish(asset, request)
            told = f"{len(asset.parts)} parts, sha256 {' '.join(asset.digests)}"
            self._stage.note("linkedin", token, "out", asset.owner, "", "video", told, asset.urn, "uploaded")
            return Answer(200, b"")
        raise _error(400, f"Action {action} is not supported")

    def _status(self, incoming: Incoming, token: str, kind: str) -> Answer:
        urn = incoming.raw_path.rpartition("/")[2]
        if ":" in urn:
            raise _error(400, "Invalid key: the URN must be URL-encoded")
        if kind != "videos":
            _need(token, "r_organization_social", f"partnerApi{kind.title()}.GET.20260901")
        asset = self._mine(unquote(urn), token)
        return json_answer(asset.described(self._stage.clock.now()))

    # parts

    def _may_write(self, token: str, author: str, what: str) -> None:
        _need(token, "w_member_social" if ":person:" in author else "w_organization_social", what)
        if author != member_urn(token) and not may_post(token, author):
            raise _error(100, f"Not enough permissions to access: {what}")

    def _mine(self, urn: str, token: str) -> Asset:
        asset = self._assets.find(urn)
        if asset is None:
            raise _error(404, f"Could not find entity {urn}")
        if asset.token != token:
            raise _error(100, f"Accessing this {asset.kind} resource is forbidden")
        return asset

    def _check_media(self, urn: str, author: str) -> None:
        asset = self._assets.find(urn)
        if asset is None or asset.owner != author:
            raise LinkedInError(
                422, "INVALID_CONTENT", f"{urn} does not belong to the author", path="/content/media/id"
            )
        status = asset.status(self._stage.clock.now())
        if status != "AVAILABLE":
            raise LinkedInError(400, f"MEDIA_ASSET_{status}", f"The media asset {urn} is {status}")


def member_urn(token: str) -> str:
    """The member whom a token belongs to."""
    return f"urn:li:person:S{derived_digits(token.removesuffix(ALLOWED), 'member', 9)}"


def _scopes(token: str) -> tuple[str, ...]:
    scopes = SELF_SERVE + (PARTNER if "partner" in token else SCOPES if token.endswith(ALLOWED) else ())
    return tuple(scope for scope in scopes if not ("noshare" in token and scope == "w_member_social"))


def _need(token: str, scope: str, what: str) -> None:
    if scope not in _scopes(token):
        raise _error(100, f"Not enough permissions to access: {what}")


def _check_token(token: str | None) -> str:
    if token is None:
        raise LinkedInError(401, "EMPTY_ACCESS_TOKEN", "Empty oauth2 access token", service=65604)
    for word, code in (("expired", 65602), ("revoked", 65601), ("limited", 101)):
        if word in token:
            raise _error(code)
    if not TOKEN.match(token):
        raise _error(65600)
    return token


def _check_version(incoming: Incoming) -> None:
    version = incoming.headers.get("linkedin-version", "")
    if not version:
        raise LinkedInError(400, "VERSION_MISSING", "A version must be present. Please specify a version")
    if not re.fullmatch(r"[0-9]{6}", version) or int(version) not in LIVING_VERSIONS:
        raise _error(426, f"Requested version {version}01 is not active")
    if incoming.headers.get("x-restli-protocol-version") != "2.0.0":
        raise _error(400, "X-Restli-Protocol-Version must be 2.0.0")


def _number(args: dict[str, str], name: str, default: int) -> int:
    given = args.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", given):
        raise _error(400, f"Parameter '{name}' is invalid")
    return int(given)


def _error(code: int, message: str | None = None) -> LinkedInError:
    status, name, service, usual = ERRORS.get(code, (code if 400 <= code < 600 else 400, None, None, "Bad request"))
    return LinkedInError(status, name, message or usual, service=service)


def _connection(number: int, *, whole: bool) -> dict[str, Any]:
    element: dict[str, Any] = {"to": f"urn:li:person:C{number:06}"}
    if whole:
        first, last = FIRST[number % len(FIRST)], LAST[number % len(LAST)]
        element["to~"] = {
            "localizedFirstName": first,
            "localizedLastName": last,
            "localizedHeadline": WORK[number % len(WORK)],
            "vanityName": f"{first}-{number}".lower(),
        }
    return element


def _trace() -> tuple[tuple[str, str], ...]:
    return (("x-li-fabric", "prod-sandbox"), ("x-li-request-id", "AAYsandbox"))


stand_in = StandIn(
    id="linkedin",
    title="LinkedIn",
    create=LinkedInService,
    oauth=(LINKEDIN,),
    desk=LinkedInDesk,
    magic=(
        Magic("token AQ…", "a member of its own, with the scopes of the self-serve products"),
        Magic("token containing partner", "has the scopes for connections, messages and pages as well"),
        Magic("token containing nopages", "its member may post for no organization; others' for 1337 and 2414183"),
        Magic("token containing manypages", "its member administers 130 organizations"),
        Magic("token containing partnerempty", "a partner's, whose member has no connections"),
        Magic("token containing noshare", "lacks w_member_social"),
        Magic("token containing noemail", "lacks the e-mail address"),
        Magic("token containing expired or revoked", "401, 65602 or 65601"),
        Magic("token containing limited", "429, 101"),
        Magic("token containing broken", "502 without JSON"),
        Magic("a video that is no MP4, an image that is none", "ends in PROCESSING_FAILED"),
        Magic("the same post again within ten minutes", "422 DUPLICATE_POST, naming the first"),
        Magic("LinkedIn-Version below 202512 or above 202611", "426"),
    ),
)
