"""What the Graph API's error codes mean where a Page is read or published to.

Source: Meta's "Graph API error handling", the references of Page feed, photos and videos, and, for subcodes that no
page lists, what clients have met.
"""

from __future__ import annotations

from typing import Final

from hermes.errors import InvalidArguments, NeedsReconnect, PlatformRejected, PlatformUnavailable, RateLimited
from hermes.platforms.meta.errors import ErrorTable, Key, graph_refusals
from hermes.platforms.refusals import Refusal

WRONG_OFFSET: Final = 1363037
"""Subcode of a chunk that does not begin where Facebook expects it; `error_data` says where that is."""

_HOUR = 3600.0
_RELINK = "Get a new Page access token (GET /me/accounts with the person's token) and link the account again."
_PERSON = "A person has to settle this at facebook.com, under the Page's support inbox."
_COMMON = graph_refusals(
    relink=_RELINK,
    permission="The token must be the Page's own and have pages_show_list, pages_read_engagement and, for publishing, "
    "pages_manage_posts (App Review is needed for Pages of people without a role in the app), and the person needs "
    "the task CREATE_CONTENT on the Page. Get such a token and link the account again.",
    missing="It does not exist, or this Page's token may not see it.",
    person=_PERSON,
    version="FACEBOOK_GRAPH_VERSION",
)
_PHOTO = Refusal(InvalidArguments, "must be JPEG, PNG, GIF, BMP or TIFF pictures of at most 10 MB", "photos")
_VIDEO = Refusal(InvalidArguments, "must be a video that Facebook can read: another file is needed", "video")
_UPLOAD = Refusal(
    PlatformUnavailable, "The upload broke off before anything was published: call again to upload the video anew."
)
_LINK = Refusal(InvalidArguments, "must be a public page that Facebook can fetch", "link")
_BLOCKED = Refusal(PlatformRejected, f"Facebook holds this back. {_PERSON}")

REFUSALS: Final[dict[Key, Refusal]] = {
    **_COMMON,
    (190, 2069032): Refusal(NeedsReconnect, f"This is a person's token, and the Page's own is needed. {_RELINK}"),
    (80001, None): Refusal(RateLimited, "The Page's calls are used up; wait before the next one.", retry_after=60),
    (324, None): _PHOTO,
    (None, 1366046): _PHOTO,
    (None, 2069019): _PHOTO,
    (None, 1349125): _PHOTO,
    (None, 2061006): Refusal(InvalidArguments, "must be URLs that lead to a file", "photos"),
    (None, 1366051): Refusal(PlatformRejected, "These photos were posted already: do not post them again."),
    (352, None): _VIDEO,
    (382, None): Refusal(InvalidArguments, "must be a larger file: Facebook takes it for no video", "video"),
    (389, None): Refusal(InvalidArguments, "must be a video that can be fetched", "video"),
    (390, None): _UPLOAD,
    (6000, None): _UPLOAD,
    (6001, None): _VIDEO,
    (None, 1363030): _UPLOAD,
    (None, 1363041): _UPLOAD,
    (None, 1363047): _VIDEO,
    (506, None): Refusal(PlatformRejected, "The same was posted just before: do not post it again."),
    (1609005, None): _LINK,
    (None, 1609005): _LINK,
    (None, 1609010): _LINK,
    (None, 1609008): Refusal(InvalidArguments, "must not lead to facebook.com", "link"),
    (None, 1390008): Refusal(RateLimited, "The Page posts too fast; wait before the next post.", retry_after=_HOUR),
    (None, 1349187): Refusal(RateLimited, "The Page posts too much; wait before the next post.", retry_after=_HOUR),
    (None, 1346003): Refusal(PlatformRejected, "Facebook takes the text for abusive: change it."),
    (None, 1404102): Refusal(PlatformRejected, "It goes against Facebook's Community Standards: change it."),
    (None, 1404006): _BLOCKED,
    (None, 1404112): _BLOCKED,
    (None, 1404078): Refusal(
        PlatformRejected,
        "A person has to finish Page Publishing Authorization or two-factor authentication at facebook.com first.",
    ),
    (None, 4854002): Refusal(PlatformRejected, "A person has to confirm their identity at facebook.com first."),
}
"""(code, subcode) → meaning; None as subcode: every one that is not listed; None as code: whatever the code is."""

ERRORS: Final = ErrorTable("facebook", "Facebook", REFUSALS, user_words=True)
