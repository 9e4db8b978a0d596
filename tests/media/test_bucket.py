"""Media in a bucket of an S3-compatible store: a stand-in of S3 that is a process of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from ephemeral_port_reserve import reserve
from fastapi import FastAPI

from hermes.crypto import Keyring
from hermes.errors import Internal
from hermes.identity.caller import Caller, Grants, Via
from hermes.media.bucket import BucketPlace
from hermes.media.limits import limit_of
from hermes.media.places import PlaceUnavailable
from hermes.media.routes import build_router
from hermes.media.sealed import CHUNK
from hermes.media.store import MediaStore
from hermes.settings import Settings, SettingsError, load_settings
from hermes.transports.problem_handlers import install_problem_handlers
from media.test_store import ANYTHING, content_of, peak

pytestmark = pytest.mark.storage

BUCKET = "uploads"


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of the stand-in (moto)."""
    port = reserve()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _await_port(port, process)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the stand-in of S3 did not start")


def settings_for(url: str, bucket: str = BUCKET) -> Settings:
    named = {"BUCKET": bucket, "ENDPOINT": url, "REGION": "us-east-1", "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s"}
    return load_settings({f"MEDIA_S3_{name}": value for name, value in named.items()}, env_file=None)


class Bucket:
    """A store over the bucket, and a look at what lies there."""

    def __init__(self, url: str, media: Any) -> None:
        self.place = BucketPlace.from_settings(settings_for(url), BUCKET)
        self.client = self.place._client
        self.store = MediaStore(
            media.database, Keyring(b"k" * 32), media.store._guarded, self.place, now=lambda: media.clock[0]
        )

    def objects(self) -> dict[str, bytes]:
        found = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", ())
        return {one["Key"]: self.client.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in found}

    def begun(self) -> list[str]:
        return [one["UploadId"] for one in self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]


@pytest.fixture
async def bucket(s3: str, media: Any) -> AsyncIterator[Bucket]:
    async with httpx2.AsyncClient() as http:
        await http.post(f"{s3}/moto-api/reset")
    opened = Bucket(s3, media)
    opened.client.create_bucket(Bucket=BUCKET)
    yield opened
    opened.store.close()


