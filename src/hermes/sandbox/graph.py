"""What Meta's Graph API shares over its products: versions, tokens, the error envelope, headers, paging.

Source: developers.facebook.com/docs/graph-api and, for the codes from 130000 up, the WhatsApp Cloud API's error page.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

from hermes.sandbox.http import Answer, Incoming, MalformedBody, json_answer

NEWEST = (26, 0)
OLDEST_LIVING = (21, 0)
VERSIONED = re.compile(r"^/v(\d{1,3})\.(\d)(/.*)?$")
TOKEN = re.compile(r"^EAA[A-Za-z0-9_-]{5,}$")
APP_TOKEN = re.compile(r"^\d+\|.+$")
GRAPH_DOCS = "https://developers.facebook.com/docs/graph-api"
LARGEST_PAGE = 1000

MESSAGES: dict[int, tuple[int, str]] = {
    0: (401, "AuthException"),
    1: (500, "An unknown error occurred"),
    2: (503, "Service temporarily unavailable"),
    3: (500, "Application does not have the capability to make this API call."),
    4: (429, "Application request limit reached"),
    10: (403, "Application does not have permission for this action"),
    17: (400, "User request limit reached"),
    32: (403, "Page request limit reached"),
    33: (400, "Unsupported request"),
    100: (400, "Invalid parameter"),
    102: (401, "Session key invalid or no longer valid"),
    104: (401, "An access token is required to request this resource."),
    190: (401, "Invalid OAuth access token - Cannot parse access token"),
    200: (403, "You do not have the necessary permissions to complete this action."),
    324: (400, "Missing or invalid image file"),
    341: (400, "Feed action request limit reached"),
    352: (400, "The video file you selected is in a format that we don't support."),
    368: (403, "Temporarily blocked for policies violations"),
    382: (400, "The video file you tried to upload is too small."),
    389: (400, "Unable to fetch video file from URL."),
    506: (400, "Duplicate status message"),
    613: (400, "Calls to this api have exceeded the rate limit."),
    803: (404, "Some of the aliases you requested do not exist"),
    2200: (400, "Callback verification failed"),
    2500: (400, "An active access token must be used to query information about the current user."),
    6000: (400, "There was a problem uploading your video file. Please try again."),
    6001: (400, "There was a problem uploading your video file. Please try again with another file."),
    9004: (400, "The media could not be fetched from this uri"),
    9007: (400, "The media is not ready to be published"),
    36000: (400, "The image size is too large."),
    36001: (400, "The image format is not supported."),
    36003: (400, "The aspect ratio is not supported."),
    80001: (400, "There have been too many calls to this Page account. Wait a bit and try again."),
    80002: (400, "There have been too many calls to this Instagram account. Wait a bit and try again."),
    80007: (429, "There have been too many calls to this WhatsApp Business account. Wait a bit and try again."),
    130429: (429, "Rate limit hit"),
    130472: (400, "User's number is part of an experiment"),
    130497: (403, "Business account is restricted from messaging users in this country."),
    131000: (500, "Something went wrong"),
    131005: (403, "Access denied"),
    131008: (400, "Required parameter is missing"),
    131009: (400, "Parameter value is not valid"),
    131016: (503, "Service unavailable"),
    131021: (400, "Recipient cannot be sender"),
    131026: (400, "Message undeliverable"),
    131030: (400, "Recipient phone number not in allowed list"),
    131031: (403, "Account has been locked"),
    131037: (400, "WhatsApp provided number needs display name approval before message can be sent."),
    131042: (400, "Business eligibility payment issue"),
    131045: (400, "Incorrect certificate"),
    131047: (400, "Re-engagement message"),
    131048: (429, "Spam Rate limit hit"),
    131049: (400, "This message was not delivered to maintain healthy ecosystem engagement."),
    131050: (400, "User has stopped marketing messages from your business"),
    131051: (400, "Unsupported message type"),
    131052: (400, "Media download error"),
    131053: (400, "Media upload error"),
    131056: (429, "(Business Account, Consumer Account) pair rate limit hit"),
    131057: (500, "Account in maintenance mode"),
    131062: (400, "Business-scoped user id is not supported for this message"),
    131063: (400, "Marketing templates are disabled on Cloud API"),
    131064: (400, "Messaging limit reached"),
    132000: (400, "Number of parameters does not match the expected number of params"),
    132001: (404, "Template name does not exist in the translation"),
    132005: (400, "Template hydrated text too long"),
    132007: (400, "Template format character policy violated"),
    132008: (400, "Template parameter value is invalid"),
    132012: (400, "Parameter format does not match format in the created template"),
    132015: (400, "Template is paused"),
    132016: (400, "Template is disabled"),
    132018: (400, "Template parameter text is invalid"),
    133010: (400, "Phone number not registered"),
    133016: (429, "Account register deregister rate limit exceeded"),
    135000: (400, "Generic user error"),
    137000: (400, "Identity key hash mismatch"),
}  # fmt: skip
UNNUMBERED = frozenset({0, 1, 2, 104, 190, 2500})
THROTTLED = frozenset({4, 17, 32, 613, 80001, 80002})
TRANSIENT = frozenset({1, 2, 4, 80001, 80002, 80007, 130429, 131000, 131016, 131048, 131056, 131057})


class GraphError(Exception):
    """A refusal in Graph's envelope."""

    def __init__(
        self,
        code: int,
        message: str | None = None,
        *,
        details: str | None = None,
        subcode: int | None = None,
        status: int | None = None,
        kind: str = "OAuthException",
        user: tuple[str, str] | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        usual_status, usual = MESSAGES.get(code, (400, "Unknown error"))
        self.code = code
        self.title = message or usual
        self.message = self.title if message or code in UNNUMBERED else f"(#{code}) {usual}"
        self.details = details
        self.subcode = subcode
        self.status = status or usual_status
        self.kind = kind
        self.user = user
        self.data = data
        super().__init__(self.message)

    def body(self, trace: str) -> dict[str, Any]:
        error: dict[str, Any] = {"message": self.message, "type": self.kind, "code": self.code}
        if self.details is not None:
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        if self.data is not None:
            error["error_data"] = dict(self.data)
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.user is not None:
            error["error_user_title"], error["error_user_msg"] = self.user
        if self.code in TRANSIENT:
            error["is_transient"] = True
        return {"error": error | {"fbtrace_id": trace}}


def parameter_error(message: str) -> GraphError:
    return GraphError(100, f"(#100) {message}")


@dataclass(slots=True)
class GraphCall:
    """A request to a versioned path: `parts` of the path, arguments of query and body together."""

    method: str
    version: str
    parts: tuple[str, ...]
    token: str = field(repr=False)
    args: dict[str, Any]
    incoming: Incoming = field(repr=False)


def split_version(path: str) -> tuple[str, tuple[str, ...]]:
    """The version that serves a path, and the path's parts after it.

    An old version is served by the oldest living one; one that is missing or does not exist yet is refused.

    Raises:
        GraphError: 2500, as Meta answers a path it does not know.
    """
    found = VERSIONED.match(path)
    if found is None or (int(found[1]), int(found[2])) > NEWEST or int(found[2]) != 0:
        raise GraphError(2500, f"Unknown path components: {path or '/'}")
    version = max((int(found[1]), int(found[2])), OLDEST_LIVING)
    return f"v{version[0]}.{version[1]}", tuple(part for part in (found[3] or "").split("/") if part)


def token_in(incoming: Incoming) -> str | None:
    """The token of a request: header first, then `access_token` in query or body."""
    scheme, _, token = incoming.headers.get("authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "oauth") and token.strip():
        return token.strip()
    if "access_token=" in incoming.query:
        return incoming.query_args().get("access_token") or None
    if b"access_token" in incoming.body and incoming.content_type != "multipart/form-data":
        try:
            given = orjson.loads(incoming.body) if incoming.content_type == "application/json" else _form(incoming.body)
        except ValueError:
            return None
        token_given = given.get("access_token") if isinstance(given, dict) else None
        return token_given if isinstance(token_given, str) else None
    return None


def check_token(token: str | None, *, about: tuple[str, ...], form: re.Pattern[str] = TOKEN, limit: int = 80007) -> str:
    """The token, if a call may go on with it. `limit` is the product's code for a caller that is too fast.

    Raises:
        GraphError: missing (104; 2500 on `me`), not of the form, expired, revoked, limited or broken.
    """
    if token is None:
        raise GraphError(2500) if about[:1] == ("me",) else GraphError(104)
    state = token_state(token, form, limit)
    if state is not None:
        raise state
    return token


def token_state(token: str, form: re.Pattern[str] = TOKEN, limit: int = 80007) -> GraphError | None:
    """Why a token does not work, or None."""
    if not form.match(token):
        return GraphError(190)
    if "expired" in token:
        text = "Error validating access token: Session has expired on Thursday, 01-Oct-26 00:00:00 PDT."
        return GraphError(190, text, subcode=463)
    if "revoked" in token:
        text = "Error validating access token: The user has not authorized application 1029384756."
        return GraphError(190, text, subcode=458)
    if "limited" in token:
        return GraphError(limit)
    if "broken" in token:
        return GraphError(2, status=500)
    return None


def check_proof(args: Mapping[str, Any], token: str, app_secret: str) -> None:
    """Refuse an `appsecret_proof` that is not the HMAC-SHA256 of the token under the app's secret."""
    proof = args.get("appsecret_proof")
    if proof is not None:
        right = hmac.new(app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(str(proof).encode(), right.encode()):
            raise GraphError(100, "Invalid appsecret_proof provided in the API argument")


def missing_object(method: str, number: str) -> GraphError:
    """The answer about an object that does not exist or is somebody else's: Graph does not say which."""
    text = (
        f"Unsupported {method.lower()} request. Object with ID '{number}' does not exist, cannot be loaded due to "
        "missing permissions, or does not support this operation. Please read the Graph API documentation at "
        f"{GRAPH_DOCS}"
    )
    return GraphError(100, text, subcode=33, kind="GraphMethodException")


def usage_header(number: str, percent: int, minutes: int, product: str = "whatsapp") -> tuple[str, str]:
    """`X-Business-Use-Case-Usage`; the time to wait is in minutes."""
    usage = {
        "type": product,
        "call_count": percent,
        "total_cputime": min(percent, 25),
        "total_time": min(percent, 25),
        "estimated_time_to_regain_access": minutes,
    }
    return "X-Business-Use-Case-Usage", orjson.dumps({number: [usage]}).decode()


def graph_answer(value: Any, version: str, business: str, status: int = 200, product: str = "whatsapp") -> Answer:
    """A success with Graph's headers."""
    return json_answer(value, status, (*_headers(version), usage_header(business, 2, 0, product)))


def graph_failure(
    error: GraphError, version: str, business: str, minutes: int | None = 1, product: str = "whatsapp"
) -> Answer:
    """An error in its envelope, with the headers that belong to it; `minutes` None: without a hint when to return."""
    trace = secrets.token_urlsafe(16)[:22]
    headers = list(_headers(version, trace))
    if error.code == 190:
        reason = error.message.replace('"', "'")
        headers.append(("WWW-Authenticate", f'OAuth "Facebook Platform" "invalid_token" "{reason}"'))
    if (error.status == 429 or error.code in THROTTLED) and minutes is not None:
        headers.append(usage_header(business, 100, minutes, product))
    return json_answer(error.body(trace), error.status, tuple(headers))


def _headers(version: str, trace: str | None = None) -> tuple[tuple[str, str], ...]:
    trace = trace or secrets.token_urlsafe(16)[:22]
    return (
        ("facebook-api-version", version),
        ("x-fb-trace-id", trace),
        ("x-fb-request-id", trace[::-1]),
        ("cache-control", "private, no-cache, no-store, must-revalidate"),
    )


def choose_fields(node: Mapping[str, Any], asked: Any, default: Sequence[str], node_type: str) -> dict[str, Any]:
    """The fields asked for (`fields=a,b{c}`), always with the id.

    Raises:
        GraphError: 100 for a field that the node does not have.
    """
    names = (
        [name.strip() for name in re.sub(r"\{[^}]*\}|\.\w+\([^)]*\)", "", str(asked)).split(",")] if asked else default
    )
    for name in names:
        if name not in node:
            raise parameter_error(f"Tried accessing nonexisting field ({name}) on node type ({node_type})")
    return {name: node[name] for name in dict.fromkeys((*names, "id"))}


def page(items: Sequence[Mapping[str, Any]], call: GraphCall, base: str) -> dict[str, Any]:
    """One page of a listing, by cursor.

    Between two pages comes an empty one that still has `next`, as happens when Meta leaves out what it filtered; and
    `next` holds the token. Clients have to cope with both.
    """
    limit = _limit(call.args.get("limit"))
    start, gap = _from_cursor(call.args.get("after"))
    shown = [] if gap else list(items[start : start + limit])
    end = start + len(shown)
    answer: dict[str, Any] = {"data": shown}
    if not items:
        return answer
    after = _cursor(end, gap=not gap)
    paging: dict[str, Any] = {"cursors": {"before": _cursor(start, gap=False), "after": after}}
    if end < len(items):
        query = {name: value for name, value in call.args.items() if name not in ("after", "before", "access_token")}
        query |= {"limit": limit, "after": after, "access_token": call.token}
        path = "/".join((call.version, *call.parts))
        paging["next"] = f"{base}/{path}?{urlencode(query)}"
    answer["paging"] = paging
    return answer


async def arguments(incoming: Incoming) -> tuple[dict[str, Any], dict[str, Any]]:
    """Query and body together (the body wins), and the uploaded files. A body that cannot be read counts as empty."""
    try:
        body, files = await incoming.body_args()
    except MalformedBody:
        body, files = {}, {}
    return incoming.query_args() | body, files


def _limit(given: Any) -> int:
    if given is None:
        return 25
    try:
        limit = int(given)
    except (TypeError, ValueError):
        raise parameter_error("Param limit must be a number") from None
    if limit < 1:
        raise parameter_error("Param limit must be greater than 0")
    if limit > LARGEST_PAGE:
        raise GraphError(1, "Please reduce the amount of data you're asking for, then retry your request")
    return limit


def _cursor(at: int, *, gap: bool) -> str:
    return base64.urlsafe_b64encode(f"{at}{'+' if gap else '='}".encode()).decode().rstrip("=")


def _from_cursor(given: Any) -> tuple[int, bool]:
    if not given:
        return 0, False
    try:
        text = base64.urlsafe_b64decode(str(given) + "=" * (-len(str(given)) % 4)).decode()
        return int(text[:-1]), text.endswith("+")
    except ValueError:
        raise parameter_error("Invalid cursors values") from None


def _form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode()))
