"""Client ID metadata documents: a client whose id is an https URL says at that URL what it is.

Source: draft-ietf-oauth-client-id-metadata-document-02, and MCP's page on client registration. The URL was given by a
stranger, so it is fetched by the guarded client, without redirects, in little time and size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from hermes.errors import HermesError
from hermes.net.guarded import GuardedClient, GuardedResponse
from hermes.oauth.client_details import PUBLIC, ClientDetails, check_details
from hermes.oauth.errors import OAuthError

MOST_BYTES: Final = 16 * 1024
FETCH_SECONDS: Final = 5.0
SHORTEST: Final = timedelta(minutes=1)
LONGEST: Final = timedelta(hours=24)
_UNSAID: Final = timedelta(hours=1)
_SECRETS: Final = ("client_secret", "client_secret_expires_at")


@dataclass(frozen=True, slots=True)
class ClientDocument:
    """A document that was fetched and found to be in order.

    Attributes:
        fresh_until: how long it need not be fetched again.
    """

    details: ClientDetails
    fresh_until: datetime


def is_document_id(client_id: str) -> bool:
    """Whether a client's id is to be read as the address of its document."""
    return client_id.startswith("https://")


async def fetch_document(guarded: GuardedClient, client_id: str, now: datetime) -> ClientDocument:
    """Fetch a client's document.

    Raises:
        OAuthError: `invalid_client`: the id is no such URL, nothing came from it, or what came is no such document.
    """
    _check_id(client_id)
    try:
        answer = await guarded.fetch(
            client_id,
            name="client_id",
            headers={"Accept": "application/json"},
            max_bytes=MOST_BYTES,
            seconds=FETCH_SECONDS,
        )
    except HermesError as error:
        raise _bad(f"its document cannot be fetched ({error.code})") from None
    return ClientDocument(_details(client_id, answer), now + freshness(answer.headers, now))


def freshness(headers: Mapping[str, str], now: datetime) -> timedelta:
    """How long an answer stays fresh by its own headers (RFC 9111, 4.2.1), within our bounds: never less than a minute,
    so that a client that forbids keeping its document cannot make us fetch it with every request."""
    return min(max(_said(headers, now), SHORTEST), LONGEST)


def _said(headers: Mapping[str, str], now: datetime) -> timedelta:
    directives = {
        name.strip().lower(): value.strip().strip('"')
        for name, _, value in (part.partition("=") for part in headers.get("cache-control", "").split(","))
    }
    if "no-store" in directives or "no-cache" in directives:
        return SHORTEST
    if "max-age" in directives:
        return timedelta(seconds=_seconds(directives["max-age"]) - _seconds(headers.get("age", "")))
    if "expires" in headers:
        try:
            return parsedate_to_datetime(headers["expires"]) - now
        except (ValueError, TypeError):
            return SHORTEST  # "especially the value 0": already expired (RFC 9111, 5.3)
    return _UNSAID


def _seconds(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _check_id(client_id: str) -> None:
    try:
        parts = urlsplit(client_id)
    except ValueError:
        raise _bad("its id is no URL") from None
    segments = parts.path.split("/")
    if not client_id.isascii() or not client_id.isprintable() or " " in client_id or "\\" in client_id:
        raise _bad("its id is no URL")
    if not parts.path or "." in segments or ".." in segments or "#" in client_id or "@" in parts.netloc:
        raise _bad("its id must have a path without . or .., and neither fragment nor user name")


def _details(client_id: str, answer: GuardedResponse) -> ClientDetails:
    if answer.status != 200:
        raise _bad(f"its document was answered with status {answer.status}")
    if answer.content_type != "application/json" and not answer.content_type.endswith("+json"):
        raise _bad("its document is not JSON by its content type")
    try:
        members: Any = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        raise _bad("its document is not JSON") from None
    if not isinstance(members, dict) or members.get("client_id") != client_id:
        raise _bad("its document does not name it: client_id must be the document's own address, letter for letter")
    if any(name in members for name in _SECRETS):
        raise _bad("its document holds a secret, which everyone can read")
    members.setdefault("token_endpoint_auth_method", PUBLIC)
    try:
        details = check_details(members)
    except OAuthError as error:
        raise _bad(f"its document is not in order: {error.description}") from None
    if not details.client_name:
        raise _bad("its document has no client_name")
    if details.has_secret:
        raise _bad("its document says that it has a secret, which a client of this kind cannot have")
    if "authorization_code" not in details.grant_types or "client_credentials" in details.grant_types:
        raise _bad("its document must ask for authorization_code, and not for client_credentials")
    return details


def _bad(problem: str) -> OAuthError:
    return OAuthError("invalid_client", f"{problem[0].upper()}{problem[1:]}.", status=401)
