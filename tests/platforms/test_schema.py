"""Schemas are exact: what they accept, the tool accepts, and the other way round."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, ValidationError

from hermes.platforms.base import Credentials as NoCredentials
from hermes.platforms.base import Effect, PasteToken, Plain, Platform
from hermes.platforms.catalog import load_catalog


class Button(BaseModel, extra="forbid"):
    title: str = Field(max_length=5)
    payload: str | None = None


class Answer(BaseModel):
    """What came of it."""

    id: str
    note: str | None = None
    buttons: list[Button] | None = None


def build() -> Platform[Any, Any]:
    toy = Platform(
        "toy", title="Toy", credentials=NoCredentials, connect=PasteToken("", ()), open=lambda context, secret: None
    )

    @toy.tool(Effect.SEND, rest="POST /x")
    async def act(
        api: Any,
        title: Plain,
        kind: Literal["a", "b"] | None = None,
        count: Annotated[int, Field(ge=1, le=9)] = 1,
        buttons: Annotated[list[Button], Field(max_length=2)] | None = None,
    ) -> Answer:
        """Do something.

        Source: nowhere."""
        return Answer(id="1")

    return toy


TOOL = build().tools["act"]
CHECK = Draft202012Validator(TOOL.input_schema)


def test_the_schema_as_a_client_sees_it() -> None:
    assert TOOL.input_schema == {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "kind": {"type": ["string", "null"], "enum": ["a", "b", None]},
            "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 1},
            "buttons": {
                "type": ["array", "null"],
                "maxItems": 2,
                "items": {
                    "type": "object",
                    "properties": {
                        "title": {"type": "string", "maxLength": 5},
                        "payload": {"type": ["string", "null"]},
                    },
                    "required": ["title"],
                    "additionalProperties": False,
                },
            },
        },
        "required": ["title"],
        "additionalProperties": False,
    }
    assert TOOL.output_schema["required"] == ["id"]
    assert TOOL.output_schema["properties"]["note"] == {"type": "string"}
    assert TOOL.description == "Do something."


values = st.none() | st.booleans() | st.integers(-3, 12) | st.text(max_size=7) | st.sampled_from(["a", "b"])
buttons = st.lists(st.dictionaries(st.sampled_from(["title", "payload", "other"]), values, max_size=3), max_size=3)
arguments = st.dictionaries(
    st.sampled_from(["title", "kind", "count", "buttons", "surprise"]), values | buttons, max_size=5
)


@given(arguments)
def test_the_schema_and_the_tool_agree(given_arguments: dict[str, Any]) -> None:
    fits = CHECK.is_valid(given_arguments)
    try:
        TOOL.validate(given_arguments)
    except ValidationError:
        assert not fits
    else:
        assert fits


@pytest.mark.parametrize("tool", load_catalog().tools.values(), ids=lambda tool: tool.name)
def test_every_tool_has_a_clean_schema(tool: Any) -> None:
    for schema in (tool.input_schema, tool.output_schema):
        Draft202012Validator.check_schema(schema)
        assert "$defs" not in str(schema)
        assert "$ref" not in str(schema)
        assert schema["type"] == "object"
    assert tool.input_schema["additionalProperties"] is False
    assert len(tool.description) > 20
    assert len(tool.name) <= 64
    for name, schema in tool.input_schema["properties"].items():
        assert schema.get("description"), f"{tool.name}: say what {name} is"
