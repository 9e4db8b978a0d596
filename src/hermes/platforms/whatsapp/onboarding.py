"""What makes a WhatsApp number complete: the token's rights, the app's subscription, the webhook, templates, quality.

Source: https://developers.facebook.com/docs/whatsapp/business-management-api ("Phone numbers", "Manage webhooks",
"Message templates") and https://developers.facebook.com/docs/graph-api/reference/debug_token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import SecretStr

from hermes.platforms.meta.graph import GraphApi
from hermes.platforms.meta.paging import next_cursor, page_items
from hermes.platforms.onboarding import IsShared, Onboarding, Step, StepState, looked_at
from hermes.platforms.whatsapp.api import GRAPH_VERSION, WhatsAppApi
from hermes.platforms.whatsapp.errors import ERRORS

_SCOPES: Final = ("whatsapp_business_messaging", "whatsapp_business_management")
_OBJECT: Final = "whatsapp_business_account"
_WEBHOOK_PATH: Final = "/webhook/whatsapp"
_TEMPLATE_PAGES: Final = 10
_NUMBER_FIELDS: Final = (
    "id,display_phone_number,verified_name,quality_rating,name_status,messaging_limit_tier,status,health_status"
)

_TOKEN = ("token", "The token may send, and manage the business account")
_SUBSCRIPTION = ("subscription", "The app gets what happens on the business account")
_WEBHOOK = ("webhook", "Messages and statuses arrive here")
_TEMPLATES = ("templates", "There are approved message templates")
_NUMBER = ("number", "The number is connected to the Cloud API")
_NAME = ("name", "The display name is approved")
_QUALITY = ("quality", "The number's quality is good")
_LIMIT = ("limit", "How many people can be written to first")

_MANAGER: Final = "https://business.facebook.com/wa/manage"
_LIMITS: Final = {
    "TIER_50": "50",
    "TIER_250": "250",
    "TIER_1K": "1,000",
    "TIER_2K": "2,000",
    "TIER_10K": "10,000",
    "TIER_100K": "100,000",
    "TIER_UNLIMITED": "any number of",
}
_NAMES_RIGHT: Final = frozenset({"APPROVED", "AVAILABLE_WITHOUT_REVIEW"})
_ANEW: Final = (
    "In Meta's Business Settings, under System users, make a token with whatsapp_business_messaging and "
    "whatsapp_business_management for this business account, and connect the number again with it."
)


async def run(api: WhatsAppApi) -> list[Step]:
    """Look at every step and subscribe the app. Eight requests; harmless to repeat."""
    first, subscription, templates, number = await asyncio.gather(
        _token_and_webhook(api),
        looked_at(*_SUBSCRIPTION, _subscribe(api)),
        looked_at(*_TEMPLATES, _templates(api)),
        _number(api),
    )
    token, webhook = first
    return [token, *number, subscription, webhook, templates]


async def undo(api: WhatsAppApi, is_shared: IsShared) -> list[Step]:
    """Take the app off the business account, unless another number here needs it."""
    title = "The app no longer gets what happens on the business account"
    step = await looked_at("subscription", title, _unsubscribe(api, title, is_shared))
    if step.state in (StepState.DONE, StepState.KEPT):
        return [step]
    by_hand = f"Remove the app from the business account in WhatsApp Manager ({_MANAGER}), or delete its system user."
    return [Step(step.id, title, StepState.MISSING, step.detail or step.remedy or "", by_hand)]


ONBOARDING: Final = Onboarding(
    run,
    undo,
    "The token that was pasted works until you take it back in Meta's Business Settings, under System users.",
)


async def _subscribe(api: WhatsAppApi) -> Step:
    """Meta takes a subscription that is there already as a success."""
    await api.post(f"{api.business_account_id}/subscribed_apps")
    return Step(*_SUBSCRIPTION, StepState.DONE)


async def _unsubscribe(api: WhatsAppApi, title: str, is_shared: IsShared) -> Step:
    kept = Step("subscription", title, StepState.KEPT, "Another number here uses the same business account.")
    if await is_shared():
        return kept
    path = f"{api.business_account_id}/subscribed_apps"
    api.checked(await api.exchange("DELETE", path, write=False))
    if not await is_shared():
        return Step("subscription", title, StepState.DONE)
    # A number of the account was linked meanwhile, and may have been subscribed before this took it back.
    await api.post(path)
    return kept


async def _token_and_webhook(api: WhatsAppApi) -> tuple[Step, Step]:
    """Which app the token is of has to be known before that app's webhook can be looked at."""
    about: Mapping[str, Any] = {}

    async def token() -> Step:
        nonlocal about
        about = await api.about_token()
        return _token(api, about)

    step = await looked_at(*_TOKEN, token())
    return step, await looked_at(*_WEBHOOK, _webhook(api, about.get("app_id")))


