"""An empty database and data folder for workers that run in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from db import migrations
from db.files import FileStore
from db.session import Database
from inference.bundle import load_bundle
from inference.predict import Predictor


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """The packaged network."""
    return Predictor(load_bundle(None))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty SQLite database."""
    with closing(Database(f"sqlite:///{tmp_path / 'hilum.sqlite'}")) as database:
        migrations.upgrade(database, tmp_path)
        yield database


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """An empty data folder."""
    store = FileStore(tmp_path)
    store.prepare()
    return store
