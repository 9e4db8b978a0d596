"""Finding every table: each room keeps its own in `models.py`, and no list of them has to be kept."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pkgutil import iter_modules

from sqlalchemy import MetaData

import hermes
from hermes.storage.sql import Base


def load_models() -> MetaData:
    """Import `models.py` of every room and return what all tables together look like."""
    rooms = (f"{hermes.__name__}.{room.name}" for room in iter_modules(hermes.__path__) if room.ispkg)
    for name in (f"{room}.models" for room in rooms):
        if find_spec(name) is not None:
            importlib.import_module(name)
    return Base.metadata
