"""Whether a file fits what a vendor takes: found, allowed, and where the vendor says so."""

from __future__ import annotations

from collections.abc import Iterator

from hermes.errors import InvalidArguments, PayloadTooLarge
from hermes.platforms.ports import MediaFile, MediaRules


def check_size(size: int, rules: MediaRules, field: str) -> None:
    """Check the size alone.

    Raises:
        PayloadTooLarge: it is larger than the vendor takes.
    """
    if size > rules.max_bytes:
        raise PayloadTooLarge(
            f"`{field}` has {size:,} bytes; at most {rules.max_bytes:,} are allowed ({rules.source}).",
            limit_bytes=rules.max_bytes,
            nothing_sent=True,
        )


def check_rules(file: MediaFile, rules: MediaRules, field: str) -> None:
    """Check a file against all of a vendor's rules.

    Raises:
        PayloadTooLarge: it is larger than the vendor takes.
        InvalidArguments: it does not fit; `fields` has one entry per rule that it breaks.
    """
    check_size(file.size, rules, field)
    problems = list(_problems(file, rules))
    if problems:
        raise InvalidArguments(
            f"`{field}` does not fit: {'; '.join(problems)} ({rules.source}).",
            fields=[{"field": field, "problem": problem} for problem in problems],
            nothing_sent=True,
        )


def _problems(file: MediaFile, rules: MediaRules) -> Iterator[str]:
    if file.size == 0:
        yield "it is empty"
        return
    if rules.types and file.content_type not in rules.types:
        yield f"its content is {file.content_type}; allowed: {', '.join(sorted(rules.types))}"
        return
    width, height = file.width, file.height
    yield from _within("width", width, rules.min_width, rules.max_width, "pixels")
    yield from _within("height", height, rules.min_height, rules.max_height, "pixels")
    sides = None if width is None or height is None else width + height
    yield from _within("width plus height", sides, None, rules.max_sides, "pixels")
    ratio = None if width is None or not height else round(width / height, 4)
    yield from _within("width divided by height", ratio, rules.min_ratio, rules.max_ratio, "")
    if not file.content_type.startswith("image/"):  # rules for photos and videos at once: only the latter last
        yield from _within("duration", file.seconds, rules.min_seconds, rules.max_seconds, "seconds")


def _within(what: str, found: float | None, least: float | None, most: float | None, unit: str) -> Iterator[str]:
    """What is wrong with one measure. One that cannot be read does not fit a rule about it."""
    if least is None and most is None:
        return
    if found is None:
        yield f"its {what} cannot be read from the file"
    elif (least is not None and found < least) or (most is not None and found > most):
        bounds = " and ".join(
            part
            for part in (
                f"at least {least:g}" if least is not None else "",
                f"at most {most:g}" if most is not None else "",
            )
            if part
        )
        yield f"its {what} is {found:g}; allowed: {bounds}{' ' + unit if unit else ''}"
