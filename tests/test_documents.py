"""What the documents say of platforms and tools is what the declarations say."""

from __future__ import annotations

from pathlib import Path

import pytest

from hermes.docs import __main__ as command
from hermes.docs.documents import BEGIN, END, documents
from hermes.docs.words import arguments, kind_of
from hermes.platforms.catalog import load_catalog

ROOT = Path(__file__).parent.parent
DOCUMENTS = documents(ROOT)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_document_is_up_to_date(path: Path) -> None:
    assert path.exists(), "run `make docs-pages`"
    assert path.read_text(encoding="utf-8") == DOCUMENTS[path], "run `make docs-pages`"


def test_the_readme_shows_every_tool() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in load_catalog().tools if f"`{name}`" not in readme] == []


def test_what_is_written_by_hand_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "docs/platforms/telegram.md"
    page.parent.mkdir(parents=True)
    page.write_text(f"# Telegram\n\nBefore.\n\n{BEGIN}\n\nold\n\n{END}\n\nAfter.\n")
    (tmp_path / "README.md").write_text("# hermes\n")
    monkeypatch.setattr("sys.argv", ["hermes.docs", "--check", str(tmp_path)])
    assert command.main() == 1
    assert "old" in page.read_text()
    monkeypatch.setattr("sys.argv", ["hermes.docs", str(tmp_path)])
    assert command.main() == 0
    written = page.read_text()
    assert written.startswith("# Telegram\n\nBefore.\n\n")
    assert written.endswith(f"{END}\n\nAfter.\n")
    assert "telegram_send_message" in written
    assert "\nold\n" not in written
    monkeypatch.setattr("sys.argv", ["hermes.docs", "--check", str(tmp_path)])
    assert command.main() == 0
    page.write_text(f"{BEGIN}\n{BEGIN}\n{END}\n")
    with pytest.raises(ValueError, match="exactly one"):
        documents(tmp_path)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "minLength": 1, "maxLength": 4096}, "text, 1 to 4,096 characters"),
        ({"type": ["string", "null"], "maxLength": 20}, "text, at most 20 characters"),
        ({"type": "integer", "minimum": 1, "maximum": 2**52}, "whole number, at least 1"),
        ({"type": "array", "items": {"type": "number"}, "maxItems": 3}, "list of number, at most 3"),
        ({"enum": ["a", "b", None]}, "one of `a`, `b`"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]}, "whole number or text"),
        ({"type": "string", "format": "date-time"}, "date and time"),
        ({"type": "boolean"}, "true or false"),
        ({}, "anything"),
    ],
)
def test_schemas_in_words(schema: dict[str, object], words: str) -> None:
    assert kind_of(schema) == words


def test_members_of_objects_are_shown_below_them() -> None:
    inner = {"type": "object", "properties": {"link": {"type": "string", "description": "a | b"}}, "required": ["link"]}
    schema = {"properties": {"one": inner, "many": {"type": "array", "items": inner}}}
    assert [(name, default) for name, _, default, _ in arguments(schema)] == [
        ("`one`", ""), ("`one.link`", "required"), ("`many`", ""), ("`many[].link`", "required"),
    ]  # fmt: skip
    assert next(meaning for name, _, _, meaning in arguments(schema) if name == "`one.link`") == "a \\| b"
