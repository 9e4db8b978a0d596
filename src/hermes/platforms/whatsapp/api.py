"""The Graph API for one WhatsApp number: credentials, requests, and what its answers mean.

Source: https://developers.facebook.com/docs/graph-api and …/docs/whatsapp/cloud-api unless another is named.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationError

from hermes.errors import HermesError, PlatformUnavailable
from hermes.net.answers import retry_after
from hermes.net.upstream import UpstreamResponse
from hermes.platforms.base import ApiContext, Credentials, Env, Setting
from hermes.platforms.whatsapp.errors import (
    OTHER,
    TOO_MUCH_DATA,
    UNCLEAR,
    refusal_error,
    refusal_of,
    refusal_of_status,
)

GRAPH_VERSION = Setting("WHATSAPP_GRAPH_VERSION", "v26.0", "version of Meta's Graph API")

_VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]\Z")
_TOKEN = re.compile(r"[!-~]{8,2048}\Z")
_NODE_ID = r"^[0-9]{4,32}$"

M = TypeVar("M", bound=BaseModel)


def _well_formed(token: SecretStr) -> SecretStr:
    if _TOKEN.match(token.get_secret_value()) is None:
        raise ValueError("must be an access token as Meta gives it, without spaces")
    return token


class WhatsAppCredentials(Credentials):
    """A number's ids and a token that may use it. The phone number id is not the phone number."""

    phone_number_id: Annotated[
        str, Field(alias="phoneNumberId", pattern=_NODE_ID), Env("WHATSAPP_DEFAULT_PHONE_NUMBER_ID")
    ]
    access_token: Annotated[
        SecretStr, Field(alias="accessToken"), AfterValidator(_well_formed), Env("WHATSAPP_DEFAULT_ACCESS_TOKEN")
    ]
    business_account_id: Annotated[
        str, Field(alias="businessAccountId", pattern=_NODE_ID), Env("WHATSAPP_DEFAULT_BUSINESS_ACCOUNT_ID")
    ]


class TooMuchData(PlatformUnavailable):
    """A page was too large for Meta: a smaller limit helps."""


class WhatsAppApi:
    """One number's Graph API."""

    def __init__(self, context: ApiContext, credentials: WhatsAppCredentials) -> None:
        self.context = context
        self.phone_number_id = credentials.phone_number_id
        self.business_account_id = credentials.business_account_id
        self._token = credentials.access_token
        version = context.setting(GRAPH_VERSION)
        self._version = version if _VERSION.match(version) else GRAPH_VERSION.default

    async def get(self, path: str, **query: str | int) -> tuple[dict[str, Any], UpstreamResponse]:
        """Read `path`, which is made of ids of ours and fixed words.

        Raises:
            HermesError: a refusal, understood; or no clear answer.
            TooMuchData: the page asked for is too large (a `PlatformUnavailable`).
        """
        return await self._request("GET", path, query, None)

    async def post(self, path: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], UpstreamResponse]:
        """Write to `path`. Raises `HermesError` as `get` does."""
        return await self._request("POST", path, {}, body)

    def read(self, model: type[M], content: Any, response: UpstreamResponse) -> M:
        """Read a result.

        Raises:
            HermesError: it is not what was expected, so it is not clear what happened.
        """
        try:
            return model.model_validate(content)
        except ValidationError:
            pass  # its text holds parts of the answer
        raise self.context.http.unclear(response)

    async def _request(
        self, method: str, path: str, query: Mapping[str, str | int], body: Mapping[str, Any] | None
    ) -> tuple[dict[str, Any], UpstreamResponse]:
        token = self._token.get_secret_value()
        secret = self.context.settings.meta_app_secret
        proof = {} if secret is None else {"appsecret_proof": appsecret_proof(secret, token)}
        response = await self.context.http.request(
            method,
            f"{self.context.base_url}/{self._version}/{path}",
            headers={"Authorization": f"Bearer {token}"},
            query={**query, **proof} or None,
            json=body,
        )
        answer = _object(response)
        if response.status == 200 and answer is not None and "error" not in answer:
            return answer, response
        raise self._error(answer, response)

    def _error(self, answer: dict[str, Any] | None, response: UpstreamResponse) -> HermesError:
        envelope = (answer or {}).get("error")
        code = envelope.get("code") if isinstance(envelope, dict) else None
        if not isinstance(envelope, dict) or not isinstance(code, int):
            if not 400 <= response.status < 500:
                return self.context.http.unclear(response)
            wait = _wait(response.headers) if response.status == 429 else None
            return refusal_error(refusal_of_status(response.status), response.status, None, "no reason given", wait)
        subcode = envelope.get("error_subcode")
        subcode = subcode if isinstance(subcode, int) else None
        message = _message(envelope).replace(self._token.get_secret_value(), "[token]")
        if code == 1 and TOO_MUCH_DATA in message and not response.write:
            return TooMuchData("WhatsApp could not make a page of this size. Ask for fewer, or try again later.")
        refusal = refusal_of(code, subcode, message)
        if code in UNCLEAR or (refusal is OTHER and (envelope.get("is_transient") is True or response.status >= 500)):
            return self.context.http.unclear(response)
        return refusal_error(refusal, code, subcode, message, _wait(response.headers))


def appsecret_proof(secret: SecretStr, token: str) -> str:
    """Proof that the caller knows the app's secret. Source: "Securing Graph API requests"."""
    return hmac.new(secret.get_secret_value().encode(), token.encode(), hashlib.sha256).hexdigest()


def _object(response: UpstreamResponse) -> dict[str, Any] | None:
    try:
        answer = response.json()
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _message(envelope: dict[str, Any]) -> str:
    """Meta's words: the message, and the details that WhatsApp adds."""
    message = envelope.get("message")
    details = envelope.get("error_data")
    details = details.get("details") if isinstance(details, dict) else None
    parts = [part.strip().rstrip(".") for part in (message, details) if isinstance(part, str) and part.strip()]
    return ": ".join(dict.fromkeys(parts)) or "no reason given"


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds until the limit lets go. Source: "Rate limits", Business Use Case: the header has minutes."""
    try:
        usage = orjson.loads(headers.get("X-Business-Use-Case-Usage", ""))
    except orjson.JSONDecodeError:
        usage = None
    minutes = [
        entry.get("estimated_time_to_regain_access", 0)
        for entries in (usage.values() if isinstance(usage, dict) else ())
        if isinstance(entries, list)
        for entry in entries
        if isinstance(entry, dict)
    ]
    longest = max((value for value in minutes if isinstance(value, int | float)), default=0)
    return 60.0 * longest if longest > 0 else retry_after(headers)
