"""What LinkedIn's refusals mean: decided by its code, else its service error code, else the HTTP status.

Source: "LinkedIn API error handling" and the error tables of the Posts and Videos APIs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hermes.errors import (
    Conflict,
    HermesError,
    InvalidArguments,
    NeedsReconnect,
    NotFound,
    PayloadTooLarge,
    PlatformRejected,
    RateLimited,
)
from hermes.platforms.refusals import Refusal

MEDIA_PENDING: Final = frozenset({"MEDIA_ASSET_WAITING_UPLOAD", "MEDIA_ASSET_PROCESSING"})
"""Nothing was posted: the same post may be made when the media are ready."""

JUST_ISSUED: Final = frozenset({65601, "REVOKED_ACCESS_TOKEN"})
"""Also seen for some seconds after a token was issued."""

_RELINK: Final = "Make a new token (they last 60 days) and link the account again."
_OPERATOR: Final = "The operator of this gateway has to set LINKEDIN_VERSION to a version that is still served."
_NOT_READY: Final = Refusal(
    Conflict, "The media are still being processed and nothing was posted: post again in a minute.", retry_after=30
)

_UPLOAD: Final = Refusal(
    PlatformRejected, "The address of the upload has expired or does not take this; nothing is posted. Call again."
)
_TOKEN: Final = Refusal(NeedsReconnect, f"The token no longer works. {_RELINK}")
_DENIED: Final = Refusal(PlatformRejected, "The token or the member may not do this there.")
_INVALID: Final = Refusal(InvalidArguments, "Correct what is named here and try again.")
_MISSING: Final = Refusal(NotFound, "It does not exist, or this member may not see it.")
_VERSION: Final = Refusal(PlatformRejected, _OPERATOR)
_LIMIT: Final = Refusal(RateLimited, "The day's requests are used up; LinkedIn counts anew from 00:00 UTC.")
_CONFLICT: Final = Refusal(Conflict, "Something else changed it at the same moment; look, then try again.")

REFUSALS: Final[dict[str | int, Refusal]] = {
    "EMPTY_ACCESS_TOKEN": _TOKEN,
    "INVALID_ACCESS_TOKEN": _TOKEN,
    65600: _TOKEN,
    "REVOKED_ACCESS_TOKEN": Refusal(NeedsReconnect, f"The member or a newer token revoked it. {_RELINK}"),
    65601: Refusal(NeedsReconnect, f"The member or a newer token revoked it. {_RELINK}"),
    "EXPIRED_ACCESS_TOKEN": Refusal(NeedsReconnect, f"The token has expired. {_RELINK}"),
    65602: Refusal(NeedsReconnect, f"The token has expired. {_RELINK}"),
    "ACCESS_DENIED": _DENIED,
    "NONEXISTENT_VERSION": _VERSION,
    "VERSION_MISSING": _VERSION,
    "DUPLICATE_POST": Refusal(
        Conflict,
        "LinkedIn already has this very post; if an earlier call ended without a clear answer, it did succeed. "
        "Change the text to post again.",
    ),
    "MEDIA_ASSET_WAITING_UPLOAD": _NOT_READY,
    "MEDIA_ASSET_PROCESSING": _NOT_READY,
    "MEDIA_ASSET_PROCESSING_FAILED": Refusal(
        PlatformRejected, "LinkedIn could not process the file: upload another one. Nothing was posted."
    ),
    "TOO_MANY_REQUESTS": _LIMIT,
    "RESOURCE_NOT_FOUND": _MISSING,
    "CONFLICT": _CONFLICT,
    "ILLEGAL_ARGUMENT": _INVALID,
    "MISSING_FIELD": _INVALID,
    "INVALID_CONTENT": _INVALID,
}

BY_STATUS: Final[dict[int, Refusal]] = {
    400: _INVALID,
    401: _TOKEN,
    403: _DENIED,
    404: _MISSING,
    409: _CONFLICT,
    413: Refusal(PayloadTooLarge, "Send something smaller."),
    422: _INVALID,
    426: _VERSION,
    429: _LIMIT,
}

OTHER: Final = Refusal(PlatformRejected, "Change the request before trying it again.")

_ARGUMENTS: Final = (
    ("commentary", "text"),
    ("visibility", "visibility"),
    ("author", "organization_id"),
    ("owner", "organization_id"),
    ("article", "article"),
    ("poll", "poll"),
    ("multiImage", "images"),
    ("reshareContext", "reshare_of"),
    ("recipients", "recipients"),
    ("subject", "subject"),
    ("body", "text"),
)
_POST = re.compile(r"urn:li:(?:share|ugcPost|activity):[0-9]{1,32}")


@dataclass(frozen=True, slots=True)
class Access:
    """What LinkedIn must have granted for a request.

    Attributes:
        scopes: any one of them is enough.
        product: the LinkedIn product that brings them.
        ask_at: where to ask for it.
        self_serve: any app can add the product by itself; otherwise LinkedIn decides on an application.
    """

    scopes: tuple[str, ...]
    product: str
    ask_at: str
    self_serve: bool

    def missing(self, code: int | str | None = None, message: str | None = None) -> PlatformRejected:
        """The error for a token without it; `code` and `message` are LinkedIn's, when it was asked."""
        scopes = " or ".join(self.scopes)
        how = (
            f"Add the product to your app at {self.ask_at} and make a token with that scope."
            if self.self_serve
            else f"LinkedIn grants it to approved partners only: apply at {self.ask_at}. There is no way around it."
        )
        said: dict[str, Any] = {} if message is None else {"platform_code": code, "platform_message": message[:500]}
        heard = "" if message is None else f"LinkedIn says: {message[:500].rstrip('.')}. "
        return PlatformRejected(
            f"{heard}This needs the scope {scopes} of LinkedIn's product “{self.product}”, and what it touches must be "
            f"the member's own or of a page that they manage. {how}",
            nothing_sent=message is None,
            missing_scope=self.scopes[0],
            product=self.product,
            ask_at=self.ask_at,
            **said,
        )


