"""TikTok's API for one account: credentials, requests, and what its answers mean.

Source: https://developers.tiktok.com/doc/tiktok-api-v2-introduction and the Content Posting API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationError

from hermes.errors import HermesError, PlatformRejected
from hermes.net.answers import retry_after
from hermes.net.upstream import UpstreamResponse
from hermes.platforms.base import ApiContext, Credentials, Env
from hermes.platforms.tiktok.errors import BY_STATUS, OTHER, REFUSALS, refusal_error
from hermes.platforms.tiktok.models import CreatorInfo, VideoStatus

UPLOAD_HOSTS: Final = (".tiktokapis.com",)
"""Where uploads go: open-upload.tiktokapis.com and upload.<region>.tiktokapis.com are known."""

PUBLISH: Final = ("video.publish",)
UPLOAD: Final = ("video.upload",)
EITHER: Final = (*PUBLISH, *UPLOAD)
BASIC: Final = ("user.info.basic",)

_TOKEN = re.compile(r"[!-~]{8,2048}\Z")
_PUBLISH_ID = re.compile(r"[!-~]{1,128}\Z")

M = TypeVar("M", bound=BaseModel)


def _well_formed(token: SecretStr) -> SecretStr:
    if _TOKEN.match(token.get_secret_value()) is None:
        raise ValueError("must be a token as TikTok gives it, without spaces")
    return token


class TikTokCredentials(Credentials):
    """An account's token, and what is known of it. `scopes`: as granted, joined by commas or spaces."""

    access_token: Annotated[
        SecretStr, Field(alias="accessToken"), AfterValidator(_well_formed), Env("TIKTOK_ACCESS_TOKEN")
    ]
    refresh_token: Annotated[SecretStr | None, Field(alias="refreshToken"), Env("TIKTOK_REFRESH_TOKEN")] = None
    expires_at: Annotated[datetime | None, Field(alias="expiresAt")] = None
    refresh_expires_at: Annotated[datetime | None, Field(alias="refreshExpiresAt")] = None
    open_id: Annotated[str | None, Field(alias="openId", pattern=r"^[!-~]{1,128}$"), Env("TIKTOK_OPEN_ID")] = None
    scopes: Annotated[
        str | None, Field(pattern=r"^[a-z0-9_.]+([ ,]+[a-z0-9_.]+)*$", max_length=1000), Env("TIKTOK_SCOPES")
    ] = None


class TikTokApi:
    """One account's access."""

    def __init__(self, context: ApiContext, credentials: TikTokCredentials) -> None:
        self.context = context
        self.credentials = credentials
        self.scopes = frozenset(re.split(r"[ ,]+", credentials.scopes)) if credentials.scopes else None

    def need(self, scopes: tuple[str, ...]) -> None:
        """Let it pass if any of `scopes` was granted, or it is not known what was.

        Raises:
            PlatformRejected: none of them was.
        """
        if self.scopes is not None and self.scopes.isdisjoint(scopes):
            names = " or ".join(scopes)
            raise PlatformRejected(
                f"The account was linked without the permission {names}: link it again and grant it. The app must have "
                "it, too: its owner asks for it at developers.tiktok.com.",
                nothing_sent=True,
                missing_scope=scopes[0],
            )

    async def user(self, fields: tuple[str, ...]) -> tuple[dict[str, Any], UpstreamResponse]:
        """The account's own data. Source: "Get User Info".

        Raises:
            HermesError: TikTok refuses, or the answer is not clear.
        """
        data, response = await self._request("GET", "/v2/user/info/", query={"fields": ",".join(fields)}, write=False)
        user = data.get("user")
        if not isinstance(user, dict):
            raise self.context.http.unclear(response)
        return user, response

    async def creator_info(self) -> CreatorInfo:
        """What the creator may post now. Raises `HermesError` as `user`."""
        self.need(PUBLISH)
        data, response = await self.ask("/v2/post/publish/creator_info/query/", {})
        return self.read(CreatorInfo, data, response)

    async def status(self, publish_id: str) -> VideoStatus:
        """How a publication stands. Raises `HermesError` as `user`."""
        self.need(EITHER)
        data, response = await self.ask("/v2/post/publish/status/fetch/", {"publish_id": publish_id})
        ids = data.get("publicaly_available_post_id")
        known = {
            **data,
            "publish_id": publish_id,
            "post_ids": [str(one) for one in ids] if isinstance(ids, list) and ids else None,
        }
        for name in ("explanation", "url"):
            known.pop(name, None)
        return self.read(VideoStatus, known, response)

    async def ask(self, path: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], UpstreamResponse]:
        """A question that is asked by POST and changes nothing. Raises `HermesError` as `user`."""
        return await self._request("POST", path, json=body, write=False)

    async def init(self, path: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], UpstreamResponse]:
        """Begin a publication, once: it is never sent again.

        Returns:
            TikTok's data, whose `publish_id` is checked, and the answer it came in.

        Raises:
            HermesError: TikTok refuses, or the answer is not clear.
        """
        data, response = await self._request("POST", path, json=body)
        if not isinstance(data.get("publish_id"), str) or not _PUBLISH_ID.match(data["publish_id"]):
            raise self.context.http.unclear(response)
        return data, response

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
        *,
        query: Mapping[str, str] | None = None,
        json: Any = None,
        write: bool | None = None,
    ) -> tuple[dict[str, Any], UpstreamResponse]:
        headers = {"Authorization": f"Bearer {self.credentials.access_token.get_secret_value()}"}
        if json is not None:
            headers["Content-Type"] = "application/json; charset=UTF-8"
        response = await self.context.http.request(
            method, self.context.base_url + path, headers=headers, query=query, json=json, write=write
        )
        answer = _object(response)
        error = answer.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        if code == "ok" and response.status == 200:
            data = answer.get("data")
            return data if isinstance(data, dict) else {}, response
        raise self._error(error if isinstance(error, dict) else {}, code, response)

    def _error(self, error: dict[str, Any], code: object, response: UpstreamResponse) -> HermesError:
        wait = retry_after(response.headers)
        if not isinstance(code, str) or code == "ok" or (code not in REFUSALS and response.status >= 500):
            if not 400 <= response.status < 500:
                return self.context.http.unclear(response)
            refusal = BY_STATUS.get(response.status, OTHER)
            return refusal.error("tiktok", "TikTok", response.status, "no reason given", retry_after=wait)
        if code == "internal_error":
            return self.context.http.unclear(response)
        message, log_id = error.get("message"), error.get("log_id")
        message = message if isinstance(message, str) else ""
        message = message.replace(self.credentials.access_token.get_secret_value(), "[token]")
        return refusal_error(code[:100], message, log_id[:100] if isinstance(log_id, str) else None, wait)


def _object(response: UpstreamResponse) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