def many(size: int) -> bytes:
    return os.urandom(1024) * (size // 1024) + bytes(size % 1024)


@pytest.mark.parametrize("size", [0, 5, CHUNK + 7, 8 * CHUNK, 20 * CHUNK + 3], ids=str)
async def test_what_lies_in_a_bucket_comes_back_whole_and_in_parts(bucket: Bucket, media: Any, size: int) -> None:
    content = many(size)
    handle = await bucket.store.keep("cus_a", media.pieces(content), filename="a", content_type="")
    opened = await bucket.store.kept("cus_a", handle)
    assert await content_of(opened) == content
    assert await content_of(opened, size // 2, 100) == content[size // 2 : size // 2 + 100]
    ((key, sealed),) = bucket.objects().items()
    assert key == f"media/cus_a/{handle}"
    assert size == 0 or content[:1000] not in sealed
    assert bucket.begun() == []
    await bucket.store.delete("cus_a", handle)
    assert bucket.objects() == {}


async def test_a_photo_is_known_by_its_content_and_a_url_leaves_nothing(bucket: Bucket, media: Any) -> None:
    handle = await bucket.store.keep("cus_a", media.pieces(media.jpeg()), filename="a", content_type="")
    assert (await bucket.store.describe("cus_a", handle)).width == 300
    await bucket.store.delete("cus_a", handle)
    url = media.serve("/a", many(9 * CHUNK), "application/octet-stream")
    async with bucket.store.open("cus_a", url, ANYTHING, field="video") as file:
        assert file.size == 9 * CHUNK
        assert len(bucket.objects()) == 1
    assert bucket.objects() == {}


async def test_an_upload_that_breaks_off_leaves_no_parts_behind(bucket: Bucket) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield many(20 * CHUNK)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await bucket.store.keep("cus_a", breaks(), filename="a", content_type="")
    assert (bucket.objects(), bucket.begun()) == ({}, [])


async def test_what_dead_processes_left_goes_and_what_is_kept_stays(bucket: Bucket, media: Any) -> None:
    kept = await bucket.store.keep("cus_a", media.pieces(b"kept"), filename="a", content_type="")
    bucket.client.put_object(Bucket=BUCKET, Key="another program's", Body=b"x")
    bucket.client.create_multipart_upload(Bucket=BUCKET, Key="media/fetched/left")
    assert len(bucket.begun()) == 1
    await bucket.store.sweep()
    # The stand-in says of every upload that it began in 2010.
    assert (set(bucket.objects()), bucket.begun()) == ({f"media/cus_a/{kept}", "another program's"}, [])
    await asyncio.to_thread(bucket.place.remove_older, datetime.now(UTC).timestamp() + 60)
    assert set(bucket.objects()) == {"another program's"}


async def test_a_file_that_is_gone_is_no_empty_file(bucket: Bucket, media: Any) -> None:
    handle = await bucket.store.keep("cus_a", media.pieces(b"x" * 100), filename="a", content_type="")
    bucket.client.delete_object(Bucket=BUCKET, Key=f"media/cus_a/{handle}")
    with pytest.raises(Internal, match="upload it again"):
        await content_of(await bucket.store.kept("cus_a", handle))


async def test_a_large_file_passes_through_a_bucket_in_little_memory(bucket: Bucket) -> None:
    # More than it may take of memory; the stand-in, which holds it all, does not manage a gigabyte.
    size, piece = 128 * CHUNK, os.urandom(CHUNK)

    async def much() -> AsyncIterator[bytes]:
        for _ in range(size // CHUNK):
            yield piece

    before = peak()
    handle = await bucket.store.keep("cus_a", much(), filename="a", content_type="application/octet-stream")
    opened = await bucket.store.kept("cus_a", handle)
    # The stand-in reads the whole object for each part that is asked for, so not all of them are.
    assert await content_of(opened, size - CHUNK - 5) == (piece + piece)[-CHUNK - 5 :]
    assert await content_of(opened, 0, 3 * CHUNK) == piece * 3
    assert peak() - before < 64 * 1024 * 1024


async def test_a_store_that_is_away_is_no_fault_of_the_request(media: Any) -> None:
    port = reserve()
    place = BucketPlace.from_settings(settings_for(f"http://127.0.0.1:{port}"), BUCKET)
    store = MediaStore(media.database, Keyring(b"k" * 32), media.store._guarded, place)
    app = FastAPI()
    install_problem_handlers(app)

    async def caller() -> Caller:
        return Caller("customer", "cus_a", Via.API_KEY, "k", Grants.everything(), "free")

    app.include_router(build_router(store, limit_of, None, caller))  # type: ignore[arg-type]  # nothing to audit
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
        answer = await http.put("/api/media?filename=a", content=b"x" * 100)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    with pytest.raises(PlaceUnavailable, match="EndpointConnectionError"):
        await store.check()
    store.close()


async def test_the_place_is_checked(bucket: Bucket, s3: str) -> None:
    assert await bucket.store.check() == f"in the bucket {BUCKET}"
    other = BucketPlace.from_settings(settings_for(s3, "none-such"), "none-such")
    with pytest.raises(PlaceUnavailable, match="no bucket none-such"):
        await asyncio.to_thread(other.check)
    other.close()


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"MEDIA_S3_ENDPOINT": "https://s3.example.com"}, "MEDIA_S3_BUCKET"),
        ({"MEDIA_S3_BUCKET": "b", "MEDIA_S3_ENDPOINT": "s3.example.com"}, "MEDIA_S3_ENDPOINT"),
        ({"MEDIA_S3_BUCKET": "b", "MEDIA_S3_ACCESS_KEY_ID": "k"}, "MEDIA_S3_SECRET_ACCESS_KEY"),
    ],
)
def test_half_a_bucket_stops_the_start(environ: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load_settings(environ, env_file=None)
