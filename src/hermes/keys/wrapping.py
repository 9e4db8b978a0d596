"""What a KMS must be able to do for hermes: make a data key that it wraps, and unwrap it again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from hermes.settings import Settings, SettingsError


class CannotUnwrap(SettingsError):
    """A KMS does not give a key, or does not open one. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A new data key.

    Attributes:
        plain: its 32 bytes; held in memory only.
        wrapped: as it may be stored, text.
        wrapped_by: the KMS's name of the key that wrapped it.
    """

    plain: bytes = field(repr=False)
    wrapped: str
    wrapped_by: str


class KeyWrapping(Protocol):
    """A KMS. What it wraps for one key id it unwraps for that id only.

    Attributes:
        provider: its name in `ENCRYPTION_KEY_PROVIDER`.
    """

    provider: str

    async def make(self, key_id: str) -> WrappedKey:
        """A new random key of 32 bytes for the key id.

        Raises:
            CannotUnwrap: the KMS did not give one.
        """
        ...

    async def unwrap(self, key_id: str, wrapped: str) -> bytes:
        """The key that was wrapped for the key id.

        Raises:
            CannotUnwrap: it does not open, or the KMS does not answer.
        """
        ...


def wrapping_of(settings: Settings) -> KeyWrapping | None:
    """The KMS of the settings; none when none is named."""
    if not settings.aws_kms_key_id:
        return None
    # Large, and a server without a KMS does without it.
    from hermes.keys.aws_kms import AwsKms  # noqa: PLC0415

    return AwsKms.from_settings(settings)
