"""The message templates that every WhatsApp business account of the sandbox has, and the checks of sending one.

Source: Cloud API, "Send message templates" and the Business Management API's message_templates edge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from hermes.sandbox.graph import GraphError, parameter_error
from hermes.sandbox.http import derived_digits

STATUSES = frozenset({
    "APPROVED", "PENDING", "REJECTED", "PAUSED", "DISABLED", "IN_APPEAL", "PENDING_DELETION", "DELETED",
    "LIMIT_EXCEEDED", "ARCHIVED",
})  # fmt: skip
CATEGORIES = frozenset({"MARKETING", "UTILITY", "AUTHENTICATION"})
SCORES = frozenset({"GREEN", "YELLOW", "RED", "UNKNOWN"})
LONGEST_BODY = 1024
MEDIA_HEADERS = frozenset({"IMAGE", "VIDEO", "DOCUMENT", "LOCATION"})
UNSENDABLE_TEXT = re.compile(r"[\n\r\t]| {5,}")
VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
POOR = "0666"
"""How the ids of numbers and business accounts end with which little is right."""
Template = dict[str, Any]


def _template(
    name: str,
    body: str,
    *,
    language: str = "en_US",
    category: str = "UTILITY",
    status: str = "APPROVED",
    header: Mapping[str, Any] | None = None,
    footer: str | None = None,
    buttons: list[dict[str, Any]] | None = None,
) -> Template:
    components: list[dict[str, Any]] = [{"type": "HEADER", **header}] if header else []
    components.append({"type": "BODY", "text": body})
    names = VARIABLE.findall(body)
    named = any(not one.isdigit() for one in names)
    if names and named:
        examples = [{"param_name": one, "example": one} for one in names]
        components[-1]["example"] = {"body_text_named_params": examples}
    elif names:
        components[-1]["example"] = {"body_text": [[f"example {one}" for one in names]]}
    if footer:
        components.append({"type": "FOOTER", "text": footer})
    if buttons:
        components.append({"type": "BUTTONS", "buttons": buttons})
    return {
        "name": name,
        "parameter_format": "NAMED" if named else "POSITIONAL",
        "components": components,
        "language": language,
        "status": status,
        "category": category,
        "sub_category": "CUSTOM",
        "quality_score": {"score": "UNKNOWN", "date": 1_790_000_000},
        "rejected_reason": "INVALID_FORMAT" if status == "REJECTED" else "NONE",
    }


_SHIPPED = "Hi {{1}}, your order {{2}} is on its way."
_TRACK = [{"type": "URL", "text": "Track", "url": "https://shop.example/track/{{1}}", "example": ["A1"]}]
_CODE = [{"type": "COPY_CODE", "text": "Copy code", "example": "SUMMER26"}]
_OTP = [{"type": "URL", "text": "Copy code", "url": "https://www.whatsapp.com/otp/code/?code=otp{{1}}"}]
TEMPLATES: tuple[Template, ...] = (
    _template("hello_world", "Welcome and congratulations!", header={"format": "TEXT", "text": "Hello World"}),
    _template("order_confirmation", _SHIPPED, footer="Thank you", buttons=_TRACK),
    _template("order_confirmation", "Hola {{1}}, tu pedido {{2}} está en camino.", language="es", buttons=_TRACK),
    _template("appointment_reminder", "Hi {{customer_name}}, see you at {{time}}."),
    _template("invoice_ready", "Your invoice {{1}} is attached.", header={"format": "DOCUMENT"}),
    _template("new_arrivals", "New in: {{1}}", category="MARKETING", header={"format": "IMAGE"}),
    _template("summer_sale", "{{1}} off, this week only.", category="MARKETING", buttons=_CODE),
    _template("login_code", "{{1}} is your verification code.", category="AUTHENTICATION", buttons=_OTP),
    _template("pending_notice", "Soon.", status="PENDING"),
    _template("rejected_promo", "BUY NOW", category="MARKETING", status="REJECTED"),
    _template("paused_offer", "An offer for you.", category="MARKETING", status="PAUSED"),
    _template("disabled_offer", "An old offer.", category="MARKETING", status="DISABLED"),
)


def listed(business: str, args: Mapping[str, Any]) -> list[Template]:
    """The account's templates that pass the filters of a listing.

    Raises:
        GraphError: 100 for a filter value that does not exist.
    """
    found = [
        template | {"id": derived_digits(business, f"{template['name']}/{template['language']}", 16)}
        for template in TEMPLATES
        if not (business.endswith(POOR) and template["status"] == "APPROVED")
    ]
    for name, allowed in (("status", STATUSES), ("category", CATEGORIES), ("quality_score", SCORES)):
        wanted = _wanted(args.get(name), name, allowed)
        if wanted:
            found = [one for one in found if _field(one, name) in wanted]
    languages = _wanted(args.get("language"), "language", None)
    if languages:
        found = [one for one in found if one["language"] in languages]
    for name in ("name", "content", "name_or_content"):
        needle = str(args.get(name) or "").lower()
        if needle:
            found = [one for one in found if needle in _searched(one, name)]
    return found


def check_sending(template: Any, *, to_phone: bool) -> Template:
    """The template that a `template` object of a message names, if it may be sent with these parameters.

    Raises:
        GraphError: 131008, 131009, 132000, 132001, 132005, 132012, 132015, 132016, 132018 or 131062.
    """
    if not isinstance(template, dict) or not template.get("name"):
        raise GraphError(131008, details="Parameter name is mandatory for type 'template'")
    language = template.get("language")
    code = language.get("code") if isinstance(language, dict) else None
    if not code:
        raise GraphError(131008, details="Parameter language.code is mandatory for type 'template'")
    found = next((one for one in TEMPLATES if (one["name"], one["language"]) == (template["name"], code)), None)
    if found is None or found["status"] in ("PENDING", "REJECTED"):
        raise GraphError(132001, details=f"template name ({template['name']}) does not exist in {code}")
    if found["status"] == "PAUSED":
        raise GraphError(132015, details=f"template ({template['name']}) is paused due to low quality")
    if found["status"] == "DISABLED":
        raise GraphError(132016, details=f"template ({template['name']}) is disabled")
    if found["category"] == "AUTHENTICATION" and not to_phone:
        raise GraphError(131062, details="Authentication templates must be sent to a phone number")
    components = template.get("components") or []
    if not isinstance(components, list) or not all(isinstance(one, dict) for one in components):
        raise parameter_error("Param template['components'] must be an array.")
    _check_components(found, components)
    return found


def _check_components(template: Template, components: list[dict[str, Any]]) -> None:
    given = {str(one.get("type", "")).lower(): one for one in components if one.get("type") != "button"}
    unknown = set(given) - {"header", "body", "carousel", "limited_time_offer", "button"}
    if unknown:
        raise GraphError(131009, details=f"Component type '{sorted(unknown)[0]}' is not valid")
    parts = {one["type"]: one for one in template["components"]}
    header = parts.get("HEADER", {})
    if header.get("format") in MEDIA_HEADERS:
        _check_media_header(header["format"], _parameters(given.get("header")))
    else:
        _check_text("header", header.get("text", ""), _parameters(given.get("header")), named=False)
    named = template["parameter_format"] == "NAMED"
    _check_text("body", parts["BODY"]["text"], _parameters(given.get("body")), named=named)
    buttons = parts.get("BUTTONS", {}).get("buttons", [])
    _check_buttons(buttons, [one for one in components if str(one.get("type")).lower() == "button"])


def _parameters(component: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    parameters = (component or {}).get("parameters") or []
    if not isinstance(parameters, list) or not all(isinstance(one, dict) for one in parameters):
        raise GraphError(131009, details="parameters must be an array of objects")
    return parameters


def _check_media_header(form: str, parameters: list[dict[str, Any]]) -> None:
    if len(parameters) != 1:
        raise GraphError(132012, details=f"header: Format mismatch, expected {form}, received UNKNOWN")
    kind = str(parameters[0].get("type", "")).upper()
    if kind != form:
        raise GraphError(132012, details=f"header: Format mismatch, expected {form}, received {kind or 'UNKNOWN'}")
    media = parameters[0].get(form.lower())
    if not isinstance(media, dict) or (form != "LOCATION" and not (media.get("id") or media.get("link"))):
        raise GraphError(131008, details=f"header: {form.lower()} needs an id or a link")


def _check_text(where: str, text: str, parameters: list[dict[str, Any]], *, named: bool) -> None:
    expected = VARIABLE.findall(text)
    if len(parameters) != len(expected):
        raise GraphError(
            132000,
            details=f"{where}: number of localizable_params ({len(parameters)}) does not match the expected number of "
            f"params ({len(expected)})",
        )
    values = [_value(where, parameter) for parameter in parameters]
    if named:
        names = {str(parameter.get("parameter_name") or "") for parameter in parameters}
        if names != set(expected):
            raise GraphError(132012, details=f"{where}: parameter_name must be each of {', '.join(expected)} once")
    elif any("parameter_name" in parameter for parameter in parameters):
        raise GraphError(132012, details=f"{where}: this template's parameters are positional")
    if len(VARIABLE.sub("", text)) + sum(map(len, values)) > LONGEST_BODY:
        raise GraphError(132005, details=f"Translated text of {where} is too long")


def _value(where: str, parameter: Mapping[str, Any]) -> str:
    kind = parameter.get("type")
    if kind in ("currency", "date_time"):
        inner = parameter.get(str(kind))
        if not isinstance(inner, dict) or not inner.get("fallback_value"):
            raise GraphError(131008, details=f"{where}: {kind} needs a fallback_value")
        return str(inner["fallback_value"])
    if kind != "text":
        raise GraphError(132012, details=f"{where}: Format mismatch, expected TEXT, received {str(kind).upper()}")
    text = parameter.get("text")
    if not isinstance(text, str) or not text:
        raise GraphError(131008, details=f"{where}: Parameter of type text is missing text value")
    if UNSENDABLE_TEXT.search(text):
        details = "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
        raise GraphError(132018, details=details)
    return text


def _check_buttons(buttons: list[dict[str, Any]], given: list[dict[str, Any]]) -> None:
    by_index = {str(one.get("index")): one for one in given}
    for index, button in enumerate(buttons):
        needs = button["type"] == "COPY_CODE" or "{{" in button.get("url", "")
        if needs and not _parameters(by_index.get(str(index))):
            kind = button["type"].replace("_", " ").title()
            details = f"buttons: Button at index {index} of type {kind} requires a parameter"
            raise GraphError(131008, details=details)
    for place in by_index:
        if not place.isdigit() or int(place) >= len(buttons):
            raise GraphError(132000, details=f"buttons: there is no button at index {place}")


def _wanted(given: Any, name: str, allowed: Iterable[str] | None) -> set[str]:
    """The values of a filter: one, several with commas, or a JSON array."""
    if not given:
        return set()
    if isinstance(given, str) and given.startswith("["):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError:
            raise parameter_error(f"Param {name} must be an array.") from None
    values = {str(one) for one in given} if isinstance(given, list) else set(str(given).split(","))
    if allowed is not None:
        values = {value.upper() for value in values}
        wrong = sorted(values - set(allowed))
        if wrong:
            listed_values = ", ".join(sorted(allowed))
            raise parameter_error(f'Param {name} must be one of {{{listed_values}}} - got "{wrong[0]}".')
    return values


def _field(template: Template, name: str) -> str:
    return str(template["quality_score"]["score"] if name == "quality_score" else template[name])


def _searched(template: Template, name: str) -> str:
    content = " ".join(str(one.get("text", "")) for one in template["components"]).lower()
    title = str(template["name"])
    return {"name": title, "content": content}.get(name, f"{title} {content}")
