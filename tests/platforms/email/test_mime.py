"""Odd mail reads without an error: what people and programs have sent, right or wrong."""

from __future__ import annotations

import base64
import itertools
import quopri
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.platforms.email.html import html_to_text, safe_html
from hermes.platforms.email.mime import (
    Headers,
    clean_filename,
    decode_bytes,
    decode_parameters,
    decode_text,
    decode_transfer,
    unflow,
)
from hermes.platforms.email.reading import Decoder

Bench = Any

HEAD = b"From: a@example.com\r\nTo: me@mail.example\r\nSubject: odd\r\nMIME-Version: 1.0\r\n"

TEXTS = {
    "us-ascii": b"plain",
    "utf-8": "Grüße 😀".encode(),
    "utf8": "Grüße".encode(),
    "UTF-8": b"broken \xff\xfe utf-8",
    "iso-8859-1": b"caf\xe9 \x93quoted\x94",
    "iso-8859-15": b"\xa4 5",
    "windows-1252": b"\x80 \x85",
    "gb2312": "你好，囍".encode("gb18030"),
    "big5": "你好".encode("big5"),
    "ks_c_5601-1987": "안녕 똠".encode("cp949"),
    "iso-2022-jp": "こんにちは".encode("iso-2022-jp"),
    "shift_jis": "①こんにちは".encode("cp932"),
    "koi8-r": "Привет".encode("koi8-r"),
    "utf-7": b"Hi +AOQ-",
    "utf-16": "hello".encode("utf-16"),
    "unknown-8bit": b"\xe4\xf6",
    "x-no-such-charset": "ü".encode(),
    '"utf-8"': "ü".encode(),
    "rot13": b"uryyb",
    "hex": b"zz",
    "../../etc/passwd": b"x",
    "idna": b"\xff",
    "": b"\xfc",
}
ENCODINGS = ("7bit", "8bit", "base64", "quoted-printable", "x-uuencode", "BINARY", "nonsense", "")


def shapes() -> Iterator[bytes]:
    """More than 200 messages."""
    for (charset, text), encoding in itertools.product(TEXTS.items(), ENCODINGS):
        given = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n"
        yield HEAD + given.encode() + b"\r\n" + text + b"\r\n"
    yield from structures()
    yield from headers()


def structures() -> Iterator[bytes]:
    def multipart(kind: str, *parts: bytes, end: bool = True, boundary: str = "b") -> bytes:
        body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + (b"--b--\r\n" if end else b"")
        return HEAD + f"Content-Type: multipart/{kind}; boundary={boundary}\r\n\r\n".encode() + body

    plain = b"Content-Type: text/plain\r\n\r\nplain"
    html = b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>h\xc3\xbc<script>x</script></p>"
    picture = b"Content-Type: image/png\r\nContent-ID: <i>\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo="
    calendar = b"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR"
    letter = b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text"
    pdf = (
        b"Content-Type: application/pdf\r\nContent-Disposition: attachment; filename*=utf-8''%E2%82%AC.pdf\r\n\r\n%PDF"
    )
    winmail = b'Content-Type: application/ms-tnef; name="winmail.dat"\r\n\r\n\x78\x9f'
    for parts in ((plain,), (plain, html), (html, plain), (plain, html, calendar), (plain, pdf), (letter,), ()):
        for kind in ("mixed", "alternative", "related", "signed", "digest", "report", "x-odd", "parallel"):
            for end in (True, False):
                yield multipart(kind, *parts, end=end)
    yield multipart('related; start="<i>"', html, picture)
    yield multipart("mixed", plain, picture, winmail, pdf, letter)
    yield multipart("mixed", b"", b"\r\n", b"garbage without a head")
    yield multipart("mixed", plain, boundary='"no such boundary"')
    yield multipart("mixed", plain, boundary='""')
    yield HEAD + b"Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nno boundary said\r\n"
    nested = plain
    for _ in range(60):
        nested = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + nested + b"\r\n--b--"
    yield HEAD + nested
    inner = b"Subject: deepest\r\n\r\nx"
    for _ in range(30):
        inner = b"Content-Type: message/rfc822\r\n\r\n" + inner
    yield HEAD + inner
    yield multipart("mixed", *[plain] * 300)
    yield HEAD + b"Content-Type: text/html\r\n\r\n" + b"<div>" * 5000 + b"deep"
    yield HEAD + b"Content-Type: text/html\r\n\r\n<table><tr><td>a<td>b<p>unclosed <b><i>"
    yield HEAD + b"Content-Type: text/html; charset=utf-16\r\n\r\n" + "<p>x</p>".encode("utf-16")
    yield HEAD + b"Content-Type: text/enriched\r\n\r\n<bold>rich</bold>"
    yield HEAD + b"Content-Type: application/octet-stream\r\n\r\n\x00\x01\x02"
    yield HEAD + b'Content-Type: application/pdf; name="=?utf-8?B?4oKs?=.pdf"\r\n\r\n%PDF'
    yield HEAD + b"Content-Type: garbage\r\n\r\nx"
    yield HEAD + b"Content-Type: text\r\n\r\nx"
    yield HEAD + b"Content-Type: ;;;=;\r\n\r\nx"
    yield HEAD + b"Content-Type: text/plain; format=flowed\r\n\r\n> quoted \r\n> on\r\n-- \r\nme"
    yield HEAD + b"\r\nbegin 644 file.txt\r\n#0V%T\r\n`\r\nend\r\n"
    yield HEAD
    yield b"\r\n"
    yield b"no header at all"


