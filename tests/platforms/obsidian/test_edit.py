"""Edits change what was asked for and keep every other byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.errors import InvalidArguments, NotFound
from hermes.platforms.obsidian import edit

NOTE = "---\na: 1\n---\n# One\ntext\n\n## Sub\nsub\n\n# Two\ntwo ^b\n\nend\n"


@pytest.mark.parametrize(
    ("text", "content", "position", "heading", "block", "result"),
    [
        ("old", "new", "end", None, None, "old\nnew"),
        ("old\n", "new", "end", None, None, "old\nnew\n"),
        ("old\n", "new\n", "end", None, None, "old\nnew\n"),
        ("old\n\n", "new", "end", None, None, "old\n\nnew\n"),
        ("", "new", "end", None, None, "new\n"),
        ("a\r\nb\r\n", "x\ny", "end", None, None, "a\r\nb\r\nx\r\ny\r\n"),
        ("a\r\nb", "x\r\ny", "end", None, None, "a\r\nb\r\nx\r\ny"),
        (NOTE, "top", "start_of_body", None, None, NOTE.replace("# One", "top\n# One")),
        ("---\na: 1\n---", "top", "start_of_body", None, None, "---\na: 1\n---\ntop"),
        ("body", "top", "start_of_body", None, None, "top\nbody"),
        (NOTE, "new", "under_heading", "One", None, NOTE.replace("sub\n\n# Two", "sub\nnew\n\n# Two")),
        (NOTE, "new", "end", "Sub", None, NOTE.replace("sub\n\n# Two", "sub\nnew\n\n# Two")),
        (NOTE, "new", "end", "Two", None, NOTE + "new\n"),
        ("# A\n# B\n", "new", "end", "A", None, "# A\nnew\n# B\n"),
        ("# A", "new", "end", "A", None, "# A\nnew"),
        ("# A\n```\n# code\n```\n# B", "new", "end", "A", None, "# A\n```\n# code\n```\nnew\n# B"),
        ("A\n===\ntext\n", "new", "end", "A", None, "A\n===\ntext\nnew\n"),
        (NOTE, "new", "end", None, "b", NOTE.replace("two ^b\n", "two ^b\nnew\n")),
    ],
)
def test_append(
    text: str, content: str, position: edit.Position, heading: str | None, block: str | None, result: str
) -> None:
    assert edit.append(text, content, position, heading, block) == result


def test_append_never_makes_a_heading() -> None:
    with pytest.raises(NotFound):
        edit.append(NOTE, "x", "under_heading", "Missing", None)
    with pytest.raises(NotFound):
        edit.append(NOTE, "x", "end", None, "missing")


@given(old=st.text(max_size=60), new=st.text(min_size=1, max_size=60))
def test_append_keeps_the_old_text_and_holds_the_new(old: str, new: str) -> None:
    result = edit.append(old, new, "end", None, None)
    assert result.startswith(old)
    assert result[len(old) :].replace("\r\n", "\n").strip("\n") == new.replace("\r\n", "\n").strip("\n")
    assert not old.endswith("\n") or result.endswith("\n")


@pytest.mark.parametrize(
    ("text", "content", "result", "kept"),
    [
        (None, "new", "new", False),
        ("---\na: 1\n---\nold\n", "new", "---\na: 1\n---\nnew\n", True),
        ("---\na: 1\n---\nold\n", "---\nb: 2\n---\nnew\n", "---\nb: 2\n---\nnew\n", False),
        ("---\na: 1\n---", "new", "---\na: 1\n---\nnew", True),
        ("old\r\n", "a\nb", "a\r\nb\r\n", False),
        ("old", "", "", False),
    ],
)
def test_replace_all(text: str | None, content: str, result: str, kept: bool) -> None:
    assert edit.replace_all(text, content) == (result, kept)


def test_replace_text() -> None:
    assert edit.replace_text("a b\r\na b\r\n", "a b\n", "x\ny\n", 2) == "x\r\ny\r\nx\r\ny\r\n"
    with pytest.raises(InvalidArguments, match="2 times") as caught:
        edit.replace_text("one\nx\nx\n", "x", "y", 1)
    assert caught.value.data["lines"] == [2, 3]
    with pytest.raises(InvalidArguments, match="0 times"):
        edit.replace_text("abc", "d", "e", 1)


@pytest.mark.parametrize(("old", "new"), [("a: 1", "a: ["), ("---\n#", "#"), ("---\na", "a")])
def test_replacing_never_breaks_the_properties(old: str, new: str) -> None:
    with pytest.raises(InvalidArguments, match="properties"):
        edit.replace_text(NOTE, old, new, 1)


@pytest.mark.parametrize(
    ("text", "heading", "content", "result"),
    [
        (NOTE, "One", "new", NOTE.replace("text\n\n## Sub\nsub\n\n# Two", "new\n\n# Two")),
        (NOTE, "Sub", "new\n", NOTE.replace("\nsub\n", "\nnew\n")),
        (NOTE, "Two", "new", NOTE.replace("two ^b\n\nend\n", "new\n")),
        (NOTE, "Two", "", NOTE.replace("two ^b\n\nend\n", "")),
        ("# A", "A", "new", "# A\nnew"),
        ("# A\r\nold\r\n# B\r\n", "A", "x\ny", "# A\r\nx\r\ny\r\n# B\r\n"),
    ],
)
def test_replace_section(text: str, heading: str, content: str, result: str) -> None:
    assert edit.replace_section(text, heading, content) == result


def test_diff() -> None:
    assert edit.unified_diff("a\nb\n", "a\nc\n", "n.md") == ("--- n.md\n+++ n.md\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n", False)
    huge = "".join(f"{number}\n" for number in range(5000))
    text, cut = edit.unified_diff(huge, huge.replace("\n2500\n", "\nx\n"), "n.md")
    assert (text, cut) == ("--- n.md\n+++ n.md\n@@ -2501,1 +2501,1 @@\n-2500\n+x\n", False)
    assert edit.unified_diff("", huge, "n.md")[1]
