"""The routes that platforms call. What is accepted here is durable before the platform is told so."""

from __future__ import annotations

import hashlib
import hmac
import re

import structlog
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hermes.settings import Settings
from hermes.webhooks.service import InboundEvents

MAX_BODY = 3 * 1024 * 1024
"""Meta's own limit of a webhook request."""

_CHALLENGE = re.compile(r"[!-~]{1,256}\Z")
_PREFIX = "sha256="

log = structlog.get_logger(__name__)


class WhatsAppWebhook:
    """`GET /webhook/whatsapp`: Meta's handshake. `POST /webhook/whatsapp`: messages and statuses."""

    def __init__(self, settings: Settings, events: InboundEvents) -> None:
        self._verify_token = settings.whatsapp_verify_token
        self._app_secret = settings.meta_app_secret
        self._events = events

    def routes(self) -> list[Route]:
        path = "/webhook/whatsapp"
        return [
            Route(path, self.verify, methods=["GET"], include_in_schema=False),
            Route(path, self.receive, methods=["POST"], include_in_schema=False),
        ]

    async def verify(self, request: Request) -> Response:
        """Answer the handshake with its challenge if Meta knows our token, else 403; 400 when something is missing."""
        query = request.query_params
        mode, token, challenge = (query.get(f"hub.{name}") for name in ("mode", "verify_token", "challenge"))
        if mode is None or token is None or challenge is None or _CHALLENGE.match(challenge) is None:
            return _answer(400, "hub.mode, hub.verify_token and hub.challenge are needed")
        if mode != "subscribe" or not _same(token, self._verify_token):
            return _answer(403, "the verify token is not the one in WHATSAPP_VERIFY_TOKEN")
        return _answer(200, challenge)

    async def receive(self, request: Request) -> Response:
        """Store a signed request and answer `200 EVENT_RECEIVED`: also when it is a repetition, or makes no sense."""
        signature = request.headers.get("x-hub-signature-256", "")
        if not signature:
            return _answer(401, "X-Hub-Signature-256 is missing")
        try:
            body = await _body(request)
        except ClientDisconnect:
            return _answer(400, "the request ended early")
        if body is None:
            return _answer(413, f"at most {MAX_BODY} bytes")
        if self._app_secret is None or not _signed(body, signature, self._app_secret):
            return _answer(403, "the signature is not one of the app in META_APP_SECRET")
        try:
            accepted = await self._events.accept(body)
        except (SQLAlchemyError, TimeoutError, OSError) as error:
            log.error("inbound_event_not_stored", error=type(error).__name__)
            return _answer(503, "try again")
        queue = BackgroundTask(self._events.queue, accepted.event_id) if accepted.pending else None
        return _answer(200, "EVENT_RECEIVED", queue)


async def _body(request: Request) -> bytes | None:
    """The raw body, or None when it is too large."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced[:10]) > MAX_BODY:
        return None
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY:
            return None
    return bytes(content)


def _signed(body: bytes, signature: str, secret: SecretStr) -> bool:
    if not signature.startswith(_PREFIX):
        return False
    digest = hmac.new(secret.get_secret_value().encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(signature[len(_PREFIX) :].encode(), digest.encode())


def _same(given: str, expected: SecretStr | None) -> bool:
    if expected is None:
        return False
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.get_secret_value().encode())


def _answer(status: int, text: str, background: BackgroundTask | None = None) -> Response:
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return PlainTextResponse(text, status, headers=headers, background=background)
