"""Data keys are wrapped by a KMS, bound to their id, learned by every server, and never seen."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hermes.crypto import Key, Keyring, Undecryptable, key_id_of, parse_key
from hermes.errors import Conflict
from hermes.keys.service import SETTLED_AFTER, Keys
from hermes.keys.wrapping import CannotUnwrap, WrappedKey, wrapping_of
from hermes.rekeying import begin_newest
from hermes.settings import SettingsError
from hermes.storage.sql import Database
from keys.conftest import LOCAL, Kms, change, data_keys

pytestmark = pytest.mark.storage

NAME = "creds:cus_a:telegram"


@contextmanager
def refusing(code: str) -> Iterator[str]:
    """A KMS that has one answer."""

    class Refusal(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            body = json.dumps({"__type": code, "message": "no"}).encode()
            self.send_response(400)
            self.send_header("content-type", "application/x-amz-json-1.1")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def rows(database: Database) -> list[tuple[object, ...]]:
    return [
        (row.id, row.wrapped, row.wrapped_by, row.activated_at, row.retired_at) for row in await data_keys(database)
    ]


async def test_what_one_server_seals_under_a_data_key_another_opens(kms: Kms, database: Database) -> None:
    made = await kms.generate(database)
    one, other = await kms.open(database), await kms.open(database)
    sealed = one.keyring.seal(b"secret", NAME)
    assert key_id_of(sealed) == made.id == one.keyring.current_id
    assert other.keyring.open(sealed, NAME) == b"secret"
    with pytest.raises(Undecryptable):
        other.keyring.open(sealed, "creds:cus_b:telegram")
    [row] = await data_keys(database)
    assert row.activated_at is not None
    assert kms.plain(row) not in base64.b64decode(row.wrapped)
    assert kms.key_id in row.wrapped_by


async def test_a_server_of_either_provider_opens_what_the_other_sealed(kms: Kms, database: Database) -> None:
    await kms.generate(database)
    before = await kms.open(database, "local", CREDENTIAL_ENCRYPTION_KEY=LOCAL)
    after = await kms.open(database, CREDENTIAL_ENCRYPTION_KEY=LOCAL)
    assert before.keyring.current_id == Keyring(parse_key(LOCAL)).current_id
    assert after.keyring.open(before.keyring.seal(b"1", NAME), NAME) == b"1"
    assert before.keyring.open(after.keyring.seal(b"2", NAME), NAME) == b"2"


async def test_without_a_data_key_the_server_says_how_to_make_one(kms: Kms, database: Database) -> None:
    with pytest.raises(SettingsError, match="hermes keys generate --provider aws-kms"):
        await kms.open(database)
    assert await rows(database) == []


async def test_data_keys_in_use_are_not_forgotten_by_taking_away_the_setting(kms: Kms, database: Database) -> None:
    made = await kms.generate(database)
    with pytest.raises(SettingsError, match=f"AWS_KMS_KEY_ID.*{made.id}"):
        await kms.open(database, "local", CREDENTIAL_ENCRYPTION_KEY=LOCAL, AWS_KMS_KEY_ID="")
    with pytest.raises(SettingsError, match="AWS_KMS_KEY_ID"):
        kms.settings(AWS_KMS_KEY_ID="")
    with pytest.raises(SettingsError, match="AWS_REGION"):
        await kms.open(database, AWS_REGION="")


async def test_wrapped_keys_that_were_moved_changed_or_made_for_something_else_do_not_open(
    kms: Kms, database: Database
) -> None:
    await kms.generate(database)
    await kms.generate(database)
    one, other = await data_keys(database)
    blob = base64.b64decode(one.wrapped)
    foreign = kms.client.generate_data_key(
        KeyId=kms.key_id, KeySpec="AES_256", EncryptionContext={"application": "billing", "key_id": one.id}
    )["CiphertextBlob"]
    for wrapped in (
        other.wrapped,
        base64.b64encode(blob[:-1] + bytes([blob[-1] ^ 1])).decode(),
        base64.b64encode(blob[:20]).decode(),
        base64.b64encode(foreign).decode(),
        "not base64 !",
    ):
        await change(database, one.id, wrapped=wrapped)
        before = await rows(database)
        with pytest.raises(CannotUnwrap, match=f"{one.id}.*table data_keys.*Nothing was changed"):
            await kms.open(database)
        assert await rows(database) == before
    await change(database, one.id, wrapped=one.wrapped)
    assert one.id in (await kms.open(database)).keyring.key_ids


async def test_a_key_that_somebody_else_wrapped_and_put_into_the_table_is_not_taken(
    kms: Kms, database: Database
) -> None:
    made = await kms.generate(database)
    theirs = kms.client.generate_data_key(
        KeyId=kms.new_key(), KeySpec="AES_256", EncryptionContext={"application": "hermes", "key_id": made.id}
    )
    wrapped = base64.b64encode(theirs["CiphertextBlob"]).decode()
    await change(database, made.id, wrapped=wrapped, wrapped_by=theirs["KeyId"])
    with pytest.raises(CannotUnwrap, match=made.id):
        await kms.open(database)


async def test_the_kms_key_itself_can_be_replaced(kms: Kms, database: Database) -> None:
    made = await kms.generate(database)
    former, kms.key_id = kms.key_id, kms.new_key()
    with pytest.raises(CannotUnwrap, match=made.id):
        await kms.open(database)
    kms.key_id = f"{kms.key_id},{former}"
    opened = await kms.open(database)
    assert opened.keyring.current_id == made.id
    newer = await kms.generate(database)
    assert former not in newer.wrapped_by


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("AccessDeniedException", "refuses access; allow kms:GenerateDataKey and kms:Decrypt"),
        ("DisabledException", "is disabled; enable it"),
        ("KMSInvalidStateException", "pending deletion"),
        ("NotFoundException", "no such key"),
        ("InvalidCiphertextException", "was changed"),
        ("IncorrectKeyException", "wrapped by another key"),
        ("UnrecognizedClientException", "does not know the AWS credentials"),
        ("SomethingNewException", "SomethingNewException"),
    ],
)
async def test_what_the_kms_refuses_is_said_in_plain_words(kms: Kms, database: Database, code: str, says: str) -> None:
    await kms.generate(database)
    before = await rows(database)
    with refusing(code) as url:
        with pytest.raises(CannotUnwrap) as refused:
            await kms.open(database, AWS_ENDPOINT_URL_KMS=url)
        wrapping = wrapping_of(kms.settings(AWS_ENDPOINT_URL_KMS=url))
        assert wrapping is not None
        with pytest.raises(CannotUnwrap, match=code):
            await wrapping.make("k1000000000000")
    assert says in str(refused.value)
    assert "Nothing was changed" in str(refused.value)
    assert await rows(database) == before


async def test_a_kms_that_does_not_answer_is_told_and_matters_only_at_the_start(kms: Kms, database: Database) -> None:
    await kms.generate(database)
    with pytest.raises(CannotUnwrap, match=r"does not answer.*check the network"):
        await kms.open(database, AWS_ENDPOINT_URL_KMS="http://127.0.0.1:1")
    running = await kms.open(database)
    sealed = running.keyring.seal(b"secret", NAME)
    with refusing("KMSInternalException") as url:
        cut_off = Keys(database, kms.settings(), wrapping_of(kms.settings(AWS_ENDPOINT_URL_KMS=url)), running.keyring)
        await cut_off.refresh()
        assert await running.keyring.open_stored(sealed, NAME) == b"secret"
        newer = await kms.generate(database)
        with pytest.raises(CannotUnwrap):
            await cut_off.refresh()
        await cut_off.learn(newer.id)
    assert running.keyring.open(running.keyring.seal(b"more", NAME), NAME) == b"more"


async def test_a_new_data_key_seals_once_every_server_had_time_to_learn_it(kms: Kms, database: Database) -> None:
    first = await kms.generate(database)
    now = datetime.now(UTC)
    opened = await kms.open(database)
    operator = Keys(database, kms.settings(), wrapping_of(kms.settings()), opened.keyring, now=lambda: now)
    server = await kms.open(database)
    newer = await kms.generate(database)
    now = datetime.now(UTC)
    with pytest.raises(Conflict, match=newer.id):
        await operator.activate()
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        nonlocal now
        pauses.append(seconds)
        now += timedelta(seconds=seconds)

    await begin_newest(operator, lambda _what: None, pause=pause)
    assert 0 < pauses[0] <= SETTLED_AFTER.total_seconds()
    assert (operator.keyring.current_id, server.keyring.current_id) == (newer.id, first.id)
    sealed = operator.keyring.seal(b"secret", NAME)
    assert await server.keyring.open_stored(sealed, NAME) == b"secret"
    await server.refresh()
    assert server.keyring.current_id == newer.id
    assert server.keyring.open(opened.keyring.seal(b"old", NAME), NAME) == b"old"
    await begin_newest(operator, lambda _what: None, pause=pause)
    assert len(pauses) == 2


async def test_an_unknown_key_id_is_looked_up_once_in_a_while(kms: Kms, database: Database) -> None:
    await kms.generate(database)
    reads, clock = 0, 0.0

    class Counting:
        def reading(self) -> object:
            nonlocal reads
            reads += 1
            return database.reading()

    opened = await kms.open(database)
    wrapping = wrapping_of(kms.settings())
    Keys(Counting(), kms.settings(), wrapping, opened.keyring, monotonic=lambda: clock)  # type: ignore[arg-type]
    unknown = f"k1{'0' * 12}.{'0' * 56}"
    for _ in range(5):
        with pytest.raises(Undecryptable, match="k1000000000000 is not among the keys"):
            await opened.keyring.open_stored(unknown, NAME)
    assert reads == 1
    for other in ("rubbish", "a1000000000000.00", "k1zz.00", "z9000000000000.00"):
        with pytest.raises(Undecryptable):
            await opened.keyring.open_stored(other, NAME)
    assert reads == 1
    clock += 60
    with pytest.raises(Undecryptable):
        await opened.keyring.open_stored(unknown, NAME)
    assert reads == 2


async def test_retired_keys_are_unwrapped_for_two_days_and_then_only_when_something_needs_them(
    kms: Kms, database: Database
) -> None:
    first = await kms.generate(database)
    old = (await kms.open(database)).keyring.seal(b"from a backup", NAME)
    await kms.generate(database)
    [_, newer] = await data_keys(database)
    await change(database, newer.id, activated_at=datetime.now(UTC))
    opened = await kms.open(database)
    await opened.retire_others()
    assert set((await kms.open(database)).keyring.key_ids) == {first.id, newer.id}
    await change(database, first.id, retired_at=datetime.now(UTC) - timedelta(days=3))
    late = await kms.open(database)
    assert late.keyring.key_ids == (newer.id,)
    assert await late.keyring.open_stored(old, NAME) == b"from a backup"
    await change(database, first.id, wrapped="!", retired_at=datetime.now(UTC))
    assert (await kms.open(database)).keyring.key_ids == (newer.id,)


async def test_a_key_is_never_logged_or_shown(
    kms: Kms, database: Database, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    await kms.generate(database)
    opened = await kms.open(database)
    opened.keyring.seal(b"secret", NAME)
    [row] = await data_keys(database)
    plain = kms.plain(row)
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    again = await kms.open(database)
    shown = [repr(one) for one in (again, again.keyring, Key(plain), WrappedKey(plain, "", ""), row)]
    everything = "\n".join([*shown, caplog.text, *capsys.readouterr()])
    for spelled in (plain.hex(), base64.b64encode(plain).decode(), repr(plain), base64.b64encode(plain[:30]).decode()):
        assert spelled not in everything
    assert row.id in everything


def test_a_server_without_a_kms_does_not_load_its_client() -> None:
    code = (
        "import sys, hermes.app, hermes.keys.wrapping as w, hermes.settings as s;"
        "assert w.wrapping_of(s.load_settings({}, env_file=None)) is None;"
        "sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
