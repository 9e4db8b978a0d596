"""What the Graph API's and WhatsApp's error codes mean.

Source: Meta's "Graph API error handling" and "Cloud API error codes". Decided by code and subcode; type and HTTP status
are not to be relied on.
"""

from __future__ import annotations

from typing import Final

from hermes.errors import InvalidArguments, NotFound, PlatformRejected, RateLimited
from hermes.platforms.meta.errors import ErrorTable, Key, graph_refusals
from hermes.platforms.refusals import Refusal

UNCLEAR: Final = frozenset({1, 2, 131000, 131016, 131057, 133004, 135000})
"""Temporary or unknown faults: they do not say whether a message was taken."""

_PERMISSION = (
    "The token needs whatsapp_business_messaging and whatsapp_business_management for this account: make one that has "
    "them and link the account again."
)
_PERSON = "A person has to settle this in Meta's Business Support."
_HOUR = 3600.0
_DAY = 24 * _HOUR

_COMMON = graph_refusals(
    relink="Make a new token in Meta's Business Settings (a system user's token lasts) and link the account again.",
    permission=_PERMISSION,
    missing="It does not exist, or this token may not see it: the phone number id is not the phone number, and both "
    "ids must belong to the token's business account.",
    person=_PERSON,
    version="WHATSAPP_GRAPH_VERSION",
)
_CONFIGURED = Refusal(PlatformRejected, "The number must be set up completely in WhatsApp Manager first.")

REFUSALS: Final[dict[Key, Refusal]] = {
    **_COMMON,
    (131005, None): Refusal(PlatformRejected, _PERMISSION),
    (131008, None): Refusal(InvalidArguments, "Something that is required is missing; add what is named here."),
    (131009, None): Refusal(InvalidArguments, "Correct the value that is named here."),
    (131021, None): Refusal(InvalidArguments, "must be another number than the sender's", "to"),
    (131026, None): Refusal(
        PlatformRejected, "This recipient cannot be reached: not on WhatsApp, or with too old an app. Do not try again."
    ),
    (131030, None): Refusal(
        PlatformRejected,
        "Meta's test number writes only to recipients on its list: add them there, or use a real number.",
    ),
    (131031, None): Refusal(PlatformRejected, f"The account is locked. {_PERSON}"),
    (131037, None): Refusal(PlatformRejected, "The number's display name must be approved in WhatsApp Manager first."),
    (131042, None): Refusal(
        PlatformRejected, "The business account has a payment problem: settle it in WhatsApp Manager."
    ),
    (131045, None): _CONFIGURED,
    (133010, None): Refusal(PlatformRejected, "The number must be registered for the Cloud API first."),
    (131047, None): Refusal(
        PlatformRejected,
        "More than 24 hours passed since their last message: use whatsapp_send_template to write first.",
    ),
    (131048, None): Refusal(
        PlatformRejected, "Recipients blocked or reported too many of this number's messages: send no more for now."
    ),
    (131049, None): Refusal(
        PlatformRejected,
        "Meta holds back marketing to this person: wait at least a day before the next message.",
        retry_after=_DAY,
    ),
    (131050, None): Refusal(PlatformRejected, "This person stopped marketing messages from you: send them none."),
    (131051, None): Refusal(InvalidArguments, "Use another kind of message; this one is not supported."),
    (131052, None): Refusal(InvalidArguments, "must be a file that Meta can download", "media"),
    (131053, None): Refusal(InvalidArguments, "must be of a kind and size that WhatsApp takes", "media"),
    (131062, None): Refusal(InvalidArguments, "must be a phone number for this kind of message", "to"),
    (131063, None): Refusal(
        PlatformRejected, "Marketing templates are switched off for the Cloud API of this account."
    ),
    (130472, None): Refusal(
        PlatformRejected, "Meta leaves this person out of such messages for now: do not try again."
    ),
    (130497, None): Refusal(PlatformRejected, "This account may not write to people in that country."),
    (137000, None): Refusal(PlatformRejected, "The recipient's identity has changed: a person has to check it first."),
    (132000, None): Refusal(InvalidArguments, "must have as many parameters as the template has variables", "body"),
    (132001, None): Refusal(
        NotFound, "No approved template has this name in this language: whatsapp_list_templates shows what there is."
    ),
    (132005, None): Refusal(InvalidArguments, "must be shorter: the filled-in text is too long", "body"),
    (132007, None): Refusal(PlatformRejected, "The template breaks WhatsApp's policy: use another one."),
    (132008, None): Refusal(InvalidArguments, "must hold values that the template allows", "body"),
    (132012, None): Refusal(
        InvalidArguments, "must hold parameters of the kinds and names that the template has", "body"
    ),
    (132015, None): Refusal(PlatformRejected, "The template is paused for low quality: use another one, or wait."),
    (132016, None): Refusal(PlatformRejected, "The template was switched off for low quality: use another one."),
    (132018, None): Refusal(InvalidArguments, "must hold texts without line breaks, tabs or long gaps", "body"),
    (132068, None): Refusal(PlatformRejected, "The template's flow is blocked: use another one."),
    (132069, None): Refusal(
        RateLimited, "The template's flow is throttled; wait before the next one.", retry_after=_HOUR
    ),
    (80007, None): _COMMON[4, None],
    (130429, None): Refusal(RateLimited, "The number's messages per second are used up; wait a little.", retry_after=5),
    (131056, None): Refusal(
        RateLimited, "Too many messages went to this recipient; wait before the next one to them.", retry_after=6
    ),
    (131064, None): Refusal(
        RateLimited, "The account's messaging limit is reached; wait until it recovers.", retry_after=_HOUR
    ),
    (133016, None): Refusal(
        RateLimited, "The number was registered too often; wait up to three days.", retry_after=_DAY
    ),
}
"""(code, subcode) → meaning; None as subcode: every one that is not listed by itself."""

ERRORS: Final = ErrorTable("whatsapp", "WhatsApp", REFUSALS, UNCLEAR)
