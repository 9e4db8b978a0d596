"""Search: ranking, operators, snippets, pages, and that the index sees every change on disk at once."""

from __future__ import annotations

import os
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hermes.errors import InvalidArguments
from hermes.platforms.obsidian.index import Index
from hermes.platforms.obsidian.search import Page
from hermes.platforms.obsidian.vault import Vault

Find = Callable[..., Page]


def write(folder: Path, **notes: str) -> None:
    for name, text in notes.items():
        path = folder / (name.replace("__", "/") + ".md")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def paths(page: Page) -> list[str]:
    return [hit.entry.path.removesuffix(".md") for hit in page.hits]


@pytest.mark.parametrize(
    ("notes", "query", "order"),
    [
        ({"a": "apple", "apple": "x", "b": "# apple", "c": "none"}, "apple", ["apple", "b", "a"]),
        ({"a": "apple", "b": "#apple", "c": "applesauce"}, "apple", ["b", "a", "c"]),
        ({"a": "apples", "b": "apple"}, "apple", ["b", "a"]),
        ({"a": "apple", "b": "apple apple apple apple"}, "apple", ["b", "a"]),
        ({"apples": "x", "b": "## apple"}, "apple", ["apples", "b"]),
        ({"a": "apple pear", "b": "apple", "c": "pear"}, "apple pear", ["a"]),
        ({"a": "common rare", "b": "common", "c": "common common common"}, "common OR rare", ["a", "c", "b"]),
        ({"a": "---\naliases: [apple]\n---\nx", "b": "apple"}, "apple", ["a", "b"]),
    ],
)
def test_ranking(find: Find, folder: Path, notes: dict[str, str], query: str, order: list[str]) -> None:
    write(folder, **notes)
    assert paths(find(query)) == order


def test_of_equals_the_newer_comes_first(find: Find, folder: Path) -> None:
    write(folder, a="apple", b="apple", c="apple apple")
    os.utime(folder / "a.md", (1_000_000_000, 1_000_000_000))
    os.utime(folder / "c.md", (1_000_000_000, 1_000_000_000))
    assert paths(find("apple")) == ["c", "b", "a"]


OPERATORS = {
    "Work__Plan": "---\nstatus: Done\ntags: [project/alpha]\nowner: Ann Lee\nempty:\n---\n"
    "The quick brown\nfox jumps. e-mail me: foo_bar",
    "Work__Log": "---\nstatus: draft\nready: true\nlist: [one, two]\n---\nquick notes https://x.y/quick #Daily",
    "Home__Übung": "Straße und Füße, 日本語テスト, C++ ok",
    "quick": "#project nothing",
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("quick", ["quick", "Work/Log", "Work/Plan"]),
        ("QUICK brown", ["Work/Plan"]),
        ('"quick brown fox"', ["Work/Plan"]),
        ('"brown quick"', []),
        ('"quick bro"', ["Work/Plan"]),
        ("quick -brown", ["quick", "Work/Log"]),
        ("quick -file:quick -content:notes", ["Work/Plan"]),
        ("-quick", ["Home/Übung"]),
        ("brown OR notes", ["Work/Log", "Work/Plan"]),
        ("(brown OR notes) fox", ["Work/Plan"]),
        ("quick -(brown OR notes)", ["quick"]),
        ("file:plan", ["Work/Plan"]),
        ("path:work/", ["Work/Log", "Work/Plan"]),
        ('path:"work/l"', ["Work/Log"]),
        ("tag:project", ["quick", "Work/Plan"]),
        ("tag:#project/alpha", ["Work/Plan"]),
        ("tag:proj", []),
        ("tag:daily", ["Work/Log"]),
        ("content:quick", ["Work/Log", "Work/Plan"]),
        ("content:(quick notes)", ["Work/Log"]),
        ("content:status", ["Work/Log", "Work/Plan"]),
        ("content:plan", []),
        ("[status]", ["Work/Log", "Work/Plan"]),
        ("[status:done]", ["Work/Plan"]),
        ('["status":"DRAFT"]', ["Work/Log"]),
        ("[list:two]", ["Work/Log"]),
        ("[ready:true]", ["Work/Log"]),
        ("[empty:null]", ["Work/Plan"]),
        ("[owner:lee] quick", ["Work/Plan"]),
        (r"/f.x\s+jumps/", ["Work/Plan"]),
        ("/^quick/", ["Work/Log"]),
        ("path:/^work.*n\\.md$/", ["Work/Plan"]),
        ("e-mail", ["Work/Plan"]),
        ("bar", ["Work/Plan"]),
        ("foo_bar", ["Work/Plan"]),
        ("https://x.y/quick", ["Work/Log"]),
        ("straße", ["Home/Übung"]),
        ("STRASSE", ["Home/Übung"]),
        (unicodedata.normalize("NFD", "übung"), ["Home/Übung"]),
        ("日本", ["Home/Übung"]),
        ("テスト", ["Home/Übung"]),
        ("本日", []),
        ("c++", ["Home/Übung"]),
        ("++", ["Home/Übung"]),
        ("fo", ["Work/Plan"]),
        ("f", []),
    ],
)
def test_operators(find: Find, folder: Path, query: str, found: list[str]) -> None:
    write(folder, **OPERATORS)
    assert sorted(paths(find(query))) == sorted(found)


