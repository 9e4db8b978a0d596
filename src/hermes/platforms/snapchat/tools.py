"""Snapchat: what an assistant can do for a member of an organization, and on a public profile."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from hermes.errors import HermesError, InvalidArguments, PlatformRejected
from hermes.platforms.base import Account, Effect, PasteToken, Platform, RateLimit, Redaction
from hermes.platforms.context import ToolContext
from hermes.platforms.ports import PublishState
from hermes.platforms.snapchat.accounts import ad_accounts
from hermes.platforms.snapchat.api import ADS_API, BUSINESS_API, SnapchatApi, SnapchatCredentials
from hermes.platforms.snapchat.models import AdAccounts, Me, PublicProfile, Snap, Target, Uuid
from hermes.platforms.snapchat.oauth import SIGN_IN_AT_SNAPCHAT
from hermes.platforms.snapchat.publishing import (
    AD_MEDIA,
    SPOTLIGHT_MEDIA,
    STORY_MEDIA,
    Publication,
    check_image,
)

_UPLOAD_SECONDS: Final = 900.0
_LIMITS_PAGE: Final = "https://developers.snap.com/api/marketing-api/Ads-API/rate-limits"
NOT_SHOWN: Final = "The creative is made, and shown to nobody yet: it is seen once it is used in a paid ad."

snapchat = Platform(
    "snapchat",
    title="Snapchat",
    credentials=SnapchatCredentials,
    connect=PasteToken(
        help_url="https://developers.snap.com/api/marketing-api/Ads-API/authentication",
        steps=(
            "As an admin of the organization, open Snap Business Manager, Business Details, and make an OAuth app.",
            "Sign in through it with the scope snapchat-marketing-api, and snapchat-profile-api for a public profile.",
            "Copy the access token that the app receives. It lasts an hour.",
        ),
    ),
    oauth=(SIGN_IN_AT_SNAPCHAT,),
    open=SnapchatApi,
    base_url=ADS_API,
    settings=(BUSINESS_API,),
    limits=(RateLimit(10, 1, source=_LIMITS_PAGE),),
)


@snapchat.probe
async def probe(api: SnapchatApi) -> Account:
    """Source: Ads API, "Get the authenticated user"."""
    me = await _me(api)
    return Account(id=me.id, name=me.display_name or me.snapchat_username)


@snapchat.tool(Effect.READ, rest="GET /me", title="Get my profile")
async def get_me(api: SnapchatApi) -> Me:
    """Get the Snapchat member's name, organization, and public profile if there is one.

    Source: Ads API, "Get the authenticated user"; Public Profile API, "My profile"."""
    me = await _me(api)
    return me.model_copy(update={"public_profile": await _my_profile(api)})


@snapchat.tool(Effect.READ, rest="GET /ad-accounts", title="List ad accounts")
async def get_ad_accounts(api: SnapchatApi) -> AdAccounts:
    """List the Snapchat ad accounts that the member can use, over all their organizations.

    Source: Ads API, "Get all organizations with ad accounts"."""
    return AdAccounts(ad_accounts=await ad_accounts(api))


@snapchat.tool(Effect.CREATE, rest="POST /snap", timeout=_UPLOAD_SECONDS, long=True)
async def create_snap(
    api: SnapchatApi,
    context: ToolContext,
    media: Annotated[
        str,
        Redaction.TEXT,
        Field(
            min_length=1,
            max_length=2048,
            description="Photo (JPEG, PNG) or video (MP4), 1080x1920: https URL of the file, or media handle",
        ),
    ],
    publish_as: Annotated[
        Target,
        Redaction.PLAIN,
        Field(
            description="story: 24 hours on the public profile; saved_story: kept there; spotlight: a video in "
            "Spotlight; ad_creative: for a paid ad, shown to nobody by itself"
        ),
    ] = "story",
    title: Annotated[str, Redaction.TEXT, Field(min_length=1, max_length=45, description="Of a saved story")]
    | None = None,
    description: Annotated[str, Redaction.TEXT, Field(max_length=160, description="Of a spotlight, with its hashtags")]
    | None = None,
    locale: Annotated[
        str, Redaction.PLAIN, Field(pattern="^[a-z]{2}_[A-Z]{2}$", description="Language of a spotlight")
    ] = "en_US",
    name: Annotated[str, Redaction.TEXT, Field(min_length=1, max_length=375, description="Of a creative, for yourself")]
    | None = None,
    headline: Annotated[str, Redaction.TEXT, Field(min_length=1, max_length=34, description="Of a creative")]
    | None = None,
    brand_name: Annotated[str, Redaction.TEXT, Field(min_length=1, max_length=32, description="Of a creative")]
    | None = None,
    ad_account_id: Annotated[Uuid, Field(description="For a creative; default: the linked or only one")] | None = None,
    profile_id: Annotated[Uuid, Field(description="The public profile; default: the linked one or the member's own")]
    | None = None,
) -> Snap:
    """Publish one photo or video to a Snapchat public profile, or make an ad creative of it. Public profiles need
    Snap's approval of the app; without it the error says where to ask.

    Source: Public Profile API; Ads API, "Media" and "Creatives"."""
    _check_fit(publish_as, title=title, headline=headline, brand_name=brand_name)
    await context.state(PublishState.CREATED)
    publication = Publication(api, context)
    profile = profile_id or api.credentials.profile_id or await _own_profile(api)
    if publish_as == "ad_creative":
        account = ad_account_id or api.credentials.ad_account_id or await _only_account(api)
        texts = {"name": name or headline or "Creative", "headline": headline, "brand_name": brand_name}
        return await _creative(api, context, publication, media, account, profile, texts)
    rules = SPOTLIGHT_MEDIA if publish_as == "spotlight" else STORY_MEDIA
    handle = await publication.hold(media, rules)
    async with publication.open(handle, rules) as file:
        check_image(file, profile=True)
        media_id = await publication.profile_media(file, profile)
    path, body = _post(publish_as, media_id, title, description, locale)
    answer = await publication.publish(f"/public_profiles/{profile}/{path}", body)
    return Snap(
        published_as=publish_as,
        id=_snap_id(answer) or media_id,
        media_id=media_id,
        explanation="Snapchat took it; it may show only after moderation.",
    )


async def _creative(
    api: SnapchatApi,
    context: ToolContext,
    publication: Publication,
    media: str,
    ad_account_id: str,
    profile_id: str,
    texts: dict[str, str | None],
) -> Snap:
    handle = await publication.hold(media, AD_MEDIA)
    async with publication.open(handle, AD_MEDIA) as file:
        check_image(file, profile=False)
        media_id = await publication.ad_media(file, ad_account_id, str(texts["name"]))

    async def create() -> dict[str, Any]:
        creative = {
            "ad_account_id": ad_account_id,
            "type": "SNAP_AD",
            "top_snap_media_id": media_id,
            "profile_properties": {"profile_id": profile_id},
            "shareable": True,
            **{key: value for key, value in texts.items() if value is not None},
        }
        path = f"/adaccounts/{ad_account_id}/creatives"
        answer, response = await api.post(path, {"creatives": [creative]})
        made = api.first(answer, "creatives", "creative", response)
        if not isinstance(made.get("id"), str):
            raise api.context.http.unclear(response)
        return {"id": made["id"], "review_status": made.get("review_status")}

    made = await context.step("creative", create)
    await context.state(PublishState.PUBLISHED)
    return Snap(
        published_as="ad_creative",
        id=made["id"],
        media_id=media_id,
        review_status=made["review_status"],
        explanation=NOT_SHOWN,
    )


async def _me(api: SnapchatApi) -> Me:
    answer, response = await api.get("/me")
    return api.read(Me, answer.get("me"), response)


async def _my_profile(api: SnapchatApi) -> PublicProfile | None:
    """The member's public profile. Seen both as one object and as a list of wrapped ones; none without approval."""
    try:
        answer, response = await api.get("/public_profiles/my_profile", profile=True)
    except PlatformRejected:
        return None
    listed = answer.get("public_profiles")
    if isinstance(listed, list):
        if not listed:
            return None
        return api.read(PublicProfile, api.first(answer, "public_profiles", "public_profile", response), response)
    found = answer.get("public_profile")
    return None if found is None else api.read(PublicProfile, found, response)


