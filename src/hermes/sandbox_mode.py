"""hermes on the stand-ins: every platform points at the sandbox, and no real credential is in reach."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from hermes.platforms.base import Env
from hermes.platforms.catalog import Catalog
from hermes.platforms.email.stand_in import SandboxOpener
from hermes.sandbox.app import sandbox_base_urls
from hermes.sandbox.base import discover
from hermes.sandbox.oauth import CLIENT_SECRET, client_id_of
from hermes.sandbox.options import DEFAULT_APP_SECRET, DEFAULT_VERIFY_TOKEN
from hermes.settings import Settings
from hermes.storage.data_folder import DataFolder, write_atomically

VAULT: Final = "demo"

_PHONE_NUMBER_ID: Final = "106540352242922"
_BUSINESS_ACCOUNT_ID: Final = "102290129340398"
_PAGE_ID: Final = "104735472193865"
_INSTAGRAM_ID: Final = "17841405309211844"

CREDENTIALS: Final[dict[str, dict[str, str]]] = {
    "discord": {"bot_token": "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"},
    "facebook": {"page_id": _PAGE_ID, "access_token": f"EAAsandbox-page-{_PAGE_ID}-demo"},
    "instagram": {"account_id": _INSTAGRAM_ID, "access_token": f"EAAsandbox-ig-{_INSTAGRAM_ID}-demo"},
    "linkedin": {"access_token": "AQVpartner-sandbox-demo"},
    "obsidian": {"vault": VAULT},
    "snapchat": {"access_token": "sandbox-demo-access-token"},
    "telegram": {"bot_token": "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"},
    "tiktok": {"access_token": "act.sandbox-demo-4f9a1c"},
    "twitter": {"access_token": "eFhYc2FuZGJveC1kZW1vLWFjY2Vzcy10b2tlbi1vZi14OjE2MTYxNjE2MTY"},
    "whatsapp": {
        "phone_number_id": _PHONE_NUMBER_ID,
        "business_account_id": _BUSINESS_ACCOUNT_ID,
        "access_token": f"EAAsandbox-{_PHONE_NUMBER_ID}-{_BUSINESS_ACCOUNT_ID}-demo",
    },
}
"""Accounts to begin with. The tokens are of the vendors' documentation: the sandbox takes them, no vendor would.
A stand-in may declare its own (`StandIn.demo`)."""

_ORIGIN_FILE: Final = "sandbox-origin"


def demo_credentials() -> dict[str, dict[str, str]]:
    """Platform id → credentials of an account that the sandbox takes."""
    return CREDENTIALS | {stand_in.id: dict(stand_in.demo) for stand_in in discover().values() if stand_in.demo}


def remember_origin(folder: DataFolder, origin: str) -> None:
    """Keep where the sandbox answers, for commands that run beside the server."""
    write_atomically(folder.path / _ORIGIN_FILE, origin + "\n")


def origin_of(folder: DataFolder) -> str | None:
    """Where this folder's sandbox answers or last answered; None for a folder of real accounts."""
    path = folder.path / _ORIGIN_FILE
    return path.read_text().strip() if folder.mode == "sandbox" and path.exists() else None


def on_sandbox(settings: Settings, origin: str, catalog: Catalog) -> Settings:
    """The settings with every platform at the sandbox and every account of the environment taken out.

    The operator's own accounts (single-user mode) become the sandbox's, in the names that the platforms declare. The
    catalogue's mailboxes are opened at the stand-in from now on.
    """
    _open_mail_there(catalog)
    # A platform without a stand-in is pointed there as well: it finds nothing, and never reaches its vendor.
    vendors = {platform.id: f"{origin}/{platform.id}" for platform in catalog if platform.base_url}
    urls = vendors | sandbox_base_urls(origin)
    bases = {f"{platform.upper()}_API_BASE_URL": url for platform, url in urls.items()}
    environ = {**settings.environ, **bases, **_sign_in(origin, catalog), "SANDBOX_ORIGIN": origin}
    demos = demo_credentials()
    for platform in catalog:
        given = demos.get(platform.id, {})
        for name, variable in _variables(platform.credentials):
            environ.pop(variable, None)
            if name in given and platform.base_url:
                environ[variable] = given[name]
    changes: dict[str, Any] = {
        "environ": environ,
        "media_s3_bucket": None,
        "media_s3_endpoint": None,
        "obsidian_vault_path": _operator_vault(settings.data_dir),
        "meta_app_secret": settings.meta_app_secret or SecretStr(DEFAULT_APP_SECRET),
        "whatsapp_verify_token": settings.whatsapp_verify_token or SecretStr(DEFAULT_VERIFY_TOKEN),
    }
    return settings.model_copy(update=changes)


def _sign_in(origin: str, catalog: Catalog) -> dict[str, str]:
    """hermes as the stand-ins know it, in the names of the settings."""
    return {
        f"{connect.provider.upper()}_{name}": value
        for platform in catalog
        for connect in platform.oauth
        for name, value in (
            ("CLIENT_ID", client_id_of(connect.provider)),
            ("CLIENT_SECRET", CLIENT_SECRET),
            ("OAUTH_BASE_URL", f"{origin}/{platform.id}"),
        )
    }


def _open_mail_there(catalog: Catalog) -> None:
    """Mail has no base URL, and what checks its hosts has no setting that opens it: another opener takes its place."""
    if "email" in catalog.platforms:
        there = copy(catalog.platforms["email"])
        there.open = SandboxOpener()
        catalog.platforms = {**catalog.platforms, "email": there}


def _variables(credentials: Any) -> list[tuple[str, str]]:
    return [
        (name, mark.name)
        for name, info in credentials.model_fields.items()
        for mark in info.metadata
        if isinstance(mark, Env)
    ]


def _operator_vault(data_dir: Path) -> Path:
    vault = (data_dir / "operator-vault").resolve()
    vault.mkdir(parents=True, exist_ok=True)
    return vault
