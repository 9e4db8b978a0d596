"""The question that leads a person to a page of ours: where an account is linked, or a call approved (MCP, elicitation
by URL)."""

from __future__ import annotations

from typing import Any

from mcp_types import ElicitRequest, ElicitRequestURLParams, ElicitResult

from hermes.errors import HermesError
from hermes.gateway.asking import Asking, read_answer
from hermes.platforms.asks import Asked


def question(error: HermesError) -> ElicitRequestURLParams | None:
    """What to ask because of an error that a person can mend on our page; None where there is no page for it."""
    url = error.data.get("connect_url") or error.data.get("approve_url")
    if not isinstance(url, str):
        return None
    # The sentence names the address for those who read it; here it stands beside it.
    message = error.message.replace(url, "our page")
    return ElicitRequestURLParams(message=message, url=url)


def asked_to_open(asking: Asking, error: HermesError) -> Asked | None:
    """What has to be asked before a call can be run; None when the client cannot be asked, or the person said no.

    That the person agreed says only that they opened the page: until they are through there, they are asked again.

    Raises:
        BadInput: the client's answer is none.
    """
    params = question(error)
    if params is None or not asking.can("url"):
        return None
    approval = error.data.get("approval_id")
    key = f"connect_{error.data.get('platform')}" if approval is None else f"approve_{approval}"
    request = ElicitRequest(params=params)
    if key in asking.given and not _agreed(read_answer(key, request, asking.given[key])):
        return None
    return Asked({key: request}, asking.kept)


def _agreed(answer: Any) -> bool:
    return isinstance(answer, ElicitResult) and answer.action == "accept"
