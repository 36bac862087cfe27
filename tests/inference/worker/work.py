"""Films that wait in the queue, and a worker in this process that reads and reports them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from db.files import FileStore, Intake
from db.intake import record_films
from db.models import Report, Task
from db.session import Database
from inference.bundle import Bundle
from inference.predict import Predictor, Raw
from inference.worker import Worker
from inference.worker.choice import BundleWatch
from settings import Settings
from tests.db.makers import film, rows
from training.phantoms import Kind, phantom, write_phantom_dicom

_numbers = itertools.count(1)


class Script:
    """What a worker needs of a predictor: it says of each film what the test has told it to."""

    runtime = "test"

    def __init__(self, bundle: Bundle, says: Sequence[tuple[float, float, float]]) -> None:
        self.bundle = bundle
        self._says = iter(says)

    def predict(self, inputs: NDArray[np.uint8]) -> list[Raw]:
        empty = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        return [Raw(np.array(next(self._says), np.float32), *empty) for _ in inputs]


def receive(
    database: Database, store: FileStore, folder: Path, *kinds: Kind, study: str | None = None
) -> None:
    """Keep and record phantoms as the listener does: of one study, or each of its own."""
    values = {} if study is None else {"study_instance_uid": study}
    with closing(Intake(store)) as intake:
        for kind in kinds:
            number = next(_numbers)
            file = folder / f"{number}.dcm"
            drawn = phantom(np.random.default_rng(number), kind=kind, size=512)
            write_phantom_dicom(drawn, file, number=number)
            if study is not None:
                dataset = dcmread(file)
                dataset.StudyInstanceUID = study
                dataset.PatientID = "PHANTOM"
                dataset.save_as(file)
            _keep(database, intake, file, **values)


def receive_files(
    database: Database, store: FileStore, *files: Path, study: str | None = None
) -> None:
    """Keep and record files as the listener does, each of the study it names, or of `study`."""
    with closing(Intake(store)) as intake:
        for file in files:
            named = str(dcmread(file, stop_before_pixels=True).StudyInstanceUID)
            _keep(database, intake, file, study_instance_uid=study or named)


def _keep(database: Database, intake: Intake, file: Path, **values: str) -> None:
    path = intake.put([file.read_bytes()], datetime.now(UTC))
    with database.write() as session:
        record_films(session, [film(path=path, **values)], database.now(session))
    intake.settle(path, keep=True)


def worker_settings(**values: Any) -> Settings:
    """Return settings for one decoding process, short leases and reports at once."""
    worker = {"decode_processes": 1, "lease_seconds": 2}
    return Settings(**{"study_quiet_seconds": 0, "worker": worker, **values})


@contextmanager
def working(
    database: Database,
    store: FileStore,
    predictor: Predictor,
    watch: BundleWatch | None = None,
    settings: Settings | None = None,
) -> Iterator[None]:
    """Run a worker until the end of the block."""
    stop = threading.Event()
    worker = Worker(settings or worker_settings(), database, store, predictor, "worker", watch)
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def reported(database: Database, count: int) -> bool:
    """Tell whether there are so many reports and nothing is left to do."""
    return len(rows(database, Report)) == count and not rows(database, Task)
