"""WhatsApp's Cloud API and the part of the Business Management API that a sender needs.

Whose is a number: a token `EAAsandbox-<phone number id>-<business account id>-<anything>` controls those two ids, so
several tokens can control one number; any other `EAA…` token controls two ids of its own that follow from it (its
`debug_token`, `POST /_sandbox/account` and the inspection page show them). A token controls all numbers of its business
account: those that other tokens brought into it too. Everything else is, for that token, an object that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from hermes.sandbox.base import Action, ActionError, Field, Magic, Service, Stage, StandIn
from hermes.sandbox.graph import (
    MESSAGES,
    NEWEST,
    TOKEN,
    GraphCall,
    GraphError,
    arguments,
    check_proof,
    check_token,
    choose_fields,
    graph_answer,
    graph_failure,
    missing_object,
    page,
    parameter_error,
    split_version,
    token_in,
)
from hermes.sandbox.http import Answer, Incoming, Upload, derived_digits
from hermes.sandbox.limits import RateLimiter
from hermes.sandbox.webhooks import is_loopback
from hermes.sandbox.whatsapp_hooks import Hooks, Number, Sent, new_wamid, user_id_of
from hermes.sandbox.whatsapp_inbound import INBOUND, inbound
from hermes.sandbox.whatsapp_media import LARGEST, MediaStore
from hermes.sandbox.whatsapp_messages import Checked, check_message, check_product, wa_id_of
from hermes.sandbox.whatsapp_setup import (
    APP_ID,
    NO_NUMBERS,
    app_webhooks,
    debug_token,
    display_of,
    own_numbers,
    phone_node,
)
from hermes.sandbox.whatsapp_templates import listed

EMBEDDED = re.compile(r"^EAAsandbox-(\d{5,20})-(\d{5,20})-[A-Za-z0-9_-]*$")
MAGIC_RECIPIENT = re.compile(r"^1555([01])(\d{6})$")
LATER = frozenset({130472, 131026, 131047, 131049, 131050, 131052, 131053, 131064})
WINDOW = 24 * 3600.0
PHONE_NODE = "WhatsAppBusinessPhoneNumber"
BUSINESS_NODE = "WhatsAppBusinessAccount"
PHONE_FIELDS = (
    "verified_name", "code_verification_status", "display_phone_number", "quality_rating", "platform_type",
    "throughput", "id",
)  # fmt: skip
Edge = Callable[[GraphCall, Number, dict[str, Upload]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Failing:
    """The code that a message fails with: at once, or later as a failed status."""

    code: int
    later: bool


class WhatsAppService(Service):
    """All numbers of the sandbox."""

    max_body = LARGEST + 1024 * 1024

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._hooks = Hooks(stage)
        self._numbers: dict[str, Number] = {}
        self._businesses: dict[str, dict[str, Number]] = {}
        self._received: dict[str, str] = {}
        self._last_inbound: dict[tuple[str, str], float] = {}
        self._media = MediaStore(stage.clock)
        self.webhook_fields: list[str] = ["messages", "message_template_status_update"]
        """What the app's webhook gets; empty: the app has none."""
        limited = stage.options.vendor_limits
        self._per_pair = RateLimiter(stage.clock, 1 / 6 if limited else None, burst=45)
        self._per_number = RateLimiter(stage.clock, 80.0 if limited else None, burst=80)
        self._phone_edges: dict[tuple[str, str], Edge] = {
            ("POST", "messages"): self._post_message,
            ("POST", "media"): self._post_media,
            ("POST", "register"): self._register,
            ("GET", "message_history"): self._history,
        }
        self._business_edges: dict[tuple[str, str], Edge] = {
            ("GET", "phone_numbers"): self._phone_numbers,
            ("GET", "message_templates"): self._templates,
            ("GET", "subscribed_apps"): self._subscriptions,
            ("POST", "subscribed_apps"): self._subscribe,
            ("DELETE", "subscribed_apps"): self._unsubscribe,
        }
        self.actions = (
            Action(
                "message",
                "A person writes to this number",
                (
                    Field("token", "Access token", "EAA…"),
                    Field("text", "Text", "Hello!"),
                    Field("from", "Person's number", "16505551234", required=False),
                    Field("name", "Person's name", "Ann", required=False),
                    Field("kind", "Kind: text, image, unsupported, system, username", "text", required=False),
                    Field("signature", "Signature: right, wrong, missing", "right", required=False),
                ),
                self._person_writes,
            ),
            Action(
                "webhook_fields",
                "The app's webhook gets these fields",
                (Field("fields", "Fields, with commas between; - for none", "messages"),),
                self._set_webhook_fields,
            ),
        )

    # what every stand-in has

    def token_of(self, incoming: Incoming) -> str | None:
        return token_in(incoming)

    async def answer(self, incoming: Incoming) -> Answer:
        version, business = f"v{NEWEST[0]}.{NEWEST[1]}", "0"
        try:
            if incoming.path.startswith("/media_download/"):
                token = check_token(incoming.bearer, about=())
                return self._media.download(incoming, self._controlled(token))
            version, parts = split_version(incoming.path)
            args, files = await arguments(incoming)
            if parts == ("debug_token",):
                known = debug_token(args, incoming, self._stage.clock.now(), lambda token: self._number(token).business)
                return graph_answer(known, version, business)
            if parts == (APP_ID, "subscriptions") and incoming.method == "GET":
                secret, fields = self._stage.options.meta_app_secret, self.webhook_fields
                known = app_webhooks(token_in(incoming), secret, self._webhook_url, fields)
                return graph_answer(known, version, business)
            token = check_token(token_in(incoming), about=parts)
            business = self._number(token).business
            check_proof(args, token, self._stage.options.meta_app_secret)
            call = GraphCall(incoming.method, version, parts, token, args, incoming)
            return graph_answer(await self._route(call, files), version, business)
        except GraphError as error:
            return graph_failure(error, version, business)

    def rate_limited(self, retry_after: int | None) -> Answer:
        minutes = None if retry_after is None else max(1, -(-retry_after // 60))
        return graph_failure(GraphError(80007), "v26.0", "0", minutes)

    def error(self, code: int, message: str | None) -> Answer:
        return graph_failure(GraphError(code, message, details=MESSAGES.get(code, (0, "Unknown"))[1]), "v26.0", "0")

    def account(self, token: str) -> dict[str, Any]:
        if not TOKEN.match(token):
            raise ActionError("token: EAA and at least five of A-Z a-z 0-9 _ -")
        number = self._number(token)
        return {
            "phone_number_id": number.phone_number_id,
            "business_account_id": number.business,
            "display_phone_number": number.display,
        }

    def reset(self) -> None:
        self._hooks.reset()
        for state in (self._numbers, self._businesses, self._received, self._last_inbound):
            state.clear()
        self.webhook_fields = ["messages", "message_template_status_update"]
        self._media.clear()
        self._per_pair.clear()
        self._per_number.clear()

    # objects

    def _number(self, token: str) -> Number:
        known = self._numbers.get(token)
        if known is None:
            found = EMBEDDED.match(token)
            phone = found[1] if found else derived_digits(token, "phone")
            business = found[2] if found else derived_digits(token, "business")
            known = Number(phone, business, display_of(phone))
            self._numbers[token] = known
            controlled = self._businesses.setdefault(business, {})
            controlled.update((one.phone_number_id, one) for one in own_numbers(token, known))
        return known

    def _controlled(self, token: str) -> dict[str, Number]:
        """The numbers of a token's business account, by id."""
        business = self._number(token).business
        return {} if NO_NUMBERS in token else self._businesses[business]

    async def _route(self, call: GraphCall, files: dict[str, Upload]) -> Any:
        number = self._number(call.token)
        if not call.parts:
            raise GraphError(100, "Unsupported get request. Please read the Graph API documentation", subcode=33)
        about, edge = call.parts[0], call.parts[1:]
        if about == "me" and not edge and call.method == "GET":
            return choose_fields({"id": derived_digits(call.token, "user"), "name": "hermes sandbox"},
                                 call.args.get("fields"), ("name", "id"), "User")  # fmt: skip
        controlled = self._controlled(call.token)
        if not edge and self._media.owns(controlled, about):
            return self._media.answer(call, about)
        management = about == number.business
        if not management and about not in controlled:
            raise missing_object(call.method, about)
        number = controlled.get(about, number)
        if management and "nomanagement" in call.token:
            raise GraphError(200)
        if not edge:
            return self._node(call, number, management=management)
        edges = self._business_edges if management else self._phone_edges
        handler = edges.get((call.method, edge[0])) if len(edge) == 1 else None
        if handler is None:
            node = BUSINESS_NODE if management else PHONE_NODE
            if call.method == "GET":
                raise parameter_error(f"Tried accessing nonexisting field ({edge[0]}) on node type ({node})")
            raise GraphError(2500, f"Unknown path components: /{'/'.join(edge)}")
        return await handler(call, number, files)

    def _node(self, call: GraphCall, number: Number, *, management: bool) -> dict[str, Any]:
        if call.method != "GET":
            raise missing_object(call.method, call.parts[0])
        fields = call.args.get("fields")
        if management:
            node = {
                "id": number.business, "name": "Sandbox business", "currency": "EUR", "timezone_id": "1",
                "message_template_namespace": derived_digits(number.business, "namespace"),
                "account_review_status": "APPROVED",
            }  # fmt: skip
            return choose_fields(
                node, fields, ("id", "name", "timezone_id", "message_template_namespace"), BUSINESS_NODE
            )
        return choose_fields(self._phone(number), fields, PHONE_FIELDS, PHONE_NODE)

    def _phone(self, number: Number) -> dict[str, Any]:
        return phone_node(number, self._webhook_url)

    @property
    def _webhook_url(self) -> str:
        return self._stage.options.webhook_urls.get("whatsapp", "")

    async def _set_webhook_fields(self, given: Mapping[str, str]) -> dict[str, Any]:
        self.webhook_fields = [name for name in re.split(r"[ ,]+", given["fields"]) if name.strip("-")]
        return {"fields": self.webhook_fields}

    # messages

    async def _post_message(self, call: GraphCall, number: Number, _files: dict[str, Upload]) -> dict[str, Any]:
        if "nomessaging" in call.token:
            raise GraphError(10)
        if call.args.get("status") is not None:
            return self._mark_read(call.args, number)
        checked = check_message(call.args, partial(self._media.owns, (number.phone_number_id,)))
        if checked.wa_id == number.display:
            raise GraphError(131021)
        failure = self._failing(checked, number)
        if failure is not None and not failure.later:
            raise GraphError(failure.code, details=MESSAGES[failure.code][1])
        if self._per_number.take(number.phone_number_id):
            raise GraphError(130429, details="Message failed to send because there were too many messages sent")
        if self._per_pair.take((number.phone_number_id, checked.wa_id or checked.user_id)):
            raise GraphError(131056, details="Too many messages sent to the same phone number in a short time")
        return self._accept(call.token, number, checked, failure)

    def _accept(self, token: str, number: Number, checked: Checked, failure: Failing | None) -> dict[str, Any]:
        peer = checked.wa_id or checked.user_id or ""
        wamid = new_wamid()
        shown = self._stage.note(
            "whatsapp", token, "out", number.phone_number_id, peer, checked.kind, checked.text, wamid, "accepted"
        )
        category = checked.template["category"].lower() if checked.template else "service"
        sent = Sent(wamid, number, checked.wa_id, checked.user_id, checked.callback_data, category, shown)
        if failure is None:
            self._hooks.follow(sent)
        else:
            self._hooks.fail(sent, failure.code)
        contact = {"input": checked.to}
        contact |= {"wa_id": checked.wa_id} if checked.wa_id else {"user_id": checked.user_id or ""}
        message = {"id": wamid}
        if checked.template:
            message["message_status"] = "accepted"
        return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}

    def _failing(self, checked: Checked, number: Number) -> Failing | None:
        """What goes wrong with this recipient, if anything."""
        magic = MAGIC_RECIPIENT.match(checked.wa_id or "")
        if magic and int(magic[2]) in MESSAGES:
            code = int(magic[2])
            return Failing(code, later=magic[1] == "0" and code in LATER)
        wrote = self._last_inbound.get((number.phone_number_id, checked.wa_id or checked.user_id or ""))
        if checked.template is None and wrote is not None and self._stage.clock.now() - wrote > WINDOW:
            return Failing(131047, later=True)
        is_marketing = checked.template is not None and checked.template["category"] == "MARKETING"
        if is_marketing and re.fullmatch(r"1\d{10}", checked.wa_id or ""):
            return Failing(131049, later=True)
        return None

    def _mark_read(self, args: Mapping[str, Any], number: Number) -> dict[str, Any]:
        check_product(args)
        if args["status"] != "read":
            raise parameter_error(f'Param status must be one of {{READ}} - got "{args["status"]}".')
        if not args.get("message_id"):
            raise GraphError(131008, details="The parameter message_id is required.")
        if self._received.get(str(args["message_id"])) != number.phone_number_id:
            raise GraphError(131009, details="Message ID is invalid")
        return {"success": True}

    async def _history(self, call: GraphCall, number: Number, _files: dict[str, Upload]) -> dict[str, Any]:
        wamid = call.args.get("message_id")
        sent = self._hooks.sent.get(str(wamid))
        if sent is None or sent.number.phone_number_id != number.phone_number_id:
            return {"data": []}
        url = self._stage.options.webhook_urls.get("whatsapp", "")
        events = [
            {
                "id": derived_digits(sent.id, f"event{at}"),
                "delivery_status": event.status.upper(),
                "webhook_update_state": event.told,
                "timestamp": event.timestamp,
                "application": {"id": APP_ID},
                "webhook_uri": url,
                **({"error_description": event.error} if event.error else {}),
            }
            for at, event in enumerate(sent.events)
        ]
        entry = {"id": derived_digits(sent.id, "history"), "message_id": sent.id, "events": {"data": events}}
        return page([entry], call, f"{call.incoming.origin}/whatsapp")

    async def _register(self, call: GraphCall, _number: Number, _files: dict[str, Upload]) -> dict[str, Any]:
        check_product(call.args)
        if not re.fullmatch(r"\d{6}", str(call.args.get("pin", ""))):
            raise parameter_error("Param pin must be 6 characters long.")
        return {"success": True}

    async def _post_media(self, call: GraphCall, number: Number, files: dict[str, Upload]) -> dict[str, Any]:
        return self._media.add(call, number.phone_number_id, files)

    # business account

    async def _phone_numbers(self, call: GraphCall, _number: Number, _files: dict[str, Upload]) -> dict[str, Any]:
        fields, found = call.args.get("fields"), self._controlled(call.token).values()
        shown = [choose_fields(self._phone(one), fields, PHONE_FIELDS, PHONE_NODE) for one in found]
        return page(shown, call, f"{call.incoming.origin}/whatsapp")

    async def _templates(self, call: GraphCall, number: Number, _files: dict[str, Upload]) -> dict[str, Any]:
        default = ("name", "parameter_format", "components", "language", "status", "category", "sub_category", "id")
        found = listed(number.business, call.args)
        shown = [choose_fields(one, call.args.get("fields"), default, "MessageTemplate") for one in found]
        return page(shown, call, f"{call.incoming.origin}/whatsapp")

    async def _subscriptions(self, _call: GraphCall, number: Number, _files: dict[str, Upload]) -> dict[str, Any]:
        subscription = self._hooks.subscription(number.business)
        if not subscription.active:
            return {"data": []}
        app = {
            "id": APP_ID,
            "name": "hermes sandbox",
            "link": "https://www.facebook.com/games/?app_id=1029384756",
        }
        entry: dict[str, Any] = {"whatsapp_business_api_data": app}
        if subscription.override:
            entry["override_callback_uri"] = subscription.override
        return {"data": [entry]}

    async def _subscribe(self, call: GraphCall, number: Number, _files: dict[str, Upload]) -> dict[str, Any]:
        url = call.args.get("override_callback_uri")
        if url is not None:
            await self._verify(str(url), str(call.args.get("verify_token") or ""))
        subscription = self._hooks.subscription(number.business)
        subscription.active, subscription.override = True, str(url) if url is not None else None
        return {"success": True}

    async def _verify(self, url: str, verify_token: str) -> None:
        challenge = derived_digits(url, "challenge", 10)
        if not is_loopback(url) or not await self._stage.webhooks.handshake(url, verify_token, challenge):
            text = (
                "(#2200) Callback verification failed with the following errors: HTTP Status Code = 403; "
                "HTTP Message = Forbidden"
            )
            raise GraphError(2200, text)

    async def _unsubscribe(self, _call: GraphCall, number: Number, _files: dict[str, Upload]) -> dict[str, Any]:
        self._hooks.subscription(number.business).active = False
        return {"success": True}

    # a person

    async def _person_writes(self, given: Mapping[str, str]) -> dict[str, Any]:
        self.account(given["token"])
        number = self._number(given["token"])
        sender = wa_id_of(re.sub(r"\D", "", given.get("from") or "16505551234"))
        kind, sign = given.get("kind") or "text", given.get("signature") or "right"
        if kind not in INBOUND or sign not in ("right", "wrong", "missing"):
            raise ActionError(f"kind: one of {', '.join(INBOUND)}; signature: right, wrong or missing")
        wamid = new_wamid()
        at = self._stage.clock.now()
        content = inbound(kind, given["text"], sender, given.get("name") or "Ann", wamid, at)
        self._received[wamid] = number.phone_number_id
        self._last_inbound[(number.phone_number_id, user_id_of(sender) if kind == "username" else sender)] = at
        self._stage.note(
            "whatsapp", given["token"], "in", number.phone_number_id, sender, kind, given["text"], wamid, "received"
        )
        self._hooks.publish(number, content, sign=sign)
        return {"message": content["messages"][0], "phone_number_id": number.phone_number_id}


stand_in = StandIn(
    id="whatsapp",
    title="WhatsApp",
    create=WhatsAppService,
    magic=(
        Magic("token EAAsandbox-<phone number id>-<business account id>-<anything>", "controls these two ids"),
        Magic("any other token EAA…", "controls two ids of its own (see “A token's account”)"),
        Magic("token containing expired or revoked", "401, code 190, subcode 463 or 458"),
        Magic("token containing limited", "429, code 80007"),
        Magic("token containing broken", "500, code 2"),
        Magic("token containing nomessaging", "sending: 403, code 10"),
        Magic("token containing nomanagement", "templates, subscriptions: 403, code 200"),
        Magic("token containing severalnumbers (or severalnumbers12)", "the business account has 3 (or 12) numbers"),
        Magic("token containing nonumbers", "the business account has no number"),
        Magic("phone number id ending in 0666", "quality red, name declined, sending limited"),
        Magic("business account id ending in 0666", "no approved template"),
        Magic("to 15550<six-digit code>", "fails with that code as Meta does: at once, or later as a failed status"),
        Magic("to 15551<six-digit code>", "fails with that code at once"),
        Magic(
            ", ".join(f"15550{code}" for code in sorted(LATER)), "accepted, then a failed status of the code at the end"
        ),
        Magic("a person whose last message is over 24 hours old", "free-form messages fail later with 131047"),
        Magic("a marketing template to a number +1…", "fails later with 131049"),
    ),
)
