"""Running a tool on an opened account: whatever comes of it is a fenced result or an error for the caller."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from pydantic import BaseModel

from hermes.errors import HermesError, NeedsReconnect, OutcomeUnknown, PlatformUnavailable
from hermes.gateway.accounts import Accounts, OpenAccount
from hermes.gateway.fence import fence, fence_blocks, fence_text
from hermes.gateway.refusals import unexpected
from hermes.identity.caller import Caller
from hermes.platforms.asks import Asked
from hermes.platforms.base import Effect, Tool
from hermes.platforms.context import ToolContext

_BACKSTOP_SECONDS: Final = 5.0
"""The platform's client ends at the tool's deadline by itself; this much later, whatever else hangs is ended too."""


class AskedTooLateError(Exception):
    """A tool asked something after it had sent a request that changes something."""


async def execute(
    accounts: Accounts,
    caller: Caller,
    tool: Tool,
    arguments: BaseModel,
    context: ToolContext,
    *,
    label: str,
    sealed: str,
) -> dict[str, Any]:
    """Open the account and run the tool.

    Args:
        label: the account's label.
        sealed: its credential, as it is stored; '' in single-user mode.

    Returns:
        The fenced result, which fits the tool's output schema.

    Raises:
        HermesError: whatever stopped it; its texts are fenced.
        Asked: the client has to be asked first.
    """
    deadline = asyncio.get_running_loop().time() + tool.timeout
    account: OpenAccount | None = None
    try:
        account = await accounts.open(caller, tool, label, sealed, deadline)
        async with asyncio.timeout(tool.timeout + _BACKSTOP_SECONDS):
            return _fenced(tool, await _run(accounts, caller, tool, arguments, context, account, deadline))
    except Asked:
        if context.repeats and account is not None and account.http.may_have_acted and tool.effect is not Effect.READ:
            # Run again it would act again. That is a fault of the tool's.
            raise unexpected(AskedTooLateError(tool.name), tool, may_have_acted=True) from None
        raise
    except HermesError as error:
        error.message = fence_text(error.message)
        error.data = fence(error.data)
        raise
    except TimeoutError:
        raise _too_slow(tool, account) from None
    except Exception as error:  # noqa: BLE001  (the last line: a platform's fault must not leave a call unsettled)
        raise unexpected(error, tool, may_have_acted=_may_have_acted(tool, account)) from None


def _fenced(tool: Tool, result: dict[str, Any]) -> dict[str, Any]:
    if not tool.shows_blocks:
        return dict(fence(result))
    rest = {name: value for name, value in result.items() if name != "content"}
    return {"content": fence_blocks(result["content"]), **fence(rest)}


async def _run(
    accounts: Accounts,
    caller: Caller,
    tool: Tool,
    arguments: BaseModel,
    context: ToolContext,
    account: OpenAccount,
    deadline: float,
) -> dict[str, Any]:
    """Run the tool; one that only reads a second time, if its access was refused and could be renewed."""
    try:
        return await tool.run(account.api, arguments, context)
    except NeedsReconnect as refused:
        # The platform said so. A credential that did not open here may well be fine for another replica.
        answer = await accounts.after_refusal(caller, tool, account, refused)
    if isinstance(answer, HermesError):
        raise answer
    if tool.effect is not Effect.READ:
        raise _renewed_meanwhile(tool)
    again = await accounts.open(caller, tool, account.label, answer, deadline)
    return await tool.run(again.api, arguments, context)


def _renewed_meanwhile(tool: Tool) -> PlatformUnavailable:
    return PlatformUnavailable(
        f"The platform refused the account's access, which has been renewed since. {tool.name} was not carried out. "
        "Call it again.",
        retry_after=0,
    )


def _may_have_acted(tool: Tool, account: OpenAccount | None) -> bool:
    """False only when it is certain: nothing was opened, or not a byte was sent to a platform reached over HTTP."""
    return account is not None and (account.http.may_have_acted or not tool.over_http)


def _too_slow(tool: Tool, account: OpenAccount | None) -> HermesError:
    if tool.effect is not Effect.READ and _may_have_acted(tool, account):
        return OutcomeUnknown(
            f"{tool.name} did not finish in {tool.timeout:g} s and may have acted. It is not sent again by itself; "
            "check on the platform before repeating it."
        )
    return PlatformUnavailable(
        f"{tool.name} did not finish in {tool.timeout:g} s; nothing was changed. Try again later."
    )
