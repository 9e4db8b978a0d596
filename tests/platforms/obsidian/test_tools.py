"""The five tools as a caller sees them: results that fit their schemas, errors with the way out, tenants kept apart."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from hermes.errors import Conflict, InvalidArguments, NotFound
from hermes.platforms.obsidian import ObsidianCredentials, VaultApi, check_folders, obsidian
from hermes.platforms.obsidian.search import Request
from hermes.settings import Settings, SettingsError

Call = Callable[..., Awaitable[dict[str, Any]]]
OpenVault = Callable[..., VaultApi]


def fits(name: str, result: dict[str, Any]) -> None:
    jsonschema.validate(result, obsidian.tools[name].output_schema)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def remove(folder: Path) -> None:
    folder.rmdir()


async def test_append_then_read_then_search(call: Call, folder: Path) -> None:
    made = await call("append_to_note", path="Inbox/Today", content="# Hi\n[[Other]] #tag", create=True)
    fits("append_to_note", made)
    assert (made["created"], made["changed"], made["path"], made["size"]) == (True, True, "Inbox/Today.md", 20)
    data = (folder / "Inbox/Today.md").read_bytes()
    assert data == b"# Hi\n[[Other]] #tag\n"
    assert made["etag"] == hashlib.sha256(data).hexdigest()
    read = await call("read_note", path="inbox/today")
    fits("read_note", read)
    assert (read["path"], read["content"], read["etag"]) == ("Inbox/Today.md", data.decode(), made["etag"])
    assert (read["tags"], read["links"][0]["target"], read["links"][0]["line"]) == (["tag"], "Other", 2)
    found = await call("search_notes", query="hi")
    fits("search_notes", found)
    assert found["results"][0]["path"] == "Inbox/Today.md"
    again = await call("append_to_note", path="Inbox/Today", content="more", etag=made["etag"])
    assert (again["created"], again["previous_etag"], again["previous_size"]) == (False, made["etag"], made["size"])


async def test_append_never_makes_a_note_by_mistake(call: Call, folder: Path) -> None:
    (folder / "Journal.md").write_text("x\n")
    with pytest.raises(NotFound) as caught:
        await call("append_to_note", path="Jurnal", content="y")
    assert caught.value.data["did_you_mean"] == ["Journal.md"]
    with pytest.raises(NotFound):
        await call("append_to_note", path="New", content="y", heading="Missing", create=True)
    assert names(folder) == ["Journal.md"]


@pytest.mark.parametrize(
    ("part", "more", "content", "line"),
    [
        ("full", {}, "---\na: 1\n---\n# H\nb\n## S\nc ^x\n", 1),
        ("body", {}, "# H\nb\n## S\nc ^x\n", 4),
        ("frontmatter", {}, "---\na: 1\n---\n", 1),
        ("heading", {"heading": "H/S"}, "## S\nc ^x\n", 6),
        ("block", {"block": "x"}, "c ^x\n", 7),
        ("outline", {}, "# H\n## S\n", 1),
        ("body", {"offset": 4, "max_chars": 1}, "b", 5),
        ("body", {"offset": 5, "max_chars": 3}, "\n##", 5),
    ],
)
async def test_parts(call: Call, folder: Path, part: str, more: dict[str, Any], content: str, line: int) -> None:
    (folder / "n.md").write_text("---\na: 1\n---\n# H\nb\n## S\nc ^x\n")
    read = await call("read_note", path="n", part=part, **more)
    assert (read["content"], read["start_line"], read["frontmatter"]) == (content, line, {"a": 1})
    assert read["truncated"] == ("next_offset" in read)


async def test_reading_on_gives_the_whole_note(call: Call, folder: Path) -> None:
    text = "".join(f"line {number} ä\n" for number in range(50))
    (folder / "n.md").write_text(text)
    got, offset = "", 0
    while True:
        read = await call("read_note", path="n", offset=offset, max_chars=37)
        assert read["start_line"] == text.count("\n", 0, offset) + 1
        got += read["content"]
        if not read["truncated"]:
            break
        offset = read["next_offset"]
    assert got == text


async def test_broken_properties_are_reported(call: Call, folder: Path) -> None:
    (folder / "n.md").write_text("---\na: [\n---\nbody\n")
    read = await call("read_note", path="n")
    fits("read_note", read)
    assert "line 3" in read["frontmatter_error"]
    with pytest.raises(InvalidArguments, match="line 3"):
        await call("update_note", path="n", frontmatter={"set": {"b": 1}})
    assert (folder / "n.md").read_text() == "---\na: [\n---\nbody\n"


async def test_replacing_a_note_needs_its_etag(call: Call, folder: Path) -> None:
    note = folder / "n.md"
    note.write_text("---\na: 1\n---\nold\n")
    with pytest.raises(InvalidArguments, match="etag"):
        await call("update_note", path="n", content="new", create=True)
    with pytest.raises(Conflict) as caught:
        await call("update_note", path="n", content="new", etag="0" * 64)
    etag = caught.value.data["current_etag"]
    assert note.read_text() == "---\na: 1\n---\nold\n"
    result = await call("update_note", path="n", content="new", etag=etag)
    fits("update_note", result)
    assert (result["kept_frontmatter"], note.read_text()) == (True, "---\na: 1\n---\nnew\n")
    with pytest.raises(NotFound):
        await call("update_note", path="other", content="new")
    assert (await call("update_note", path="other", content="new", create=True))["created"]


async def test_the_other_ways_to_update(call: Call, folder: Path) -> None:
    note = folder / "n.md"
    note.write_text("# A\nx\n# B\ny\n")
    await call("update_note", path="n", replace={"old": "x", "new": "z"})
    await call("update_note", path="n", section={"heading": "B", "content": "w"})
    await call("update_note", path="n", frontmatter={"set": {"k": ["v", 1, None]}})
    assert note.read_text() == "---\nk:\n  - v\n  - 1\n  - null\n---\n# A\nz\n# B\nw\n"
    await call("update_note", path="n", frontmatter={"delete": ["k"]})
    assert (await call("update_note", path="n", frontmatter={"delete": ["k"]}))["changed"] is False
    for arguments in (
        {},
        {"content": "x", "replace": {"old": "a", "new": "b"}},
        {"section": {"heading": "A", "content": ""}, "create": True},
    ):
        with pytest.raises(InvalidArguments):
            await call("update_note", path="n", **arguments)


async def test_dry_run_shows_and_changes_nothing(call: Call, folder: Path) -> None:
    (folder / "n.md").write_text("one\n")
    result = await call("append_to_note", path="n", content="two", dry_run=True)
    fits("append_to_note", result)
    assert result["diff"] == "--- n.md\n+++ n.md\n@@ -1 +1,2 @@\n one\n+two\n"
    assert (result["dry_run"], result["changed"], (folder / "n.md").read_text()) == (True, True, "one\n")


async def test_parallel_calls_with_one_etag_have_one_winner(call: Call, folder: Path) -> None:
    (folder / "n.md").write_text("old")
    etag = (await call("read_note", path="n"))["etag"]
    calls = [call("update_note", path="n", content=f"new {number}", etag=etag) for number in range(8)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(result, dict) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 7


@pytest.mark.parametrize(
    "arguments",
    [
        {"position": "under_heading"},
        {"heading": "A", "block": "b"},
        {"heading": "A", "position": "start_of_body"},
        {"block": "b", "position": "start_of_body"},
    ],
)
async def test_places_that_contradict(call: Call, folder: Path, arguments: dict[str, Any]) -> None:
    (folder / "n.md").write_text("# A\nx ^b\n")
    with pytest.raises(InvalidArguments):
        await call("append_to_note", path="n", content="y", **arguments)


async def test_a_customers_vault_is_made_when_linked_and_is_theirs_alone(open_vault: OpenVault, tmp_path: Path) -> None:
    assert obsidian.probe_function is not None
    for customer in ("cus_a", "cus_b"):
        api = open_vault(customer)
        with pytest.raises(NotFound):
            await api.read("n", "full", None, None, 0, 10)
        account = await obsidian.probe_function(api)
        assert account.id == "notes"
        await api.change("n", partial(_owned_by, customer), create=True)
    assert (tmp_path / "vaults/cus_a/notes/n.md").read_text() == "cus_a"
    assert (await open_vault("cus_b").read("n", "full", None, None, 0, 10)).content == "cus_b"


def _owned_by(customer: str, _: bytes | None) -> bytes:
    return customer.encode()


async def test_a_customers_folder_that_is_a_link_is_refused(open_vault: OpenVault, tmp_path: Path) -> None:
    (tmp_path / "vaults" / "cus_a").mkdir(parents=True)
    (tmp_path / "vaults" / "cus_a" / "notes").symlink_to(tmp_path)
    with pytest.raises(NotFound):
        await open_vault("cus_a").read("n", "full", None, None, 0, 10)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("linked_to", ["cus_b", "../vault"], ids=["another customer's", "the operator's"])
async def test_a_customers_folder_that_leads_elsewhere_reaches_nothing(
    open_vault: OpenVault, folder: Path, tmp_path: Path, linked_to: str
) -> None:
    other = open_vault("cus_b")
    await other.account()
    await other.change("n", partial(_owned_by, "cus_b"), create=True)
    (folder / "notes").mkdir()
    (folder / "notes" / "n.md").write_text("operator")
    before = contents(tmp_path)
    (tmp_path / "vaults" / "cus_a").symlink_to(tmp_path / "vaults" / linked_to)
    api = open_vault("cus_a")
    for refused in (
        api.read("n", "full", None, None, 0, 10),
        api.search(Request("operator cus_b")),
        api.recent(10),
        api.sync_status(),
        api.change("n", partial(_owned_by, "cus_a"), create=True),
    ):
        with pytest.raises(NotFound):
            await refused
    with pytest.raises((NotFound, InvalidArguments)):
        await api.account()
    assert contents(tmp_path) == before


async def test_two_customers_with_one_name_of_a_vault_share_neither_index_nor_lock(
    open_vault: OpenVault, tmp_path: Path
) -> None:
    one, other = open_vault("cus_a"), open_vault("cus_b")
    for api, word in ((one, "apricot"), (other, "banana")):
        await api.account()
        await api.change("n", partial(_owned_by, word), create=True)
    assert one._opened.index is not other._opened.index
    assert one._opened.vault._lock_file != other._opened.vault._lock_file
    assert [hit.path for hit in (await one.search(Request("apricot"))).results] == ["n.md"]
    assert (await one.search(Request("banana"))).results == []
    assert (await other.search(Request("apricot"))).results == []


async def test_a_customer_never_has_the_vault_of_the_environment(open_vault: OpenVault, folder: Path) -> None:
    (folder / "secret.md").write_text("the operator's")
    for name in ("notes", folder.name, "operator"):
        api = open_vault("cus_a", name)
        await api.account()
        assert (await api.recent(10)).documents == []
        with pytest.raises(NotFound):
            await api.read("secret", "full", None, None, 0, 10)
    assert [found.path for found in (await open_vault().recent(10)).documents] == ["secret.md"]


async def test_the_operators_vault_is_never_made(open_vault: OpenVault, folder: Path) -> None:
    remove(folder)
    with pytest.raises(NotFound):
        await open_vault().account()
    assert "vault" not in names(folder.parent)


@pytest.mark.parametrize("name", ["..", ".", "a/b", "/a", "a\\b", "", ".hidden", "CON", "x" * 65, "a\x00", "a:b", "a "])
def test_names_of_vaults(name: str) -> None:
    with pytest.raises(ValidationError):
        ObsidianCredentials(vault=name)


def test_the_operators_vault_and_the_customers_may_not_overlap(tmp_path: Path) -> None:
    for own, root in (("a", "a"), ("a/b", "a"), ("a", "a/b"), ("a/../c", "c/d")):
        with pytest.raises(SettingsError, match="OBSIDIAN_VAULTS_ROOT"):
            check_folders(Settings(obsidian_vault_path=tmp_path / own, obsidian_vaults_root=tmp_path / root))
    check_folders(Settings(obsidian_vault_path=tmp_path / "a", obsidian_vaults_root=tmp_path / "ab"))


def test_single_user_mode_has_the_vault_of_the_environment(tmp_path: Path) -> None:
    assert obsidian.environ_accounts(Settings()) == {}
    assert set(obsidian.environ_accounts(Settings(obsidian_vault_path=tmp_path))) == {"default"}
