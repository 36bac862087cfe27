"""The whole service as the system tests use it: settings, films, and what became of them."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import generate_uid
from sqlalchemy import func, select

from db.models import Delivery, Instance, Report, Result, Study, Task
from db.session import Database
from tests.peers import ROOT, ChildProcess, echoscu, free_port, hilum_process, wait_until
from training.phantoms import Kind, phantom, write_phantom_dicom

START_SECONDS = 60
DEFAULT_BUNDLE = ROOT / "inference" / "default_bundle"


@dataclass(frozen=True, slots=True)
class Whole:
    """A service's settings, its database and its port."""

    folder: Path
    port: int
    env: dict[str, str]
    database: Database
    data: Path = field(init=False)

    def __post_init__(self) -> None:
        """Name the data folder."""
        object.__setattr__(self, "data", Path(self.env["HILUM_DATA_DIR"]))

    @contextlib.contextmanager
    def serving(self) -> Iterator[ChildProcess]:
        """Run `hilum serve` and wait until it answers a C-ECHO."""
        with hilum_process(["serve"], self.env, folder=self.folder) as process:
            process.wait_for(self.answers, seconds=START_SECONDS)
            yield process

    def answers(self) -> bool:
        """Say whether the listener answers a C-ECHO."""
        return echoscu(self.port, called="HILUM", calling="HILUM")

    def count(self, table: type) -> int:
        """Count the rows of a table."""
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0

    def wait_until_idle(self, studies: int, *, seconds: float = 180) -> None:
        """Wait until so many studies exist, all are reported, and no task is left."""

        def idle() -> bool:
            with self.database.read() as session:
                query = select(Study.state, func.count()).group_by(Study.state)
                states = dict(session.execute(query).all())
                tasks = session.scalar(select(func.count()).select_from(Task))
            return states == {"reported": studies} and tasks == 0

        wait_until(idle, f"{studies} reported studies and an empty queue", seconds=seconds)

    def study(self) -> Study:
        """Return the only study."""
        with self.database.read() as session:
            return session.scalars(select(Study)).one()

    def instances(self) -> list[Instance]:
        """Return all images in order of arrival."""
        with self.database.read() as session:
            return list(session.scalars(select(Instance).order_by(Instance.id)))

    def results(self, kind: str | None = None) -> list[Result]:
        """Return all results, or those of one kind."""
        with self.database.read() as session:
            query = select(Result).join(Report).order_by(Result.id)
            return list(
                session.scalars(query if kind is None else query.where(Result.kind == kind))
            )

    def deliveries(self) -> list[Delivery]:
        """Return all deliveries."""
        with self.database.read() as session:
            return list(session.scalars(select(Delivery).order_by(Delivery.id)))

    def files(self) -> set[str]:
        """Return the relative paths of all films and results on disk."""
        found = [*self.data.glob("films/**/*.*"), *self.data.glob("results/**/*.*")]
        return {str(path.relative_to(self.data)) for path in found}

    def assert_no_orphans(self) -> None:
        """Every file has a row and every row its file."""
        rows = {each.path for each in self.instances()} | {each.path for each in self.results()}
        assert self.files() == rows
        assert not list(self.data.glob("incoming/*/*.part"))


@contextlib.contextmanager
def whole(
    folder: Path,
    *,
    destinations: Sequence[dict[str, object]] = (),
    quiet_seconds: float = 0.3,
    env: dict[str, str] | None = None,
    database_url: str | None = None,
) -> Iterator[Whole]:
    """Lay out a service below `folder`; nothing runs until `serving`."""
    data = folder / "data"
    port = free_port()
    values = {
        "HILUM_DATA_DIR": str(data),
        "HILUM_LISTENER__PORT": str(port),
        "HILUM_LISTENER__HOST": "127.0.0.1",
        "HILUM_LISTENER__MIN_FREE_BYTES": "0",
        "HILUM_STUDY_QUIET_SECONDS": str(quiet_seconds),
        "HILUM_DELIVERY__BACKOFF_SECONDS": "0.3",
        "HILUM_DELIVERY__BACKOFF_MAX_SECONDS": "1",
        "HILUM_WORKER__LEASE_SECONDS": "5",
        "HILUM_DESTINATIONS": json.dumps(list(destinations)),
        **({"HILUM_DATABASE_URL": database_url} if database_url else {}),
        **(env or {}),
    }
    database = Database(database_url or f"sqlite:///{data / 'hilum.sqlite'}")
    try:
        yield Whole(folder, port, values, database)
    finally:
        database.close()


def destination(port: int, ae_title: str, name: str = "pacs", **more: object) -> dict[str, object]:
    """Describe a C-STORE destination on loopback."""
    return {"name": name, "ae_title": ae_title, "host": "127.0.0.1", "port": port, **more}


def make_films(
    folder: Path,
    count: int,
    *,
    kinds: Sequence[Kind] = ("opacity", "normal", "abnormal"),
    size: int = 512,
) -> list[Path]:
    """Write phantoms, one study each; a few are drawn and the rest are copies with new UIDs."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []
    for number, kind in enumerate(kinds, start=1):
        path = folder / f"{number:04}.dcm"
        film = phantom(np.random.default_rng(number), kind=kind, size=size)
        write_phantom_dicom(film, path, number=number)
        drawn.append(path)
    originals = [dcmread(path) for path in drawn]
    paths = drawn[:count]
    for number in range(len(drawn) + 1, count + 1):
        film = originals[number % len(originals)]
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(film, keyword, generate_uid(entropy_srcs=[keyword, str(number)]))
        film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
        film.PatientID = f"PHANTOM{number:04}"
        path = folder / f"{number:04}.dcm"
        film.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def eager_bundle(folder: Path) -> Path:
    """Copy the default bundle with operating points at zero: every film is positive, with boxes."""
    shutil.copytree(DEFAULT_BUNDLE, folder)
    file = folder / "bundle.json"
    card = json.loads(file.read_text())
    card |= {"id": "eager", "version": "1"}
    card["boxes"] |= {"score": 0.0, "relative_score": 0.0}
    for point in card["operating_points"].values():
        point["threshold"] = 0.0
    file.write_text(json.dumps(card))
    return folder
