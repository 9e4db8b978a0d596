"""`hermes tools`: what tools there are, and calling one through the full pipeline."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from hermes.commands.common import AsJson, command_house, fail, print_json, print_table, run
from hermes.errors import HermesError
from hermes.gateway.results import CallOptions
from hermes.identity.caller import Caller
from hermes.platforms.catalog import load_catalog
from hermes.platforms.schema import Schema

if TYPE_CHECKING:
    from hermes.app import House

app = typer.Typer(no_args_is_help=True, help="List tools, and call them through the full pipeline.")


def register(commands: typer.Typer) -> None:
    """Add the commands to the command line."""
    commands.add_typer(app, name="tools")


@app.command("list")
def list_tools(
    platform: Annotated[str | None, typer.Option(help="Only this platform's tools.")] = None, as_json: AsJson = False
) -> None:
    """List every tool, with its effect and its REST route."""
    catalog = load_catalog()
    if platform is not None and platform not in catalog.platforms:
        fail(f"There is no platform {platform!r}; there are {', '.join(catalog.platforms)}.")
    tools = [tool for tool in catalog.tools.values() if platform in (None, tool.platform)]
    if as_json:
        print_json(
            [
                {
                    "name": tool.name,
                    "title": tool.title,
                    "description": tool.description,
                    "platform": tool.platform,
                    "effect": tool.effect.value,
                    "rest": f"{tool.rest_method} {tool.rest_path}",
                    "input_schema": tool.input_schema,
                    "output_schema": tool.output_schema,
                }
                for tool in tools
            ]
        )
        return
    rows = [(tool.name, tool.effect.value, f"{tool.rest_method} {tool.rest_path}", tool.description) for tool in tools]
    print_table(("TOOL", "EFFECT", "REST", "WHAT IT DOES"), rows, empty="There are no tools.")


@app.command("call", no_args_is_help=True)
def call_tool(
    name: Annotated[str, typer.Argument(help="The tool's name, for example telegram_send_message.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE…", help="Arguments; a value that is JSON is read as JSON.")
    ] = None,
    customer: Annotated[
        str | None, typer.Option(help="Call for this customer (id or e-mail), audited as the operator.")
    ] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="Send at most once under this key.")] = None,
    as_json: AsJson = False,
) -> None:
    """Call a tool through the full pipeline: grants, quota, audit and all."""
    catalog = load_catalog()
    if name not in catalog.tools:
        fail(f"There is no tool {name!r}; `hermes tools list` shows them all.")
    given = _read_arguments(arguments or [], catalog.tools[name].input_schema)

    async def work() -> dict[str, Any]:
        async with command_house() as house:
            caller = await _caller(house, customer)
            options = CallOptions(
                "cli", f"cli-{secrets.token_hex(8)}", client="hermes cli", idempotency_key=idempotency_key
            )
            try:
                result = await house.gateway.call(caller, name, given, options)
            except HermesError as error:
                return {"error": error.as_dict()}
            return {"call_id": result.call_id, "result": result.structured}

    outcome = run(work())
    if "error" in outcome and not as_json:
        fail(outcome["error"]["message"])
    print_json(outcome if as_json else outcome["result"])
    if "error" in outcome:
        raise typer.Exit(1)


async def _caller(house: House, customer: str | None) -> Caller:
    if customer is None:
        return house.callers.operator
    found = await house.customers.find(customer)
    return await house.callers.act_for(house.callers.operator, found.id)


def _read_arguments(words: list[str], schema: Schema) -> dict[str, Any]:
    """`key=value` words as arguments: text where the schema wants text, otherwise JSON."""
    arguments: dict[str, Any] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            fail(f"{word!r} is not KEY=VALUE.")
        arguments[key] = _read_value(value, schema["properties"].get(key, {}))
    return arguments


def _read_value(value: str, schema: Schema) -> Any:
    kinds = schema.get("type", ())
    if kinds == "string" or (isinstance(kinds, list) and set(kinds) == {"string", "null"}):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
