"""Kept media: whose they are, how they lie on disk, when they go, and how URLs and rules are treated."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hermes.crypto import Keyring
from hermes.errors import (
    HermesError,
    Internal,
    InvalidArguments,
    NotFound,
    PayloadTooLarge,
    PlatformUnavailable,
    RateLimited,
)
from hermes.media.places import FolderPlace
from hermes.media.rules import check_rules
from hermes.media.sealed import CHUNK
from hermes.media.store import FILES_AT_ONCE, MediaStore
from hermes.platforms.ports import MediaFile, MediaRules

pytestmark = pytest.mark.storage

RULES = MediaRules(types=frozenset({"image/jpeg"}), max_bytes=10_000_000, source="https://vendor.test/limits")
ANYTHING = replace(RULES, types=frozenset({"application/octet-stream"}), max_bytes=2**40)


async def content_of(file: MediaFile, start: int = 0, length: int | None = None) -> bytes:
    return b"".join([piece async for piece in file.read(start, length)])


async def test_a_kept_file_comes_back_whole_with_what_was_found(media) -> None:
    handle = await media.keep("cus_a", media.jpeg(), "../../holiday\u202egpj.exe", "image/png")
    async with media.store.open("cus_a", handle, RULES, field="photo") as file:
        assert await content_of(file) == media.jpeg()
        assert (file.content_type, file.width, file.height, file.seconds) == ("image/jpeg", 300, 200, None)
        assert file.sha256 == hashlib.sha256(media.jpeg()).hexdigest()
        assert (file.filename, file.size) == ("holidaygpj.exe", len(media.jpeg()))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.sampled_from([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 77]), data=st.data())
async def test_any_part_can_be_read(media, size, data) -> None:
    content = (b"0123456789abcdef!" * (size // 17 + 1))[:size]
    handle = await media.keep("cus_a", content)
    start = data.draw(st.integers(0, size + 10))
    length = data.draw(st.none() | st.integers(0, size + 10))
    file = await media.store.kept("cus_a", handle)
    assert await content_of(file, start, length) == content[start : None if length is None else start + length]


async def test_nothing_readable_lies_on_disk(media) -> None:
    await media.keep("cus_a", b"very secret words" * 1000, "secret-name.txt", "text/plain")
    (path,) = media.files()
    assert b"secret" not in path.read_bytes()
    assert "secret" not in str(path)
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["changed", "cut", "swapped", "gone", "another's"])
async def test_damage_on_disk_is_noticed(media, damage) -> None:
    handle = await media.keep("cus_a", os.urandom(3 * CHUNK))
    other = await media.keep("cus_a", os.urandom(3 * CHUNK))
    path, theirs = media.folder / "cus_a" / handle, media.folder / "cus_a" / other
    sealed = bytearray(path.read_bytes())
    block = CHUNK + 16
    if damage == "changed":
        sealed[block + 5] ^= 1
    elif damage == "cut":
        del sealed[2 * block :]
    elif damage == "swapped":
        sealed[:block], sealed[block : 2 * block] = sealed[block : 2 * block], sealed[:block]
    elif damage == "another's":
        sealed = bytearray(theirs.read_bytes())
    path.write_bytes(sealed)
    if damage == "gone":
        path.unlink()
    with pytest.raises(Internal, match="upload it again"):
        await content_of(await media.store.kept("cus_a", handle))


async def test_a_file_belongs_to_one_customer(media) -> None:
    handle = await media.keep("cus_a", media.jpeg())
    for attempt in (
        media.store.describe("cus_b", handle),
        media.store.kept("cus_b", handle),
        media.store.delete("cus_b", handle),
        media.store.hold("cus_b", handle, RULES, field="photo"),
        media.store.open("cus_b", handle, RULES, field="photo").__aenter__(),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert (await media.store.describe("cus_a", handle)).id == handle


async def test_files_expire_after_a_day_and_are_deleted(media) -> None:
    old = await media.keep("cus_a", media.jpeg())
    media.clock[0] += 3600
    new = await media.keep("cus_a", media.jpeg())
    media.clock[0] += 23 * 3600
    with pytest.raises(NotFound):
        await media.store.describe("cus_a", old)
    assert (await media.store.describe("cus_a", new)).id == new
    assert await media.store.sweep() == 1
    assert [path.name for path in media.files()] == [new]


async def test_what_a_dead_process_left_goes_too(media) -> None:
    (media.folder / "fetched").mkdir(parents=True)
    left = media.folder / "fetched" / "left"
    left.write_bytes(b"x")
    os.utime(left, (media.clock[0] - 3 * 86_400,) * 2)
    await media.store.sweep()
    assert media.files() == []


async def test_deleting_removes_the_bytes(media) -> None:
    handle = await media.keep("cus_a", media.jpeg())
    await media.store.delete("cus_a", handle)
    assert media.files() == []
    with pytest.raises(NotFound):
        await media.store.kept("cus_a", handle)


async def test_what_is_too_large_leaves_nothing_behind(media) -> None:
    async def take(size: int, **limits: int) -> None:
        content = media.pieces(bytes(size))
        await media.store.take("cus_a", content, filename="a", content_type="text/plain", **limits)

    with pytest.raises(PayloadTooLarge):
        await take(2 * CHUNK, max_bytes=2 * CHUNK - 1)
    await take(1000, max_total=1500)
    with pytest.raises(PayloadTooLarge, match="kept already"):
        await take(501, max_total=1500)
    await take(500, max_total=1500)
    assert len(media.files()) == 2


async def test_whatever_is_kept_counts_against_the_customers_space(media) -> None:
    store = MediaStore(
        media.database, Keyring(b"k" * 32), media.store._guarded, FolderPlace(media.folder), most_kept=5_000
    )
    url = media.serve("/a.jpg", media.jpeg())
    await store.hold("cus_a", url, RULES, field="photo")
    await store.keep("cus_a", media.pieces(bytes(3_000)), filename="a", content_type="text/plain")
    with pytest.raises(PayloadTooLarge):
        await store.hold("cus_a", url, RULES, field="photo")
    with pytest.raises(PayloadTooLarge):
        await store.keep("cus_a", media.pieces(bytes(2_500)), filename="a", content_type="text/plain")
    await store.hold("cus_b", url, RULES, field="photo")


async def test_an_upload_that_breaks_off_leaves_nothing_behind(media) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield bytes(3 * CHUNK)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await media.store.keep("cus_a", breaks(), filename="a", content_type="text/plain")
    assert media.files() == []


async def test_a_url_is_fetched_for_the_call_and_gone_after_it(media) -> None:
    url = media.serve("/p/holiday.jpg", media.jpeg(), "text/plain")
    async with media.store.open("cus_a", url, RULES, field="photo") as file:
        assert await content_of(file, 5) == media.jpeg()[5:]
        assert (file.filename, file.content_type) == ("holiday.jpg", "image/jpeg")
        assert len(media.files()) == 1
    assert media.files() == []


async def test_a_held_url_stays_what_it_was(media) -> None:
    url = media.serve("/a.jpg", media.jpeg(40, 40))
    handle = await media.store.hold("cus_a", url, RULES, field="photo")
    media.serve("/a.jpg", media.jpeg(50, 50))
    assert await media.store.hold("cus_a", handle, RULES, field="photo") == handle
    async with media.store.open("cus_a", handle, RULES, field="photo") as file:
        assert await content_of(file) == media.jpeg(40, 40)


@pytest.mark.parametrize("place", ["/a.jpg", "https://localhost/", "file:///etc/passwd", "/round"])
async def test_a_redirect_is_refused_wherever_it_leads(media, place) -> None:
    media.serve("/a.jpg", media.jpeg())
    url = media.serve("/round", b"", status=302, location=place)
    with pytest.raises(InvalidArguments) as raised:
        async with media.store.open("cus_a", url, RULES, field="photo"):
            pass
    assert "redirects" in raised.value.data["fields"][0]["problem"]
    assert media.files() == []


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/a.jpg", "http://example.com/a.jpg", "https://files.test:1/", "media", "/etc/passwd", ""]
)
async def test_a_url_that_may_not_be_fetched_is_refused(media, url) -> None:
    with pytest.raises(InvalidArguments) as raised:
        async with media.store.open("cus_a", url, RULES, field="photo"):
            pass
    assert raised.value.data["fields"][0]["field"] == "photo"


async def test_what_a_url_gives_is_checked_before_anyone_sees_it(media) -> None:
    cases: list[tuple[str, type[HermesError]]] = [
        (media.serve("/large", media.jpeg() + bytes(RULES.max_bytes)), PayloadTooLarge),
        (media.serve("/missing", b"", status=404), InvalidArguments),
        (media.serve("/page", b"<html>", "text/html"), InvalidArguments),
        (media.serve("/lie", b"just text"), InvalidArguments),
        (media.serve("/empty", b"", "text/plain"), InvalidArguments),
        (media.serve("/short", media.jpeg(), **{"content-length": "999999"}), PlatformUnavailable),
    ]
    for url, kind in cases:
        with pytest.raises(kind):
            async with media.store.open("cus_a", url, RULES, field="photo"):
                pass
    assert media.files() == []


RULE_CASES = [
    ({"types": frozenset({"video/mp4"})}, "content is image/jpeg; allowed: video/mp4"),
    ({"min_width": 301}, "width is 300; allowed: at least 301 pixels"),
    ({"max_width": 299}, "width is 300; allowed: at most 299 pixels"),
    ({"min_height": 201, "max_height": 900}, "height is 200; allowed: at least 201 and at most 900 pixels"),
    ({"max_sides": 499}, "width plus height is 500; allowed: at most 499 pixels"),
    ({"min_ratio": 1.6}, "width divided by height is 1.5; allowed: at least 1.6"),
    ({"max_ratio": 1.4}, "width divided by height is 1.5; allowed: at most 1.4"),
]


@pytest.mark.parametrize(("change", "problem"), RULE_CASES, ids=[problem[:24] for _, problem in RULE_CASES])
async def test_a_broken_rule_says_what_was_found_what_is_allowed_and_where_it_stands(media, change, problem) -> None:
    file = await media.store.kept("cus_a", await media.keep("cus_a", media.jpeg()))
    check_rules(file, RULES, "photo")
    with pytest.raises(InvalidArguments) as raised:
        check_rules(file, replace(RULES, **change), "photo")
    assert problem in raised.value.data["fields"][0]["problem"]
    assert RULES.source in raised.value.message
    assert raised.value.nothing_sent


async def test_a_large_file_passes_in_little_memory(media) -> None:
    size = int(os.environ.get("HERMES_MEDIA_BYTES", str(200 * CHUNK)))
    piece = os.urandom(CHUNK)

    async def much() -> AsyncIterator[bytes]:
        for _ in range(size // CHUNK):
            yield piece

    before = peak()
    handle = await media.store.keep("cus_a", much(), filename="a", content_type="application/octet-stream")
    read = 0
    async with media.store.open("cus_a", handle, ANYTHING, field="video") as file:
        async for part in file.read(CHUNK // 2):
            read += len(part)
            await asyncio.sleep(0)
    assert read == size // CHUNK * CHUNK - CHUNK // 2
    assert peak() - before < 64 * 1024 * 1024


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


async def test_a_customer_has_a_bounded_number_of_files_under_way(media) -> None:
    began, go = asyncio.Semaphore(0), asyncio.Event()

    async def slow():
        began.release()
        await go.wait()
        yield media.jpeg()

    def put(customer: str):
        return asyncio.create_task(media.store.take(customer, slow(), filename="a.jpg", content_type="image/jpeg"))

    tasks = [put("cus_a") for _ in range(FILES_AT_ONCE)]
    for _ in tasks:
        await began.acquire()
    with pytest.raises(RateLimited):
        await put("cus_a")
    other = put("cus_b")
    await began.acquire()
    go.set()
    await asyncio.gather(*tasks, other)
    await media.store.take("cus_a", slow(), filename="b.jpg", content_type="image/jpeg")
