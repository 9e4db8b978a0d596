"""API keys as text: form, checksum, digest."""

from __future__ import annotations

import hashlib
import itertools
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.identity.api_key import KEY_LENGTH, PREFIX, digest_of, generate_api_key, is_well_formed

KEY = generate_api_key()


def test_new_keys_are_well_formed_and_differ() -> None:
    keys = {generate_api_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(is_well_formed(key) and len(key) == KEY_LENGTH for key in keys)
    assert all(re.fullmatch(r"sq_live_[0-9A-Za-z]{49}", key) for key in keys)


@pytest.mark.parametrize(
    "text",
    [
        "",
        PREFIX,
        KEY[:-1],
        KEY + "0",
        KEY + "\n",
        " " + KEY,
        KEY.upper(),
        KEY.replace("sq_live_", "sq_test_"),
        KEY[len(PREFIX) :],
        KEY[:20] + "-" + KEY[21:],
        KEY[:20] + "é" + KEY[21:],
        KEY[:20] + "\x00" + KEY[21:],
        "sq_live_" + "0" * 49,
        "sq_live_" + "０" * 49,
    ],
    ids=itertools.count(),  # the same in every process that collects them
)
def test_other_texts_are_malformed(text: str) -> None:
    assert not is_well_formed(text)


@given(place=st.integers(len(PREFIX), KEY_LENGTH - 1), char=st.sampled_from(string.ascii_letters + string.digits))
def test_a_mistyped_character_is_always_noticed(place: int, char: str) -> None:
    mistyped = KEY[:place] + char + KEY[place + 1 :]
    assert is_well_formed(mistyped) == (mistyped == KEY)


@given(st.text())
def test_any_text_is_judged_without_an_error(text: str) -> None:
    assert is_well_formed(text) is False
    assert len(digest_of(text)) == 32


def test_the_digest_is_sha256_of_the_whole_key() -> None:
    assert digest_of(KEY) == hashlib.sha256(KEY.encode()).digest()
    assert len(digest_of("\ud800")) == 32
