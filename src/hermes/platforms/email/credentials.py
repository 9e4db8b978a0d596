"""What links a mailbox, and the operator's own mailboxes from `EMAIL_ACCOUNTS`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

import orjson
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator

from hermes.net.addresses import parse_host
from hermes.platforms.base import Credentials, Env
from hermes.platforms.email.addresses import AddressError, mailbox_address
from hermes.settings import Settings, SettingsError

ACCOUNTS_VARIABLE = "EMAIL_ACCOUNTS"
_EXAMPLE = (
    """EMAIL_ACCOUNTS={"work": {"address": "me@example.com", "password": "an app password"}}; more members: """
    "docs/platforms/email.md"
)
_LABEL = re.compile(r"[a-z0-9_-]{1,32}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

SavesSent = Literal["auto", "always", "never"]


class EmailCredentials(Credentials):
    """One mailbox: its address, its password or OAuth token, and its servers if they are not found by the address."""

    # All accounts of single-user mode are in the one variable that the mark names.
    address: Annotated[str, Env(ACCOUNTS_VARIABLE)] = Field(
        max_length=254, description="The mailbox's address, such as me@example.com."
    )
    password: SecretStr | None = Field(
        None, min_length=1, max_length=1024, description="The mailbox's password; with most providers an app password."
    )
    access_token: SecretStr | None = Field(
        None,
        min_length=1,
        max_length=8192,
        validation_alias=AliasChoices("access_token", "accessToken"),
        description="Instead of a password: an OAuth access token for IMAP and SMTP (XOAUTH2).",
    )
    refresh_token: SecretStr | None = Field(None, max_length=8192, description="Kept for renewing the access token.")
    expires_at: datetime | None = Field(None, description="When the access token ends.")
    username: str | None = Field(
        None, min_length=1, max_length=254, description="The name to log in with, if it is not the address."
    )
    display_name: str | None = Field(None, max_length=100, description="The name beside the address in what is sent.")
    imap_host: str | None = Field(None, description="The IMAP server, if it is not found by the address.")
    imap_port: Literal[993] = Field(993, description="TLS from the first byte; no other port is used.")
    smtp_host: str | None = Field(None, description="The SMTP submission server, if it is not found by the address.")
    smtp_port: Literal[465, 587] | None = Field(None, description="465 (TLS) or 587 (STARTTLS, required).")
    aliases: tuple[str, ...] = Field((), max_length=20, description="Further addresses that may be sent from.")
    drafts_folder: str | None = Field(None, max_length=255, description="Where drafts go, if the server does not say.")
    sent_folder: str | None = Field(None, max_length=255, description="Where sent mail is filed, likewise.")
    save_sent: SavesSent = Field(
        "auto", description="Whether sent mail is filed in Sent: auto leaves it to providers that do it themselves."
    )

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        return _checked_address(value)

    @field_validator("aliases")
    @classmethod
    def _aliases(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_checked_address(item) for item in value)

    @field_validator("imap_host", "smtp_host")
    @classmethod
    def _host(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            return str(parse_host(value.strip().encode("idna").decode() if not value.isascii() else value.strip()))
        except ValueError:
            raise ValueError("must be a full host name such as imap.example.com") from None

    @field_validator("username", "display_name", "drafts_folder", "sent_folder")
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        if value is not None and _CONTROL.search(value):
            raise ValueError("must not hold control characters")
        return value

    @field_validator("password", "access_token")
    @classmethod
    def _one_line_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and _CONTROL.search(value.get_secret_value()):
            raise ValueError("must not hold control characters")
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.password is None) == (self.access_token is None):
            raise ValueError("give either password or access_token")
        return self

    @property
    def secret(self) -> str:
        """The password or the token, whichever there is."""
        given = self.password or self.access_token
        return given.get_secret_value() if given is not None else ""

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2].lower()


def _checked_address(value: str) -> str:
    try:
        return mailbox_address(value).address
    except AddressError as error:
        raise ValueError(str(error)) from None


def accounts_of(settings: Settings) -> Mapping[str, EmailCredentials]:
    """The operator's own mailboxes: label → credentials, from the JSON object in `EMAIL_ACCOUNTS`.

    Raises:
        SettingsError: it is not what it should be; never shows a value.
    """
    text = settings.environ.get(ACCOUNTS_VARIABLE, "").strip()
    if not text:
        return {}
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict) or not given:
        raise SettingsError(f"{ACCOUNTS_VARIABLE}: must be a JSON object, label → account (example: {_EXAMPLE})")
    return {label: _account(label, members) for label, members in given.items()}


def check_accounts(settings: Settings) -> None:
    """Refuse to start with a malformed `EMAIL_ACCOUNTS`.

    Raises:
        SettingsError: says what is wrong.
    """
    accounts_of(settings)


def _account(label: str, members: object) -> EmailCredentials:
    if not _LABEL.fullmatch(label):
        raise SettingsError(f"{ACCOUNTS_VARIABLE}: a label must be 1 to 32 of a-z, 0-9, - and _ (example: {_EXAMPLE})")
    try:
        return EmailCredentials.model_validate(members)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'account'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False, include_url=False, include_context=False)
        )
    raise SettingsError(f"{ACCOUNTS_VARIABLE}: {label}: {problems} (example: {_EXAMPLE})")
