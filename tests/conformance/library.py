"""The prompts and resources that the conformance suite asks for (reference/mcp.md, section 9a)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from mcp_types import (
    BlobResourceContents,
    ContentBlock,
    ElicitResult,
    PromptMessage,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)

from hermes.gateway.prompts import Prompt, PromptArgument
from hermes.gateway.resources import Contents, UnknownResource
from hermes.gateway.results import CallOptions
from hermes.identity.caller import Caller
from hermes.platforms.asks import Asks, form
from hermes.platforms.content import document, image, text

PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
TEMPLATE: Final = re.compile(r"test://template/([^/]+)/data")
CONTEXT: Final = form(
    "What context should the prompt use?",
    {"type": "object", "properties": {"context": {"type": "string"}}, "required": ["context"]},
)


def said(*blocks: ContentBlock) -> list[PromptMessage]:
    return [PromptMessage(role="user", content=block) for block in blocks]


async def simple(_arguments: Mapping[str, str], _asks: Asks) -> list[PromptMessage]:
    return said(text("This is a simple prompt for testing."))


async def with_arguments(arguments: Mapping[str, str], _asks: Asks) -> list[PromptMessage]:
    return said(text(f"Prompt with arguments: arg1='{arguments['arg1']}', arg2='{arguments['arg2']}'"))


async def with_resource(arguments: Mapping[str, str], _asks: Asks) -> list[PromptMessage]:
    embedded = document(arguments["resourceUri"], "Embedded resource content for testing.", "text/plain")
    return said(embedded, text("Please process the embedded resource above."))


async def with_image(_arguments: Mapping[str, str], _asks: Asks) -> list[PromptMessage]:
    return said(image(PNG, "image/png"), text("Please analyze the image above."))


async def asking(_arguments: Mapping[str, str], asks: Asks) -> list[PromptMessage]:
    answer = asks.answers({"user_context": CONTEXT}, None, proven=False)["user_context"]
    given = answer.content if isinstance(answer, ElicitResult) else None
    return said(text(f"With this context: {given}"))


async def suggest(begun: str) -> list[str]:
    return [word for word in ("testing", "tested", "paris") if word.startswith(begun)]


PROMPTS: Final = (
    Prompt("test_simple_prompt", "Simple", "A prompt without arguments.", simple),
    Prompt(
        "test_prompt_with_arguments",
        "With arguments",
        "A prompt with two arguments.",
        with_arguments,
        (PromptArgument("arg1", "The first.", suggest=suggest), PromptArgument("arg2", "The second.")),
    ),
    Prompt(
        "test_prompt_with_embedded_resource",
        "With a document",
        "A prompt with a document in it.",
        with_resource,
        (PromptArgument("resourceUri", "The document's address."),),
    ),
    Prompt("test_prompt_with_image", "With a picture", "A prompt with a picture in it.", with_image),
    Prompt("test_input_required_result_prompt", "Asking", "A prompt that asks first.", asking),
)


class Shelf:
    """The resources."""

    contents: Final[Mapping[str, Contents]] = {
        "test://static-text": TextResourceContents(
            uri="test://static-text", mime_type="text/plain", text="This is the content of the static text resource."
        ),
        "test://static-binary": BlobResourceContents(
            uri="test://static-binary", mime_type="image/png", blob=base64.b64encode(PNG).decode()
        ),
        "test://watched-resource": TextResourceContents(
            uri="test://watched-resource", mime_type="text/plain", text="Watch me."
        ),
    }

    async def resources(self, caller: Caller, _options: CallOptions) -> Sequence[Resource]:
        return [
            Resource(uri=uri, name=uri.removeprefix("test://"), mime_type=one.mime_type)
            for uri, one in self.contents.items()
        ]

    def templates(self, caller: Caller) -> Sequence[ResourceTemplate]:
        template = "test://template/{id}/data"
        return [ResourceTemplate(uri_template=template, name="template", mime_type="application/json")]

    def reaches(self, caller: Caller, uri: str) -> bool:
        return uri.startswith("test://")

    async def read(self, caller: Caller, uri: str, _options: CallOptions) -> Sequence[Contents]:
        if uri in self.contents:
            return [self.contents[uri]]
        found = TEMPLATE.fullmatch(uri)
        if found is None:
            raise UnknownResource("There is no such resource.")
        number = found[1]
        data = json.dumps({"id": number, "templateTest": True, "data": f"Data for ID: {number}"})
        return [TextResourceContents(uri=uri, mime_type="application/json", text=data)]