async def _own_profile(api: SnapchatApi) -> str:
    answer, response = await api.get("/public_profiles/my_profile", profile=True)
    listed = answer.get("public_profiles")
    found = answer.get("public_profile")
    if isinstance(listed, list) and listed:
        found = api.first(answer, "public_profiles", "public_profile", response)
    if found is None:
        raise PlatformRejected(
            "This Snapchat account has no public profile; make one in Snapchat's settings, or give profile_id.",
            nothing_sent=True,
        )
    return api.read(PublicProfile, found, response).id


async def _only_account(api: SnapchatApi) -> str:
    accounts = await ad_accounts(api)
    if len(accounts) == 1:
        return accounts[0].id
    known = ", ".join(f"{account.id} ({account.name})" for account in accounts[:10]) or "none"
    raise _unfit("ad_account_id", f"must say which ad account to use; there are {known}")


def _check_fit(target: Target, *, title: str | None, headline: str | None, brand_name: str | None) -> None:
    if target == "saved_story" and title is None:
        raise _unfit("title", "is required for a saved story")
    for field, given in (("headline", headline), ("brand_name", brand_name)):
        if given is not None and target != "ad_creative":
            raise _unfit(field, "belongs to an ad_creative")


def _post(
    target: Target, media_id: str, title: str | None, description: str | None, locale: str
) -> tuple[str, dict[str, Any]]:
    """Path below the profile and body of what publishes the media."""
    if target == "saved_story":
        return "saved_stories", {"saved_stories": [{"title": title, "snap_sources": [{"media_id": media_id}]}]}
    if target == "spotlight":
        text = {"description": description} if description else {}
        return "spotlights", {"media_id": media_id, "locale": locale, "skip_save_to_profile": False, **text}
    return "stories", {"media_id": media_id}


def _snap_id(answer: dict[str, Any]) -> str | None:
    """The id of what was published; three shapes are known, and a story may have only the request's."""
    listed = answer.get("saved_stories")
    if isinstance(listed, list) and listed and isinstance(listed[0], dict):
        inner = listed[0].get("saved_story")
        if isinstance(inner, dict) and isinstance(inner.get("id"), str):
            return str(inner["id"])
    for key in ("spotlight_id", "snap_id", "request_id"):
        if isinstance(answer.get(key), str):
            return str(answer[key])
    return None


def _unfit(field: str, problem: str) -> HermesError:
    return InvalidArguments(f"`{field}` {problem}.", fields=[{"field": field, "problem": problem}], nothing_sent=True)
