"""Properties, headings, blocks, tags and links are read as Obsidian reads them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.errors import InvalidArguments, NotFound
from hermes.platforms.obsidian import edit, frontmatter
from hermes.platforms.obsidian.note import Note


@pytest.mark.parametrize(
    ("text", "properties"),
    [
        ("no properties", {}),
        ("---\n---\nbody", {}),
        ("---\ntitle: A\ntags: [a, b]\n---\n", {"title": "A", "tags": ["a", "b"]}),
        ("---\r\na: 1\r\n---\r\nbody", {"a": 1}),
        ("\ufeff---\na: 1\n---\n", {"a": 1}),
        ("---\nday: 2026-01-02\nat: 2026-01-02T10:20:30\n---\n", {"day": "2026-01-02", "at": "2026-01-02T10:20:30"}),
        ("---\na: yes\nb: 12:30\nc: true\n---\n", {"a": "yes", "b": "12:30", "c": True}),
        ("---\nd: 010\ne: 1.5\nf:\n---\n", {"d": 10, "e": 1.5, "f": None}),
        ('---\nlink: "[[X]]"\n---', {"link": "[[X]]"}),
        (" ---\na: 1\n---\n", {}),
        ("----\na: 1\n---\n", {}),
        ("---\na: 1\n", {}),
        ("\n---\na: 1\n---\n", {}),
        ("---\nbig: 123456789012345678901\n---\n", {"big": "123456789012345678901"}),
    ],
)
def test_properties(text: str, properties: dict[str, Any]) -> None:
    note = Note(text)
    assert (note.properties, note.properties_error) == (properties, None)


@pytest.mark.parametrize(
    "yaml",
    [
        "a: [",
        "a: b: c",
        "- a",
        "just text",
        "a: !!python/object:os.system x",
        "a: *unknown",
        "a: \x01",
        "a: " + "[" * 50_000,
        "- " * 30_000,
        "a: " + "{a: " * 15_000,
        "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + "\n".join(f"{y}: &{y} [{','.join([f'*{x}'] * 10)}]" for x, y in zip("abcdefg", "bcdefgh", strict=True)),
    ],
)
def test_malformed_properties_are_told_and_never_edited(yaml: str) -> None:
    text = f"---\n{yaml}\n---\nbody\n"
    started = time.monotonic()
    assert Note(text).properties_error
    with pytest.raises(InvalidArguments):
        edit.edit_properties(text, {"x": 1}, [])
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("body", "tags"),
    [
        ("#one and #Two/three", ["one", "Two/three"]),
        ("# heading", []),
        ("#123 #1a #2024/01", ["1a"]),
        ("`#code` #real `` `#x` ``", ["real"]),
        ("```\n#code\n```\n#real", ["real"]),
        ("~~~js\n#code\n```\n#still\n~~~\n#real", ["real"]),
        ("> ```\n> #code\n> ```\n> #real", ["real"]),
        ("- item\n    ```\n    #code\n    ```\n- #real", ["real"]),
        ("text\n\n    #indented code\n\n#real", ["real"]),
        ("https://x.y/#frag a#b", []),
        ("[[Note#Heading]] [t](#anchor) ![[x#y]]", []),
        ("#日本 #über #emoji😀", ["日本", "über", "emoji😀"]),
        ("#tag, #tag; #TAG.", ["tag"]),
        ("(#inside) *#bold*", ["inside", "bold"]),
        ("#a/ #/b #-x #_y", ["a", "b", "-x", "_y"]),
        ("```\n#never closed", []),
        ("## #in-heading", ["in-heading"]),
    ],
)
def test_tags(body: str, tags: list[str]) -> None:
    assert Note(body).tags == tags


@pytest.mark.parametrize(
    ("value", "tags"),
    [("[a, '#b', 12]", ["a", "b"]), ("a, b c", ["a", "b", "c"]), ("\n  - x/y\n  - '2024'", ["x/y"]), ("5", [])],
)
def test_tags_in_properties(value: str, tags: list[str]) -> None:
    assert Note(f"---\ntags: {value}\n---\n#x").tags == [*tags, "x"]


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("[[Note]]", ("Note", "wikilink", False, None, None, None)),
        ("[[Folder/Note|shown]]", ("Folder/Note", "wikilink", False, None, None, "shown")),
        ("[[Note#H1#H2]]", ("Note", "wikilink", False, "H1#H2", None, None)),
        ("[[Note#^id-1]]", ("Note", "wikilink", False, None, "id-1", None)),
        ("[[#Here]]", ("", "wikilink", False, "Here", None, None)),
        ("![[img.png|300]]", ("img.png", "wikilink", True, None, None, "300")),
        ("| [[Note\\|cell]] |", ("Note", "wikilink", False, None, None, "cell")),
        ("[t](Folder/Note%20x.md)", ("Folder/Note x.md", "markdown", False, None, None, "t")),
        ("![alt](<a b.png>)", ("a b.png", "markdown", True, None, None, "alt")),
        ('[t](n.md#Head "title")', ("n.md", "markdown", False, "Head", None, "t")),
        ('---\nup: "[[Parent]]"\n---\n', ("Parent", "wikilink", False, None, None, None)),
    ],
)
def test_links(text: str, link: tuple[object, ...]) -> None:
    found = Note(text).links
    assert [(x.target, x.kind, x.embed, x.heading, x.block, x.shown) for x in found] == [link]


@pytest.mark.parametrize(
    "text", ["`[[no]]`", "```\n[[no]]\n```", "[t](https://x.y)", "[t](mailto:a@b)", "[[]]", "[[a\nb]]"]
)
def test_what_is_no_link(text: str) -> None:
    assert Note(text).links == []


STRUCTURE = """---
# no: heading
---
# One
text
## Same
a ^first
```
# code
```
## Sub 🚀 *x*
- item ^item
# Two
## Same
last