@pytest.mark.parametrize(
    ("mode", "query", "found"),
    [
        ("tag", "#project", ["Work/Plan", "quick"]),
        ("tag", "project, daily", []),
        ("property", "status:done", ["Work/Plan"]),
        ("property", "[status]", ["Work/Log", "Work/Plan"]),
        ("path", "work log", ["Work/Log"]),
        ("path", "ÜBUNG", ["Home/Übung"]),
    ],
)
def test_modes(find: Find, folder: Path, mode: str, query: str, found: list[str]) -> None:
    write(folder, **OPERATORS)
    assert sorted(paths(find(query, mode=mode))) == sorted(found)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "   ",
        '""',
        "(a",
        "a)",
        "line:(a b)",
        "section:x",
        "a " * 60,
        "(" * 60 + "a" + ")" * 60,
        "/(/",
        "/[/",
        "/" + "a" * 600 + "/",
        "-",
    ],
)
def test_queries_that_cannot_be_read(find: Find, folder: Path, query: str) -> None:
    write(folder, a="a")
    try:
        page = find(query)
    except InvalidArguments as error:
        assert error.data["fields"][0]["field"] == "query"
    else:
        assert query == "-"
        assert page.total == 0


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(alphabet='ab ()"-/[]:\\OR.*+?{}tagfile#', max_size=30))
def test_no_query_breaks_the_search(find: Find, folder: Path, query: str) -> None:
    if not any(folder.iterdir()):
        write(folder, **OPERATORS)
    with suppress(InvalidArguments):
        find(query)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+$", r"(.*)*x", r"(?:a?){60}a{60}x", r"^(\w+\s?)*!$"])
def test_a_catastrophic_expression_is_bounded(find: Find, folder: Path, pattern: str) -> None:
    write(folder, **{f"n{number}": "a" * 5000 + "b " + "aaa " * 2000 for number in range(20)})
    started = time.monotonic()
    try:
        find(f"/{pattern}/")
    except InvalidArguments as error:
        assert "regular expression" in error.message
    assert time.monotonic() - started < 10


def test_snippets(find: Find, folder: Path) -> None:
    write(
        folder,
        a="---\nx: 1\n---\nfirst\n" + "word " * 100 + "NEEDLE" + " word" * 100 + "\n" + "needle\n" * 10,
        b="Straße ß Ziel",
    )
    hit = find("needle", context_chars=10).hits[0]
    assert [snippet.line for snippet in hit.snippets] == [5, 6, 7, 8, 9]
    assert hit.snippets[0].text == "…word word NEEDLE wor…"
    assert hit.matched_in == ["body"]
    assert find("ziel", context_chars=4).hits[0].snippets[0].text == "…e ß Ziel"
    assert find("file:a").hits[0].snippets == []


def test_matched_in(find: Find, folder: Path) -> None:
    write(folder, **{"Apple pie": "---\nfruit: apple\n---\n# Apple\n#apple\napple"})
    assert find("apple").hits[0].matched_in == ["title", "tags", "headings", "body"]
    assert find("[fruit:apple]").hits[0].matched_in[0] == "properties"


