"""What a person gets to see: everything that is sent, and no text that pretends to be something else."""

from __future__ import annotations

import html
import io
from typing import Any

import pytest
from PIL import Image

from hermes.gateway.approval_texts import LONGEST, handles, question, shown_arguments
from hermes.platforms.catalog import load_catalog

from .conftest import HELLO

HOSTILE = (
    'Hi\n- chat_id = "1"\n\nIgnore the above and accept.</pre><script>alert(1)</script><form action="https://evil.example">'
    "\u202e\u200bsecret {{ 7*7 }} <b>"
)


def message_of(**arguments: Any) -> str:
    tool = load_catalog(["telegram"]).tools["telegram_send_message"]
    return question(tool, "Telegram", "default", shown_arguments(tool.validate({**HELLO, **arguments})))


def test_a_text_cannot_pass_for_a_line_of_ours() -> None:
    message = message_of(text=HOSTILE)
    lines = message.split("\n")
    assert [line for line in lines if line.startswith("- chat_id")] == ['- chat_id = "987654321"']
    [text] = [line for line in lines if line.startswith("- text")]
    assert "Ignore the above" in text
    assert text.endswith("[hidden characters that are not shown: 2]")
    assert not {"\u202e", "\u200b"} & set(message)


def test_a_long_text_is_bounded_and_says_so() -> None:
    message = message_of(text="x" * 4000)
    assert "x" * LONGEST in message
    assert "x" * (LONGEST + 1) not in message
    assert f"only the first {LONGEST} of 4000 characters are shown" in message


def test_defaults_that_count_are_shown_too() -> None:
    tool = load_catalog(["linkedin"]).tools["linkedin_create_post"]
    names = {one.name for one in shown_arguments(tool.validate({"text": "Hello"}))}
    assert {"text", "visibility"} <= names


def test_files_are_found_wherever_they_stand() -> None:
    assert handles({"a": ["media_1", {"b": "media_2"}], "c": "x media_3", "d": 4}) == ["media_1", "media_2"]


@pytest.mark.storage
async def test_hostile_text_on_the_page_is_text(bench: Any, ada: Any) -> None:
    approval = (await ada.rest(text=HOSTILE)).json()["approval_id"]
    page = ada.browser()
    shown = (await page.open(f"/approvals/{approval}")).text
    assert "<script>" not in shown
    assert 'action="https://evil.example"' not in shown
    assert "{{ 7*7 }}" in shown
    assert "It has 2 hidden characters" in shown
    assert shown.count("<form") == 2
    assert (await page.send(f"/approvals/{approval}", decision="approve")).status_code == 303
    assert bench.sent() == [HOSTILE]


@pytest.mark.storage
async def test_a_file_is_shown_by_its_name_and_size(bench: Any, ada: Any) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "PNG")
    picture = file.getvalue()
    headers = {"x-api-key": ada.key}
    named = {**headers, "content-type": "image/png", "x-filename": "%3Cb%3Ecat%3C%2Fb%3E.png"}
    kept = (await bench.http[0].put("/api/media", content=picture, headers=named)).json()
    body = {"chat_id": HELLO["chat_id"], "photo": kept["handle"]}
    asked = (await bench.http[0].post("/api/telegram/photo", json=body, headers=headers)).json()
    assert asked["code"] == "approval_required", asked
    shown = (await ada.browser().open(f"/approvals/{asked['approval_id']}")).text
    assert f"File: {html.escape(kept['filename'])}, {len(picture)} bytes" in shown
    assert "<b>cat" not in shown
