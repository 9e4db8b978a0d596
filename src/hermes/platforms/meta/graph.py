"""The Graph API for one account: what a request carries, and what its answers mean.

Source: https://developers.facebook.com/docs/graph-api.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, SecretStr, ValidationError

from hermes.errors import HermesError
from hermes.net.bodies import Part
from hermes.net.upstream import UpstreamResponse
from hermes.platforms.base import ApiContext, Setting
from hermes.platforms.meta.errors import TOO_MUCH_DATA, ErrorTable, TooMuchData, usage_wait

NODE_ID: Final = r"^[0-9]{4,32}$"
"""Ids of Graph's objects: digits, as text, because they may be larger than a float holds."""

UPLOAD_HOST: Final = "rupload.facebook.com"
"""Where Meta takes the bytes of resumable uploads. Source: "Resumable uploads" of Instagram and of Page reels."""

_VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]\Z")
_TOKEN = re.compile(r"[!-~]{8,2048}\Z")

M = TypeVar("M", bound=BaseModel)


def _well_formed(token: SecretStr) -> SecretStr:
    if _TOKEN.match(token.get_secret_value()) is None:
        raise ValueError("must be an access token as Meta gives it, without spaces")
    return token


AccessToken = Annotated[SecretStr, AfterValidator(_well_formed)]


def appsecret_proof(secret: SecretStr, token: str) -> str:
    """Proof that the caller knows the app's secret. Source: "Securing Graph API requests"."""
    return hmac.new(secret.get_secret_value().encode(), token.encode(), hashlib.sha256).hexdigest()


class GraphApi:
    """Requests with one token to one version of the Graph API."""

    def __init__(
        self,
        context: ApiContext,
        token: SecretStr,
        *,
        version: Setting,
        errors: ErrorTable,
        base_url: str | None = None,
        proves_secret: bool = True,
    ) -> None:
        """Bind the API to an account.

        Args:
            context: the call's.
            token: goes into the header of every request, and nowhere else.
            version: the setting that names the version.
            errors: how the product reads errors.
            base_url: instead of the context's.
            proves_secret: whether `appsecret_proof` goes along when the app's secret is known.
        """
        self.context = context
        self.errors = errors
        self.base_url = base_url or context.base_url
        self._token = token
        self._proves_secret = proves_secret
        chosen = context.setting(version)
        self._version = chosen if _VERSION.match(chosen) else version.default

    async def get(self, path: str, **query: str | int) -> tuple[dict[str, Any], UpstreamResponse]:
        """Read `path`, which is made of ids of ours and fixed words.

        Raises:
            HermesError: a refusal, understood; or no clear answer.
            TooMuchData: the page asked for is too large (a `PlatformUnavailable`).
        """
        return self.checked(await self.exchange("GET", path, query=query, write=False))

    async def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, multipart: Sequence[Part] | None = None
    ) -> tuple[dict[str, Any], UpstreamResponse]:
        """Write to `path`, as JSON or multipart. Raises `HermesError` as `get` does."""
        return self.checked(await self.exchange("POST", path, body=body, multipart=multipart))

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        multipart: Sequence[Part] | None = None,
        write: bool | None = None,
        timeout: float | None = None,
    ) -> UpstreamResponse:
        """Send one request and return its answer whatever it is; give it to `checked`.

        Args:
            write: whether it can change something; default: the tool's effect.
            timeout: seconds for this request.

        Raises:
            HermesError: there was no answer.
        """
        token = self._token.get_secret_value()
        secret = self.context.settings.meta_app_secret if self._proves_secret else None
        proof = {} if secret is None else {"appsecret_proof": appsecret_proof(secret, token)}
        return await self.context.http.request(
            method,
            f"{self.base_url}/{self._version}/{path}",
            headers={"Authorization": f"Bearer {token}"},
            query={**(query or {}), **proof} or None,
            json=body,
            multipart=multipart,
            write=write,
            timeout=timeout,
        )

    async def upload(
        self, url: str, content: AsyncIterator[bytes], headers: Mapping[str, str], *, timeout: float | None = None
    ) -> UpstreamResponse:
        """Send bytes to an upload URL that Meta gave, which has to be Meta's (or on the API's own origin).

        Bytes have an offset and nothing is published by them, so this does not count as a write.

        Raises:
            HermesError: the URL leads elsewhere, or there was no answer.
        """
        headers = {"Authorization": f"OAuth {self._token.get_secret_value()}", **headers}
        return await self.context.http.request("POST", url, headers=headers, body=content, write=False, timeout=timeout)

    def may_upload_to(self, url: Any) -> bool:
        """Whether the token and the customer's bytes may go to this URL."""
        if not isinstance(url, str):
            return False
        try:
            parts, own = urlsplit(url), urlsplit(self.base_url)
            port, own_port = parts.port, own.port
        except ValueError:
            return False
        if parts.username is not None or parts.password is not None or parts.hostname is None:
            return False
        if (parts.scheme, parts.hostname, port) == (own.scheme, own.hostname, own_port):
            return True
        return (parts.scheme, parts.hostname, port or 443) == ("https", UPLOAD_HOST, 443)

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

    def checked(self, response: UpstreamResponse) -> tuple[dict[str, Any], UpstreamResponse]:
        """The object of a good answer, and the answer.

        Raises:
            HermesError: it is a refusal, or not clear.
        """
        answer = answer_object(response)
        if response.status == 200 and answer is not None and "error" not in answer:
            return answer, response
        raise self.error(answer, response)

    def error(self, answer: Mapping[str, Any] | None, response: UpstreamResponse) -> HermesError:
        """What an answer with Graph's error envelope, or without anything that can be read, means."""
        envelope = (answer or {}).get("error")
        code = envelope.get("code") if isinstance(envelope, dict) else None
        if not isinstance(envelope, dict) or not isinstance(code, int):
            if not 400 <= response.status < 500:
                return self.context.http.unclear(response)
            wait = usage_wait(response.headers) if response.status == 429 else None
            refusal = self.errors.refusal_of_status(response.status)
            return self.errors.error(refusal, response.status, None, "no reason given", wait)
        subcode = envelope.get("error_subcode")
        subcode = subcode if isinstance(subcode, int) else None
        message = self.errors.message(envelope).replace(self._token.get_secret_value(), "[token]")
        if code == 1 and TOO_MUCH_DATA in message and not response.write:
            return TooMuchData(
                f"{self.errors.title} could not make a page of this size. Ask for fewer, or try again later."
            )
        refusal = self.errors.refusal_of(code, subcode, message)
        transient = envelope.get("is_transient") is True or response.status >= 500
        if self.errors.is_unclear(code, subcode, refusal, transient=transient):
            return self.context.http.unclear(response)
        return self.errors.error(refusal, code, subcode, message, usage_wait(response.headers))


def answer_object(response: UpstreamResponse) -> dict[str, Any] | None:
    """The JSON object of an answer, or None when it is none."""
    try:
        answer = response.json()
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def error_subcode(response: UpstreamResponse) -> tuple[int | None, Mapping[str, Any]]:
    """The subcode of an answer's error (None when there is none), and the error's `error_data`."""
    envelope = (answer_object(response) or {}).get("error")
    if not isinstance(envelope, dict):
        return None, {}
    subcode, data = envelope.get("error_subcode"), envelope.get("error_data")
    return subcode if isinstance(subcode, int) else None, data if isinstance(data, dict) else {}
