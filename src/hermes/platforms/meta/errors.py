"""What the Graph API's error codes mean, whichever product answers.

Source: Meta's "Graph API error handling" and "Rate limits". Decided by code and subcode; type and HTTP status are not
to be relied on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, Final

import orjson

from hermes.errors import (
    HermesError,
    InvalidArguments,
    NeedsReconnect,
    NotFound,
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnavailable,
    RateLimited,
)
from hermes.net.answers import retry_after
from hermes.platforms.refusals import Refusal

TOO_MUCH_DATA: Final = "reduce the amount of data"
"""Part of the text of code 1 when a page is too large: a smaller limit helps."""

OTHER: Final = Refusal(PlatformRejected, "Change the request before trying it again.")

Key = tuple[int | None, int | None]
"""(code, subcode). None as subcode: every one that is not listed by itself; None as code: the subcode says it all."""

_OPERATOR = "The operator of this gateway has to correct its settings."
_APP_LIMIT = Refusal(RateLimited, "Too many requests were made; wait before the next one.", retry_after=60)
_HOUR = 3600.0


class TooMuchData(PlatformUnavailable):
    """A page was too large for Meta: a smaller limit helps."""


def graph_refusals(*, relink: str, permission: str, missing: str, person: str, version: str) -> dict[Key, Refusal]:
    """The codes that every product of the Graph API has.

    Args:
        relink: how the person gets a new token and links the account again.
        permission: which permissions the token needs.
        missing: what may be wrong when an object does not exist or is not visible.
        person: what a person has to do about a blocked account.
        version: the name of the product's version setting.
    """
    token = Refusal(NeedsReconnect, f"The token no longer works. {relink}")
    absent = Refusal(NotFound, missing)
    return {
        (0, None): token,
        (102, None): token,
        (190, None): token,
        (190, 458): Refusal(NeedsReconnect, f"The app was removed from the account. {relink}"),
        (190, 459): Refusal(NeedsReconnect, f"The person has to log in at facebook.com first. {relink}"),
        (190, 460): Refusal(NeedsReconnect, f"The password was changed. {relink}"),
        (190, 463): Refusal(NeedsReconnect, f"The token has expired. {relink}"),
        (190, 464): Refusal(NeedsReconnect, f"The person has to confirm their account at facebook.com first. {relink}"),
        (190, 467): Refusal(NeedsReconnect, f"The token was made invalid. {relink}"),
        (190, 492): Refusal(NeedsReconnect, f"The person has lost their role there. {relink}"),
        (3, None): Refusal(PlatformRejected, "The Meta app lacks this capability; it may need a review by Meta."),
        (10, None): Refusal(PlatformRejected, permission),
        (104, None): Refusal(
            PlatformRejected, f"META_APP_SECRET must be that of the app that made the token. {_OPERATOR}"
        ),
        (2500, None): Refusal(PlatformRejected, f"{version} must be a living version. {_OPERATOR}"),
        (33, None): absent,
        (100, 33): absent,
        (803, None): absent,
        (100, None): Refusal(InvalidArguments, "Correct what is named here and try again."),
        (368, None): Refusal(PlatformRejected, f"The account is blocked for breaking Meta's policies. {person}"),
        (341, None): Refusal(RateLimited, "A limit was reached; wait before the next one.", retry_after=_HOUR),
        (4, None): _APP_LIMIT,
        (17, None): _APP_LIMIT,
        (32, None): _APP_LIMIT,
        (613, None): _APP_LIMIT,
    }


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """One product's reading of Graph's errors.

    Attributes:
        platform_id, title: as errors name the platform.
        refusals: the codes' meanings, those of `graph_refusals` among them.
        unclear: codes of temporary or unknown faults, which do not say whether a write was taken.
        user_words: whether Meta's words for people (`error_user_title`, `error_user_msg`) are part of the message.
    """

    platform_id: str
    title: str
    refusals: Mapping[Key, Refusal] = attribute(repr=False)
    unclear: frozenset[int] = frozenset({1, 2})
    user_words: bool = False

    def refusal_of(self, code: int, subcode: int | None, message: str) -> Refusal:
        """The meaning of an error code; `OTHER` when it is not known."""
        if code in (100, 190) and "appsecret_proof" in message.lower():
            return self.refusals[104, None]
        exact = self.exact(code, subcode)
        if exact is not None:
            return exact
        if 200 <= code <= 299:
            return self.refusals[10, None]
        return self.refusals.get((code, None)) or OTHER

    def refusal_of_status(self, status: int) -> Refusal:
        """The meaning of an answer without Meta's error object."""
        by_status = {
            401: self.refusals[190, None],
            404: self.refusals[33, None],
            413: Refusal(PayloadTooLarge, "Send something smaller."),
            429: _APP_LIMIT,
        }
        return by_status.get(status, OTHER)

    def is_unclear(self, code: int, subcode: int | None, refusal: Refusal, *, transient: bool) -> bool:
        """Whether an error leaves open what happened: a temporary fault of which the table knows nothing exact."""
        if code in self.unclear:
            return self.exact(code, subcode) is None
        return refusal is OTHER and transient

    def error(self, refusal: Refusal, code: int, subcode: int | None, message: str, wait: float | None) -> HermesError:
        """The error for a clear refusal."""
        error = refusal.error(self.platform_id, self.title, code, message, retry_after=wait)
        if subcode is not None:
            error.data["platform_subcode"] = subcode
        return error

    def message(self, envelope: Mapping[str, Any]) -> str:
        """Meta's words: the message, the details that WhatsApp adds, and the words for people where wanted."""
        details = envelope.get("error_data")
        said = [envelope.get("message"), details.get("details") if isinstance(details, dict) else None]
        if self.user_words:
            said += [envelope.get("error_user_title"), envelope.get("error_user_msg")]
        parts = [part.strip().rstrip(".") for part in said if isinstance(part, str) and part.strip()]
        return ": ".join(dict.fromkeys(parts)) or "no reason given"

    def exact(self, code: int, subcode: int | None) -> Refusal | None:
        """What the table says of this very subcode."""
        if subcode is None:
            return None
        return self.refusals.get((code, subcode)) or self.refusals.get((None, subcode))


def wrong(field: str, problem: str) -> InvalidArguments:
    """The error for arguments that fit each by itself but not together."""
    return InvalidArguments(f"`{field}` {problem}.", fields=[{"field": field, "problem": problem}], nothing_sent=True)


def usage_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds until the limit lets go. Source: "Rate limits", Business Use Case: the header has minutes."""
    try:
        usage = orjson.loads(headers.get("X-Business-Use-Case-Usage", ""))
    except orjson.JSONDecodeError:
        usage = None
    minutes = [
        entry.get("estimated_time_to_regain_access", 0)
        for entries in (usage.values() if isinstance(usage, dict) else ())
        if isinstance(entries, list)
        for entry in entries
        if isinstance(entry, dict)
    ]
    longest = max((value for value in minutes if isinstance(value, int | float)), default=0)
    return 60.0 * longest if longest > 0 else retry_after(headers)
