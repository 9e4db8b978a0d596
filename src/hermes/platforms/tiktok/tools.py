"""TikTok: what an assistant can do for a creator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from hermes.errors import PlatformRejected
from hermes.platforms.base import Account, Effect, PasteToken, Platform, RateLimit, Redaction
from hermes.platforms.context import ToolContext
from hermes.platforms.tiktok.api import BASIC, PUBLISH, UPLOAD, TikTokApi, TikTokCredentials
from hermes.platforms.tiktok.errors import failure_of
from hermes.platforms.tiktok.models import CreatorInfo, Profile, VideoStatus
from hermes.platforms.tiktok.oauth import SIGN_IN_AT_TIKTOK
from hermes.platforms.tiktok.publishing import Draft, Publishing, explained, wrong

_DOCS = "https://developers.tiktok.com/doc"

tiktok = Platform(
    "tiktok",
    title="TikTok",
    credentials=TikTokCredentials,
    connect=PasteToken(
        help_url=f"{_DOCS}/login-kit-manage-user-access-tokens",
        steps=(
            "Make an app at developers.tiktok.com and add Login Kit and the Content Posting API to it.",
            "Ask for the scopes user.info.basic, user.info.profile, user.info.stats, video.publish and video.upload.",
            "Sign in with the creator's account through the app, and copy the access token (act.…) and the refresh "
            "token (rft.…). The access token lasts two hours.",
            "Until TikTok has audited the app, it posts to private accounts only, visible to nobody else.",
        ),
    ),
    oauth=(SIGN_IN_AT_TIKTOK,),
    open=TikTokApi,
    base_url="https://open.tiktokapis.com",
    # Each counts for its own requests, per account, and the refusal is cheap and clear.
    limits=(
        RateLimit(600, 60, source=f"{_DOCS}/tiktok-api-v2-rate-limit", enforced=False),
        RateLimit(6, 60, source=f"{_DOCS}/content-posting-api-reference-direct-post", enforced=False),
        RateLimit(20, 60, source=f"{_DOCS}/content-posting-api-reference-query-creator-info", enforced=False),
        RateLimit(30, 60, source=f"{_DOCS}/content-posting-api-reference-get-video-status", enforced=False),
    ),
)

MAX_TITLE: Final = 2200
"""UTF-16 units."""

_BASIC_FIELDS: Final = ("open_id", "union_id", "avatar_url", "display_name")
_FIELDS: Final = {
    "user.info.basic": _BASIC_FIELDS,
    "user.info.profile": ("bio_description", "profile_deep_link", "profile_web_link", "is_verified", "username"),
    "user.info.stats": ("follower_count", "following_count", "likes_count", "video_count"),
}
_LACKING: Final = ("scope_not_authorized", "scope_permission_missed")

PublishId = Annotated[
    str, Redaction.PLAIN, Field(pattern=r"^[!-~]{1,128}$", description="The publish_id that create_video returned")
]


@tiktok.probe
async def probe(api: TikTokApi) -> Account:
    """Source: "Get User Info"."""
    user, response = await api.user(("open_id", "display_name"))
    profile = api.read(Profile, user, response)
    scopes = tuple(sorted(api.scopes or ()))
    return Account(id=profile.open_id, name=profile.display_name, scopes=scopes, expires_at=api.credentials.expires_at)


@tiktok.tool(Effect.READ, rest="GET /profile", title="Get the creator's profile")
async def get_profile(api: TikTokApi) -> Profile:
    """Get the TikTok account's own name and avatar and, where granted, username, bio and numbers of followers, likes,
    videos.

    Source: "Get User Info"."""
    api.need(BASIC)
    fields = tuple(
        name for scope, names in _FIELDS.items() if api.scopes is None or scope in api.scopes for name in names
    )
    try:
        return api.read(Profile, *await api.user(fields))
    except PlatformRejected as refused:
        if fields == _BASIC_FIELDS or refused.data.get("platform_code") not in _LACKING:
            raise
    return api.read(Profile, *await api.user(_BASIC_FIELDS))


@tiktok.tool(Effect.READ, rest="GET /creator", title="Get what the creator may post")
async def get_creator_info(api: TikTokApi) -> CreatorInfo:
    """Get what the TikTok creator may post now: privacy levels, whether comments, duets and
    stitches can be allowed, and how long a video may be. Show it to the person before posting.

    Source: Content Posting API, "Query Creator Info"."""
    return await api.creator_info()


@tiktok.tool(Effect.CREATE, rest="POST /video", timeout=3600.0, long=True)
async def create_video(
    api: TikTokApi,
    context: ToolContext,
    video: Annotated[
        str,
        Redaction.TEXT,
        Field(
            pattern=r"^(https://\S+|media_[A-Za-z0-9]{1,58})$",
            max_length=2048,
            description="MP4, MOV or WebM, up to 4 GB and (usually) 10 minutes: https URL of the file, or media handle",
        ),
    ],
    mode: Annotated[
        Literal["direct", "inbox"],
        Redaction.PLAIN,
        Field(
            description="direct: post it. inbox: a draft that the person finishes in the TikTok app, where they choose "
            "everything else"
        ),
    ] = "direct",
    privacy_level: Annotated[
        Literal["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "FOLLOWER_OF_CREATOR", "SELF_ONLY"],
        Redaction.PLAIN,
        Field(description="Needed for direct: who can see it, chosen by the person from get_creator_info"),
    ]
    | None = None,
    title: Annotated[str, Redaction.TEXT, Field(max_length=MAX_TITLE, description="Caption; #tags and @names work")]
    | None = None,
    allow_comments: Annotated[bool, Redaction.PLAIN, Field(description="Others may comment")] = False,
    allow_duet: Annotated[bool, Redaction.PLAIN, Field(description="Others may make duets with it")] = False,
    allow_stitch: Annotated[bool, Redaction.PLAIN, Field(description="Others may use parts of it")] = False,
    cover_timestamp_ms: Annotated[
        int, Redaction.PLAIN, Field(ge=0, le=3_600_000, description="The moment of the video that is its cover")
    ]
    | None = None,
    paid_partnership: Annotated[bool, Redaction.PLAIN, Field(description="It promotes somebody else's brand")] = False,
    promotes_own_brand: Annotated[
        bool, Redaction.PLAIN, Field(description="It promotes the creator's business")
    ] = False,
    ai_generated: Annotated[bool, Redaction.PLAIN, Field(description="It was made with AI")] = False,
    pull_by_tiktok: Annotated[
        bool,
        Redaction.PLAIN,
        Field(description="TikTok fetches the URL itself; its domain must be verified for the app in TikTok's portal"),
    ] = False,
) -> VideoStatus:
    """Post a video on TikTok, or put it as a draft into the creator's inbox. Ask the person for the privacy level and
    what others may do. Processing may go on after this returns: get_video_status tells.

    Source: Content Posting API, "Direct Post" and "Upload"."""
    if pull_by_tiktok and not video.startswith("https://"):
        raise wrong("pull_by_tiktok", "needs an https URL as video")
    switches = {
        "allow_comments": allow_comments,
        "allow_duet": allow_duet,
        "allow_stitch": allow_stitch,
        "paid_partnership": paid_partnership,
        "promotes_own_brand": promotes_own_brand,
        "ai_generated": ai_generated,
    }
    given = {"privacy_level": privacy_level, "title": title, "cover_timestamp_ms": cover_timestamp_ms}
    if mode == "inbox":
        _refuse_choices(given | {name: on or None for name, on in switches.items()})
        api.need(UPLOAD)
        return await Publishing(api, context).run(Draft(video, None, pull_by_tiktok))
    post = _post_info(given, switches)
    api.need(PUBLISH)
    return await Publishing(api, context).run(Draft(video, post, pull_by_tiktok))


@tiktok.tool(Effect.READ, rest="GET /video/status")
async def get_video_status(api: TikTokApi, publish_id: PublishId) -> VideoStatus:
    """Tell how a video fared that create_video gave to TikTok: still processing, in the inbox, posted, or failed and
    why.

    Source: Content Posting API, "Get Post Status"."""
    status = explained(await api.status(publish_id), None)
    if status.status != "FAILED":
        return status
    return status.model_copy(update={"explanation": failure_of(status.fail_reason).way_out})


def _refuse_choices(given: Mapping[str, Any]) -> None:
    """TikTok would drop them without a word."""
    for name, value in given.items():
        if value is not None:
            raise wrong(name, "is not for mode inbox: the person chooses it in the TikTok app")


def _post_info(given: Mapping[str, Any], switches: Mapping[str, bool]) -> dict[str, Any]:
    """The choices of a direct post in TikTok's names; everything that others could do is off unless it is wanted."""
    privacy_level, title = given["privacy_level"], given["title"]
    if privacy_level is None:
        raise wrong("privacy_level", "is needed to post: ask the person to choose one that get_creator_info shows")
    if switches["paid_partnership"] and privacy_level == "SELF_ONLY":
        raise wrong("privacy_level", "cannot be SELF_ONLY for a paid partnership")
    if len((title or "").encode("utf-16-le")) // 2 > MAX_TITLE:
        raise wrong("title", f"must have at most {MAX_TITLE:,} UTF-16 units (most characters are one, emoji two)")
    post = {
        "privacy_level": privacy_level,
        "disable_comment": not switches["allow_comments"],
        "disable_duet": not switches["allow_duet"],
        "disable_stitch": not switches["allow_stitch"],
        "brand_content_toggle": switches["paid_partnership"],
        "brand_organic_toggle": switches["promotes_own_brand"],
        "is_aigc": switches["ai_generated"],
        "title": title or None,
        "video_cover_timestamp_ms": given["cover_timestamp_ms"],
    }
    return {name: value for name, value in post.items() if value is not None}
