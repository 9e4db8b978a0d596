"""The `hermes` command, and `python -m hermes`, which is the same."""

from __future__ import annotations

import gc


def main() -> None:
    """Run the command line."""
    # What is imported lives as long as the process: to look through it again and again is a fifth of the start.
    gc.disable()
    from hermes.cli import app  # noqa: PLC0415

    gc.enable()
    app()


if __name__ == "__main__":
    main()
