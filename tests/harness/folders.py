"""What can go wrong with an account that is a folder: the counterparts of a vendor's failures."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from harness.bench import Bench, Subject
from harness.cases import case, check_refusal, check_success
from hermes.errors import HermesError, InvalidArguments, NotFound
from hermes.platforms.base import Tool
from hermes.sandbox.hostile import HOSTILE_TEXT

NOTE = "Welcome.md"


def asks_vendor_instead(tool: Tool) -> str | None:
    """Only where accounts are folders."""
    return None if tool.platform == "obsidian" else "its accounts are not folders"


async def _on_a_changed_vault(bench: Bench, tool: Tool, change: Callable[[Subject], None]) -> None:
    """Run the example after something happened to the vault: it works, or says clearly why not."""
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    await asyncio.to_thread(change, subject)
    try:
        structured = await subject.call(arguments)
    except HermesError as error:
        await check_refusal(subject, error, HermesError)
    else:
        await check_success(subject, structured)


@case(asks_vendor_instead)
async def vault_gone(bench: Bench, tool: Tool) -> None:
    """The vault's folder was removed."""
    await _on_a_changed_vault(bench, tool, lambda subject: shutil.rmtree(subject.vault))


@case(asks_vendor_instead)
async def vault_is_a_file(bench: Bench, tool: Tool) -> None:
    """Something put a file in the place of the vault's folder."""

    def change(subject: Subject) -> None:
        shutil.rmtree(subject.vault)
        subject.vault.write_text("not a folder")

    await _on_a_changed_vault(bench, tool, change)


@case(asks_vendor_instead)
async def vault_leads_elsewhere(bench: Bench, tool: Tool) -> None:
    """The vault's folder became a link to a place outside: nothing there is shown or changed."""
    outside: list[Path] = []

    def change(subject: Subject) -> None:
        target = subject.vault.parent.parent / f"outside-{subject.number}"
        target.mkdir()
        (target / NOTE).write_text("TOP SECRET")
        shutil.rmtree(subject.vault)
        subject.vault.symlink_to(target)
        outside.append(target / NOTE)

    await _secret_stays(bench, tool, change, outside)


@case(asks_vendor_instead)
async def note_leads_elsewhere(bench: Bench, tool: Tool) -> None:
    """A note is a link to a file outside of the vault."""
    outside: list[Path] = []

    def change(subject: Subject) -> None:
        target = subject.vault.parent.parent / f"outside-{subject.number}.md"
        target.write_text("TOP SECRET welcome This note")
        note = subject.vault / NOTE
        note.unlink()
        note.symlink_to(target)
        outside.append(target)

    await _secret_stays(bench, tool, change, outside)


async def _secret_stays(bench: Bench, tool: Tool, change: Callable[[Subject], None], outside: list[Path]) -> None:
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    await asyncio.to_thread(change, subject)
    before = outside[0].read_bytes()
    try:
        said = str(await subject.call(arguments))
    except HermesError as error:
        await check_refusal(subject, error, HermesError)
        said = str(error.as_dict())
    assert "TOP SECRET" not in said
    assert outside[0].read_bytes() == before


@case(asks_vendor_instead)
async def note_not_text(bench: Bench, tool: Tool) -> None:
    """A note's bytes are no text."""
    await _on_a_changed_vault(bench, tool, lambda subject: _put(subject, b"\xff\xfe\x00\x80This note\xc3\x28 welcome"))


@case(asks_vendor_instead)
async def note_malformed(bench: Bench, tool: Tool) -> None:
    """A note's properties are broken."""
    await _on_a_changed_vault(bench, tool, lambda subject: _put(subject, b"---\na: [1,\n\t: }\n---\nThis note welcome"))


@case(asks_vendor_instead)
async def note_giant(bench: Bench, tool: Tool) -> None:
    """A note is a hundred megabytes long."""
    await _on_a_changed_vault(bench, tool, lambda subject: _put(subject, b"This note welcome\n" * 6_000_000))


@case(asks_vendor_instead)
async def note_is_a_folder(bench: Bench, tool: Tool) -> None:
    """A folder stands where a note was."""

    def change(subject: Subject) -> None:
        (subject.vault / NOTE).unlink()
        (subject.vault / NOTE).mkdir()

    await _on_a_changed_vault(bench, tool, change)


@case(asks_vendor_instead)
async def note_hostile(bench: Bench, tool: Tool) -> None:
    """A note's text tries to mislead whoever reads it."""
    text = f"---\ntags: [welcome]\n---\n# Hello {HOSTILE_TEXT}\nThis note welcome{HOSTILE_TEXT}\n"
    await _on_a_changed_vault(bench, tool, lambda subject: _put(subject, text.encode()))


@case(lambda tool: asks_vendor_instead(tool) or _no_path(tool))
async def path_outside(bench: Bench, tool: Tool) -> None:
    """A path that leads out of the vault."""
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    for path in ("../Welcome.md", "/etc/passwd", "a/../../b.md", "C:\\Windows\\x", "Welcome.md\u0000.png", "~/x.md"):
        error = await subject.refused({**arguments, "path": path})
        await check_refusal(subject, error, InvalidArguments, NotFound)


def _no_path(tool: Tool) -> str | None:
    return None if "path" in tool.input_schema["properties"] else "it takes no path"


def _put(subject: Subject, content: bytes) -> None:
    subject.write_note(NOTE, content)
