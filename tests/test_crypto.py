"""Sealed values open only as they were sealed, and everything else is one clear error."""

from __future__ import annotations

import base64
import itertools
import re

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from hermes.crypto import Keyring, MalformedKey, Undecryptable, generate_key, key_id_of, parse_key
from hermes.settings import SettingsError, load_settings

KEY_A = bytes(range(32))
KEY_B = bytes(range(1, 33))
NAME = "creds:c1:telegram"
SEALED = Keyring(KEY_A).seal(b"secret", NAME)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


@given(st.binary(max_size=500), names)
def test_what_was_sealed_opens_under_its_name(plaintext: bytes, name: str) -> None:
    keyring = Keyring(KEY_A)
    sealed = keyring.seal(plaintext, name)
    key_id, _, body = sealed.partition(".")
    assert key_id == keyring.current_id == key_id_of(sealed)
    assert re.fullmatch(r"[0-9a-f]+", body)
    assert len(body) == 2 * (12 + 16 + len(plaintext))
    assert keyring.open(sealed, name) == plaintext


def test_the_layout_is_iv_tag_ciphertext() -> None:
    blob = bytes.fromhex(SEALED.split(".")[1])
    assert AESGCM(KEY_A).decrypt(blob[:12], blob[28:] + blob[12:28], NAME.encode()) == b"secret"


def test_no_two_seals_are_alike() -> None:
    keyring = Keyring(KEY_A)
    assert len({keyring.seal(b"x", NAME) for _ in range(1000)}) == 1000


@given(st.binary(min_size=1, max_size=60), names, names)
def test_another_name_never_opens(plaintext: bytes, name: str, other: str) -> None:
    keyring = Keyring(KEY_A)
    sealed = keyring.seal(plaintext, name)
    if name != other:
        with pytest.raises(Undecryptable):
            keyring.open(sealed, other)


@given(st.integers(min_value=0, max_value=len(SEALED) - 1), st.characters())
def test_one_changed_character_never_opens(position: int, character: str) -> None:
    changed = SEALED[:position] + character + SEALED[position + 1 :]
    if changed != SEALED:
        with pytest.raises(Undecryptable):
            Keyring(KEY_A).open(changed, NAME)


@given(st.integers(min_value=0, max_value=len(SEALED) - 1))
def test_a_shortened_value_never_opens(length: int) -> None:
    for cut in (SEALED[:length], SEALED[len(SEALED) - length :]):
        with pytest.raises(Undecryptable):
            Keyring(KEY_A).open(cut, NAME)


@given(st.one_of(st.text(), st.text().map(lambda tail: SEALED + tail), st.text().map(lambda t: f"{SEALED[:14]}.{t}")))
def test_any_text_opens_or_is_undecryptable(text: str) -> None:
    if text != SEALED:
        with pytest.raises(Undecryptable):
            Keyring(KEY_A).open(text, NAME)


@pytest.mark.parametrize(
    ("sealed", "name", "reason"),
    [
        ("", NAME, "malformed"),
        ("nodot", NAME, "malformed"),
        ("\n\x1b[31m.00", NAME, "malformed"),
        (Keyring(KEY_B).seal(b"secret", NAME), NAME, "unknown key: a1"),
        ("k2abcdef.00", NAME, "unknown format: k2"),
        (SEALED[:31], NAME, "truncated"),
        (SEALED[:-2], NAME, "authentication failed"),
        (SEALED[:-1], NAME, "malformed"),
        (SEALED.replace(".", ". "), NAME, "canonical"),
        (SEALED.split(".")[0] + "." + SEALED.split(".")[1].upper(), NAME, "canonical"),
        (SEALED, "creds:c2:telegram", "authentication failed"),
        (SEALED, "\ud800", "malformed"),
    ],
    ids=itertools.count(),  # the same in every process that collects them
)
def test_the_reason_says_what_is_wrong(sealed: str, name: str, reason: str) -> None:
    with pytest.raises(Undecryptable, match=reason) as caught:
        Keyring(KEY_A).open(sealed, name)
    assert caught.value.reason == str(caught.value)
    assert "\x1b" not in caught.value.reason


