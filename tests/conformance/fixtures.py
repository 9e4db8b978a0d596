"""The tools that the conformance suite calls, declared as any platform's are (reference/mcp.md, section 9a)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from mcp_types import CreateMessageResult, ElicitResult, ListRootsResult, TextContent
from pydantic import BaseModel, SecretStr

from hermes.errors import PlatformRejected
from hermes.platforms.asks import completion, folders, form
from hermes.platforms.base import Credentials, Effect, PasteToken, Platform, Tool
from hermes.platforms.content import Content, audio, document, image, text
from hermes.platforms.context import ToolContext
from hermes.storage.notices import Kind

PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
WAV: Final = base64.b64decode("UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=")
_PAUSE: Final = 0.05


class NothingSecret(Credentials):
    token: SecretStr


@dataclass(frozen=True)
class Bench:
    """What the tools work on. `changed` is set by the server: told of the customer and of what changed for them."""

    customer_id: str
    changed: ClassVar[Callable[[str, Kind], None]]


def text_form(message: str, *names: str, kind: str = "string") -> Any:
    return form(message, {"type": "object", "properties": {name: {"type": kind} for name in names}, "required": names})


def said(answer: object) -> str:
    """What a client answered, as text."""
    match answer:
        case ElicitResult():
            return f"action={answer.action}, content={answer.content}"
        case CreateMessageResult():
            return answer.content.text if isinstance(answer.content, TextContent) else answer.content.type
        case ListRootsResult():
            return ", ".join(str(root.uri) for root in answer.roots)
    raise TypeError(answer)


def words(what: str) -> Content:
    return Content(content=[text(what)])


test: Platform[NothingSecret, Bench] = Platform(
    "test",
    title="Conformance",
    credentials=NothingSecret,
    connect=PasteToken("", ()),
    open=lambda context, _credentials: Bench(context.customer_id),
    open_world=False,
)
"""`test_…`: everything but tasks."""

jobs: Platform[NothingSecret, Bench] = Platform(
    "jobs",
    title="Conformance, tasks",
    credentials=NothingSecret,
    connect=PasteToken("", ()),
    open=lambda context, _credentials: Bench(context.customer_id),
    open_world=False,
)
"""Tools that run as tasks."""


@test.tool(Effect.READ, rest="GET /simple")
async def simple_text(api: Bench) -> Content:
    """Give a text."""
    return words("This is a simple text response for testing.")


@test.tool(Effect.READ, rest="GET /image")
async def image_content(api: Bench) -> Content:
    """Give a picture."""
    return Content(content=[image(PNG, "image/png")])


@test.tool(Effect.READ, rest="GET /audio")
async def audio_content(api: Bench) -> Content:
    """Give a sound."""
    return Content(content=[audio(WAV, "audio/wav")])


@test.tool(Effect.READ, rest="GET /embedded")
async def embedded_resource(api: Bench) -> Content:
    """Give a document."""
    body = "This is an embedded resource content."
    return Content(content=[document("test://embedded-resource", body, "text/plain")])


@test.tool(Effect.READ, rest="GET /mixed")
async def multiple_content_types(api: Bench) -> Content:
    """Give several things at once."""
    data = document("test://mixed-content-resource", '{"test":"data","value":123}', "application/json")
    return Content(content=[text("Multiple content types test:"), image(PNG, "image/png"), data])


@test.tool(Effect.READ, rest="GET /logging")
async def tool_with_logging(api: Bench, context: ToolContext) -> Content:
    """Send messages while it runs."""
    await context.log("info", "Tool execution started")
    await asyncio.sleep(_PAUSE)
    await context.log("info", "Tool processing data")
    await asyncio.sleep(_PAUSE)
    await context.log("info", "Tool execution completed")
    return words("Done.")


@test.tool(Effect.READ, rest="GET /log")
async def logging_tool(api: Bench, context: ToolContext) -> Content:
    """Send one message."""
    await context.log("info", "A message")
    return words("Done.")


@test.tool(Effect.READ, rest="GET /progress")
async def tool_with_progress(api: Bench, context: ToolContext) -> Content:
    """Tell how far it is."""
    for done in (0, 50, 100):
        await context.progress(done, 100)
        await asyncio.sleep(_PAUSE)
    return words("Done.")


@test.tool(Effect.READ, rest="GET /error")
async def error_handling(api: Bench) -> Content:
    """Fail."""
    raise PlatformRejected("This tool intentionally returns an error for testing")


@test.tool(Effect.READ, rest="GET /sampling")
async def sampling(api: Bench, context: ToolContext, prompt: str) -> Content:
    """Ask the client's model."""
    answers = await context.ask({"answer": completion(prompt, 100)})
    return words(f"LLM response: {said(answers['answer'])}")


