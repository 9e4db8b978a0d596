"""What goes wrong in a command, told to a person in one sentence."""

from __future__ import annotations

from pydantic import ValidationError
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from hermes.errors import HermesError
from hermes.settings import SettingsError
from hermes.storage.data_folder import DataFolderError
from hermes.storage.redis import EvictingRedisError
from hermes.storage.revisions import MigrationError

REFUSALS = (HermesError, SettingsError, DataFolderError, EvictingRedisError, MigrationError)
"""Errors whose own sentence is for the person."""


def sentence_of(error: Exception) -> str | None:
    """What a person can do about an error; None if it is not one that a person can put right."""
    match error:
        case ValidationError():
            first = error.errors(include_url=False, include_input=False)[0]
            return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        case RedisError():
            return f"Redis cannot be reached ({type(error).__name__}); check REDIS_URL and that the server runs."
        case SQLAlchemyError():
            return (
                f"The database did not answer as expected ({type(error).__name__}); check DATABASE_URL and that the "
                "server runs. `hermes doctor` looks closer."
            )
        case _:
            return str(error) if isinstance(error, REFUSALS) else None