def refusal_error(status: int, answer: dict[str, Any], access: Access, retry_after: float | None) -> HermesError:
    """The error for a refusal.

    Args:
        status: the HTTP status, or the one that the answer itself gives.
        answer: its JSON object; empty when it had none.
        access: what the request needs, for a 403.
        retry_after: seconds that LinkedIn asks to wait, which it seldom says.
    """
    code, path = _code_and_path(answer)
    message = answer.get("message")
    message = message.strip() if isinstance(message, str) and message.strip() else "no reason given"
    refusal = next((REFUSALS[one] for one in code if one in REFUSALS), None) or BY_STATUS.get(status, OTHER)
    shown = next(iter(code), status)
    if refusal is _DENIED:
        return access.missing(shown, message)
    if refusal is _LIMIT and retry_after is None:
        retry_after = seconds_to_midnight()
    if refusal is _INVALID:
        refusal = replace(refusal, argument=next((ours for theirs, ours in _ARGUMENTS if theirs in path), None))
    error = refusal.error("linkedin", "LinkedIn", shown, message, retry_after=retry_after)
    existing = _POST.search(message) if "DUPLICATE_POST" in code else None
    if existing is not None:
        error.data["post_id"] = existing[0]
    return error


def upload_error(status: int) -> HermesError:
    """The error for an upload address that refuses, by HTTP status: these answers have no envelope."""
    refusal = BY_STATUS[status] if status in (413, 429) else _UPLOAD
    return refusal.error("linkedin", "LinkedIn", status, "the upload was refused")


def seconds_to_midnight(now: datetime | None = None) -> float:
    """Until 00:00 UTC, when LinkedIn's limits begin anew."""
    now = now or datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return float(int((midnight - now).total_seconds()) + 1)


def _code_and_path(answer: dict[str, Any]) -> tuple[list[str | int], str]:
    """The codes that an answer gives, the finest first, and the path of the field that it names."""
    details = answer.get("errorDetails")
    errors = details.get("inputErrors") if isinstance(details, dict) else None
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    place = first.get("input")
    place = place.get("inputPath") if isinstance(place, dict) else None
    path = place.get("fieldPath") if isinstance(place, dict) else None
    codes = (first.get("code"), answer.get("code"), answer.get("serviceErrorCode"))
    return [code for code in codes if isinstance(code, str | int)], path if isinstance(path, str) else ""
