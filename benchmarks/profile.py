"""Reads py-spy's raw output (`frame;frame;frame count` lines) into small tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_FRAME = re.compile(r"^(?P<function>.*) \((?P<path>.*?)(?::\d+)?\)$")


def profile_tables(raw: Path, *, top: int = 25) -> str:
    """Where the time went: by package, and by function, as Markdown.

    Args:
        raw: what `py-spy record --format raw` wrote.
        top: how many functions to list.
    """
    own: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    below: Counter[str] = Counter()
    total = 0
    for stack, count in _stacks(raw):
        total += count
        names = [_readable(frame) for frame in stack]
        own[_package(stack[-1])] += count
        functions[names[-1]] += count
        for name in set(names):
            below[name] += count
    if not total:
        return "no samples"

    def percent(count: int) -> str:
        return f"{100 * count / total:.1f} %"

    packages = [f"| {name} | {percent(count)} |" for name, count in own.most_common(15)]
    by_own = [f"| {name} | {percent(count)} |" for name, count in functions.most_common(top)]
    inner = Counter({name: count for name, count in below.items() if count < 0.95 * total})
    by_all = [f"| {name} | {percent(count)} |" for name, count in inner.most_common(2 * top)]
    return "\n".join(
        [
            *("| package | own time |", "|---|---:|", *packages, ""),
            *("| function | own time |", "|---|---:|", *by_own, ""),
            *("| function | with what it calls |", "|---|---:|", *by_all),
        ]
    )


def _stacks(raw: Path) -> Iterator[tuple[list[str], int]]:
    for line in raw.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        if stack:
            yield stack.split(";"), int(count)


def _path(frame: str) -> str:
    match = _FRAME.match(frame)
    return match["path"] if match else ""


def _package(frame: str) -> str:
    parts = Path(_path(frame)).parts
    if not parts or not parts[0].strip("<>"):
        return "native"
    if parts[0] == "hermes":
        return ".".join(parts[:2]).removesuffix(".py")
    return parts[0].removesuffix(".py")


def _readable(frame: str) -> str:
    match = _FRAME.match(frame)
    return f"`{match['function']}` {match['path']}" if match else f"`{frame}`"
