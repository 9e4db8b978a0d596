"""Write what the documents say of platforms and tools anew: `python -m hermes.docs [--check] [FOLDER]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hermes.docs.documents import documents


def main() -> int:
    """Write the documents that are out of date below the repository's folder; with `--check`, name them only.

    Returns:
        The exit status: 1 when `--check` found one.
    """
    parser = argparse.ArgumentParser(prog="python -m hermes.docs", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="the repository; default: this folder")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a document is out of date")
    given = parser.parse_args()
    outdated = {
        path: text
        for path, text in documents(given.folder).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    for path, text in outdated.items():
        sys.stdout.write(f"{'out of date' if given.check else 'written'}: {path}\n")
        if not given.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if given.check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
