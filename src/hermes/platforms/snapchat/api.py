"""Snap's two APIs for one member: credentials, requests, and what the answers mean.

Source: https://developers.snap.com/api/marketing-api/Ads-API/introduction and
https://developers.snap.com/api/public-profile-api unless another is named.
"""

from __future__ import annotations

from asyncio import sleep as sleep  # noqa: PLC0414  (named here so that tests can take the waiting out)
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, Field, SecretStr, ValidationError

from hermes.errors import HermesError, PlatformUnavailable, RateLimited
from hermes.net.answers import retry_after as asked_to_wait
from hermes.net.bodies import Part
from hermes.net.upstream import UpstreamResponse
from hermes.platforms.base import ApiContext, Credentials, Env, Setting
from hermes.platforms.snapchat.errors import refusal_error
from hermes.platforms.snapchat.models import UUID

ADS_API: Final = "https://adsapi.snapchat.com"
BUSINESS_API: Final = Setting(
    "SNAPCHAT_BUSINESS_API_BASE_URL",
    "https://businessapi.snapchat.com",
    "where the Public Profile API answers; when only SNAPCHAT_API_BASE_URL is set: below it, at /business",
)

TRIES_AGAIN: Final = (0.5, 2.0, 5.0)
"""Seconds before a part is uploaded again, where Snapchat does not say how long to wait."""
LONGEST_WAIT: Final = 60.0

M = TypeVar("M", bound=BaseModel)


class SnapchatCredentials(Credentials):
    """A member's access, and optionally the ad account and public profile that are used by default."""

    access_token: Annotated[
        SecretStr, Field(alias="accessToken", min_length=8, max_length=4096), Env("SNAPCHAT_ACCESS_TOKEN")
    ]
    refresh_token: Annotated[SecretStr | None, Field(alias="refreshToken"), Env("SNAPCHAT_REFRESH_TOKEN")] = None
    expires_at: Annotated[datetime | None, Field(alias="expiresAt")] = None
    ad_account_id: Annotated[str | None, Field(alias="adAccountId", pattern=UUID), Env("SNAPCHAT_AD_ACCOUNT_ID")] = None
    profile_id: Annotated[str | None, Field(alias="profileId", pattern=UUID), Env("SNAPCHAT_PROFILE_ID")] = None


class SnapchatApi:
    """One member's access."""

    def __init__(self, context: ApiContext, credentials: SnapchatCredentials) -> None:
        self.context = context
        self.credentials = credentials
        self._token = credentials.access_token
        moved = context.base_url != ADS_API and not context.settings.environ.get(BUSINESS_API.name)
        self._business = f"{context.base_url}/business" if moved else context.setting(BUSINESS_API).rstrip("/")

    async def get(
        self, path: str, *, profile: bool = False, query: Mapping[str, str] | None = None
    ) -> tuple[dict[str, Any], UpstreamResponse]:
        """Read `path`, which is made of fixed words and checked ids.

        Args:
            profile: of the Public Profile API instead of the Ads API.

        Raises:
            HermesError: a refusal, understood; or no clear answer.
        """
        return await self._request("GET", f"/v1{path}", profile, query=query, write=False)

    async def post(
        self, path: str, body: Mapping[str, Any], *, profile: bool = False
    ) -> tuple[dict[str, Any], UpstreamResponse]:
        """Write JSON to `path`. Takes and raises as `get`."""
        return await self._request("POST", f"/v1{path}", profile, json=dict(body))

    async def upload(
        self, path: str, parts: Sequence[Part], *, profile: bool = False, query: Mapping[str, str] | None = None
    ) -> tuple[dict[str, Any], UpstreamResponse]:
        """Send a form to a path that is ours or that `upload_path` checked. Raises as `get`."""
        return await self._request("POST", path, profile, multipart=parts, query=query)

    async def upload_part(self, path: str, parts: Sequence[Part], *, profile: bool = False) -> None:
        """Send a part of a file, again after a failure: it is addressed by its number, so twice does no harm.

        Raises:
            HermesError: Snapchat refuses it, or took none of the tries.
        """
        for wait in (*TRIES_AGAIN, None):
            try:
                await self._request("POST", path, profile, multipart=parts, write=False)
            except (PlatformUnavailable, RateLimited) as error:
                pause = error.retry_after or wait
                if wait is None or pause is None or pause > LONGEST_WAIT:
                    raise
            else:
                return
            await sleep(pause)

    def upload_path(self, path: Any, response: UpstreamResponse) -> str:
        """A path that an answer gave for uploading: on the same host, so the token goes nowhere else.

        Raises:
            HermesError: it is no such path, so it is not clear what happened.
        """
        if not isinstance(path, str) or not path.startswith("/") or path.startswith("//") or not path.isascii():
            raise self.context.http.unclear(response)
        if not path.isprintable() or any(character in path for character in "\\@# ") or "/../" in path:
            raise self.context.http.unclear(response)
        return path

    def first(self, answer: Mapping[str, Any], many: str, one: str, response: UpstreamResponse) -> dict[str, Any]:
        """The only entity of a list of wrapped ones, each of which succeeds or fails by itself.

        Raises:
            HermesError: that one was refused, or is not there.
        """
        listed = answer.get(many)
        wrapper = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
        if str(wrapper.get("sub_request_status", "SUCCESS")).upper() != "SUCCESS":
            reason = wrapper.get("sub_request_error_reason")
            code = wrapper.get("error_code")
            raise refusal_error(
                400,
                code if isinstance(code, str) else None,
                reason if isinstance(reason, str) and reason else "no reason given",
                profile=False,
            )
        entity = wrapper.get(one)
        if not isinstance(entity, dict):
            raise self.context.http.unclear(response)
        return entity

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
        self,
        method: str,
        path: str,
        profile: bool,
        *,
        query: Mapping[str, str] | None = None,
        json: Any = None,
        multipart: Sequence[Part] | None = None,
        write: bool | None = None,
    ) -> tuple[dict[str, Any], UpstreamResponse]:
        response = await self.context.http.request(
            method,
            f"{self._business if profile else self.context.base_url}{path}",
            headers={"Authorization": f"Bearer {self._token.get_secret_value()}"},
            query=query,
            json=json,
            multipart=multipart,
            write=write,
        )
        answer = _object(response)
        # A 200 can hold a failure; only a status of SUCCESS in a 2xx is one.
        if 200 <= response.status < 300 and str(answer.get("request_status", "")).upper() == "SUCCESS":
            return answer, response
        raise self._error(answer, response, profile)

    def _error(self, answer: dict[str, Any], response: UpstreamResponse, profile: bool) -> HermesError:
        failed = str(answer.get("request_status", "")).upper() == "ERROR"
        if not (400 <= response.status < 500 or (response.status == 200 and failed)):
            return self.context.http.unclear(response)
        told = next(
            (answer[key] for key in ("display_message", "debug_message") if isinstance(answer.get(key), str)), ""
        )
        code = answer.get("error_code")
        error = refusal_error(
            response.status if response.status != 200 else 400,
            code if isinstance(code, str) else None,
            told or "no reason given",
            profile=profile,
            retry_after=asked_to_wait(response.headers),
        )
        request_id = answer.get("request_id")
        if isinstance(request_id, str):
            error.data["platform_request_id"] = request_id[:100]
        return error


def _object(response: UpstreamResponse) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
