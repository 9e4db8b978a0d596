"""How long a search of a vault with many notes takes: the first one, which reads them all, and every later one.

    python benchmarks/obsidian_search.py [--notes 10000] [--rounds 40]

Every search looks at all files of the vault again first, so that changes on disk are seen at once; that part is shown
by itself. Processor time of the thread is shown beside the wall's, which also holds what the machine's others do.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hermes.platforms.obsidian.index import Index
from hermes.platforms.obsidian.search import Request, search
from hermes.platforms.obsidian.vault import Vault

WORDS = 30_000
WORDS_PER_NOTE = 300
TARGET_MS = 100.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hermes-bench-") as name:
        folder = Path(name) / "vault"
        folder.mkdir()
        words = make_notes(folder, options.notes)
        run(Vault(folder, lock_file=Path(name) / "lock"), words, options.rounds)


def make_notes(folder: Path, count: int) -> list[str]:
    """Notes of about 2 KB with words as frequent as in a language; returns the words, the most frequent first."""
    dice = random.Random(1)  # noqa: S311  (the same notes every time)
    words = ["".join(dice.choices("abcdefghijklmnoprstuvwy", k=dice.randint(3, 10))) for _ in range(WORDS)]
    weights = [1 / (rank + 1) for rank in range(WORDS)]
    for number in range(count):
        parent = folder / f"area {number % 20}" / f"topic {number % 7}"
        parent.mkdir(parents=True, exist_ok=True)
        some = dice.choices(words, weights, k=WORDS_PER_NOTE)
        lines = "\n".join(" ".join(some[start : start + 12]) for start in range(0, WORDS_PER_NOTE, 12))
        status = dice.choice(["draft", "done", "idea"])
        head = f"---\ntags: [{some[2]}, area/{some[3]}]\nstatus: {status}\n---\n# {some[5]}\n"
        (parent / f"{some[0]} {some[1]} {number}.md").write_text(f"{head}{lines}\n#{some[7]}\n## {some[8]}\n")
    return words


def run(vault: Vault, words: list[str], rounds: int) -> None:
    index = Index()
    started = time.perf_counter()
    index.refresh(vault)
    first = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"first index: {len(index.entries)} notes in {first:.2f} s; process at most {memory:.0f} MB")
    print(f"{'':24}{'p50 ms':>8}{'p99 ms':>8}{'CPU p50':>9}{'hits':>8}")
    print_row("look at all files", *measure(lambda: index.refresh(vault), rounds), "")
    slow = 0
    for title, request in requests(words).items():
        total = search(index, request).total

        def once(request: Request = request) -> None:
            index.refresh(vault)
            search(index, request)

        wall, processor = measure(once, rounds)
        slow += statistics.median(wall) > TARGET_MS
        print_row(title, wall, processor, str(total))
    print(f"{slow} kinds of query above {TARGET_MS:g} ms at p50")


def requests(words: list[str]) -> dict[str, Request]:
    common, second, rare = words[0], words[1], words[2_000]
    return {
        "most common word": Request(common),
        "two common words": Request(f"{common} {second}"),
        "rare word": Request(rare),
        "start of a word": Request(rare[:3]),
        "no such word": Request("zzzzzz"),
        "phrase": Request(f'"{words[20]} {words[30]}"'),
        "phrase of common words": Request(f'"{common} {second}"'),
        "exclusion": Request(f"{second} -{words[5]}"),
        "alternatives": Request(f"{rare} OR {words[3_000]} OR ({common} {words[40]})"),
        "tag: operator": Request(f"tag:area/{common} {second}"),
        "[property:value]": Request(f"[status:done] {second}"),
        "file: and folder": Request(f"file:{words[3]}", folder="area 3"),
        "mode tag": Request("area", mode="tag"),
        "mode property": Request("status:draft", mode="property"),
        "mode path": Request("topic 3", mode="path"),
        "regex with a word": Request(f"{words[50]} /{common[:2]}[a-z]+ {second[:2]}/"),
        "regex over everything": Request(f"/{rare[:3]}[a-z]*y\\b/"),
        "regex of alternatives": Request(f"/({rare}|{words[3_000]})[a-z]* {second[:2]}/"),
    }


def measure(work: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    """Wall and processor milliseconds of each round."""
    wall: list[float] = []
    processor: list[float] = []
    for _ in range(rounds):
        started, used = time.perf_counter(), time.thread_time()
        work()
        processor.append((time.thread_time() - used) * 1000)
        wall.append((time.perf_counter() - started) * 1000)
    return wall, processor


def print_row(title: str, wall: list[float], processor: list[float], hits: str) -> None:
    p99 = sorted(wall)[max(0, round(len(wall) * 0.99) - 1)]
    print(f"{title:24}{statistics.median(wall):8.1f}{p99:8.1f}{statistics.median(processor):9.1f}{hits:>8}")


if __name__ == "__main__":
    main()
