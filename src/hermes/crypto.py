"""Sealing secrets: AES-256-GCM with key ids, so that keys can be rotated while everything stays readable.

    sealed = "{keyId}." + hex(IV, 12 bytes ‖ tag, 16 bytes ‖ ciphertext)

A key id starts with its kind, two characters that name both the format of what follows the dot and where the key
lives: `a1` is format 1 under a key that hermes is given, followed by 12 hex digits derived from that key; `k1` is
format 1 under a data key that a KMS wraps, followed by 12 random hex digits that the KMS binds to it (`hermes.keys`).
A value of a kind that this version does not know is reported as such.

The associated data is the name under which the value is kept, so a value moved to another name does not open.
IVs are random: NIST SP 800-38D, 8.3, allows 2**32 values under one key, far beyond what a gateway seals.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
from collections.abc import Awaitable, Callable, Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hermes.settings import Settings, SettingsError

KEY_BYTES = 32
_IV_BYTES = 12
_TAG_BYTES = 16
LOCAL_KIND = "a1"
WRAPPED_KIND = "k1"
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


class Key:
    """One key, ready for use: its cipher is made once.

    Attributes:
        id: what stands in front of everything that it seals.
    """

    __slots__ = ("_fingerprint", "_mac_key", "cipher", "id")

    def __init__(self, key: bytes, key_id: str | None = None) -> None:
        """Take a key of 32 bytes. Its id is derived from it unless it is one that a KMS wraps, which has its own.

        Raises:
            MalformedKey: a key of another length.
        """
        if len(key) != KEY_BYTES:
            raise MalformedKey(f"an encryption key has {KEY_BYTES} bytes, not {len(key)}")
        self.cipher = AESGCM(key)
        self.id = key_id or LOCAL_KIND + _mac(key, b"hermes key id 1").hex()[:_KEY_ID_DIGITS]
        self._mac_key = _mac(key, b"hermes digest 1")
        self._fingerprint = _mac(key, b"hermes key 1")

    def is_same(self, other: Key) -> bool:
        """Whether both are one key; in constant time."""
        return hmac.compare_digest(self._fingerprint, other._fingerprint)

    def digest(self, purpose: str, data: bytes) -> str:
        # The purpose's length goes first, so that no two pairs of purpose and data are the same message.
        label = purpose.encode()
        return _mac(self._mac_key, len(label).to_bytes(4, "big") + label + data).hex()

    def __repr__(self) -> str:
        return f"<key {self.id}>"


class Keyring:
    """The keys of one store: the current one seals, it and the others open.

    Attributes:
        learn: looks up a key that came into use after this keyring was made, and adds it if there is such a key.
    """

    __slots__ = ("_current", "_keys", "learn")

    def __init__(self, current: bytes | Key, old: Iterable[bytes | Key] = ()) -> None:
        """Take the keys, 32 bytes each.

        Raises:
            MalformedKey: a key of another length, or two different keys with the same id.
        """
        self._current = current if isinstance(current, Key) else Key(current)
        self._keys = {self._current.id: self._current}
        self.learn: Callable[[str], Awaitable[None]] | None = None
        for key in old:
            self.add(key if isinstance(key, Key) else Key(key))

    def add(self, key: Key) -> None:
        """Have this key open what it sealed.

        Raises:
            MalformedKey: another key has its id.
        """
        if not self._keys.setdefault(key.id, key).is_same(key):
            raise MalformedKey(f"two different keys have the id {key.id}; replace the newer one")

    def seal_with(self, key_id: str) -> None:
        """Make one of the keys the current one."""
        self._current = self._keys[key_id]

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
        return cls(current, _old_keys(settings))

    @property
    def current_id(self) -> str:
        """The id of the current key."""
        return self._current.id

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys, the current one first."""
        return (self.current_id, *(key_id for key_id in self._keys if key_id != self.current_id))

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

    async def open_stored(self, sealed: str, name: str) -> bytes:
        """As `open`, for what outlives the process that sealed it: a key that is not known here is looked up first."""
        key_id = key_id_of(sealed)
        if self.learn is not None and key_id not in self._keys:
            await self.learn(key_id)
        return self.open(sealed, name)

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
        if key_id[:2] not in (LOCAL_KIND, WRAPPED_KIND):
            return f"unknown format: {key_id[:2]}"
        return f"unknown key: {key_id[: 2 + _KEY_ID_DIGITS]} is not among the keys of this process"


def key_id_of(sealed: str) -> str:
    """The id of the key that sealed a value, as it stands in front of it; empty when nothing does."""
    key_id, dot, _ = sealed.partition(".")
    return key_id if dot and _KEY_ID.fullmatch(key_id) else ""


def new_wrapped_key_id() -> str:
    """A random id for a key that a KMS is to wrap."""
    return WRAPPED_KIND + os.urandom(_KEY_ID_DIGITS // 2).hex()


def local_keys(settings: Settings) -> list[Key]:
    """The keys of `CREDENTIAL_ENCRYPTION_KEY`, if it is set, and `CREDENTIAL_ENCRYPTION_KEYS_OLD`.

    Raises:
        SettingsError: one is malformed; the message names the setting, not the value.
    """
    given = settings.credential_encryption_key
    current = [] if given is None else [_setting("CREDENTIAL_ENCRYPTION_KEY", given.get_secret_value())]
    return [Key(raw) for raw in (*current, *_old_keys(settings))]


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


def _old_keys(settings: Settings) -> list[bytes]:
    setting = settings.credential_encryption_keys_old
    words = setting.get_secret_value().split(",") if setting is not None else []
    return [_setting("CREDENTIAL_ENCRYPTION_KEYS_OLD", word) for word in words if word.strip()]


def _setting(name: str, text: str) -> bytes:
    try:
        return parse_key(text)
    except MalformedKey as error:
        raise SettingsError(f"{name}: {error} (example: the output of `hermes keys generate`)") from None


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
