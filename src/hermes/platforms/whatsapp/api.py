"""The Graph API for one WhatsApp number: credentials, and requests in its name.

Source: https://developers.facebook.com/docs/whatsapp/cloud-api.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from hermes.platforms.base import ApiContext, Credentials, Env, Setting
from hermes.platforms.meta.graph import NODE_ID, AccessToken, GraphApi
from hermes.platforms.whatsapp.errors import ERRORS

GRAPH_VERSION = Setting("WHATSAPP_GRAPH_VERSION", "v26.0", "version of Meta's Graph API")


class WhatsAppAccess(Credentials):
    """A token, and the business account whose numbers it may use."""

    access_token: Annotated[AccessToken, Field(alias="accessToken"), Env("WHATSAPP_DEFAULT_ACCESS_TOKEN")]
    business_account_id: Annotated[
        str, Field(alias="businessAccountId", pattern=NODE_ID), Env("WHATSAPP_DEFAULT_BUSINESS_ACCOUNT_ID")
    ]


class WhatsAppCredentials(WhatsAppAccess):
    """One number of the business account. Its id is not the phone number."""

    phone_number_id: Annotated[
        str, Field(alias="phoneNumberId", pattern=NODE_ID), Env("WHATSAPP_DEFAULT_PHONE_NUMBER_ID")
    ]


class WhatsAppApi(GraphApi):
    """One number's Graph API."""

    def __init__(self, context: ApiContext, credentials: WhatsAppCredentials) -> None:
        super().__init__(context, credentials.access_token, version=GRAPH_VERSION, errors=ERRORS)
        self.phone_number_id = credentials.phone_number_id
        self.business_account_id = credentials.business_account_id

    async def about_token(self) -> Mapping[str, Any]:
        """What Meta knows of the token: its app, scopes and end. Meta takes it in the query only.

        Raises:
            HermesError: as `get`, or the token is not one that works.
        """
        answer, response = await self.get("debug_token", input_token=self._token.get_secret_value())
        data = answer.get("data")
        if not isinstance(data, dict) or data.get("is_valid") is not True:
            raise self.context.http.unclear(response)
        return data
