"""Fixtures that every test may use: real peers, and the folder of real films."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import peers

REAL_DATA_VARIABLE = "HILUM_REAL_DATA"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of slow tests, so that no worker has one left when the others end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[peers.Orthanc]:
    """A fresh Orthanc with AE title ORTHANC."""
    with peers.orthanc(tmp_path / "orthanc") as server:
        yield server


@pytest.fixture
def storescp(tmp_path: Path) -> Iterator[peers.StoreSCP]:
    """A fresh `storescp` with AE title STORESCP that takes every transfer syntax."""
    with peers.storescp(tmp_path / "storescp", options=("+xa",)) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[peers.Postgres]:
    """One PostgreSQL server for all tests of a run."""
    with peers.postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: peers.Postgres) -> str:
    """The SQLAlchemy URL of a fresh, empty PostgreSQL database."""
    return postgres_server.database(f"test_{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real films, from HILUM_REAL_DATA; the test is skipped where there is none."""
    folder = Path(os.environ.get(REAL_DATA_VARIABLE, peers.ROOT.parent / "shared" / "data"))
    if not (folder / "rsna_mini").is_dir():
        pytest.skip(f"no real films in {folder}; set {REAL_DATA_VARIABLE} to their folder")
    return folder.resolve()
