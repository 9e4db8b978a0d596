"""A bucket of an S3-compatible store as the place of sealed files, for replicas that share no disk.

The bucket can and should be private: nothing is ever read from it but by hermes. Every object is sealed before it gets
there, so the store's own checksums and encryption add nothing and are left to the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import boto3
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from hermes.media.places import PlaceUnavailable, Sink
from hermes.settings import Settings

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

log = structlog.get_logger(__name__)

_PREFIX: Final = "media/"
_PART_BYTES: Final = 8 * 1024 * 1024
"""At least 5 MiB but for the last, and at most 10,000 of them. Source: Amazon S3, "Multipart upload limits"."""

_THREADS: Final = 16
_GONE: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_PAST_THE_END: Final = "InvalidRange"


class BucketPlace:
    """One bucket; everything lies below `media/` in it."""

    def __init__(self, bucket: str, client: S3Client) -> None:
        self._bucket = bucket
        self._client = client
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="media-s3")

    @classmethod
    def from_settings(cls, settings: Settings, bucket: str) -> BucketPlace:
        """The bucket, with the credentials of the settings, or those that AWS's own tools would find."""
        key, secret = settings.media_s3_access_key_id, settings.media_s3_secret_access_key
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=settings.media_s3_endpoint,
            region_name=settings.media_s3_region,
            aws_access_key_id=key.get_secret_value() if key else None,
            aws_secret_access_key=secret.get_secret_value() if secret else None,
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"mode": "standard", "max_attempts": 4},
                max_pool_connections=_THREADS,
                # Stores other than Amazon's know neither buckets as host names nor the newer checksums for sure.
                s3={"addressing_style": "path" if settings.media_s3_endpoint else "virtual"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        return cls(bucket, client)

    @property
    def threads(self) -> Executor:
        return self._threads

    def create(self, at: str) -> Sink:
        return _ObjectSink(self._client, self._bucket, _PREFIX + at)

    def read(self, at: str, start: int, length: int) -> bytes:
        """See `Place.read`. Tried again here: an answer that breaks off in its body is beyond the client's retries."""
        again = Retrying(
            retry=retry_if_exception_type(PlaceUnavailable),
            stop=stop_after_attempt(3),
            wait=wait_exponential(0.2, max=2),
            reraise=True,
        )
        return again(self._read, at, start, length)

    def _read(self, at: str, start: int, length: int) -> bytes:
        try:
            with _translated():
                wanted = f"bytes={start}-{start + length - 1}"
                found = self._client.get_object(Bucket=self._bucket, Key=_PREFIX + at, Range=wanted)
                return found["Body"].read()
        except ClientError as error:
            code = _code(error)
            if code == _PAST_THE_END:
                return b""
            raise FileNotFoundError(at) from None

    def remove(self, at: str) -> None:
        with _translated():
            self._client.delete_object(Bucket=self._bucket, Key=_PREFIX + at)

    def remove_older(self, before: float) -> None:
        """See `Place.remove_older`. Uploads that were begun and never ended take space too, and go as well."""
        with _translated():
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=_PREFIX):
                for found in page.get("Contents", ()):
                    key, written = found.get("Key"), found.get("LastModified")
                    if key and written and written.timestamp() < before:
                        self._client.delete_object(Bucket=self._bucket, Key=key)
            uploads = self._client.get_paginator("list_multipart_uploads")
            for begun in uploads.paginate(Bucket=self._bucket, Prefix=_PREFIX):
                for upload in begun.get("Uploads", ()):
                    key, name, at = upload.get("Key"), upload.get("UploadId"), upload.get("Initiated")
                    if key and name and at and at.timestamp() < before:
                        self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=name)

    def check(self) -> str:
        try:
            with _translated():
                self._client.head_bucket(Bucket=self._bucket)
        except ClientError:
            raise PlaceUnavailable(f"there is no bucket {self._bucket}") from None
        return f"in the bucket {self._bucket}"

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()


class _ObjectSink:
    """An object on its way: sent whole when it is small, in parts when it is not."""

    def __init__(self, client: S3Client, bucket: str, key: str) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._waiting = bytearray()
        self._upload: str | None = None
        self._parts: list[CompletedPartTypeDef] = []

    def write(self, content: bytes) -> None:
        self._waiting += content
        while len(self._waiting) >= _PART_BYTES:
            self._send_part(bytes(self._waiting[:_PART_BYTES]))
            del self._waiting[:_PART_BYTES]

    def finish(self) -> None:
        with _translated():
            if self._upload is None:
                self._client.put_object(Bucket=self._bucket, Key=self._key, Body=bytes(self._waiting))
                return
            if self._waiting:
                self._send_part(bytes(self._waiting))
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._upload,
                MultipartUpload={"Parts": self._parts},
            )
            self._upload = None

    def abandon(self) -> None:
        try:
            if self._upload is not None:
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=self._upload)
            self._client.delete_object(Bucket=self._bucket, Key=self._key)
        except (BotoCoreError, ClientError) as error:
            # Whatever led here is the news; what is left behind goes with the next sweep.
            log.warning("media_object_not_removed", error=type(error).__name__)

    def _send_part(self, content: bytes) -> None:
        with _translated():
            if self._upload is None:
                begun = self._client.create_multipart_upload(Bucket=self._bucket, Key=self._key)
                self._upload = begun["UploadId"]
            number = len(self._parts) + 1
            sent = self._client.upload_part(
                Bucket=self._bucket, Key=self._key, UploadId=self._upload, PartNumber=number, Body=content
            )
            self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})


@contextmanager
def _translated() -> Iterator[None]:
    """The store's failures as `PlaceUnavailable`; only "there is no such thing" stays a ClientError."""
    try:
        yield
    except (HTTPClientError, IncompleteReadError) as error:
        raise PlaceUnavailable(f"the S3 store does not answer ({type(error).__name__})") from None
    except BotoCoreError as error:
        raise PlaceUnavailable(f"the S3 store cannot be used ({type(error).__name__})") from None
    except ClientError as error:
        code = _code(error)
        if code in _GONE or code == _PAST_THE_END:
            raise
        raise PlaceUnavailable(f"the S3 store refuses ({code})") from None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))