def _token(api: WhatsAppApi, about: Mapping[str, Any]) -> Step:
    lacking = [scope for scope in _SCOPES if not _has(about, scope, api.business_account_id)]
    if lacking:
        return Step(*_TOKEN, StepState.MISSING, f"It lacks {' and '.join(lacking)}.", _ANEW)
    ends = about.get("expires_at")
    if isinstance(ends, int) and ends > 0:
        day = datetime.fromtimestamp(ends, UTC)
        advice = "A system user's token can be made never to end; connect the number with a new one before this ends."
        return Step(*_TOKEN, StepState.DONE, f"It ends on {day:%d %B %Y}.", advice)
    return Step(*_TOKEN, StepState.DONE, "It does not end.")


def _has(about: Mapping[str, Any], scope: str, business: str) -> bool:
    """Whether a scope was granted, for this business account: without targets it is for all."""
    if scope not in (about.get("scopes") or ()):
        return False
    granular = [one for one in about.get("granular_scopes") or () if isinstance(one, dict)]
    targets = [one.get("target_ids") for one in granular if one.get("scope") == scope]
    return not any(targets) or any(business in map(str, each or ()) for each in targets)


async def _webhook(api: WhatsAppApi, app_id: Any) -> Step:
    settings = api.context.settings
    if settings.meta_app_secret is None or settings.whatsapp_verify_token is None:
        remedy = "The operator of this server has to set META_APP_SECRET and WHATSAPP_VERIFY_TOKEN."
        return Step(*_WEBHOOK, StepState.MISSING, "This server is not set up to receive messages.", remedy)
    if not isinstance(app_id, str) or not app_id.isdigit():
        return Step(*_WEBHOOK, StepState.UNKNOWN, "Meta did not say which app the token is of.", "Check again later.")
    own = SecretStr(f"{app_id}|{settings.meta_app_secret.get_secret_value()}")
    app = GraphApi(api.context, own, version=GRAPH_VERSION, errors=ERRORS, proves_secret=False)
    answer, response = await app.get(f"{app_id}/subscriptions")
    callback = settings.public_url + _WEBHOOK_PATH
    of_app = [one for one in page_items(app, answer, response) if one.get("object") == _OBJECT and one.get("active")]
    here = [one for one in of_app if one.get("callback_url") == callback]
    remedy = (
        f"Whoever owns the app sets, in its dashboard under WhatsApp, Configuration, the callback URL {callback} with "
        "this server's verify token, and subscribes the field messages."
    )
    if not here:
        found = "The app's webhooks go to another address." if of_app else "The app has no webhook."
        return Step(*_WEBHOOK, StepState.MISSING, found, remedy)
    fields = {_field_name(field) for field in here[0].get("fields") or ()}
    if "messages" not in fields:
        return Step(*_WEBHOOK, StepState.MISSING, "The field messages is not subscribed.", remedy)
    return Step(*_WEBHOOK, StepState.DONE, f"Subscribed: {', '.join(sorted(filter(None, fields)))}.")


def _field_name(field: Any) -> str:
    """Documented as objects with a name; plain names have been seen."""
    return str(field.get("name", "")) if isinstance(field, dict) else str(field)


