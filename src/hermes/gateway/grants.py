"""Which tools a caller sees, and which they may call (design.md, section 4).

Outside the plan, or of what the key or the client can never have: hidden, and answered as unknown. What an OAuth caller
could have by asking the person for more is listed, and answered with the scope that it takes.
"""

from __future__ import annotations

from hermes.billing.plans import plan_of
from hermes.errors import InsufficientScope, UnknownTool
from hermes.gateway.fence import fence_text
from hermes.gateway.own_tools import GATEWAY
from hermes.identity.caller import Caller
from hermes.platforms.base import Effect, Tool


def shows(caller: Caller, tool: Tool) -> bool:
    """Whether the tool is among those that the caller is told of."""
    if tool.platform == GATEWAY:
        return True
    return plan_of(caller.plan).includes(tool.platform) and caller.could_have(tool.platform, tool.effect.access)


def is_forbidden(caller: Caller, tool: Tool) -> bool:
    """Whether the customer's rules say that the tool is never to be called, on whichever account. It is not listed, and
    who calls it is told of the rule."""
    rules = caller.approval_rules
    return bool(rules.each) and rules.hides(tool.name, tool.platform, writes=tool.effect is not Effect.READ)


def lacks_scope(caller: Caller, tool: Tool) -> bool:
    """Whether the caller is told of the tool, but has to ask for more before calling it."""
    return (
        tool.platform != GATEWAY and shows(caller, tool) and not caller.grants.allow(tool.platform, tool.effect.access)
    )


def require_grant(caller: Caller, tool: Tool) -> None:
    """Check that the caller may call the tool.

    Raises:
        UnknownTool: they may not, and asking for more would not help.
        InsufficientScope: they would have to ask for more; `scope` is all that the tool takes.
    """
    if not shows(caller, tool):
        raise unknown(tool.name)
    if lacks_scope(caller, tool):
        scope = f"{tool.platform}:{tool.effect.access}"
        raise InsufficientScope(
            f"{tool.name} takes the scope {scope}, which this assistant has not been given. Connect it again and agree "
            "to that, then repeat the call.",
            scope=scope,
            nothing_sent=True,
        )


def unknown(name: str) -> UnknownTool:
    """The error for a tool that there is not, as far as this caller is to know."""
    return UnknownTool(
        f"There is no tool {fence_text(name[:128])!r} for this caller. The list of tools says what there is."
    )
