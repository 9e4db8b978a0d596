"""How a WhatsApp number stands at Meta: the number itself, the token, and the webhooks of the app."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hermes.sandbox.graph import APP_TOKEN, NEWEST, GraphError, check_token, parameter_error, token_state
from hermes.sandbox.http import Incoming, derived_digits
from hermes.sandbox.whatsapp_hooks import Number
from hermes.sandbox.whatsapp_templates import POOR

SCOPES = ("whatsapp_business_management", "whatsapp_business_messaging")
APP_ID = "1029384756"
SEVERAL = re.compile(r"severalnumbers(\d{0,3})")
NO_NUMBERS = "nonumbers"
NOT_APPROVED = {
    "error_code": 141000,
    "error_description": "The display name was declined.",
    "possible_solution": "Choose another display name.",
}


def phone_node(number: Number, webhook_url: str) -> dict[str, Any]:
    """A number, with every field that the stand-in knows."""
    shown = number.display
    poor = number.phone_number_id.endswith(POOR)
    sending = "LIMITED" if poor else "AVAILABLE"
    return {
        "id": number.phone_number_id,
        "display_phone_number": f"+{shown[0]} {shown[1:4]}-{shown[4:7]}-{shown[7:]}",
        "verified_name": "Sandbox business",
        "code_verification_status": "VERIFIED",
        "quality_rating": "RED" if poor else "GREEN",
        "platform_type": "CLOUD_API",
        "throughput": {"level": "STANDARD"},
        "name_status": "DECLINED" if poor else "APPROVED",
        "status": "CONNECTED",
        "is_official_business_account": False,
        "messaging_limit_tier": "TIER_250" if poor else "TIER_1K",
        "account_mode": "SANDBOX",
        "health_status": {
            "can_send_message": sending,
            "entities": [
                {
                    "entity_type": "PHONE_NUMBER",
                    "id": number.phone_number_id,
                    "can_send_message": sending,
                    **({"errors": [NOT_APPROVED]} if poor else {}),
                },
                {"entity_type": "WABA", "id": number.business, "can_send_message": "AVAILABLE"},
            ],
        },
        "webhook_configuration": {"application": webhook_url},
    }


def own_numbers(token: str, first: Number) -> list[Number]:
    """The numbers that a token brings into its business account: one, or as many as its text says."""
    if NO_NUMBERS in token:
        return []
    several = SEVERAL.search(token)
    further = range(2, int(several[1] or 3) + 1) if several else ()
    ids = [derived_digits(first.phone_number_id, f"number{each}") for each in further]
    return [first, *(Number(each, first.business, display_of(each)) for each in ids)]


def display_of(phone_number_id: str) -> str:
    """The phone number, as digits."""
    return "1555" + derived_digits(phone_number_id, "display", 7)


def debug_token(
    args: Mapping[str, Any], incoming: Incoming, now: float, business_of: Callable[[str], str]
) -> dict[str, Any]:
    """What a token is. `business_of`: token → the business account that it controls. Raises `GraphError`."""
    asking = str(args.get("access_token") or incoming.bearer or "")
    if not APP_TOKEN.match(asking):
        check_token(asking or None, about=())
    token = args.get("input_token")
    if not token:
        raise parameter_error("The parameter input_token is required.")
    wrong = token_state(str(token))
    if wrong is not None and wrong.code == 190:
        error = {"code": 190, "message": wrong.message}
        if wrong.subcode is not None:
            error["subcode"] = wrong.subcode
        return {"data": {"error": error, "is_valid": False, "scopes": []}}
    business = business_of(str(token))
    withheld = {"nomanagement": SCOPES[0], "nomessaging": SCOPES[1]}
    scopes = [scope for scope in SCOPES if not any(w in str(token) and scope == s for w, s in withheld.items())]
    return {
        "data": {
            "app_id": APP_ID,
            "type": "SYSTEM_USER",
            "application": "hermes sandbox",
            "data_access_expires_at": 0,
            "expires_at": 0,
            "issued_at": int(now) - 86_400,
            "is_valid": True,
            "scopes": scopes,
            "granular_scopes": [{"scope": scope, "target_ids": [business]} for scope in scopes],
            "user_id": derived_digits(str(token), "user"),
        }
    }


def app_webhooks(token: str | None, app_secret: str, webhook_url: str, webhook_fields: Sequence[str]) -> dict[str, Any]:
    """The app's own webhooks, which only the app itself may see. Source: "Application, subscriptions"."""
    if token is None or not APP_TOKEN.match(token):
        raise GraphError(15, "This method must be called with an app access_token.", status=400)
    if token != f"{APP_ID}|{app_secret}":
        raise GraphError(190, "Invalid OAuth access token signature.")
    if not webhook_fields:
        return {"data": []}
    subscribed = {
        "object": "whatsapp_business_account",
        "callback_url": webhook_url,
        "active": True,
        "fields": [{"name": name, "version": f"v{NEWEST[0]}.{NEWEST[1]}"} for name in webhook_fields],
    }
    return {"data": [subscribed]}
