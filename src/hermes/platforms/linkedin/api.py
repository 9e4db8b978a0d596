"""LinkedIn's API for one member: credentials, requests, and what its answers mean.

Source: https://learn.microsoft.com/linkedin/shared/api-guide (versions, protocol, errors) unless another is named.
"""

from __future__ import annotations

import re
from asyncio import sleep
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationError
from yarl import URL

from hermes.errors import HermesError, PlatformUnavailable
from hermes.net.answers import retry_after
from hermes.net.upstream import UpstreamResponse
from hermes.platforms.base import ApiContext, Credentials, Env, Setting
from hermes.platforms.linkedin.errors import JUST_ISSUED, Access, refusal_error, upload_error
from hermes.platforms.linkedin.models import Profile
from hermes.platforms.vendor_urls import is_vendors
from hermes.settings import Settings, SettingsError

VERSION = Setting("LINKEDIN_VERSION", "202609", "version of LinkedIn's API, a year and a month")
VIDEO_MAX_MB = Setting("LINKEDIN_VIDEO_MAX_MB", "500", "largest video that LinkedIn takes, in megabytes")
MESSAGES_SCOPE = Setting("LINKEDIN_MESSAGES_SCOPE", "w_messages", "the scope that LinkedIn grants for messages")
ORGANIZATIONS = Setting(
    "LINKEDIN_ORGANIZATIONS",
    "false",
    "`true`: who signs in can choose a company page; the app must have the Community Management API",
)

ORGANIZATION_ID: Final = r"^[0-9]{1,20}$"
ORGANIZATION_URN: Final = "urn:li:organization:"
"""An organization as an author, an owner or an account begins so; its id follows."""

UPLOAD_HOSTS: Final = ("www.linkedin.com", "api.linkedin.com")
"""Where uploads go. Source: Images API, Videos API."""

_APPS: Final = "https://www.linkedin.com/developers/apps"
_PARTNERS: Final = "https://learn.microsoft.com/linkedin/shared/authentication/getting-access"
SIGN_IN: Final = Access(("openid", "profile"), "Sign In with LinkedIn using OpenID Connect", _APPS, self_serve=True)
SHARE: Final = Access(("w_member_social",), "Share on LinkedIn", _APPS, self_serve=True)
PAGES: Final = Access(("w_organization_social",), "Community Management API", _APPS, self_serve=False)
PAGE_ROLES: Final = Access(("rw_organization_admin",), "Community Management API", _APPS, self_serve=False)
CONNECTIONS: Final = Access(("r_1st_connections",), "Connections API", _PARTNERS, self_serve=False)

TRIES_AGAIN: Final = (0.5, 2.0)
"""Seconds before a part is uploaded again."""

_JUST_ISSUED_SECONDS: Final = 2.0
_TOKEN = re.compile(r"[!-~]{8,4096}\Z")
_SUBJECT = r"^[A-Za-z0-9_-]{1,64}$"
_URN_TAIL = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")

M = TypeVar("M", bound=BaseModel)


def _well_formed(token: SecretStr) -> SecretStr:
    if _TOKEN.match(token.get_secret_value()) is None:
        raise ValueError("must be a token as LinkedIn gives it, without spaces")
    return token


class LinkedInCredentials(Credentials):
    """A member's token, and what is known of it. `scopes`: as granted, joined by spaces or commas."""

    access_token: Annotated[
        SecretStr, Field(alias="accessToken"), AfterValidator(_well_formed), Env("LINKEDIN_ACCESS_TOKEN")
    ]
    refresh_token: Annotated[SecretStr | None, Field(alias="refreshToken"), Env("LINKEDIN_REFRESH_TOKEN")] = None
    expires_at: Annotated[datetime | None, Field(alias="expiresAt")] = None
    member_id: Annotated[str | None, Field(alias="memberId", pattern=_SUBJECT), Env("LINKEDIN_MEMBER_ID")] = None
    organization_id: Annotated[
        str | None,
        Field(
            alias="organizationId",
            pattern=ORGANIZATION_ID,
            description="The company page that posts are made as where a call names none",
        ),
        Env("LINKEDIN_ORGANIZATION_ID"),
    ] = None
    scopes: Annotated[
        str | None, Field(pattern=r"^[a-z0-9_]+([ ,]+[a-z0-9_]+)*$", max_length=1000), Env("LINKEDIN_SCOPES")
    ] = None


def messages_access(context: ApiContext) -> Access:
    """What LinkedIn must have granted for messages."""
    return Access((context.setting(MESSAGES_SCOPE),), "Messages API", _PARTNERS, self_serve=False)


def check_settings(settings: Settings) -> None:
    """Refuse a version or a size that LinkedIn could not understand, and a switch that is neither on nor off."""
    for setting, form in (
        (VERSION, r"20[0-9]{2}(0[1-9]|1[0-2])"),
        (VIDEO_MAX_MB, r"[1-9][0-9]{0,4}"),
        (ORGANIZATIONS, r"true|false"),
    ):
        given = settings.environ.get(setting.name)
        if given and not re.fullmatch(form, given):
            raise SettingsError(f"{setting.name} must look like {setting.default}: {setting.description}.")


