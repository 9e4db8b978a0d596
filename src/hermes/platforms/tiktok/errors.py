"""What TikTok's error codes and reasons of failure mean.

Source: https://developers.tiktok.com/doc/tiktok-api-v2-error-handling and the error tables of the Content Posting API.
"""

from __future__ import annotations

from typing import Any, Final

from hermes.errors import (
    HermesError,
    InvalidArguments,
    NeedsReconnect,
    NotFound,
    PayloadTooLarge,
    PlatformRejected,
    RateLimited,
)
from hermes.platforms.refusals import Refusal

_DAY: Final = 86_400.0
_RELINK: Final = "Link the account again."
_SCOPE: Final = "The account was linked without a permission that this needs: link it again and grant it."
_INVALID: Final = Refusal(InvalidArguments, "Correct what is named here and try again.")
_BANNED: Final = Refusal(
    PlatformRejected, "TikTok keeps this creator from posting; the person has to settle that in the TikTok app."
)
_TOO_MANY: Final = Refusal(
    RateLimited, "The creator's posts for today, over all apps, are used up: try again tomorrow.", retry_after=_DAY
)
_DRAFTS: Final = Refusal(
    RateLimited, "Five drafts wait in the creator's inbox: they must be finished in the app first.", retry_after=_DAY
)

REFUSALS: Final[dict[str, Refusal]] = {
    "access_token_invalid": Refusal(NeedsReconnect, f"The token has expired or was revoked. {_RELINK}"),
    "scope_not_authorized": Refusal(PlatformRejected, _SCOPE),
    "scope_permission_missed": Refusal(PlatformRejected, _SCOPE),
    "rate_limit_exceeded": Refusal(RateLimited, "Too many requests in a minute; wait a little.", retry_after=60),
    "invalid_params": _INVALID,
    "invalid_param": _INVALID,
    "invalid_file_upload": Refusal(InvalidArguments, "must be a video of a format and size that TikTok takes", "video"),
    "spam_risk_too_many_posts": _TOO_MANY,
    "spam_risk_user_banned_from_posting": _BANNED,
    "spam_risk_too_many_pending_share": _DRAFTS,
    "reached_active_user_cap": Refusal(
        RateLimited,
        "TikTok lets an app that it has not audited post for a handful of people a day only: try again tomorrow, or "
        "have the app audited.",
        retry_after=_DAY,
    ),
    "unaudited_client_can_only_post_to_private_accounts": Refusal(
        PlatformRejected,
        "TikTok has not audited this app yet: until then the TikTok account must be private and privacy_level "
        "SELF_ONLY. The app's owner applies for the audit at developers.tiktok.com, under Content Posting API.",
    ),
    "url_ownership_unverified": Refusal(
        InvalidArguments,
        "must lie on a domain that is verified for this app in TikTok's portal; or leave pull_by_tiktok off",
        "video",
    ),
    "privacy_level_option_mismatch": Refusal(
        InvalidArguments, "must be one that tiktok_get_creator_info shows now", "privacy_level"
    ),
    "app_version_check_failed": Refusal(PlatformRejected, "The person's TikTok app must be updated first."),
    "invalid_publish_id": Refusal(NotFound, "TikTok knows no such publication, or no longer."),
    "token_not_authorized_for_specified_publish_id": Refusal(
        PlatformRejected, "That publication belongs to another account."
    ),
}

OTHER: Final = Refusal(PlatformRejected, "Change the request before trying it again.")

BY_STATUS: Final[dict[int, Refusal]] = {
    401: REFUSALS["access_token_invalid"],
    404: Refusal(NotFound, "TikTok has no such address."),
    413: Refusal(PayloadTooLarge, "Send something smaller."),
    429: REFUSALS["rate_limit_exceeded"],
}
"""For answers without TikTok's envelope."""

UPLOAD_REFUSALS: Final[dict[int, Refusal]] = {
    400: Refusal(PlatformRejected, "TikTok did not accept the upload, and nothing is published. Call again."),
    403: Refusal(PlatformRejected, "The upload took longer than the hour that TikTok gives. Nothing is published."),
    404: Refusal(PlatformRejected, "TikTok no longer knows the upload, and nothing is published. Call again."),
    413: Refusal(PayloadTooLarge, "TikTok takes no file of this size. Nothing is published."),
    429: REFUSALS["rate_limit_exceeded"],
}

_FORMAT: Final = "Use MP4, MOV or WebM with H.264."
FAILURES: Final[dict[str, Refusal]] = {
    "file_format_check_failed": Refusal(PlatformRejected, f"TikTok cannot read the file. {_FORMAT}"),
    "duration_check_failed": Refusal(PlatformRejected, "The video is too long or too short for this creator."),
    "frame_rate_check_failed": Refusal(PlatformRejected, "The video must have 23 to 60 frames a second."),
    "picture_size_check_failed": Refusal(PlatformRejected, "Each side must have 360 to 4,096 pixels."),
    "video_pull_failed": Refusal(
        PlatformRejected, "TikTok could not fetch the URL: it must answer without a redirect for an hour."
    ),
    "photo_pull_failed": Refusal(PlatformRejected, "TikTok could not fetch a photo."),
    "internal": Refusal(PlatformRejected, "TikTok had a problem of its own and published nothing: call again."),
    "publish_cancelled": Refusal(PlatformRejected, "The publication was cancelled."),
    "auth_removed": Refusal(NeedsReconnect, f"The person has removed the app's access. {_RELINK}"),
    "spam_risk_too_many_posts": _TOO_MANY,
    "spam_risk_user_banned_from_posting": _BANNED,
    "spam_risk_text": Refusal(PlatformRejected, "TikTok takes the text for spam: change it."),
    "spam_risk": Refusal(PlatformRejected, "TikTok takes the post for spam."),
}
"""`fail_reason` of a publication → meaning. Source: "Get Post Status"."""


def refusal_error(code: str, message: str, log_id: str | None, retry_after: float | None) -> HermesError:
    """The error for a code of TikTok's envelope; `log_id` is what its support asks for."""
    error = REFUSALS.get(code, OTHER).error("tiktok", "TikTok", code, message or code, retry_after=retry_after)
    if log_id is not None:
        error.data["log_id"] = log_id
    return error


def failure_of(reason: str | None) -> Refusal:
    """What a publication's reason of failure means."""
    return FAILURES.get(reason or "", OTHER)


def failure_error(reason: str | None, publish_id: str) -> HermesError:
    """The error for a publication that failed: clear, nothing is published."""
    words = (reason or "no reason given").replace("_", " ")
    error = failure_of(reason).error("tiktok", "TikTok", reason or "FAILED", f"the publication failed, {words}")
    error.data["publish_id"] = publish_id
    return error


def upload_error(status: int, publish_id: str) -> HermesError:
    """The error for an upload that TikTok refused, by HTTP status: these answers have no envelope."""
    known: Any = UPLOAD_REFUSALS.get(status, OTHER)
    error: HermesError = known.error("tiktok", "TikTok", status, "the upload was refused")
    error.data["publish_id"] = publish_id
    return error
