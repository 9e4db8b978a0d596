"""What an account lacks: permissions that tools need, the end of its sign-in, a step at its vendor, a setting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hermes.connections.models import Connection, Status
from hermes.platforms.catalog import AnyPlatform
from hermes.platforms.oauth import OAuthConnect
from hermes.settings import Settings


def missing_of(platform: AnyPlatform, account: Connection, settings: Settings) -> list[dict[str, Any]]:
    """What the account lacks, as the API shows it.

    Returns:
        For each: `kind` (`reconnect`, `choice`, `step`, `scopes` or `setting`), `message` with the way out, and for
        `scopes` the `scopes` of which any one is enough and the `tools` that cannot work without.
    """
    if account.status is Status.NEEDS_RECONNECT:
        return [_item("reconnect", f"{platform.title} no longer accepts the credential. Connect the account again.")]
    if account.status is Status.INCOMPLETE:
        return [_item("choice", account.last_error or "It is not linked to its end. Begin again.")]
    steps = [_item("step", f"{step['title']}: {step['remedy']}") for step in account.to_do]
    connect = platform.sign_in(account.provider)
    if connect is None:
        return steps
    return [*steps, *_scopes(platform, connect, account), *_settings(connect, account, settings)]


def needs_person(account: Connection, missing: list[dict[str, Any]]) -> bool:
    """Whether the account's owner has to open the page on which it is linked."""
    return account.status is Status.EXPIRING or any(item["kind"] != "setting" for item in missing)


def _scopes(platform: AnyPlatform, connect: OAuthConnect, account: Connection) -> Iterator[dict[str, Any]]:
    """None where it is not known what was allowed."""
    if not account.scopes:
        return
    for need in connect.needs:
        if need.concerns(account.external_id) and need.scopes_lacking(account.scopes):
            tools = [platform.tools[name].name for name in need.tools]
            way = need.how or f"Connect the account again and allow it at {connect.title}."
            yield _item(
                "scopes",
                f"Without the permission {' or '.join(need.scopes)}, {', '.join(tools)} cannot work. {way}",
                scopes=list(need.scopes),
                tools=tools,
            )


def _settings(connect: OAuthConnect, account: Connection, settings: Settings) -> Iterator[dict[str, Any]]:
    if account.provider is not None and connect.renews and connect.client(settings) is None:
        name = connect.provider.upper()
        yield _item(
            "setting",
            f"This server cannot renew the access: its operator has to set {name}_CLIENT_ID and {name}_CLIENT_SECRET.",
        )


def _item(kind: str, message: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "message": message, "scopes": [], "tools": [], **more}
