"""LinkedIn: what an assistant can do for a member or a page."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hermes.errors import Conflict
from hermes.platforms.base import Account, Effect, PasteToken, Platform, RateLimit, Redaction
from hermes.platforms.context import ToolContext
from hermes.platforms.linkedin.api import (
    MESSAGES_SCOPE,
    ORGANIZATION_ID,
    ORGANIZATION_URN,
    ORGANIZATIONS,
    VERSION,
    VIDEO_MAX_MB,
    LinkedInApi,
    LinkedInCredentials,
    check_settings,
)
from hermes.platforms.linkedin.errors import MEDIA_PENDING
from hermes.platforms.linkedin.models import (
    Article,
    Connections,
    Document,
    Image,
    MediaSource,
    Poll,
    Post,
    Profile,
    SentMessage,
    UploadedVideo,
    Video,
)
from hermes.platforms.linkedin.oauth import SIGN_IN_AT_LINKEDIN
from hermes.platforms.linkedin.organizations import names
from hermes.platforms.linkedin.people import find_connections, send_to_connections
from hermes.platforms.linkedin.posts import check_audience, content_of, post_body, publish, wrong
from hermes.platforms.linkedin.uploads import Uploads
from hermes.platforms.ports import PublishState

linkedin = Platform(
    "linkedin",
    title="LinkedIn",
    credentials=LinkedInCredentials,
    connect=PasteToken(
        help_url="https://www.linkedin.com/developers/tools/oauth/token-generator",
        steps=(
            "Make an app, which needs a company page, at linkedin.com/developers/apps.",
            "Under Products, add “Sign In with LinkedIn using OpenID Connect” and “Share on LinkedIn”.",
            "In the token generator, choose the app and the scopes openid, profile, email and w_member_social.",
            "Sign in, and copy the access token. It lasts 60 days.",
        ),
    ),
    oauth=(SIGN_IN_AT_LINKEDIN,),
    open=LinkedInApi,
    base_url="https://api.linkedin.com",
    settings=(VERSION, VIDEO_MAX_MB, MESSAGES_SCOPE, ORGANIZATIONS),
    check_settings=check_settings,
    # Counted from midnight UTC and for posts only, and its refusal is cheap and clear.
    limits=(
        RateLimit(
            150,
            86_400,
            source="https://learn.microsoft.com/linkedin/consumer/integrations/self-serve/share-on-linkedin",
            enforced=False,
        ),
    ),
)

Text = Annotated[
    str,
    Redaction.TEXT,
    Field(
        max_length=3000,
        description="Plain text, shown as it is. #hashtags work; a mention is @[Name](urn:li:organization:1337), with "
        "the name exactly as LinkedIn has it",
    ),
]
Visibility = Annotated[
    Literal["PUBLIC", "CONNECTIONS", "LOGGED_IN"], Redaction.PLAIN, Field(description="Who can see it")
]
OrganizationId = Annotated[
    str,
    Redaction.PLAIN,
    Field(
        pattern=ORGANIZATION_ID,
        description="Post as this company page instead of the member; needs LinkedIn's Community Management API",
    ),
]
PersonUrn = Annotated[
    str,
    Redaction.RECIPIENT,
    Field(pattern=r"^urn:li:person:[A-Za-z0-9_-]{1,64}$", description="As search_connections shows it"),
]
_UPLOAD_SECONDS = 3600.0


@linkedin.probe
async def probe(api: LinkedInApi) -> Account:
    """Source: "Sign In with LinkedIn using OpenID Connect", "Organization Lookup"."""
    profile = await api.first_profile()
    who, name, page = profile.id, profile.name, api.credentials.organization_id
    if page is not None:
        who, name = ORGANIZATION_URN + page, (await names(api, [page]))[page]
    scopes = tuple((api.credentials.scopes or "").replace(",", " ").split())
    return Account(id=who, name=name, scopes=scopes, expires_at=api.credentials.expires_at)


@linkedin.tool(Effect.READ, rest="GET /profile", title="Get the member's profile")
async def get_profile(api: LinkedInApi) -> Profile:
    """Get the LinkedIn member's own name, picture, language and e-mail address, as far as the token allows. Posts are
    theirs or a page's.

    Source: "Sign In with LinkedIn using OpenID Connect", userinfo."""
    return await api.profile()


@linkedin.tool(Effect.CREATE, rest="POST /post", timeout=900.0, long=True)
async def create_post(
    api: LinkedInApi,
    context: ToolContext,
    text: Text,
    visibility: Visibility = "PUBLIC",
    images: Annotated[
        list[Image],
        Field(min_length=1, max_length=20, description="JPEG, PNG or GIF, below 36,152,320 pixels each"),
    ]
    | None = None,
    video: Annotated[Video, Field(description="A video that upload_video uploaded before")] | None = None,
    document: Annotated[Document, Field(description="PDF, Word or PowerPoint, up to 100 MB and 300 pages")]
    | None = None,
    article: Annotated[Article, Field(description="A link with a title, shown as a card")] | None = None,
    poll: Annotated[Poll, Field(description="A question with two to four answers")] | None = None,
    reshare_of: Annotated[
        str,
        Redaction.PLAIN,
        Field(pattern=r"^urn:li:(share|ugcPost):[0-9]{1,32}$", description="The post to share with the text above it"),
    ]
    | None = None,
    organization_id: OrganizationId | None = None,
    allow_reshare: Annotated[bool, Redaction.PLAIN, Field(description="Whether others may share the post")] = True,
) -> Post:
    """Publish a post on LinkedIn, with at most one of images, video, document, article, poll and reshare_of. It is
    visible at once.

    Source: Posts API."""
    organization_id = organization_id or api.credentials.organization_id
    beside = (images, video, document, article, poll, reshare_of)
    if sum(one is not None for one in beside) > 1:
        raise wrong("images", "video, document, article, poll and reshare_of exclude each other: give at most one")
    check_audience(text, visibility, organization_id, has_content=any(one is not None for one in beside))
    author, access = await api.owner(organization_id)
    await context.state(PublishState.CREATED)
    content = await content_of(Uploads(api, context, author, access), images, video, document, article, poll)
    body = post_body(author, text, visibility, reshareable=allow_reshare)
    if content is not None:
        body["content"] = content
    if reshare_of is not None:
        body["reshareContext"] = {"parent": reshare_of}
    return await publish(api, context, body, access)


@linkedin.tool(Effect.READ, rest="POST /connections")
async def search_connections(
    api: LinkedInApi,
    keywords: Annotated[
        str,
        Redaction.TEXT,
        Field(min_length=1, max_length=200, description="Words that the name or headline must have"),
    ]
    | None = None,
    start: Annotated[int, Redaction.PLAIN, Field(ge=0, le=100_000, description="Where to begin: next_start")] = 0,
    limit: Annotated[int, Redaction.PLAIN, Field(ge=1, le=50, description="At most so many connections")] = 25,
) -> Connections:
    """List the member's first-degree LinkedIn connections, or those among up to 500 of them that have the keywords.
    LinkedIn opens this to approved partners only; without that approval it says what to ask for.

    Source: Connections API."""
    return await find_connections(api, keywords, start, limit)


@linkedin.tool(Effect.SEND, rest="POST /message")
async def send_message(
    api: LinkedInApi,
    recipients: Annotated[
        list[PersonUrn], Redaction.RECIPIENT, Field(min_length=1, max_length=50, description="First-degree connections")
    ],
    text: Annotated[str, Redaction.TEXT, Field(min_length=1, max_length=8000, description="What the message says")],
    subject: Annotated[str, Redaction.TEXT, Field(min_length=1, max_length=200, description="Its subject line")]
    | None = None,
) -> SentMessage:
    """Send a LinkedIn message to first-degree connections. LinkedIn opens this to approved partners only; without that
    approval it says what to ask for.

    Source: Messages API."""
    return await send_to_connections(api, recipients, subject, text)


@linkedin.tool(Effect.CREATE, rest="POST /video", timeout=_UPLOAD_SECONDS, long=True)
async def upload_video(
    api: LinkedInApi,
    context: ToolContext,
    video: Annotated[
        MediaSource,
        Redaction.TEXT,
        Field(description="An MP4 of 3 seconds to 30 minutes: https URL of the file, or media handle"),
    ],
    text: Annotated[Text, Field(description="Given: the video is also posted, with this text")] | None = None,
    title: Annotated[str, Redaction.TEXT, Field(max_length=400, description="The video's title in the post")]
    | None = None,
    visibility: Visibility = "PUBLIC",
    organization_id: OrganizationId | None = None,
) -> UploadedVideo:
    """Upload a video to LinkedIn, and publish it as a post if a text is given. Without a text nothing is visible yet:
    pass the returned video to create_post.

    Source: Videos API."""
    if text is None and title is not None:
        raise wrong("title", "belongs to a post: give a text, too, or the title to create_post")
    organization_id = organization_id or api.credentials.organization_id
    check_audience(text or "", visibility, organization_id, has_content=True)
    owner, access = await api.owner(organization_id)
    await context.state(PublishState.CREATED)
    uploads = Uploads(api, context, owner, access)
    urn = await uploads.video(video, field="video")
    status = await uploads.processed(urn)
    if text is None:
        return UploadedVideo(video=urn, status=status)
    body = post_body(owner, text, visibility)
    body["content"] = {"media": {"id": urn, **({"title": title} if title else {})}}
    try:
        post = await publish(api, context, body, access)
    except Conflict as refused:
        if refused.data.get("platform_code") not in MEDIA_PENDING:
            raise
        why = "LinkedIn is still processing the video, so nothing is posted yet: pass it to create_post in a while."
        return UploadedVideo(video=urn, status="PROCESSING", explanation=why)
    return UploadedVideo(video=urn, status=status, post_id=post.post_id, url=post.url)