def test_folder(find: Find, folder: Path) -> None:
    write(folder, A__a="x", A__B__b="x", AB__c="x", d="x")
    assert sorted(paths(find("x OR file:.", folder="a"))) == ["A/B/b", "A/a"]
    for wrong in ("../x", ".obsidian", "a\\b"):
        with pytest.raises(InvalidArguments):
            find("x", folder=wrong)


def test_pages_cover_everything_once(find: Find, folder: Path) -> None:
    write(folder, **{f"n{number}": "apple " * (number % 5) + "apple" for number in range(25)})
    seen: list[str] = []
    page = find("apple", limit=10)
    while True:
        seen += paths(page)
        assert page.total == 25
        if page.cursor is None:
            break
        page = find("apple", limit=10, cursor=page.cursor)
    assert seen == paths(find("apple", limit=100))
    assert len(set(seen)) == 25


def test_a_page_of_any_length_begins_the_same_list(find: Find, folder: Path) -> None:
    now = time.time()
    for number in range(60):
        write(folder, **{f"n{number}": "apple " * (1 + number % 12)})
        os.utime(folder / f"n{number}.md", (now - number * 86_400, now - number * 86_400))
    whole = paths(find("apple", limit=60))
    assert whole != sorted(whole, key=lambda name: -(int(name[1:]) % 12))
    for limit in (1, 5, 11, 30, 59):
        assert paths(find("apple", limit=limit)) == whole[:limit]


@pytest.mark.parametrize("cursor", ["x", "!", "bnVsbA", "W10", ""])
def test_a_foreign_cursor_is_refused(find: Find, folder: Path, cursor: str) -> None:
    write(folder, a="apple", b="apple", c="pear")
    with pytest.raises(InvalidArguments, match="cursor"):
        find("apple", cursor=cursor)
    mine = find("apple", limit=1).cursor
    with pytest.raises(InvalidArguments, match="cursor"):
        find("pear", cursor=mine)


def test_changes_on_disk_are_seen_at_once(find: Find, folder: Path) -> None:
    assert paths(find("apple")) == []
    write(folder, a="apple")
    assert paths(find("apple")) == ["a"]
    for text in ("peach", "apple", "peach", "apple"):  # same size, within the clock's grain
        write(folder, a=text)
        assert paths(find(text)) == ["a"]
        assert paths(find("peach" if text == "apple" else "apple")) == []
    (folder / "a.md").rename(folder / "b.md")
    assert paths(find("apple")) == ["b"]
    (folder / "sub").mkdir()
    (folder / "b.md").rename(folder / "sub" / "b.md")
    assert paths(find("apple")) == ["sub/b"]
    other = folder / ".new"
    other.write_text("grape")
    other.replace(folder / "sub" / "b.md")
    assert (paths(find("grape")), paths(find("apple"))) == (["sub/b"], [])
    (folder / "sub" / "b.md").unlink()
    assert paths(find("grape")) == []


def test_what_is_not_searched(find: Find, folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("apple")
    write(folder, **{".obsidian__a": "apple", ".trash__a": "apple", "sub__.hidden": "apple", "ok": "apple"})
    (folder / "text.txt").write_text("apple")
    (folder / "latin.md").write_bytes(b"apple \xff")
    (folder / "big.md").write_bytes(b"apple " * 1_000_000)
    (folder / "link.md").symlink_to(secret)
    (folder / "folder").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.md")
    page = find("apple")
    assert (paths(page), page.left_out) == (["ok"], 2)
    assert find("apple").left_out == 2
    (folder / "latin.md").write_bytes(b"apple")
    assert sorted(paths(find("apple"))) == ["latin", "ok"]


def test_a_long_lived_index_stays_right_and_small(vault: Vault, folder: Path) -> None:
    index = Index()
    for turn in range(2100):
        (folder / "a.md").write_text(f"word{turn} always")
        index.refresh(vault)
    assert len(index.by_number) == 1
    assert len(index.bodies.starting("word")) < 200
    assert set(index.by_number) < index.bodies.starting("word")
    assert sum(1 for _ in index.bodies.exact("always")) < 200