def headers() -> Iterator[bytes]:
    fields = [
        b"Subject: =?utf-8?Q?caf=C3=A9?= =?iso-8859-1?Q?_ol=E9?=",
        b"Subject: =?utf-8?B?4oKs",
        b"Subject: =?x-unknown?Q?=FF?=",
        b"Subject: =?utf-8?Q?=E2=82?= =?utf-8?Q?=AC?=",
        b"Subject: raw \xe4\xf6\xfc",
        b"Subject: raw \xc3\xa4",
        b"Subject: \xff\xfe\x00bin",
        b"Subject:\r\n folded\r\n\tonce more",
        b"Subject: " + b"long " * 20_000,
        b"From: ",
        b"From: =?utf-8?Q?M=C3=BCller=2C_Hans?= <h@example.com>",
        b'From: "unclosed <a@example.com>',
        b"From: <>",
        b"From: @@@ <<<a@b>>> (((",
        b"From: Undisclosed recipients:;",
        b"From: group: a@x.example, b@x.example;",
        b"From: a@[127.0.0.1]",
        b"To: " + b", ".join(b"p%d@example.com" % at for at in range(3000)),
        b"Date: yesterday",
        b"Date: Mon, 99 Foo 9999 99:99:99 +9999",
        b"Date: Fri, 20 Nov 2026 10:00:00 -0000",
        b"Date: 20 Nov 26 10:00 EST",
        b"Date: Fri, 20 Nov 0000 10:00:00 +0100",
        b"Message-ID: no brackets",
        b"Message-ID: <a b c>",
        b"References: " + b" ".join(b"<%d@example.com>" % at for at in range(2000)),
        b"In-Reply-To: Your message of Friday <x@example.com> and <y@example.com>",
        b"Not a header line",
        b": empty name",
        b"X\x00Y: nul",
    ]
    for field in fields:
        yield field + b"\r\nMIME-Version: 1.0\r\n\r\nbody\r\n"
        yield b"Received: by x; Fri, 20 Nov 2026 10:00:00 +0100\n" + field + b"\n\nbody with bare line feeds\n"


def pythons_own() -> list[bytes]:
    """The messages of Python's own tests, where they are installed."""
    found = find_spec("test")
    if found is None or found.origin is None:
        return []
    folder = Path(found.origin).parent / "test_email" / "data"
    return [path.read_bytes() for path in sorted(folder.glob("msg_*.txt"))]


async def test_the_corpus_is_read_without_an_error(mail: Bench, user: str, make_account: Any, dovecot: Any) -> None:
    messages = [*shapes(), *pythons_own()]
    assert len(messages) >= 200
    dovecot.put(user, *messages)
    account = make_account(user)
    ids: list[str] = []
    cursor = None
    while True:
        page = await mail.run(account, "search_messages", limit=50, **({"cursor": cursor} if cursor else {}))
        ids += [item["id"] for item in page["messages"]]
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    assert len(ids) == len(messages)
    for id_ in ids:
        for form in ("text", "html"):
            read = await mail.run(account, "read_message", id=id_, format=form)
            assert "<script" not in read["body"]
    attached = await mail.run(account, "search_messages", has_attachment=True, limit=50)
    assert attached["messages"]


@pytest.mark.parametrize(
    ("content", "charset", "text"),
    [
        (b"caf\xe9", None, "café"),
        (b"caf\xc3\xa9", None, "café"),
        (b"\x93x\x94", "iso-8859-1", "“x”"),
        ("囍".encode("gb18030"), "gb2312", "囍"),
        ("똠".encode("cp949"), "ks_c_5601-1987", "똠"),
        (b"x\xffy", "utf-8", "xÿy"),
        (b"abc", "rot13", "abc"),
        (b"abc", "hex", "abc"),
    ],
)
def test_charsets(content: bytes, charset: str | None, text: str) -> None:
    assert decode_bytes(content, charset) in (text, text.replace("ÿ", "\ufffd"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=?utf-8?Q?caf=C3=A9?= =?utf-8?Q?_ol=C3=A9?=", "café olé"),
        ("Re: =?iso-8859-1?Q?caf=E9?= now", "Re: café now"),
        ("plain", "plain"),
        (b"raw \xc3\xbc", "raw ü"),
        ("a\r\n b\x00c", "a b c"),
        ("=?utf-8?B?broken", "=?utf-8?B?broken"),
    ],
)
def test_encoded_words(value: str | bytes, text: str) -> None:
    assert decode_text(value) == text