Under
=====
para
over two

^alone
#no heading
####### no
"""


def test_headings() -> None:
    assert [(h.level, h.text, h.line + 1, h.path) for h in Note(STRUCTURE).outline.headings] == [
        (1, "One", 4, ("One",)),
        (2, "Same", 6, ("One", "Same")),
        (2, "Sub 🚀 *x*", 11, ("One", "Sub 🚀 *x*")),
        (1, "Two", 13, ("Two",)),
        (2, "Same", 14, ("Two", "Same")),
        (1, "Under", 17, ("Under",)),
    ]


@pytest.mark.parametrize(
    ("spec", "lines"),
    [
        ("One", (4, 12)),
        ("two/same", (14, 16)),
        ("One#Same", (6, 10)),
        ("## sub x", (11, 12)),
        ("14", (14, 16)),
        ("Under", (17, 24)),
    ],
)
def test_sections(spec: str, lines: tuple[int, int]) -> None:
    heading, end = Note(STRUCTURE).outline.section(spec)
    assert (heading.line + 1, end) == lines


def test_an_ambiguous_or_missing_heading_is_told() -> None:
    structure = Note(STRUCTURE).outline
    with pytest.raises(InvalidArguments) as ambiguous:
        structure.section("Same")
    assert ambiguous.value.data["candidates"] == [
        {"heading": "One/Same", "line": 6},
        {"heading": "Two/Same", "line": 14},
    ]
    with pytest.raises(NotFound) as missing:
        structure.section("# Same")
    assert "Two/Same" in missing.value.data["did_you_mean"]
    with pytest.raises(NotFound):
        structure.section("code")


@pytest.mark.parametrize(("block", "lines"), [("first", (7, 7)), ("^item", (12, 12)), ("ALONE", (19, 22))])
def test_blocks(block: str, lines: tuple[int, int]) -> None:
    first, end = Note(STRUCTURE).outline.block(block)
    assert (first + 1, end) == lines


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "`" * 200_001,
        "[a](" * 50_000,
        "``` `" * 40_000,
        "[[a|" * 50_000,
        "#" * 200_000,
        "> " * 100_000,
        "---\n" * 50_000,
        "a\n=\n" * 20_000,
        "- " * 50_000,
        "^a " * 60_000,
    ],
)
def test_hostile_text_is_read_quickly(text: str) -> None:
    started = time.monotonic()
    note = Note(text)
    assert note.tags is not None
    assert note.links is not None
    assert note.outline.headings is not None
    assert time.monotonic() - started < 5


BLOCK = """---
# a comment
title:   "Quoted: title"   # why
tags:
  - one   # first
  # between
  - two

