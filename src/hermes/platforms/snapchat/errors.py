"""What Snap's refusals mean. Snap documents few codes of its own, so the HTTP status decides.

Source: https://developers.snap.com/api/marketing-api/Ads-API/errors
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

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

ALLOW_LIST: Final = (
    "Posting to a public profile needs Snap to have allow-listed the OAuth app for the Public Profile API: ask your "
    "Snap contact or apply at https://developers.snap.com/api/public-profile-api. Ad creatives work without it."
)
PROCESSING: Final = "still being processed"
"""The only sign that a snap came before its media was ready; the refusal has no code for it."""

REFUSALS: Final[Mapping[int, Refusal]] = {
    400: Refusal(InvalidArguments, "Change what Snapchat names and try again."),
    401: Refusal(NeedsReconnect, "The access token has expired or was revoked; link the account again."),
    403: Refusal(
        PlatformRejected,
        "This member's role in the Snapchat organization does not allow it; an organization admin can change the role.",
    ),
    404: Refusal(NotFound, "Check the id; get_ad_accounts lists the ad accounts that this member can use."),
    409: Refusal(Conflict, "It was changed or exists already; look before trying again."),
    413: Refusal(PayloadTooLarge, "Use a smaller file."),
    # Averages of 20 a second per app and 10 per token, and no header that says how long to wait.
    429: Refusal(RateLimited, "Wait, then try again.", retry_after=5.0),
}
"""HTTP status → meaning."""

OTHER: Final = Refusal(PlatformRejected, "Change the request before trying it again.")
NOT_ALLOW_LISTED: Final = Refusal(PlatformRejected, ALLOW_LIST)


def refusal_error(
    status: int, code: str | None, message: str, *, profile: bool, retry_after: float | None = None
) -> HermesError:
    """The error for a clear refusal.

    Args:
        status: of the answer.
        code: Snap's own, where it gives one.
        profile: it came from the Public Profile API, whose 403 means the missing allow-listing.
    """
    found = NOT_ALLOW_LISTED if profile and status == 403 else REFUSALS.get(status, OTHER)
    return found.error("snapchat", "Snapchat", code or status, message, retry_after=retry_after)