@test.tool(Effect.READ, rest="GET /elicitation")
async def elicitation(api: Bench, context: ToolContext, message: str) -> Content:
    """Ask the person for a name and an address."""
    answers = await context.ask({"answer": text_form(message, "username", "email")})
    return words(f"User response: {said(answers['answer'])}")


@test.tool(Effect.READ, rest="GET /defaults")
async def elicitation_sep1034_defaults(api: Bench, context: ToolContext) -> Content:
    """Ask with values that are filled in already."""
    properties = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    question = form("Please check these", {"type": "object", "properties": properties})
    answers = await context.ask({"answer": question})
    return words(f"Elicitation completed: {said(answers['answer'])}")


@test.tool(Effect.READ, rest="GET /enums")
async def elicitation_sep1330_enums(api: Bench, context: ToolContext) -> Content:
    """Ask to choose, in all five ways."""
    options = ["option1", "option2", "option3"]
    titled = [{"const": f"value{n}", "title": f"Choice {n}"} for n in (1, 2, 3)]
    names = ["Option One", "Option Two", "Option Three"]
    properties = {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": names},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }
    answers = await context.ask({"answer": form("Please choose", {"type": "object", "properties": properties})})
    return words(f"Elicitation completed: {said(answers['answer'])}")


@test.tool(Effect.READ, rest="GET /missing")
async def missing_capability(api: Bench, context: ToolContext) -> Content:
    """Need a client that takes questions to its model."""
    await context.ask({"answer": completion("?", 10)})
    return words("Done.")


@test.tool(Effect.READ, rest="GET /tool-change")
async def trigger_tool_change(api: Bench) -> Content:
    """Have the list of tools change."""
    Bench.changed(api.customer_id, "accounts")
    return words("Done.")


@test.tool(Effect.READ, rest="GET /prompt-change")
async def trigger_prompt_change(api: Bench) -> Content:
    """Have the list of prompts change."""
    Bench.changed(api.customer_id, "anything")
    return words("Done.")


@test.tool(Effect.READ, rest="GET /streaming")
async def streaming_elicitation(api: Bench, context: ToolContext) -> Content:
    """Ask the person."""
    answers = await context.ask({"answer": text_form("Your name?", "name")})
    return words(said(answers["answer"]))


@test.tool(Effect.READ, rest="GET /ir-elicitation")
async def input_required_result_elicitation(api: Bench, context: ToolContext) -> Content:
    """Ask for a name."""
    answer = (await context.ask({"user_name": text_form("What is your name?", "name")}))["user_name"]
    name = answer.content.get("name") if isinstance(answer, ElicitResult) and answer.content else None
    return words(f"Hello, {name}!")


@test.tool(Effect.READ, rest="GET /ir-sampling")
async def input_required_result_sampling(api: Bench, context: ToolContext) -> Content:
    """Ask the client's model for a capital."""
    answers = await context.ask({"capital_question": completion("What is the capital of France?", 100)})
    return words(said(answers["capital_question"]))


@test.tool(Effect.READ, rest="GET /ir-roots")
async def input_required_result_list_roots(api: Bench, context: ToolContext) -> Content:
    """Ask which folders the client works on."""
    return words(said((await context.ask({"client_roots": folders()}))["client_roots"]))


@test.tool(Effect.READ, rest="GET /ir-state")
async def input_required_result_request_state(api: Bench, context: ToolContext) -> Content:
    """Ask, and find again what was kept."""
    await context.ask({"confirm": text_form("Please confirm", "ok", kind="boolean")}, keep="state-ok")
    return words(f"{context.kept}")


@test.tool(Effect.READ, rest="GET /ir-multiple")
async def input_required_result_multiple_inputs(api: Bench, context: ToolContext) -> Content:
    """Ask three things of three kinds at once."""
    questions = {
        "user_name": text_form("What is your name?", "name"),
        "greeting": completion("Generate a greeting", 50),
        "client_roots": folders(),
    }
    answers = await context.ask(questions)
    return words("; ".join(said(answers[key]) for key in questions))


@test.tool(Effect.READ, rest="GET /ir-rounds")
async def input_required_result_multi_round(api: Bench, context: ToolContext) -> Content:
    """Ask one thing after the other."""
    first = await context.ask({"step1": text_form("Step 1: What is your name?", "name")})
    second = await context.ask({"step2": text_form("Step 2: What is your favorite color?", "color")})
    return words(f"{said(first['step1'])}; {said(second['step2'])}")


@test.tool(Effect.READ, rest="GET /ir-tampered")
async def input_required_result_tampered_state(api: Bench, context: ToolContext) -> Content:
    """Ask, and take only what was asked."""
    await context.ask({"confirm": text_form("Please confirm", "ok", kind="boolean")}, proven=True)
    return words("Done.")


@test.tool(Effect.READ, rest="GET /ir-capabilities")
async def input_required_result_capabilities(api: Bench, context: ToolContext) -> Content:
    """Ask whatever the client can be asked."""
    questions: dict[str, Any] = {}
    if context.can_ask("form"):
        questions["name"] = text_form("What is your name?", "name")
    if context.can_ask("sampling"):
        questions["greeting"] = completion("Generate a greeting", 50)
    answers = await context.ask(questions)
    return words("; ".join(said(answer) for answer in answers.values()))


class Computed(BaseModel):
    label: str
    seconds: float


@jobs.tool(Effect.READ, rest="GET /greet")
async def greet(api: Bench, name: str) -> Content:
    """Greet somebody, at once."""
    return words(f"Hello, {name}!")


@jobs.tool(Effect.READ, rest="GET /slow", timeout=90, long=True)
async def slow_compute(api: Bench, context: ToolContext, seconds: float, label: str = "") -> Computed:
    """Take a while."""
    for number in range(int(seconds * 2)):
        await context.step(f"half-second-{number}", lambda: asyncio.sleep(0.5), repeatable=True)
    return Computed(label=label, seconds=seconds)


@jobs.tool(Effect.READ, rest="GET /failing", long=True, task_only=True)
async def failing_job(api: Bench) -> Content:
    """Fail after a second, as a task."""
    await asyncio.sleep(1)
    raise PlatformRejected("This job always fails.")


@jobs.tool(Effect.READ, rest="GET /broken", long=True)
async def protocol_error_job(api: Bench) -> Content:
    """Break."""
    raise RuntimeError("on purpose")


@jobs.tool(Effect.DELETE, rest="DELETE /file", long=True)
async def confirm_delete(api: Bench, context: ToolContext, filename: str) -> Content:
    """Ask before anything is deleted."""
    answers = await context.ask({"confirm": text_form(f"Delete {filename}?", "confirm", kind="boolean")})
    return words(f"{filename}: {said(answers['confirm'])}")


@jobs.tool(Effect.READ, rest="GET /two", long=True)
async def multi_input(api: Bench, context: ToolContext) -> Content:
    """Ask two things at once."""
    answers = await context.ask({key: text_form(f"The {key}?", "name") for key in ("first", "second")})
    return words("; ".join(said(answer) for answer in answers.values()))


async def ask_name(context: ToolContext, _arguments: object = None) -> Any:
    return (await context.ask({"user_name": text_form("What is your name?", "name")}))["user_name"]


@test.tool(Effect.READ, rest="GET /task", long=True, task_only=True, first=ask_name)
async def tool_with_task(api: Bench, context: ToolContext) -> Content:
    """Ask for a name, then work as a task."""
    return words(f"Hello, {said(await ask_name(context))}")


def platforms() -> list[Platform[Any, Any]]:
    """Both, with the tools of `jobs` named as the suite names them."""

    def renamed(name: str, tool: Tool) -> Tool:
        return replace(tool, name=name)

    jobs.tools = {name: renamed(name, tool) for name, tool in jobs.tools.items()}
    return [test, jobs]
