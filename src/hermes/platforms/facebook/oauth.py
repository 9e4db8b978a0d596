"""Signing in at Facebook, and choosing the Page.

Source: https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow and
https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from hermes.platforms.base import ApiContext
from hermes.platforms.facebook.api import GRAPH_VERSION
from hermes.platforms.facebook.errors import ERRORS
from hermes.platforms.meta.graph import GraphApi
from hermes.platforms.meta.oauth import RENEW_BEFORE, MetaConnect
from hermes.platforms.oauth import Choice, OAuthClient, ScopeNeed, Tokens, VendorRequest, moment
from hermes.settings import Settings

_TOKENS: Final = f"https://graph.facebook.com/{GRAPH_VERSION.default}/oauth/access_token"
_PERMISSIONS: Final = f"https://graph.facebook.com/{GRAPH_VERSION.default}/me/permissions"
_MAX_PAGES_OF_PAGES: Final = 20
_MAY_POST: Final = frozenset({"CREATE_CONTENT", "MANAGE"})


@dataclass(frozen=True)
class FacebookConnect(MetaConnect):
    """A person signs in; what is linked is a Page. Its own token lives as long as the person's is renewed."""

    def located(self, url: str, settings: Settings) -> str:
        version = settings.environ.get(GRAPH_VERSION.name) or GRAPH_VERSION.default
        return super().located(url.replace(f"/{GRAPH_VERSION.default}/", f"/{version}/"), settings)

    def code_request(self, client: OAuthClient, *, code: str, redirect_uri: str, verifier: str) -> VendorRequest:  # noqa: ARG002
        return self._exchange(client, {"code": code, "redirect_uri": redirect_uri})

    def lengthen_request(self, client: OAuthClient, tokens: Tokens) -> VendorRequest | None:
        return self.renew_request(client, tokens.access_token.get_secret_value())

    def renew_request(self, client: OAuthClient, renewable: str) -> VendorRequest:
        return self._exchange(client, {"grant_type": "fb_exchange_token", "fb_exchange_token": renewable})

    def revoke_request(self, client: OAuthClient, credentials: Mapping[str, Any]) -> VendorRequest | None:  # noqa: ARG002
        token = credentials.get("user_access_token")
        if not token:
            return None
        return VendorRequest("DELETE", _PERMISSIONS, headers={"Authorization": f"Bearer {token}"})

    def renewed(self, before: Mapping[str, Any], tokens: Tokens) -> dict[str, Any]:
        """The Page's token stays: it does not end while the person's is alive."""
        token = tokens.access_token.get_secret_value()
        return {**before, "user_access_token": token, "user_expires_at": tokens.expires_at}

    def renewable(self, credentials: Mapping[str, Any]) -> str | None:
        token = credentials.get("user_access_token")
        return str(token) if token else None

    def access_ends(self, credentials: Mapping[str, Any]) -> datetime | None:
        return moment(credentials.get("user_expires_at"))

    @staticmethod
    def _exchange(client: OAuthClient, given: Mapping[str, str]) -> VendorRequest:
        shown = {"client_id": client.id, "client_secret": client.secret.get_secret_value()}
        return VendorRequest("POST", _TOKENS, form={**given, **shown})


async def pages(context: ApiContext, tokens: Tokens) -> list[Choice]:
    """The Pages that the person may post to, each with its own token. Source: Page access tokens; `me/accounts`."""
    graph = GraphApi(context, tokens.access_token, version=GRAPH_VERSION, errors=ERRORS)
    found: list[Choice] = []
    query: dict[str, str | int] = {"fields": "id,name,access_token,tasks", "limit": 100}
    for _ in range(_MAX_PAGES_OF_PAGES):
        answer, _response = await graph.get("me/accounts", **query)
        data = answer.get("data")
        found += [_choice(page, tokens) for page in data or () if _may_post(page)] if isinstance(data, list) else []
        paging = answer.get("paging")
        if not isinstance(paging, dict) or not paging.get("next"):
            break
        query["after"] = str(paging.get("cursors", {}).get("after", ""))
    return found


def _may_post(page: Any) -> bool:
    if not isinstance(page, dict) or not isinstance(page.get("id"), str) or not page.get("access_token"):
        return False
    tasks = page.get("tasks")
    return not isinstance(tasks, list) or not _MAY_POST.isdisjoint(tasks)


def _choice(page: Mapping[str, Any], tokens: Tokens) -> Choice:
    credentials = {
        "page_id": page["id"],
        "access_token": page["access_token"],
        "user_access_token": tokens.access_token.get_secret_value(),
        "user_expires_at": tokens.expires_at,
    }
    return Choice(page["id"], str(page.get("name") or page["id"]), credentials)


SIGN_IN_AT_FACEBOOK: Final = FacebookConnect(
    "facebook",
    title="Facebook",
    authorize_url=f"https://www.facebook.com/{GRAPH_VERSION.default}/dialog/oauth",
    token_url=_TOKENS,
    revoke_url=_PERMISSIONS,
    revoke_by_hand="facebook.com, Settings, Business integrations",
    scope_separator=",",
    scopes=("pages_show_list", "pages_read_engagement", "pages_manage_posts"),
    needs=(
        ScopeNeed(("pages_read_engagement",), ("get_page", "get_posts")),
        ScopeNeed(("pages_manage_posts",), ("create_post", "create_photo_post", "create_video_post")),
    ),
    renew_before=RENEW_BEFORE,
    choices=pages,
    without_choice="Make a Page at https://www.facebook.com/pages/create, or have the admin of one let you create "
    "content there; when you sign in again, tick that Page.",
    source="https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived",
)
