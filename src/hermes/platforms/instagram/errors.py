"""What the codes of Instagram's API mean, those of a container's status among them.

Source: Instagram Platform, "Error codes", and Meta's "Graph API error handling".
"""

from __future__ import annotations

from typing import Final

from hermes.errors import InvalidArguments, NotFound, PlatformRejected, PlatformUnavailable, RateLimited
from hermes.platforms.meta.errors import ErrorTable, Key, graph_refusals
from hermes.platforms.refusals import Refusal

NOT_READY: Final = 2207027
"""Subcode of publishing a container that is still being processed."""

QUOTA_WAIT: Final = 3600.0
"""Seconds after which a place may be free again: posts leave the count 24 hours after they came out, one by one."""

_PERSON = "A person has to settle this in the Instagram app."
_COMMON = graph_refusals(
    relink="Get a new token (they last 60 days) and link the account again.",
    permission="The token needs instagram_business_basic and, for publishing, instagram_business_content_publish (with "
    "Facebook Login: instagram_basic, instagram_content_publish, pages_show_list and pages_read_engagement), and App "
    "Review for accounts of people without a role in the app. Get such a token and link the account again.",
    missing="It does not exist, or this account's token may not see it.",
    person=_PERSON,
    version="INSTAGRAM_GRAPH_VERSION",
)
_AGAIN = Refusal(PlatformUnavailable, "Nothing was published: try again, which prepares it anew.")
_BLOCKED = Refusal(PlatformRejected, f"Instagram takes this for spam or has restricted the account. {_PERSON}")
_MEDIA_TYPE = Refusal(InvalidArguments, "Correct the kind of media; JPEG pictures and MP4 or MOV reels can be posted.")

REFUSALS: Final[dict[Key, Refusal]] = {
    **_COMMON,
    (80002, None): Refusal(RateLimited, "The account's calls are used up; wait before the next one.", retry_after=60),
    (-2, 2207003): Refusal(
        PlatformUnavailable, "Instagram could not fetch the file in time, and published nothing: try again."
    ),
    (-2, 2207020): Refusal(NotFound, "The prepared post has expired after 24 hours: make it anew."),
    (-1, 2207032): _AGAIN,
    (-1, 2207053): _AGAIN,
    (None, 2207076): _AGAIN,
    (None, 2207077): _AGAIN,
    (None, 2207082): _AGAIN,
    (24, 2207006): Refusal(NotFound, "There is no such post, or it is another account's."),
    (24, 2207008): Refusal(
        PlatformUnavailable, "Instagram does not find the prepared post for the moment: try again in two minutes."
    ),
    (1, 2207057): Refusal(InvalidArguments, "must be within the video's duration", "thumb_offset_ms"),
    (4, 2207051): _BLOCKED,
    (25, 2207050): _BLOCKED,
    (9, 2207042): Refusal(RateLimited, "The account's posts of 24 hours are used up.", retry_after=QUOTA_WAIT),
    (100, 2207023): _MEDIA_TYPE,
    (100, 2207028): Refusal(InvalidArguments, "must be two to ten pictures that Instagram can read", "images"),
    (None, 2207010): Refusal(InvalidArguments, "must have at most 2,200 characters and 30 hashtags", "caption"),
    (36103, None): Refusal(InvalidArguments, "must have at most 2,200 characters and 30 hashtags", "caption"),
    (None, 2207040): Refusal(InvalidArguments, "must have at most 20 @ tags", "caption"),
    (352, None): Refusal(InvalidArguments, "must be an MP4 or MOV video with H.264 or HEVC and AAC", "video"),
    (None, 2207026): Refusal(InvalidArguments, "must be an MP4 or MOV video with H.264 or HEVC and AAC", "video"),
    (9004, None): Refusal(
        InvalidArguments,
        "The URL must lead straight to the file, for anyone: no redirect, log-in, robots block or page in between.",
    ),
    (None, 2207052): Refusal(
        InvalidArguments,
        "The URL must lead straight to the file, for anyone: no redirect, log-in, robots block or page in between.",
    ),
    (9007, None): Refusal(
        PlatformUnavailable, "Instagram still processes it and published nothing yet: try again.", retry_after=30
    ),
    (36000, None): Refusal(InvalidArguments, "must be of at most 8 MB each", "images"),
    (None, 2207004): Refusal(InvalidArguments, "must be of at most 8 MB each", "images"),
    (36001, None): Refusal(InvalidArguments, "must be JPEG pictures", "images"),
    (None, 2207005): Refusal(InvalidArguments, "must be JPEG pictures", "images"),
    (36003, None): Refusal(InvalidArguments, "must have a ratio from 4:5 to 1.91:1", "images"),
    (None, 2207009): Refusal(InvalidArguments, "must have a ratio from 4:5 to 1.91:1", "images"),
    (None, 2207081): Refusal(PlatformRejected, "This account cannot post trial reels."),
}
"""(code, subcode) → meaning; None as subcode: every one that is not listed; None as code: whatever the code is."""

ERRORS: Final = ErrorTable("instagram", "Instagram", REFUSALS, frozenset({-1, 1, 2}), user_words=True)

_BY_SUBCODE: Final = {subcode: refusal for (_, subcode), refusal in REFUSALS.items() if subcode is not None}


def refusal_of_status(subcode: int) -> Refusal:
    """The meaning of the number in a container's status. Source: "Error codes", asynchronous ones."""
    return _BY_SUBCODE.get(subcode) or Refusal(PlatformRejected, "Change the media before trying again.")
