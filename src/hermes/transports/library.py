"""MCP's methods for prompts and resources: lists in pages, texts, contents, completion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    EmptyResult,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    PromptReference,
    ReadResourceRequestParams,
    ReadResourceResult,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)
from mcp_types import Prompt as PromptShown
from mcp_types import PromptArgument as ArgumentShown
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from hermes.errors import HermesError, InsufficientScope, InvalidArguments, NotAuthenticated
from hermes.gateway.asking import Dialogue
from hermes.gateway.prompts import Prompt, Prompts, UnknownPrompt
from hermes.gateway.resources import Resources, UnknownResource
from hermes.gateway.results import CallOptions
from hermes.identity.caller import Caller
from hermes.transports.asking import answering
from hermes.transports.inbound import Inbound, client_name, inbound_of
from hermes.transports.paging import page_of
from hermes.transports.tool_results import error_text

Context = ServerRequestContext[Any, Any]
T = TypeVar("T")

RESOURCE_NOT_FOUND: Final = -32002
"""Of the versions before 2026-07-28, which has -32602 in its place."""


class McpLibrary:
    """The handlers."""

    def __init__(self, prompts: Prompts, resources: Resources) -> None:
        self._prompts = prompts
        self._resources = resources

    async def list_prompts(self, context: Context, params: PaginatedRequestParams | None) -> ListPromptsResult:
        prompts, rest = _page(self._prompts.shown(_caller(inbound_of(context))), params)
        return ListPromptsResult(prompts=[_shown(prompt) for prompt in prompts], next_cursor=rest)

    async def get_prompt(self, context: Context, params: GetPromptRequestParams) -> dict[str, Any]:
        """`prompts/get`; the SDK's server checks the result against the version."""
        caller = _caller(inbound_of(context))

        async def work(dialogue: Dialogue | None) -> dict[str, Any]:
            messages = await self._prompts.get(caller, params.name, params.arguments or {}, dialogue)
            result = GetPromptResult(messages=list(messages))
            return result.model_dump(mode="json", by_alias=True, exclude_none=True)

        try:
            return await answering(context, work)
        except (UnknownPrompt, InvalidArguments) as error:
            raise MCPError(code=INVALID_PARAMS, message=error.message) from None

    async def complete(self, context: Context, params: CompleteRequestParams) -> CompleteResult:
        """`completion/complete`; of resource templates' arguments nothing is suggested."""
        values: list[str] = []
        if isinstance(params.ref, PromptReference):
            caller, argument = _caller(inbound_of(context)), params.argument
            try:
                values = await self._prompts.suggest(caller, params.ref.name, argument.name, argument.value)
            except UnknownPrompt as error:
                raise MCPError(code=INVALID_PARAMS, message=error.message) from None
        return CompleteResult(completion=Completion(values=values, has_more=False))

    async def list_resources(self, context: Context, params: PaginatedRequestParams | None) -> ListResourcesResult:
        inbound = inbound_of(context)
        resources, rest = _page(await self._resources.listed(_caller(inbound), _options(context, inbound)), params)
        return ListResourcesResult(resources=resources, next_cursor=rest)

    async def list_templates(
        self, context: Context, params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        templates, rest = _page(self._resources.templates(_caller(inbound_of(context))), params)
        return ListResourceTemplatesResult(resource_templates=templates, next_cursor=rest)

    async def read_resource(self, context: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        uri, inbound = str(params.uri), inbound_of(context)
        try:
            contents = await self._resources.read(_caller(inbound), uri, _options(context, inbound))
        except UnknownResource:
            raise _not_found(context, uri) from None
        except HermesError as error:
            if inbound.by_status and isinstance(error, NotAuthenticated | InsufficientScope):
                raise
            raise MCPError(code=INTERNAL_ERROR, message=error_text(error), data=error.as_dict()) from None
        return ReadResourceResult(contents=list(contents))

    async def subscribe(self, context: Context, params: SubscribeRequestParams) -> EmptyResult:
        """`resources/subscribe`, legacy. Accepted for what the caller may read, but not declared: a client without a
        stream of ours hears nothing. Modern ones have `subscriptions/listen`."""
        if not self._resources.reaches(_caller(inbound_of(context)), str(params.uri)):
            raise _not_found(context, str(params.uri))
        return EmptyResult()

    async def unsubscribe(self, _context: Context, _params: UnsubscribeRequestParams) -> EmptyResult:
        return EmptyResult()

    def register(self, server: Server[Any]) -> None:
        """Have the SDK's server answer the methods."""
        server.add_request_handler("prompts/list", PaginatedRequestParams, self.list_prompts)
        server.add_request_handler("prompts/get", GetPromptRequestParams, self.get_prompt)
        server.add_request_handler("completion/complete", CompleteRequestParams, self.complete)
        server.add_request_handler("resources/list", PaginatedRequestParams, self.list_resources)
        server.add_request_handler("resources/templates/list", PaginatedRequestParams, self.list_templates)
        server.add_request_handler("resources/read", ReadResourceRequestParams, self.read_resource)
        server.add_request_handler("resources/subscribe", SubscribeRequestParams, self.subscribe)
        server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self.unsubscribe)


def _shown(prompt: Prompt) -> PromptShown:
    arguments = [
        ArgumentShown(name=one.name, description=one.description, required=one.required) for one in prompt.arguments
    ]
    return PromptShown(name=prompt.name, title=prompt.title, description=prompt.description, arguments=arguments)


def _page(items: Sequence[T], params: PaginatedRequestParams | None) -> tuple[list[T], str | None]:
    return page_of(items, params.cursor if params is not None else None)


def _caller(inbound: Inbound) -> Caller:
    """Whoever is calling, with what this connection wants of it."""
    return inbound.selection.caller(inbound.caller)


def _options(context: Context, inbound: Inbound) -> CallOptions:
    client = client_name(context.params, None) or inbound.client
    return CallOptions(transport=inbound.transport, request_id=inbound.request_id, client=client)


def _not_found(context: Context, uri: str) -> MCPError:
    modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
    code = INVALID_PARAMS if modern else RESOURCE_NOT_FOUND
    return MCPError(code=code, message="Resource not found", data={"uri": uri[:2048]})
