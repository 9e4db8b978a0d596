"""What Snapchat's tools take and give."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hermes.platforms.base import Redaction

UUID = r"^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"

Uuid = Annotated[str, Redaction.PLAIN, Field(pattern=UUID)]
Target = Literal["story", "saved_story", "spotlight", "ad_creative"]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")


class PublicProfile(_Answer):
    """A public profile: where stories and spotlights are shown."""

    id: str
    display_name: str | None = None
    snap_user_name: str | None = None
    profile_type: str | None = None
    profile_tier: str | None = None


class Me(_Answer):
    """The member whose token it is."""

    id: str
    display_name: str | None = None
    email: str | None = None
    snapchat_username: str | None = None
    organization_id: str | None = None
    member_status: str | None = None
    public_profile: PublicProfile | None = Field(default=None, description="Absent: none, or not allow-listed")


class AdAccount(_Answer):
    """An ad account that the member can use."""

    id: str
    name: str
    status: str | None = None
    type: str | None = None
    currency: str | None = None
    timezone: str | None = None
    organization_id: str | None = None
    organization_name: str | None = None
    roles: list[str] | None = None


class AdAccounts(BaseModel):
    ad_accounts: list[AdAccount]


class Snap(BaseModel):
    """What was made."""

    published_as: Target
    id: str = Field(description="Of the snap, story, spotlight or creative; of the request where Snapchat gives none")
    media_id: str
    review_status: str | None = None
    explanation: str
