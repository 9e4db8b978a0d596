"""Results with pictures, sounds and documents: fenced but for their files, and shown beside the data."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from hermes.gateway.results import CallResult
from hermes.transports.tool_results import success

pytestmark = pytest.mark.storage

BYTES = bytes(range(256)) * 1000


async def test_blocks_come_fenced_and_files_whole(house: Any, options: Any) -> None:
    caller = await house.customer()
    result = await house.gateway.call(caller, "toy_show", {"text": "a\u202eb"}, options(idempotency_key="k"))
    again = await house.gateway.call(caller, "toy_show", {"text": "a\u202eb"}, options(idempotency_key="k"))
    assert result == again
    assert result.blocks
    words, picture, document, sound = result.structured["content"]
    assert words == {"type": "text", "text": "ab"}
    assert base64.b64decode(picture["data"]) == BYTES
    assert (picture["type"], picture["mimeType"]) == ("image", "image/png")
    assert base64.b64decode(document["resource"]["blob"]) == BYTES
    assert document["resource"]["uri"] == "toy://ab"
    assert (sound["type"], sound["mimeType"]) == ("audio", "audio/wav")
    assert result.structured["seen"] == "ab"


def test_data_stand_beside_the_blocks() -> None:
    shown = success(CallResult("c", {"content": [{"type": "text", "text": "x"}], "seen": "y"}, blocks=True))
    assert shown["structuredContent"] == {"seen": "y"}
    assert shown["content"] == [
        {"type": "text", "text": "x"},
        {"type": "text", "text": orjson.dumps({"seen": "y"}).decode()},
    ]
    plain = success(CallResult("c", {"content": [{"type": "text", "text": "x"}]}, blocks=True))
    assert "structuredContent" not in plain
    assert len(plain["content"]) == 1
    other = success(CallResult("c", {"content": "a note's text"}))
    assert other["structuredContent"] == {"content": "a note's text"}


def test_only_the_data_have_a_schema(house: Any) -> None:
    tool = house.gateway.catalog.tools["toy_show"]
    assert set(tool.output_schema["properties"]) == {"content", "seen"}
    assert tool.structured_schema["properties"].keys() == {"seen"}
    assert tool.structured_schema["required"] == ["seen"]
