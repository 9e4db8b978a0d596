"""WhatsApp: what an assistant can do with a business number."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from hermes.errors import InvalidArguments
from hermes.platforms.base import Account, Effect, PasteToken, Platform, RateLimit, Redaction
from hermes.platforms.context import ToolContext
from hermes.platforms.meta.errors import wrong
from hermes.platforms.meta.paging import CURSOR, read_page
from hermes.platforms.whatsapp.api import GRAPH_VERSION, WhatsAppApi, WhatsAppCredentials
from hermes.platforms.whatsapp.messages import bare_message, recipient, template_message, worded_message
from hermes.platforms.whatsapp.models import (
    ContactCard,
    ListMenu,
    Location,
    Media,
    MessageStatus,
    Reaction,
    ReplyButton,
    SentMessage,
    TemplateButton,
    TemplateHeader,
    TemplateParameter,
    Templates,
)
from hermes.platforms.whatsapp.numbers import NUMBERS, business_numbers
from hermes.platforms.whatsapp.onboarding import ONBOARDING
from hermes.platforms.whatsapp.uploads import with_upload

whatsapp = Platform(
    "whatsapp",
    title="WhatsApp",
    credentials=WhatsAppCredentials,
    connect=PasteToken(
        help_url="https://developers.facebook.com/docs/whatsapp/cloud-api/get-started",
        steps=(
            "In Meta's Business Settings, under System users, make a token for your app with "
            "whatsapp_business_messaging and whatsapp_business_management.",
            "In WhatsApp Manager, under API setup, copy the WhatsApp Business account id. If it has several numbers, "
            "you choose one next; or copy the phone number id (not the number) as well.",
        ),
        choices=NUMBERS,
    ),
    open=WhatsAppApi,
    base_url="https://graph.facebook.com",
    settings=(GRAPH_VERSION,),
    onboarding=ONBOARDING,
    # Up to 1,000 after an upgrade by Meta, and its refusal is cheap and clear.
    limits=(
        RateLimit(
            80, 1, source="https://developers.facebook.com/docs/whatsapp/cloud-api/overview#throughput", enforced=False
        ),
    ),
)

To = Annotated[
    str,
    Redaction.RECIPIENT,
    Field(
        pattern=r"^(\+?[0-9][0-9 ().-]{5,30}|[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128})$",
        description="Phone number with country code, or user id in your business (like US.1349…)",
    ),
]
MessageId = Annotated[
    str,
    Redaction.PLAIN,
    Field(pattern=r"^[!-~]{1,255}$", description="A message's id, as sending it returned (wamid.…)"),
]


@whatsapp.probe
async def probe(api: WhatsAppApi) -> Account:
    """The number, if the token controls it and it belongs to the business account. Source: "Phone numbers"."""
    number, response = await api.get(
        api.phone_number_id, fields="id,display_phone_number,verified_name,quality_rating,code_verification_status"
    )
    if str(number.get("id")) != api.phone_number_id:
        raise api.context.http.unclear(response)
    if not await _belongs(api):
        problem = "is not the WhatsApp Business account that this phone number id belongs to"
        raise InvalidArguments(
            f"businessAccountId {problem}.", fields=[{"field": "businessAccountId", "problem": problem}]
        )
    name = next((value for key in ("verified_name", "display_phone_number") if (value := number.get(key))), None)
    return Account(
        id=api.phone_number_id,
        name=str(name) if name else None,
        routing_id=api.phone_number_id,
        shared_id=api.business_account_id,
    )


async def _belongs(api: WhatsAppApi) -> bool:
    async for number in business_numbers(api, api.business_account_id, "id"):
        if str(number.get("id")) == api.phone_number_id:
            return True
    return False


@whatsapp.tool(Effect.SEND, rest="POST /send")
async def send_message(
    api: WhatsAppApi,
    context: ToolContext,
    to: To,
    text: Annotated[
        str,
        Redaction.TEXT,
        Field(min_length=1, max_length=4096, description="What the message says; 1,024 above buttons"),
    ]
    | None = None,
    preview_url: Annotated[bool, Redaction.PLAIN, Field(description="Show a preview of the text's first link")] = False,
    media: Annotated[Media, Field(description="A file")] | None = None,
    location: Annotated[Location, Field(description="A place on the map")] | None = None,
    contacts: Annotated[list[ContactCard], Field(min_length=1, max_length=20, description="Contact cards")]
    | None = None,
    reaction: Annotated[Reaction, Field(description="An emoji on an earlier message")] | None = None,
    buttons: Annotated[
        list[ReplyButton], Field(min_length=1, max_length=3, description="Below `text`, to answer by a tap")
    ]
    | None = None,
    list_menu: Annotated[ListMenu, Field(description="Below `text`, to choose one of up to ten")] | None = None,
    footer: Annotated[
        str, Redaction.TEXT, Field(min_length=1, max_length=60, description="Small text below buttons or a list")
    ]
    | None = None,
    reply_to: Annotated[MessageId, Field(description="The id of the message that this one answers")] | None = None,
) -> SentMessage:
    """Send one WhatsApp message: exactly one of text (with buttons or a list if wanted), media, location, contacts or
    reaction. Only within 24 hours after the recipient's last message; to write first use send_template.

    Source: Cloud API, Messages."""
    given = {"text": text, "media": media, "location": location, "contacts": contacts, "reaction": reaction}
    if sum(value is not None for value in given.values()) != 1:
        raise wrong("text", "or exactly one of media, location, contacts and reaction must be given")
    if text is None and (buttons is not None or list_menu is not None or footer is not None):
        raise wrong("text", "is needed with buttons, list_menu or footer")
    if reaction is not None and reply_to is not None:
        raise wrong("reply_to", "does not go with a reaction, which names its message itself")
    if text is not None:
        message = worded_message(text, buttons, list_menu, footer, preview_url=preview_url)
    else:
        message = bare_message(media, location, contacts, reaction)
    if media is not None:
        message[media.kind] = await with_upload(api, media.kind, message[media.kind], "media")
    return await _send(api, context, to, message, reply_to)


@whatsapp.tool(Effect.SEND, rest="POST /template")
async def send_template(
    api: WhatsAppApi,
    context: ToolContext,
    to: To,
    name: Annotated[str, Redaction.PLAIN, Field(pattern=r"^[a-z0-9_]{1,512}$", description="The template's name")],
    language: Annotated[
        str,
        Redaction.PLAIN,
        Field(pattern=r"^[a-z]{2,3}(_[A-Za-z]{2,4})?$", description="Exactly as list_templates shows it, like en_US"),
    ],
    body: Annotated[
        list[TemplateParameter], Field(max_length=100, description="What fills the body's variables, in their order")
    ]
    | None = None,
    header: Annotated[TemplateHeader, Field(description="What fills the header, if it has a variable or a file")]
    | None = None,
    buttons: Annotated[list[TemplateButton], Field(max_length=10, description="What fills buttons that vary")]
    | None = None,
) -> SentMessage:
    """Send an approved WhatsApp template, which may also open a conversation. list_templates shows the templates and
    their variables.

    Source: Cloud API, Message templates."""
    message = template_message(name, language, header, body, buttons)
    if header is not None and header.kind in ("image", "video", "document"):
        filled = message["template"]["components"][0]["parameters"][0]
        filled[header.kind] = await with_upload(api, header.kind, filled[header.kind], "header")
    return await _send(api, context, to, message, None)


@whatsapp.tool(Effect.READ, rest="GET /templates")
async def list_templates(
    api: WhatsAppApi,
    name: Annotated[
        str,
        Redaction.PLAIN,
        Field(min_length=1, max_length=512, description="Only templates whose name has this in it"),
    ]
    | None = None,
    status: Annotated[
        Literal["APPROVED", "PENDING", "REJECTED", "PAUSED", "DISABLED", "IN_APPEAL", "ARCHIVED"],
        Redaction.PLAIN,
        Field(description="Only templates of this status; only APPROVED ones can be sent"),
    ]
    | None = None,
    category: Annotated[
        Literal["MARKETING", "UTILITY", "AUTHENTICATION"],
        Redaction.PLAIN,
        Field(description="Only templates of this category"),
    ]
    | None = None,
    language: Annotated[
        str, Redaction.PLAIN, Field(pattern=r"^[A-Za-z_]{2,10}$", description="Only this language, like en_US")
    ]
    | None = None,
    limit: Annotated[int, Redaction.PLAIN, Field(ge=1, le=100, description="At most so many templates")] = 25,
    after: Annotated[
        str,
        Redaction.PLAIN,
        Field(pattern=CURSOR, description="The cursor that the page before ended with"),
    ]
    | None = None,
) -> Templates:
    """List the business account's WhatsApp templates with their texts, variables and whether they are approved.

    Source: Graph API, WhatsApp Business Account, message_templates."""
    filters = {"name": name, "status": status, "category": category, "language": language}
    query = {key: value for key, value in filters.items() if value is not None}
    page = await read_page(
        api,
        f"{api.business_account_id}/message_templates",
        limit=limit,
        after=after,
        what="templates",
        fields="id,name,status,category,language,components,parameter_format,rejected_reason",
        **query,
    )
    return api.read(Templates, {"templates": page.items, "after": page.after}, page.response)


@whatsapp.tool(Effect.READ, rest="GET /status")
async def get_message_status(api: WhatsAppApi, message_id: MessageId) -> MessageStatus:
    """Tell how a sent WhatsApp message fared: sent, delivered, read or failed, as far as WhatsApp has reported it.

    Source: Cloud API, Webhooks, statuses. There is no request that asks for it."""
    known = await api.context.ports.message_statuses.latest(api.context.customer_id, "whatsapp", message_id)
    if known is not None:
        return MessageStatus(
            message_id=known.message_id,
            status=known.status,
            at=known.at,
            recipient=known.recipient,
            errors=known.errors or None,
        )
    settings = api.context.settings
    ready = settings.meta_app_secret is not None and settings.whatsapp_verify_token is not None
    return MessageStatus(
        message_id=message_id,
        status="unknown",
        explanation="WhatsApp has reported nothing about this message yet: it was accepted at most. "
        + (
            "If that stays so, the app may not be subscribed to the account's webhooks."
            if ready
            else "This gateway cannot receive such reports: its operator has to set META_APP_SECRET and "
            "WHATSAPP_VERIFY_TOKEN and register the webhook."
        ),
    )


async def _send(
    api: WhatsAppApi, context: ToolContext, to: str, message: dict[str, Any], reply_to: str | None
) -> SentMessage:
    body: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **recipient(to),
        **message,
        "biz_opaque_callback_data": context.call_id,
    }
    if reply_to is not None:
        body["context"] = {"message_id": reply_to}
    answer, response = await api.post(f"{api.phone_number_id}/messages", body)
    sent, contact = _first(answer.get("messages")), _first(answer.get("contacts"))
    return api.read(
        SentMessage,
        {
            "message_id": sent.get("id"),
            "status": sent.get("message_status", "accepted"),
            "wa_id": contact.get("wa_id"),
            "user_id": contact.get("user_id"),
        },
        response,
    )


def _first(value: Any) -> dict[str, Any]:
    return value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else {}