class LinkedInApi:
    """One member's access."""

    def __init__(self, context: ApiContext, credentials: LinkedInCredentials) -> None:
        self.context = context
        self.credentials = credentials
        self._scopes = frozenset(re.split(r"[ ,]+", credentials.scopes)) if credentials.scopes else None

    def lacks(self, access: Access) -> bool:
        """Whether the granted scopes are known and this is not among them."""
        return self._scopes is not None and self._scopes.isdisjoint(access.scopes)

    async def member_urn(self) -> str:
        """The member as the author of posts."""
        if self.credentials.member_id is not None:
            return f"urn:li:person:{self.credentials.member_id}"
        response = await self.request("GET", "/v2/userinfo", SIGN_IN, write=False)
        subject = self.answer(response).get("sub")
        if not isinstance(subject, str) or not re.match(_SUBJECT, subject):
            raise self.context.http.unclear(response)
        return f"urn:li:person:{subject}"

    async def owner(self, organization_id: str | None) -> tuple[str, Access]:
        """Whose post or upload it is, and what LinkedIn must have granted for it."""
        if organization_id is not None:
            return ORGANIZATION_URN + organization_id, PAGES
        if self.lacks(SHARE):
            raise SHARE.missing()
        return await self.member_urn(), SHARE

    async def request(
        self,
        method: str,
        path: str,
        access: Access,
        *,
        query: Mapping[str, str | int] | None = None,
        json: Any = None,
        write: bool | None = None,
    ) -> UpstreamResponse:
        """Send one request; `path` holds only fixed words and quoted URNs.

        Raises:
            HermesError: the token lacks what is needed, LinkedIn refuses, or the answer is not clear.
        """
        if self.lacks(access):
            raise access.missing()
        headers = {**self.authorization(), "X-Restli-Protocol-Version": "2.0.0"}
        if path.startswith("/rest/"):
            headers["LinkedIn-Version"] = self.context.setting(VERSION)
        url = URL(self.context.base_url + path, encoded=True)
        response = await self.context.http.request(method, url, headers=headers, query=query, json=json, write=write)
        self.check(response, access)
        return response

    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.credentials.access_token.get_secret_value()}"}

    def check(self, response: UpstreamResponse, access: Access) -> None:
        """Let a success pass.

        Raises:
            HermesError: a refusal, understood; or no clear answer.
        """
        answer = _object(response)
        status = response.status
        inner = answer.get("status")
        if 200 <= status < 300 and "serviceErrorCode" not in answer and not (isinstance(inner, int) and inner >= 400):
            return
        if isinstance(inner, int) and 400 <= inner < 600:
            status = inner
        if not 400 <= status < 500:
            raise self.context.http.unclear(response)
        message = answer.get("message")
        if isinstance(message, str):
            answer["message"] = message.replace(self.credentials.access_token.get_secret_value(), "[token]")
        raise refusal_error(status, answer, access, retry_after(response.headers))

    def answer(self, response: UpstreamResponse) -> dict[str, Any]:
        """The JSON object of a success.

        Raises:
            HermesError: it is none, so it is not clear what happened.
        """
        answer = _object(response)
        if not answer:
            raise self.context.http.unclear(response)
        return answer

    def read(self, model: type[M], content: Any, response: UpstreamResponse) -> M:
        """Read a result. Raises `HermesError` as `answer` does."""
        try:
            return model.model_validate(content)
        except ValidationError:
            pass  # its text holds parts of the answer
        raise self.context.http.unclear(response)

    def upload_url(self, url: object, response: UpstreamResponse) -> str:
        """An upload address from an answer, if it is LinkedIn's.

        Raises:
            HermesError: it is not; nothing is sent there.
        """
        if is_vendors(url, base_url=self.context.base_url, hosts=UPLOAD_HOSTS):
            return str(url)
        raise self.context.http.unclear(response)

    async def upload(
        self, url: str, headers: Mapping[str, str], body: Callable[[], AsyncIterator[bytes]]
    ) -> UpstreamResponse:
        """Put bytes to an upload address, again after a failure: each has one place, so twice does no harm.

        Raises:
            HermesError: LinkedIn refuses them, or took none of the tries.
        """
        for wait in (*TRIES_AGAIN, None):
            try:
                response = await self.context.http.request(
                    "PUT", URL(url, encoded=True), headers=headers, body=body(), write=False
                )
                if 200 <= response.status < 300:
                    return response
                if 400 <= response.status < 500:
                    raise upload_error(response.status)
                raise self.context.http.unclear(response)
            except PlatformUnavailable:
                if wait is None:
                    raise
                await sleep(wait)
        raise AssertionError("unreachable: the last try returns or raises")

    async def profile(self) -> Profile:
        """Who the member is. Source: "Sign In with LinkedIn using OpenID Connect", userinfo."""
        response = await self.request("GET", "/v2/userinfo", SIGN_IN)
        return self.read(Profile, self.answer(response), response)

    async def first_profile(self) -> Profile:
        """As `profile`; a token that was issued a moment ago gets a second chance."""
        try:
            return await self.profile()
        except HermesError as error:
            if error.data.get("platform_code") not in JUST_ISSUED:
                raise
        await sleep(_JUST_ISSUED_SECONDS)
        return await self.profile()


def quoted(urn: str) -> str:
    """A URN as part of a path: its colons must stay quoted."""
    return quote(urn, safe="")


def is_urn(value: object, *kinds: str) -> bool:
    """Whether an answer's member is a URN of one of these kinds, such as `video`."""
    if not isinstance(value, str):
        return False
    start, _, tail = value.rpartition(":")
    return start in {f"urn:li:{kind}" for kind in kinds} and _URN_TAIL.match(tail) is not None


def _object(response: UpstreamResponse) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
