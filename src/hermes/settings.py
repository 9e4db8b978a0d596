"""Every setting, read once from the environment and `.env`, checked, and then passed on as one object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator

DEFAULT_PORT = 3456
_JWT_SECRET_BYTES = 32
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})

Signup = Literal["closed", "invite", "open"]
SmtpSecurity = Literal["starttls", "tls", "none"]
KeyProvider = Literal["local", "aws-kms"]
LogFormat = Literal["console", "json"]


class SettingsError(Exception):
    """A setting is missing or malformed. The message names it and shows an example."""


class Settings(BaseModel, frozen=True):
    """The settings of `contract.md`; field names are the environment's names in lower case."""

    public_url: str = Field("http://127.0.0.1:3456", examples=["https://mcp.example.com"])
    host: str = Field("127.0.0.1", examples=["0.0.0.0"])  # noqa: S104  (an example shown in an error, nothing is bound)
    port: int = Field(DEFAULT_PORT, ge=0, le=65535, examples=[3456])
    data_dir: Path = Field(Path("data"), examples=["/var/lib/hermes"])
    database_url: SecretStr | None = Field(None, examples=["mysql+asyncmy://hermes:secret@db/hermes"])
    redis_url: SecretStr | None = Field(None, examples=["redis://:secret@redis:6379/0"])
    mcp_api_key: SecretStr | None = Field(None, examples=["a long random string"])
    credential_encryption_key: SecretStr | None = Field(None, examples=["the output of `hermes keys generate`"])
    credential_encryption_keys_old: SecretStr | None = Field(None, examples=["key1,key2"])
    encryption_key_provider: KeyProvider = Field("local", examples=["aws-kms"])
    aws_kms_key_id: tuple[str, ...] = Field((), examples=["alias/hermes"])
    jwt_secret: SecretStr | None = Field(None, examples=["the output of `hermes keys generate`"])
    cookie_domain: str | None = Field(None, examples=["example.com"])
    mcp_legacy_sessions: bool = Field(False, examples=["true"])
    allowed_hosts: tuple[str, ...] = Field((), examples=["mcp.example.com,mcp.example.org:8443"])
    allowed_origins: tuple[str, ...] = Field((), examples=["https://claude.ai,https://chatgpt.com"])
    trusted_proxies: tuple[str, ...] = Field((), examples=["10.0.0.0/8"])
    signup: Signup = Field("closed", examples=["invite"])
    approval_minutes: int = Field(15, ge=1, le=1440, examples=[15])
    oauth_client_days: int = Field(30, ge=1, le=3650, examples=[30])
    oidc_issuer: str | None = Field(None, examples=["https://accounts.google.com"])
    oidc_client_id: str | None = Field(None, examples=["from the provider's console"])
    oidc_client_secret: SecretStr | None = Field(None, examples=["from the provider's console"])
    oidc_name: str | None = Field(None, examples=["Google"])
    smtp_host: str | None = Field(None, examples=["smtp.example.com"])
    smtp_port: int | None = Field(None, ge=1, le=65535, examples=[587])
    smtp_username: str | None = Field(None, examples=["hermes"])
    smtp_password: SecretStr | None = Field(None, examples=["from the mail provider's console"])
    smtp_from: str | None = Field(None, examples=["SquareMCP <hello@example.com>"])
    smtp_security: SmtpSecurity = Field("starttls", examples=["tls"])
    meta_app_secret: SecretStr | None = Field(None, examples=["from the Meta app's Basic settings"])
    whatsapp_verify_token: SecretStr | None = Field(None, examples=["a random string that Meta is told too"])
    obsidian_vault_path: Path | None = Field(None, examples=["/home/me/vault"])
    obsidian_vaults_root: Path | None = Field(None, examples=["/var/lib/hermes/vaults"])
    media_s3_bucket: str | None = Field(None, examples=["hermes-media"])
    media_s3_endpoint: str | None = Field(None, examples=["https://s3.eu-central-1.example.com"])
    media_s3_region: str | None = Field(None, examples=["eu-central-1"])
    media_s3_access_key_id: SecretStr | None = Field(None, examples=["from the store's console"])
    media_s3_secret_access_key: SecretStr | None = Field(None, examples=["from the store's console"])
    health_check_minutes: int = Field(360, ge=5, le=10080, examples=[360])
    health_checks_per_second: int = Field(2, ge=1, le=100, examples=[2])
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", examples=["DEBUG"])
    log_format: LogFormat = Field("console", examples=["json"])
    environ: Mapping[str, str] = Field(default_factory=dict, repr=False, exclude=True)
    """The whole environment, for what platforms declare themselves (base URLs, client ids, credentials)."""

    @field_validator("public_url")
    @classmethod
    def _origin_only(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an http or https URL without query or fragment")
        return value.rstrip("/")

    @field_validator("media_s3_endpoint")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "https://none")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http or https URL")
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "https://none")
        if not parts.hostname or parts.query or parts.fragment or not _is_safe(parts.scheme, parts.hostname):
            raise ValueError("must be an https URL without query or fragment")
        return value

    @model_validator(mode="after")
    def _sign_in_provider_is_whole(self) -> Settings:
        if self.oidc_issuer is not None and self.oidc_client_id is None:
            raise SettingsError(
                "OIDC_CLIENT_ID: is missing, so OIDC_ISSUER has no use (example: OIDC_CLIENT_ID=hermes)"
            )
        return self

    @model_validator(mode="after")
    def _mail_is_whole(self) -> Settings:
        if self.smtp_host is None:
            return self
        local, _, domain = parseaddr(self.smtp_from or "")[1].rpartition("@")
        if not local or not domain:
            raise SettingsError("SMTP_FROM: must be an address (example: SMTP_FROM=SquareMCP <hello@example.com>)")
        if self.smtp_security == "none" and self.smtp_host not in LOOPBACK_HOSTS:
            raise SettingsError(
                "SMTP_SECURITY: none is for a server on this machine only (example: SMTP_SECURITY=starttls)"
            )
        return self

    @model_validator(mode="after")
    def _bucket_is_whole(self) -> Settings:
        if self.media_s3_bucket is None and self.media_s3_endpoint is not None:
            raise SettingsError(
                "MEDIA_S3_BUCKET: is missing, so MEDIA_S3_ENDPOINT has no use (example: MEDIA_S3_BUCKET=hermes-media)"
            )
        if (self.media_s3_access_key_id is None) != (self.media_s3_secret_access_key is None):
            raise SettingsError("MEDIA_S3_ACCESS_KEY_ID: goes with MEDIA_S3_SECRET_ACCESS_KEY; set both or neither")
        return self

    @field_validator("jwt_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        # RFC 7518, section 3.2: a key for HS256 is as long as the hash, 32 bytes, or longer
        if value is not None and len(value.get_secret_value().encode()) < _JWT_SECRET_BYTES:
            raise ValueError(f"must have at least {_JWT_SECRET_BYTES} characters")
        return value

    @model_validator(mode="after")
    def _key_provider_is_whole(self) -> Settings:
        if self.encryption_key_provider == "aws-kms" and not self.aws_kms_key_id:
            raise SettingsError(
                "AWS_KMS_KEY_ID: is missing, and ENCRYPTION_KEY_PROVIDER=aws-kms needs it "
                "(example: AWS_KMS_KEY_ID=alias/hermes)"
            )
        return self

    @field_validator("aws_kms_key_id", "allowed_hosts", "allowed_origins", "trusted_proxies", mode="before")
    @classmethod
    def _comma_separated(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @property
    def embedded(self) -> bool:
        """True when hermes keeps SQLite, Valkey and its secrets in its own data folder."""
        return self.database_url is None and self.redis_url is None

    def platform(self, platform_id: str, name: str) -> str | None:
        """A platform's own setting, e.g. `platform("telegram", "API_BASE_URL")` for `TELEGRAM_API_BASE_URL`."""
        return self.environ.get(f"{platform_id.upper()}_{name}") or None


def load_settings(
    environ: Mapping[str, str] | None = None, *, env_file: Path | None = Path(".env"), **overrides: Any
) -> Settings:
    """Read the settings from the environment (over `.env`), with `overrides` (command-line options) on top.

    Raises:
        SettingsError: a setting is malformed; the message names it, says what is wrong and shows an example.
    """
    merged: dict[str, str] = {}
    if env_file is not None and env_file.is_file():
        merged |= {name: value for name, value in dotenv_values(env_file).items() if value is not None}
    merged |= dict(os.environ if environ is None else environ)
    given = {name: merged[name.upper()] for name in Settings.model_fields if merged.get(name.upper())}
    given |= {name: value for name, value in overrides.items() if value is not None}
    given.setdefault("public_url", local_url(given.get("port") or DEFAULT_PORT))
    try:
        return Settings(**{**given, "environ": merged})
    except ValidationError as error:
        problems = [_problem(item["loc"], item["msg"]) for item in error.errors(include_input=False)]
        raise SettingsError("; ".join(problems)) from None


def likely_typos(environ: Mapping[str, str]) -> dict[str, str]:
    """Names in the environment that look meant for hermes and are no setting, each with the setting it resembles.

    Only names that begin with HERMES_ (no setting does) or that differ from a setting by a letter or two.
    """
    known = [name.upper() for name in Settings.model_fields if name != "environ"]
    typos: dict[str, str] = {}
    for name in environ:
        bare = name.removeprefix("HERMES_")
        alike = get_close_matches(bare, known, n=1, cutoff=0.6 if bare != name else 0.9)
        if alike and name not in known:
            typos[name] = alike[0]
    return typos


def _is_safe(scheme: str, host: str) -> bool:
    return scheme == "https" or (scheme == "http" and host in LOOPBACK_HOSTS)


def local_url(port: int | str) -> str:
    """The PUBLIC_URL of a hermes that only this machine is to reach."""
    return f"http://127.0.0.1:{port}"


def _problem(loc: tuple[int | str, ...], message: str) -> str:
    name = str(loc[0])
    example = (Settings.model_fields[name].examples or ["…"])[0]
    return f"{name.upper()}: {message.removeprefix('Value error, ')} (example: {name.upper()}={example})"