@pytest.mark.parametrize(
    ("pairs", "name"),
    [
        ([("filename", b"a.txt")], "a.txt"),
        ([("filename*", b"utf-8''%E2%82%AC.txt")], "€.txt"),
        ([("filename*0*", b"utf-8''%E2%82"), ("filename*1*", b"%AC.t"), ("filename*2", b"xt")], "€.txt"),
        ([("filename", b"=?utf-8?B?4oKs?=.txt")], "€.txt"),
        ([("filename", b"\xe2\x82\xac.txt")], "€.txt"),
        ([("filename", b"ascii.txt"), ("filename*", b"utf-8''%C3%BC.txt")], "ü.txt"),
    ],
)
def test_parameters(pairs: list[tuple[str, bytes]], name: str) -> None:
    assert decode_parameters(pairs)["filename"] == name


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\a.doc", "a.doc"),
        ("a\r\nb.txt", "ab.txt"),
        ("..", "file"),
        ("", "file"),
        ("\u202egpj.exe", "gpj.exe"),
    ],
)
def test_file_names_are_harmless(name: str, clean: str) -> None:
    assert clean_filename(name) == clean


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two<br>lines</p>", "One\n\nTwo\nlines"),
        ("<ul><li>a<li>b</ul>", "- a\n- b"),
        ("<ol><li>a<li>b</ol>", "1. a\n2. b"),
        ('<a href="https://x.example/y">here</a>', "here (https://x.example/y)"),
        ('<a href="https://x.example/">https://x.example</a>', "https://x.example"),
        ('<a href="javascript:alert(1)">no</a>', "no"),
        ("a<script>evil()</script><style>p{}</style>b", "ab"),
        ('shown<div style="display: none">hidden</div><span style="font-size:0px">h</span>', "shown"),
        ('<span style="font-size:0.9em">shown</span>', "shown"),
        ("<p hidden>x</p>y", "y"),
        ('<img src="https://track.example/x.gif" alt="Logo">', "[Logo]"),
        ("<blockquote>said</blockquote>", "> said"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("&lt;b&gt; &amp; &uuml;", "<b> & ü"),
        ("<title>t</title>x<!-- c -->", "x"),
    ],
)
def test_html_as_text(html: str, text: str) -> None:
    assert html_to_text(html) == text


def test_html_that_is_handed_on_runs_and_fetches_nothing() -> None:
    given = '<p onclick="x()">a</p><img src="https://t.example/x"><iframe src="//x"></iframe>'
    given += '<a href="data:text/html,x">b</a>'
    clean = safe_html(given)
    assert "onclick" not in clean
    assert "src" not in clean
    assert "data:" not in clean
    assert "iframe" not in clean


def test_flowed_lines_are_joined() -> None:
    assert unflow("one \ntwo\n> q1 \n> q2\n-- \nme") == "one two\n> q1 q2\n-- \nme"


@given(st.text())
def test_any_html_becomes_text(html: str) -> None:
    html_to_text(html)
    safe_html(html)


@given(st.binary(max_size=400))
def test_any_header_can_be_read(raw: bytes) -> None:
    read = Headers(raw)
    for name in ("subject", "from", "to", "date", "message-id"):
        read.text(name)
        read.addresses(name)
        read.message_ids(name)
    read.date()


@given(st.binary(max_size=300), st.sampled_from(["base64", "quoted-printable", "x-uuencode", "7bit", "odd"]))
def test_any_content_can_be_decoded(raw: bytes, encoding: str) -> None:
    decode_bytes(decode_transfer(raw, encoding), "utf-8")


@given(st.binary(max_size=300), st.integers(1, 50), st.sampled_from(["base64", "quoted-printable", "8bit"]))
def test_content_in_pieces_is_the_whole_content(content: bytes, size: int, encoding: str) -> None:
    raw = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}.get(encoding, bytes)(content)
    decoder = Decoder(encoding)
    pieces = [decoder.feed(raw[at : at + size]) for at in range(0, len(raw), size)]
    assert b"".join(pieces) + decoder.finish() == (
        content if encoding != "quoted-printable" else quopri.decodestring(raw)
    )


@pytest.mark.parametrize(
    "opened", ["<ul><li>x", "<ol><li>x", "<blockquote>x<br>", "<a href=https://a.b/><table><tr><td>x"]
)
def test_deep_nesting_does_not_make_the_text_long(opened: str) -> None:
    short, long = (len(html_to_text(opened * times)) for times in (500, 1500))
    assert long < 4 * short


def test_deeply_hidden_text_stays_hidden() -> None:
    deep = "<section>" * 300 + "<div>" * 300 + "secret" + "</div>" * 300 + "</section>" * 300
    assert html_to_text(f"<p>a</p><div hidden>{deep}</div><p>b</p>") == "a\n\nb"


def test_long_flowed_paragraphs_are_joined() -> None:
    assert unflow("> a \n" * 3 + "> b") == "> a a a b"


@pytest.mark.parametrize("read", [html_to_text, safe_html])
def test_html_is_read_as_deep_as_people_write(read: Any) -> None:
    assert "kept" in read("<div>" * 900 + "kept" + "</div>" * 900 + "<p><br><td>" * 3000)
    assert "kept" in read("<div><b>x</b></div>" * 3000 + "kept")
    cut = read("kept" + "<div>x" * 100_000)
    assert "kept" in cut
    assert cut.count("x") <= 1000
