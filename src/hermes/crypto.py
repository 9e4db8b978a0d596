"""Sealing secrets: AES-256-GCM with key ids, so that keys can be rotated while everything stays readable.

    sealed = "{keyId}." + hex(IV, 12 bytes ‖ tag, 16 bytes ‖ ciphertext)

A key id starts with its kind, two characters that name both the format of what follows the dot and where the key
lives: `a1` is format 1 under a key that hermes holds itself, followed by 12 hex digits derived from that key. A key
wrapped by a KMS gets a kind of its own; a value of a kind that this version does not know is reported as such.

The associated data is the name under which the value is kept, so a value moved to another name does not open.
IVs are random: NIST SP 800-38D, 8.3, allows 2**32 values under one key, far beyond what a gateway seals.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from hermes.settings import Settings, SettingsError

KEY_BYTES = 32
_IV_BYTES = 12
_TAG_BYTES = 16
_KIND = "a1"
_KEY_ID_DIGITS = 12
_KEY_ID = re.compile(r"[a-z][0-9][0-9a-f]{1,64}", re.ASCII)
_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_BASE64_KEY = re.compile(r"[A-Za-z0-9+/_-]{43}=?", re.ASCII)


class Undecryptable(Exception):
    """A sealed value does not open. `reason` is for the log; it holds neither secret nor plaintext."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MalformedKey(ValueError):
    """A text is not a key. The message says what a key looks like and never holds the text."""


class _Key:
    """One key, ready for use: its cipher is made once."""

    __slots__ = ("_mac_key", "cipher", "id")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise MalformedKey(f"an encryption key has {KEY_BYTES} bytes, not {len(key)}")
        self.cipher = AESGCM(key)
        self.id = _KIND + _mac(key, b"hermes key id 1").hex()[:_KEY_ID_DIGITS]
        self._mac_key = _mac(key, b"hermes digest 1")

    def digest(self, purpose: str, data: bytes) -> str:
        # The purpose's length goes first, so that no two pairs of purpose and data are the same message.
        label = purpose.encode()
        return _mac(self._mac_key, len(label).to_bytes(4, "big") + label + data).hex()

    def __repr__(self) -> str:
        return f"<key {self.id}>"


