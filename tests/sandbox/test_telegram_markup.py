"""Telegram's parse modes: what text and entities come out, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.sandbox.telegram_markup import MarkupError, parse_markup, utf16_length

GOOD = [
    ("HTML", "<b>a</b> &lt;&amp;&gt; &quot;", "a <&> \"", [("bold", 0, 1)]),
    ("HTML", "👋<i>x<u>y</u></i>", "👋xy", [("italic", 2, 2), ("underline", 3, 1)]),
    ("HTML", '<a href="https://x.example/?a=1&amp;b=2">x</a>', "x", [("text_link", 0, 1)]),
    ("HTML", '<pre><code class="language-python">x</code></pre>', "x", [("pre", 0, 1)]),
    ("HTML", '<span class="tg-spoiler">s</span><tg-spoiler>t</tg-spoiler>', "st",
     [("spoiler", 0, 1), ("spoiler", 1, 1)]),
    ("HTML", "<blockquote expandable>q</blockquote>", "q", [("expandable_blockquote", 0, 1)]),
    ("HTML", "a &copy; b &", "a &copy; b &", []),
    ("html", "<del>a</del>", "a", [("strikethrough", 0, 1)]),
    ("MarkdownV2", "*b* _i_ __u__ ~s~ ||p|| `c`", "b i u s p c",
     [("bold", 0, 1), ("italic", 2, 1), ("underline", 4, 1), ("strikethrough", 6, 1), ("spoiler", 8, 1),
      ("code", 10, 1)]),
    ("MarkdownV2", r"1\. a\-b\!", "1. a-b!", []),
    ("MarkdownV2", r"[x](https://x.example/a_\)b)", "x", [("text_link", 0, 1)]),
    ("MarkdownV2", "```py\nx * y\n```", "x * y\n", [("pre", 0, 6)]),
    ("MarkdownV2", ">one\n>two\nrest", "one\ntwo\nrest", [("blockquote", 0, 7)]),
    ("MarkdownV2", "*a _b_*", "a b", [("bold", 0, 3), ("italic", 2, 1)]),
    ("Markdown", "*b* _i_ `c` [x](https://x.example)", "b i c x",
     [("bold", 0, 1), ("italic", 2, 1), ("code", 4, 1), ("text_link", 6, 1)]),
    ("Markdown", r"a\_b. (c)!", "a_b. (c)!", []),
    ("", "*plain* <b>", "*plain* <b>", []),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "text", "plain", "entities"), GOOD)
def test_markup_that_is_right(mode: str, text: str, plain: str, entities: list[tuple[str, int, int]]) -> None:
    found, described = parse_markup(text, mode)
    assert found == plain
    assert [(one["type"], one["offset"], one["length"]) for one in described] == entities


BAD = [
    ("HTML", "<b>a", 'Can\'t find end tag corresponding to start tag "b"'),
    ("HTML", "a</b>", "Unexpected end tag at byte offset 1"),
    ("HTML", "<b>é</i>", 'Unmatched end tag at byte offset 5, expected "</b>", found "</i>"'),
    ("HTML", "é<h1>a</h1>", 'Unsupported start tag "h1" at byte offset 2'),
    ("HTML", "1 < 2", "Unclosed start tag at byte offset 2"),
    ("HTML", "<span>a</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
    ("MarkdownV2", "a.b", "Character '.' is reserved and must be escaped with the preceding '\\'"),
    ("MarkdownV2", "a-b", "Character '-' is reserved and must be escaped with the preceding '\\'"),
    ("MarkdownV2", "hi!", "Character '!' is reserved and must be escaped with the preceding '\\'"),
    ("MarkdownV2", "é *a", "Can't find end of Bold entity at byte offset 3"),
    ("MarkdownV2", "a _b", "Can't find end of Italic entity at byte offset 2"),
    ("MarkdownV2", "`a", "Can't find end of Code entity at byte offset 0"),
    ("MarkdownV2", "[a](b", "Can't find end of a URL at byte offset 0"),
    ("Markdown", "snake_case", "Can't find end of the entity starting at byte offset 5"),
]


@pytest.mark.parametrize(("mode", "text", "complaint"), BAD)
def test_markup_that_is_wrong(mode: str, text: str, complaint: str) -> None:
    with pytest.raises(MarkupError) as caught:
        parse_markup(text, mode)
    assert str(caught.value) == f"can't parse entities: {complaint}"


@given(
    st.text(alphabet="*_`~|[]()<>/&;ab.!-\\\n>#é👋", max_size=40), st.sampled_from(["HTML", "MarkdownV2", "Markdown"])
)
def test_any_text_is_parsed_or_refused_and_entities_lie_inside(text: str, mode: str) -> None:
    try:
        plain, entities = parse_markup(text, mode)
    except MarkupError:
        return
    for entity in entities:
        assert entity["length"] > 0
        assert 0 <= entity["offset"] <= entity["offset"] + entity["length"] <= utf16_length(plain)


@given(st.text(max_size=60))
def test_text_that_is_escaped_survives(text: str) -> None:
    escaped_html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert parse_markup(escaped_html, "HTML") == (text, [])
    escaped = "".join(f"\\{one}" if one in r"_*[]()~`>#+-=|{}.!\\" else one for one in text)
    assert parse_markup(escaped, "MarkdownV2") == (text, [])
