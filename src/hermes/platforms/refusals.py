"""A vendor's clear no, as an error for the caller: platforms keep tables of `Refusal` and build errors from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hermes.errors import HermesError, InvalidArguments, OutcomeUnknown, PlatformUnavailable, RateLimited

_MAX_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class Refusal:
    """What one of the vendor's error codes means for a caller.

    Attributes:
        kind: the error to raise.
        way_out: a sentence that says what to do now.
        argument: the tool's argument that is at fault, if it is one.
        retry_after: seconds to wait when the vendor does not say it itself.
    """

    kind: type[HermesError]
    way_out: str
    argument: str | None = None
    retry_after: float | None = None

    def error(
        self, platform_id: str, title: str, code: int | str, message: str, *, retry_after: float | None = None
    ) -> HermesError:
        """The error for one answer.

        Args:
            platform_id: the platform.
            title: its name for people.
            code: the vendor's own code, kept as `platform_code`.
            message: the vendor's own words, kept as `platform_message`.
            retry_after: seconds that the vendor asks to wait.
        """
        message = message.strip()[:_MAX_MESSAGE]
        wait = retry_after if retry_after is not None else self.retry_after
        data: dict[str, Any] = {"platform_code": code, "platform_message": message}
        if self.kind is InvalidArguments and self.argument is not None:
            data["fields"] = [{"field": self.argument, "problem": self.way_out}]
        if self.kind is RateLimited:
            data["limited_by"] = platform_id
        return self.kind(f"{title} says: {message.rstrip('.')}. {self.way_out}", retry_after=wait, **data)


@contextmanager
def nothing_published(title: str) -> Iterator[None]:
    """Around steps that only prepare: what they make is seen by nobody, so that a lost answer leaves nothing unknown.

    Raises:
        PlatformUnavailable: in place of `OutcomeUnknown`.
    """
    try:
        yield
    except OutcomeUnknown as error:
        raise PlatformUnavailable(
            f"{title} gave no clear answer while the post was being prepared. Nothing was published: try again.",
            detail=error.detail,
        ) from None
