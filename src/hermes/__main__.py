"""The `hermes` command, and `python -m hermes`, which is the same."""

from __future__ import annotations

import gc

from hermes.cli import app

_GC_THRESHOLDS = (50_000, 10, 10)


def main() -> None:
    """Run the command line."""
    # What is imported lives as long as the process: to look through it again and again is a fifth of the start. A
    # server sets its own thresholds once it is ready.
    gc.set_threshold(*_GC_THRESHOLDS)
    app()


if __name__ == "__main__":
    main()