# before status
status: draft  # keep
when: 2026-01-02
text: |
  # no comment
  line

folded: >-
  a
  b
---
body: no property
"""


@pytest.mark.parametrize(
    ("set_", "delete", "old", "new"),
    [
        ({"status": "done"}, [], "status: draft  # keep", "status: done  # keep"),
        ({"title": "[[Link]]"}, [], 'title:   "Quoted: title"   # why', "title: '[[Link]]'   # why"),
        ({"tags": ["x", "y z"]}, [], "tags:\n  - one   # first\n  # between\n  - two\n", "tags:\n  - x\n  - y z\n"),
        ({"when": "2027-03-04"}, [], "when: 2026-01-02", "when: 2027-03-04"),
        ({"text": "one line"}, [], "text: |\n  # no comment\n  line\n", "text: one line\n"),
        ({}, ["text", "missing"], "text: |\n  # no comment\n  line\n", ""),
        ({}, ["folded"], "folded: >-\n  a\n  b\n", ""),
        (
            {"new": [1, True, None, "yes", "12:30"]},
            [],
            "  b\n---\n",
            "  b\nnew:\n  - 1\n  - true\n  - null\n  - 'yes'\n  - '12:30'\n---\n",
        ),
        ({"empty": []}, [], "  b\n---\n", "  b\nempty: []\n---\n"),
        ({"long": "word " * 60 + "end"}, [], "  b\n---\n", "  b\nlong: " + "word " * 60 + "end\n---\n"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_property_edits_keep_every_other_byte(
    set_: dict[str, Any], delete: list[str], old: str, new: str, newline: str
) -> None:
    text = BLOCK.replace("\n", newline)
    assert edit.edit_properties(text, set_, delete) == BLOCK.replace(old, new).replace("\n", newline)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=4,
)


@given(name=st.text(min_size=1, max_size=20), value=VALUES)
def test_any_value_comes_back_or_is_refused(name: str, value: Any) -> None:
    try:
        changed = edit.edit_properties(BLOCK, {name: value}, [])
    except InvalidArguments:
        return
    read = Note(changed)
    assert read.properties == Note(BLOCK).properties | {name: value}
    assert read.parts.body == "body: no property\n"


def test_properties_of_a_note_without_any() -> None:
    assert edit.edit_properties("body\r\n", {"a": "b"}, []) == "---\r\na: b\r\n---\r\nbody\r\n"
    assert edit.edit_properties("body", {}, ["a"]) == "body"
    with pytest.raises(InvalidArguments, match="never closed"):
        edit.edit_properties("---\na: b\n", {"a": "c"}, [])


@pytest.mark.parametrize("yaml", ["{a: 1}", "a: 1\na: 2", "? a\n: 1"])
def test_properties_that_cannot_be_edited_by_line(yaml: str) -> None:
    text = f"---\n{yaml}\n---\nbody"
    try:
        changed = edit.edit_properties(text, {"a": 5}, [])
    except InvalidArguments:
        return
    assert Note(changed).properties == {"a": 5}


@given(st.text(alphabet="ab-#\r\n: ", max_size=60))
def test_splitting_loses_nothing(text: str) -> None:
    parts = frontmatter.split(text)
    assert parts.block + parts.body == text
    assert "".join(Note(text).outline.lines) == text
