"""What a tool may ask of the client it runs for: a form, a page to open, a model's completion, the client's folders.

The questions and answers are MCP's own messages. How a question reaches a client depends on its era, and a tool does
not see that: it is run again from its beginning, with the answers, when they are there (`ToolContext.ask`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, Protocol, get_args

from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    InputRequest,
    InputResponse,
    ListRootsRequest,
    SamplingMessage,
    TextContent,
)

from hermes.errors import MissingCapability
from hermes.platforms.schema import Schema

AskKind = Literal["form", "url", "sampling", "roots"]
KINDS: Final[tuple[AskKind, ...]] = get_args(AskKind)

_DECLARED: Final[Mapping[AskKind, dict[str, Any]]] = {
    "form": {"elicitation": {"form": {}}},
    "url": {"elicitation": {"url": {}}},
    "sampling": {"sampling": {}},
    "roots": {"roots": {}},
}
_SHOWN: Final[Mapping[AskKind, str]] = {
    "form": "a form to fill in",
    "url": "a page to open",
    "sampling": "a question to its model",
    "roots": "which folders it works on",
}


class Asked(BaseException):
    """Ends a tool's run because it needs answers first. No `Exception`: a tool that handles errors must not go on.

    Attributes:
        requests: what is to be asked, by the tool's own key for it.
        keep: what the tool wants to know again when it is run with the answers; JSON.
    """

    def __init__(self, requests: Mapping[str, InputRequest], keep: Any = None) -> None:
        super().__init__(", ".join(requests))
        self.requests = requests
        self.keep = keep


class Asks(Protocol):
    """What one run can ask, and what was answered already."""

    @property
    def kept(self) -> Any:
        """What the run before this one kept; None for the first."""
        ...

    def can(self, kind: AskKind) -> bool:
        """Whether the client said that it takes questions of this kind."""
        ...

    def answers(self, requests: Mapping[str, InputRequest], keep: Any, *, proven: bool) -> dict[str, InputResponse]:
        """See `ToolContext.ask`."""
        ...


def form(message: str, schema: Schema) -> ElicitRequest:
    """Ask the person to fill in a form; never for a secret.

    Args:
        message: why.
        schema: a flat JSON Schema object: strings, numbers, booleans and choices.
    """
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def page(message: str, url: str) -> ElicitRequest:
    """Ask the person to open a page. An accepting answer says only that they will, not that they are through."""
    return ElicitRequest(params=ElicitRequestURLParams(message=message, url=url))


def completion(text: str, max_tokens: int) -> CreateMessageRequest:
    """Ask the client's model to answer a text."""
    message = SamplingMessage(role="user", content=TextContent(text=text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=max_tokens))


def folders() -> ListRootsRequest:
    """Ask which folders the client works on."""
    return ListRootsRequest()


def kind_of(request: InputRequest) -> AskKind:
    """The kind of a question, as clients declare kinds."""
    if isinstance(request, ElicitRequest):
        return "url" if isinstance(request.params, ElicitRequestURLParams) else "form"
    return "sampling" if isinstance(request, CreateMessageRequest) else "roots"


def declaring(kinds: Iterable[AskKind]) -> dict[str, Any]:
    """How a client declares that it takes questions of these kinds (MCP's ClientCapabilities, JSON)."""
    declared: dict[str, Any] = {}
    for kind in kinds:
        for capability, modes in _DECLARED[kind].items():
            declared[capability] = declared.get(capability, {}) | modes
    return declared


def nobody_to_ask(requests: Mapping[str, InputRequest]) -> MissingCapability:
    """The error for questions to a client that takes none of their kinds."""
    kinds: list[AskKind] = sorted({kind_of(request) for request in requests.values()})
    return MissingCapability(
        f"This has to ask first ({', '.join(_SHOWN[kind] for kind in kinds)}), which this connection cannot "
        "carry. It takes a client that declares it, of protocol 2026-07-28 or in a session (MCP_LEGACY_SESSIONS).",
        required_capabilities=declaring(kinds),
        nothing_sent=True,
    )