async def _templates(api: WhatsAppApi) -> Step:
    statuses: list[str] = []
    after: str | None = None
    for _ in range(_TEMPLATE_PAGES):
        more = {} if after is None else {"after": after}
        answer, response = await api.get(
            f"{api.business_account_id}/message_templates", fields="status", limit=100, **more
        )
        statuses += [str(one.get("status")) for one in page_items(api, answer, response)]
        after = next_cursor(answer)
        if after is None:
            break
    approved = statuses.count("APPROVED")
    found = f"{approved} of {len(statuses)}{'' if after is None else ' or more'} are approved."
    if approved:
        return Step(*_TEMPLATES, StepState.DONE, found)
    remedy = f"To write to somebody first, make a template in WhatsApp Manager ({_MANAGER}) and have it approved."
    return Step(*_TEMPLATES, StepState.MISSING, found, remedy)


async def _number(api: WhatsAppApi) -> list[Step]:
    found: Mapping[str, Any] = {}

    async def number() -> Step:
        nonlocal found
        found, _ = await api.get(api.phone_number_id, fields=_NUMBER_FIELDS)
        return _connected(found)

    first = await looked_at(*_NUMBER, number())
    if not found:
        return [first]
    return [first, _name(found), _quality(found), _limit(found)]


def _connected(number: Mapping[str, Any]) -> Step:
    health = number.get("health_status")
    health = health if isinstance(health, dict) else {}
    if number.get("status", "CONNECTED") != "CONNECTED":
        remedy = "Register the number for the Cloud API in WhatsApp Manager, under Phone numbers."
        return Step(*_NUMBER, StepState.MISSING, f"Meta calls it {number['status']}.", remedy)
    if health.get("can_send_message", "AVAILABLE") != "AVAILABLE":
        said = " ".join(dict.fromkeys(_problems(health)))
        remedy = f"See WhatsApp Manager ({_MANAGER}) for what Meta wants done."
        return Step(*_NUMBER, StepState.MISSING, said or f"Sending is {health['can_send_message']}.", remedy)
    return Step(*_NUMBER, StepState.DONE, str(number.get("display_phone_number") or ""))


def _problems(health: Mapping[str, Any]) -> Sequence[str]:
    """What Meta says is wrong, and how to solve it. Source: "Messaging health status"."""
    entities = [one for one in health.get("entities") or () if isinstance(one, dict)]
    errors = [error for one in entities for error in one.get("errors") or () if isinstance(error, dict)]
    return [str(error[key]) for error in errors for key in ("error_description", "possible_solution") if error.get(key)]


def _name(number: Mapping[str, Any]) -> Step:
    name, status = str(number.get("verified_name") or ""), str(number.get("name_status") or "UNKNOWN")
    if status in _NAMES_RIGHT:
        return Step(*_NAME, StepState.DONE, name)
    remedy = "Wait for Meta's review." if status == "PENDING_REVIEW" else "Change the name in WhatsApp Manager."
    return Step(*_NAME, StepState.MISSING, f"{name}: {status.replace('_', ' ').lower()}.", remedy)


def _quality(number: Mapping[str, Any]) -> Step:
    rating = str(number.get("quality_rating") or "UNKNOWN")
    if rating in ("GREEN", "UNKNOWN", "NA"):
        return Step(*_QUALITY, StepState.DONE, "Green." if rating == "GREEN" else "Not rated yet.")
    remedy = "Recipients blocked or reported messages: write less, and only to those who want it."
    return Step(*_QUALITY, StepState.MISSING, f"{rating.capitalize()}.", remedy)


def _limit(number: Mapping[str, Any]) -> Step:
    tier = str(number.get("messaging_limit_tier") or "")
    if tier not in _LIMITS:
        return Step(*_LIMIT, StepState.UNKNOWN, "Meta does not say.")
    return Step(*_LIMIT, StepState.DONE, f"{_LIMITS[tier]} people in 24 hours.".capitalize())
