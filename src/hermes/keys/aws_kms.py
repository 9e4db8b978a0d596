"""Data keys wrapped by AWS KMS.

A data key is made by `GenerateDataKey` and opened by `Decrypt`, both with the same encryption context: the application
and the key id. KMS authenticates the context and opens for no other, so a wrapped key that was moved to another key id
or changed does not open. Sources: AWS KMS API reference, "GenerateDataKey", "Decrypt"; AWS KMS developer guide,
"Encryption context".
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError, NoRegionError

from hermes.keys.wrapping import CannotUnwrap, WrappedKey
from hermes.settings import Settings

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient

T = TypeVar("T")

_NOT_THIS_KEY: Final = frozenset({"IncorrectKeyException", "NotFoundException", "AccessDeniedException"})
"""What KMS says when a wrapped key may belong to another one of the keys that are named."""

_REASONS: Final = {
    "AccessDeniedException": "it refuses access; allow kms:GenerateDataKey and kms:Decrypt on this key to the server",
    "DisabledException": "the key is disabled; enable it again",
    "KMSInvalidStateException": "the key is pending deletion or not available; cancel its deletion in KMS",
    "NotFoundException": "there is no such key in this account and region; check AWS_KMS_KEY_ID and AWS_REGION",
    "InvalidCiphertextException": "the wrapped key was changed, or was wrapped for another key id; put back the table "
    "data_keys as it was",
    "IncorrectKeyException": "it was wrapped by another key of KMS; name that one in AWS_KMS_KEY_ID too, after a comma",
    "InvalidKeyUsageException": "the key cannot encrypt; it must be a symmetric one",
    "UnrecognizedClientException": "it does not know the AWS credentials of this server",
    "InvalidClientTokenId": "it does not know the AWS credentials of this server",
    "InvalidSignatureException": "the AWS secret key of this server is wrong",
    "ExpiredTokenException": "the AWS credentials of this server have expired",
}


class AwsKms:
    """The keys of `AWS_KMS_KEY_ID`: the first wraps new data keys, and all unwrap."""

    provider = "aws-kms"

    def __init__(self, client: KMSClient, key_ids: Sequence[str]) -> None:
        self._client = client
        self._key_ids = key_ids

    @classmethod
    def from_settings(cls, settings: Settings) -> AwsKms:
        """The client, with endpoint, region and credentials as AWS's own tools find them, `.env` included.

        Raises:
            CannotUnwrap: no region is set.
        """
        # At DEBUG botocore logs whole answers, and those of KMS hold keys.
        logging.getLogger("botocore").setLevel(logging.INFO)
        environ = settings.environ
        try:
            client = boto3.session.Session().client(
                "kms",
                endpoint_url=environ.get("AWS_ENDPOINT_URL_KMS") or environ.get("AWS_ENDPOINT_URL"),
                region_name=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"),
                aws_access_key_id=environ.get("AWS_ACCESS_KEY_ID"),
                aws_secret_access_key=environ.get("AWS_SECRET_ACCESS_KEY"),
                aws_session_token=environ.get("AWS_SESSION_TOKEN"),
                config=Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}),
            )
        except NoRegionError:
            raise CannotUnwrap("AWS_REGION: is missing, so AWS KMS cannot be asked (example: eu-central-1)") from None
        return cls(client, settings.aws_kms_key_id)

    async def make(self, key_id: str) -> WrappedKey:
        """See `KeyWrapping.make`."""
        made = await self._ask(
            "make a data key with",
            self._key_ids[0],
            lambda: self._client.generate_data_key(
                KeyId=self._key_ids[0], KeySpec="AES_256", EncryptionContext=_context(key_id)
            ),
        )
        wrapped = base64.b64encode(made["CiphertextBlob"]).decode()
        return WrappedKey(made["Plaintext"], wrapped, made["KeyId"])

    async def unwrap(self, key_id: str, wrapped: str) -> bytes:
        """See `KeyWrapping.unwrap`. Only the keys of the settings are asked, whatever key the blob names."""
        try:
            blob = base64.b64decode(wrapped, validate=True)
        except binascii.Error:
            raise CannotUnwrap(
                _sentence(f"open the data key {key_id} with", "", "InvalidCiphertextException")
            ) from None
        refused: CannotUnwrap | None = None
        for name in self._key_ids:
            try:
                return await self._unwrap_with(name, key_id, blob)
            except _OtherKey as error:
                refused = refused or error
        raise refused or CannotUnwrap("AWS_KMS_KEY_ID: names no key")

    async def _unwrap_with(self, name: str, key_id: str, blob: bytes) -> bytes:
        opened = await self._ask(
            f"open the data key {key_id} with",
            name,
            lambda: self._client.decrypt(CiphertextBlob=blob, KeyId=name, EncryptionContext=_context(key_id)),
        )
        return opened["Plaintext"]

    async def _ask(self, to: str, name: str, call: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(call)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unknown"))
            kind = _OtherKey if code in _NOT_THIS_KEY else CannotUnwrap
            raise kind(_sentence(to, name, code)) from None
        except NoCredentialsError:
            raise CannotUnwrap(
                f"AWS KMS cannot {to} {name}: this server has no AWS credentials; give it a role, or "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Nothing was changed."
            ) from None
        except (HTTPClientError, BotoCoreError) as error:
            raise CannotUnwrap(
                f"AWS KMS cannot {to} {name}: it does not answer ({type(error).__name__}); check the network, "
                "AWS_REGION and AWS_ENDPOINT_URL_KMS. Nothing was changed."
            ) from None


class _OtherKey(CannotUnwrap):
    """Another of the keys that are named may be the one."""


def _context(key_id: str) -> dict[str, str]:
    return {"application": "hermes", "key_id": key_id}


def _sentence(to: str, name: str, code: str) -> str:
    reason = _REASONS.get(code, "its own word; see the AWS KMS API reference, or try again later")
    return f"AWS KMS cannot {to} {name}: {reason} ({code}). Nothing was changed."