class Keyring:
    """The keys of one store: the current one seals, it and the old ones open.

    Attributes:
        current_id: the id of the current key, which stands in front of everything it sealed.
    """

    __slots__ = ("_current", "_keys", "current_id")

    def __init__(self, current: bytes, old: Iterable[bytes] = ()) -> None:
        """Take the keys, 32 bytes each.

        Raises:
            MalformedKey: a key of another length, or two different keys with the same id.
        """
        self._current = _Key(current)
        self.current_id = self._current.id
        self._keys = {self.current_id: self._current}
        known = {self.current_id: current}
        for raw in old:
            key = _Key(raw)
            if not hmac.compare_digest(known.setdefault(key.id, raw), raw):
                raise MalformedKey(f"two different keys have the id {key.id}; replace the newer one")
            self._keys.setdefault(key.id, key)

    @classmethod
    def from_settings(cls, settings: Settings) -> Keyring:
        """The keyring of `CREDENTIAL_ENCRYPTION_KEY` and `CREDENTIAL_ENCRYPTION_KEYS_OLD`.

        Raises:
            SettingsError: the key is missing, or one is malformed; the message names the setting, not the value.
        """
        if settings.credential_encryption_key is None:
            raise SettingsError(
                "CREDENTIAL_ENCRYPTION_KEY is not set (make one with `hermes keys generate` and keep it safe: "
                "without it the stored credentials cannot be read)"
            )
        current = _setting("CREDENTIAL_ENCRYPTION_KEY", settings.credential_encryption_key.get_secret_value())
        return cls(current, _old_keys(settings.credential_encryption_keys_old))

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys, the current one first."""
        return tuple(self._keys)

    def seal(self, plaintext: bytes, name: str) -> str:
        """Encrypt with the current key for the place called `name`; only `open` with the same name gives it back."""
        iv = os.urandom(_IV_BYTES)
        encrypted = self._current.cipher.encrypt(iv, plaintext, name.encode())
        ciphertext, tag = encrypted[:-_TAG_BYTES], encrypted[-_TAG_BYTES:]
        return f"{self.current_id}.{(iv + tag + ciphertext).hex()}"

    def open(self, sealed: str, name: str) -> bytes:
        """Decrypt what was sealed for `name`.

        Raises:
            Undecryptable: whatever is wrong with the value: cut short, changed, sealed for another name or by a key
                that is not here. Nothing else is raised for any text.
        """
        key_id, dot, body = sealed.partition(".")
        if not dot or not _KEY_ID.fullmatch(key_id):
            raise Undecryptable("malformed: no key id in front")
        key = self._keys.get(key_id)
        if key is None:
            raise Undecryptable(self._unknown(key_id))
        try:
            blob = bytes.fromhex(body)
            associated = name.encode()
        except ValueError:
            raise Undecryptable("malformed: not hexadecimal") from None
        # fromhex skips blanks and takes capitals; one value has one spelling only.
        if blob.hex() != body:
            raise Undecryptable("malformed: not in canonical form")
        iv, tag, ciphertext = blob[:_IV_BYTES], blob[_IV_BYTES : _IV_BYTES + _TAG_BYTES], blob[_IV_BYTES + _TAG_BYTES :]
        if len(tag) < _TAG_BYTES:
            raise Undecryptable("truncated: shorter than an empty value")
        try:
            return key.cipher.decrypt(iv, ciphertext + tag, associated)
        except InvalidTag:
            raise Undecryptable("authentication failed: changed, cut short, or sealed for another name") from None

    def digest(self, purpose: str, data: bytes) -> str:
        """A keyed fingerprint (HMAC-SHA-256, hex) of data that must not be guessable, e.g. short arguments.

        `purpose` keeps the fingerprints of different uses apart. Compare with `same`, which knows the old keys too.
        """
        return self._current.digest(purpose, data)

    def same(self, digest: str, purpose: str, data: bytes) -> bool:
        """Whether `digest` was made of this data for this purpose by any key here; in constant time per key."""
        given = digest.encode("utf-8", "replace")
        return any(hmac.compare_digest(key.digest(purpose, data).encode(), given) for key in self._keys.values())

    def __repr__(self) -> str:
        return f"<Keyring {', '.join(self.key_ids)}>"

    @staticmethod
    def _unknown(key_id: str) -> str:
        if not key_id.startswith(_KIND):
            return f"unknown format: {key_id[:2]}"
        return f"unknown key: {key_id[: len(_KIND) + _KEY_ID_DIGITS]} is not among the keys of this process"


def key_id_of(sealed: str) -> str:
    """The id of the key that sealed a value, as it stands in front of it; empty when nothing does."""
    key_id, dot, _ = sealed.partition(".")
    return key_id if dot and _KEY_ID.fullmatch(key_id) else ""


def generate_key() -> str:
    """A new random key as text (64 hex digits), as `CREDENTIAL_ENCRYPTION_KEY` takes it."""
    return os.urandom(KEY_BYTES).hex()


def parse_key(text: str) -> bytes:
    """The 32 bytes of a key written as 64 hex digits or as base64 (standard or URL-safe, padded or not).

    Raises:
        MalformedKey: anything else; the message says what was found without showing it.
    """
    text = text.strip()
    if _HEX_KEY.fullmatch(text):
        return bytes.fromhex(text)
    if _BASE64_KEY.fullmatch(text):
        standard = text.rstrip("=").replace("-", "+").replace("_", "/") + "="
        try:
            return base64.b64decode(standard, validate=True)
        except binascii.Error:
            raise MalformedKey("is neither 64 hex digits nor the base64 of 32 bytes") from None
    raise MalformedKey(
        f"must be 32 bytes as 64 hex digits or as base64; this has {len(text)} characters of another form"
    )


def _old_keys(setting: SecretStr | None) -> list[bytes]:
    words = setting.get_secret_value().split(",") if setting is not None else []
    return [_setting("CREDENTIAL_ENCRYPTION_KEYS_OLD", word) for word in words if word.strip()]


def _setting(name: str, text: str) -> bytes:
    try:
        return parse_key(text)
    except MalformedKey as error:
        raise SettingsError(f"{name}: {error} (example: the output of `hermes keys generate`)") from None


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