def test_old_keys_open_and_the_current_one_seals() -> None:
    both = Keyring(KEY_B, [KEY_A, KEY_B])
    assert both.open(SEALED, NAME) == b"secret"
    assert key_id_of(both.seal(b"x", NAME)) == Keyring(KEY_B).current_id
    assert both.key_ids == (Keyring(KEY_B).current_id, Keyring(KEY_A).current_id)


def test_nothing_shown_holds_key_bytes() -> None:
    keyring = Keyring(KEY_A, [KEY_B])
    for shown in (repr(keyring), str(keyring), repr(keyring._current)):
        assert KEY_A.hex()[:8] not in shown
        assert repr(KEY_A)[2:8] not in shown


def test_digests_keep_keys_purposes_and_data_apart() -> None:
    old, new = Keyring(KEY_A), Keyring(KEY_B, [KEY_A])
    digest = old.digest("arguments", b"data")
    assert old.digest("arguments", b"data") == digest
    assert (
        len(
            {
                digest,
                old.digest("argumentsd", b"ata"),
                old.digest("arguments", b"date"),
                new.digest("arguments", b"data"),
            }
        )
        == 4
    )
    assert new.same(digest, "arguments", b"data")
    assert not new.same(digest, "arguments", b"date")
    assert not new.same("ü\ud800", "arguments", b"data")
    assert not Keyring(KEY_B).same(digest, "arguments", b"data")


@pytest.mark.parametrize(
    "text",
    [
        KEY_A.hex(),
        KEY_A.hex().upper(),
        f"  {KEY_A.hex()}\n",
        base64.b64encode(KEY_A).decode(),
        base64.urlsafe_b64encode(KEY_A).decode(),
        base64.b64encode(KEY_A).decode().rstrip("="),
    ],
)
def test_keys_are_read_as_hex_or_base64(text: str) -> None:
    assert parse_key(text) == KEY_A


@given(st.binary(min_size=32, max_size=32))
def test_every_key_is_read_in_every_spelling(key: bytes) -> None:
    assert parse_key(key.hex()) == parse_key(base64.b64encode(key).decode()) == key
    assert parse_key(base64.urlsafe_b64encode(key).decode().rstrip("=")) == key


@given(st.text(min_size=4).filter(lambda text: len(text.strip()) not in (43, 44, 64)))
def test_any_other_text_is_a_malformed_key(text: str) -> None:
    with pytest.raises(MalformedKey) as caught:
        parse_key(text)
    assert text not in str(caught.value)


def test_generated_keys_are_keys() -> None:
    assert len({parse_key(generate_key()) for _ in range(20)}) == 20


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(MalformedKey, match="32 bytes"):
        Keyring(bytes(length))


def test_settings_give_the_keyring() -> None:
    environ = {
        "CREDENTIAL_ENCRYPTION_KEY": KEY_B.hex(),
        "CREDENTIAL_ENCRYPTION_KEYS_OLD": f"{KEY_A.hex()}, {base64.b64encode(KEY_B).decode()},",
    }
    keyring = Keyring.from_settings(load_settings(environ, env_file=None))
    assert keyring.open(SEALED, NAME) == b"secret"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "CREDENTIAL_ENCRYPTION_KEY is not set"),
        ({"CREDENTIAL_ENCRYPTION_KEY": "hunter2"}, "^CREDENTIAL_ENCRYPTION_KEY: "),
        (
            {"CREDENTIAL_ENCRYPTION_KEY": KEY_A.hex(), "CREDENTIAL_ENCRYPTION_KEYS_OLD": "hunter2"},
            "^CREDENTIAL_ENCRYPTION_KEYS_OLD: ",
        ),
    ],
)
def test_a_missing_or_malformed_key_names_the_setting(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        Keyring.from_settings(load_settings(environ, env_file=None))
    assert "hunter2" not in str(caught.value)
