"""How the sandbox is set up."""

from __future__ import annotations

from dataclasses import dataclass, field

from hermes.settings import Settings

DEFAULT_PORT = 3457
DEFAULT_APP_SECRET = "sandbox-app-secret"  # noqa: S105  (signs webhooks of a stand-in, guards nothing)
DEFAULT_VERIFY_TOKEN = "sandbox-verify-token"  # noqa: S105  (as above)


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """What the stand-ins are told from outside."""

    webhook_urls: dict[str, str] = field(default_factory=dict)
    """Platform id → where its webhooks go; a platform that is missing sends none."""
    meta_app_secret: str = field(default=DEFAULT_APP_SECRET, repr=False)
    whatsapp_verify_token: str = field(default=DEFAULT_VERIFY_TOKEN, repr=False)
    frozen_clock: bool = False
    """Time stands still between `advance` calls."""
    vendor_limits: bool = False
    """Hold callers to the vendors' rate limits. Off by default: load tests measure hermes, not the limits."""
    tokens_per_second: float | None = None
    """How many requests for OAuth tokens each vendor takes; None: any number."""
    status_delays: tuple[float, float, float] = (0.2, 1.0, 3.0)
    """Seconds from sending a WhatsApp message to its `sent`, `delivered` and `read`."""
    kept: int = 10_000
    """How many requests and messages are remembered."""
    open_to_network: bool = False
    """Let other machines reach the stand-ins. The inspection page and its controls stay on loopback."""

    @classmethod
    def from_settings(cls, settings: Settings, **changes: object) -> SandboxOptions:
        """Webhooks go to the gateway of these settings, signed with its app secret (or the sandbox's own)."""
        given: dict[str, object] = {"webhook_urls": {"whatsapp": f"{settings.public_url}/webhook/whatsapp"}}
        if settings.meta_app_secret is not None:
            given["meta_app_secret"] = settings.meta_app_secret.get_secret_value()
        if settings.whatsapp_verify_token is not None:
            given["whatsapp_verify_token"] = settings.whatsapp_verify_token.get_secret_value()
        return cls(**(given | changes))  # type: ignore[arg-type]  # names and types are the fields'
