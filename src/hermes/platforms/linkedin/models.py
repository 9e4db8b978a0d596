"""What LinkedIn's tools take and return. Limits: Posts API, Polls API, Images API, Videos API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

HttpsUrl = Annotated[str, Field(pattern=r"^https://\S+$", max_length=2048)]
MediaSource = Annotated[
    str,
    Field(
        pattern=r"^(https://\S+|media_[A-Za-z0-9]{1,58})$",
        max_length=2048,
        description="https URL of the file, or media handle",
    ),
]


class Given(BaseModel):
    """A part of a tool's arguments."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Found(BaseModel):
    """A part of a tool's result. Unknown members of the answer are normal."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Image(Given):
    source: MediaSource
    alt_text: Annotated[str, Field(max_length=4086)] | None = Field(
        default=None, description="for people who cannot see it"
    )


class Document(Given):
    source: MediaSource
    title: Annotated[str, Field(min_length=1, max_length=400)]


class Video(Given):
    id: Annotated[str, Field(pattern=r"^urn:li:video:[A-Za-z0-9_-]{1,128}$", description="from upload_video")]
    title: Annotated[str, Field(max_length=400)] | None = None


class Article(Given):
    url: HttpsUrl
    title: Annotated[str, Field(min_length=1, max_length=400, description="LinkedIn does not fetch it from the page")]
    description: Annotated[str, Field(max_length=4086)] | None = None
    thumbnail: MediaSource | None = None


class Poll(Given):
    question: Annotated[str, Field(min_length=1, max_length=140)]
    options: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=30)]],
        Field(min_length=2, max_length=4, description="answers"),
    ]
    duration: Literal["ONE_DAY", "THREE_DAYS", "SEVEN_DAYS", "FOURTEEN_DAYS"] = "SEVEN_DAYS"


def _locale(value: Any) -> Any:
    if isinstance(value, dict):
        parts = [part for part in (value.get("language"), value.get("country")) if isinstance(part, str) and part]
        return "-".join(parts) or None
    return value


def _truth(value: Any) -> Any:
    return value.lower() == "true" if isinstance(value, str) else value


class Profile(Found):
    id: str = Field(validation_alias="sub", description="the member's id, valid for this app only")
    name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    picture: str | None = Field(default=None, description="a URL that expires")
    locale: Annotated[str | None, BeforeValidator(_locale)] = None
    email: str | None = None
    email_verified: Annotated[bool | None, BeforeValidator(_truth)] = None


class Post(Found):
    post_id: str
    url: str


class UploadedVideo(Found):
    video: str = Field(description="pass it to create_post as video.id")
    status: str = Field(description="AVAILABLE: ready to be posted. PROCESSING: LinkedIn is still at work on it")
    post_id: str | None = Field(default=None, description="the post, if one was wanted and is made")
    url: str | None = None
    explanation: str | None = None


class Connection(Found):
    id: str = Field(description="urn:li:person:…, for send_message")
    first_name: str | None = None
    last_name: str | None = None
    headline: str | None = None
    vanity_name: str | None = None


class Connections(Found):
    connections: list[Connection]
    searched: int = Field(description="how many connections were looked at; LinkedIn itself cannot search by words")
    total: int | None = None
    next_start: int | None = Field(default=None, description="pass it as start to go on; missing at the end")


class SentMessage(Found):
    sent: bool
    message_id: str | None = None
