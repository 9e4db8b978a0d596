"""A stand-in of AWS KMS on this machine, and hermes' keys over it."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.loaders import JSONFileLoader
from moto.server import ThreadedMotoServer
from sqlalchemy import select, update

from hermes.keys.data_keys import DataKey, make_data_key
from hermes.keys.models import DataKeyRow
from hermes.keys.service import Keys, open_keys
from hermes.keys.wrapping import wrapping_of
from hermes.settings import Settings, load_settings
from hermes.storage.sql import Database

LOCAL = "ab" * 32


@pytest.fixture(scope="session", autouse=True)
def descriptions_once() -> Iterator[None]:
    """Every client reads botocore's descriptions of AWS from the disk anew, which takes longer than a test."""
    read = cache(JSONFileLoader().load_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _self, path: read(path))
        yield


@pytest.fixture(scope="session")
def kms_url() -> Iterator[str]:
    """The address of the stand-in (moto)."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@dataclass
class Kms:
    """The stand-in, and settings that use it."""

    url: str
    client: Any
    key_id: str

    def new_key(self) -> str:
        return str(self.client.create_key()["KeyMetadata"]["KeyId"])

    def environ(self, provider: str = "aws-kms", **more: str) -> dict[str, str]:
        return {
            "ENCRYPTION_KEY_PROVIDER": provider,
            "AWS_KMS_KEY_ID": self.key_id,
            "AWS_ENDPOINT_URL_KMS": self.url,
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            **more,
        }

    def settings(self, provider: str = "aws-kms", **more: str) -> Settings:
        return load_settings(self.environ(provider, **more), env_file=None)

    async def generate(self, database: Database) -> DataKey:
        wrapping = wrapping_of(self.settings())
        assert wrapping is not None
        return await make_data_key(database, wrapping)

    async def open(self, database: Database, provider: str = "aws-kms", **more: str) -> Keys:
        return await open_keys(database, self.settings(provider, **more))

    def plain(self, row: DataKeyRow) -> bytes:
        """The key itself, asked of the KMS behind hermes' back."""
        context = {"application": "hermes", "key_id": row.id}
        blob = base64.b64decode(row.wrapped)
        return bytes(self.client.decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"])


@pytest.fixture
def kms(kms_url: str) -> Kms:
    client = boto3.client(
        "kms",
        endpoint_url=kms_url,
        region_name="eu-central-1",
        aws_access_key_id="id",
        aws_secret_access_key="secret",
    )
    return Kms(kms_url, client, str(client.create_key()["KeyMetadata"]["KeyId"]))


async def data_keys(database: Database) -> list[DataKeyRow]:
    """The table, the oldest first."""
    async with database.reading() as session:
        return list(await session.scalars(select(DataKeyRow).order_by(DataKeyRow.created_at)))


async def change(database: Database, key_id: str, **values: Any) -> None:
    async with database.session() as session:
        await session.execute(update(DataKeyRow).where(DataKeyRow.id == key_id).values(**values))
