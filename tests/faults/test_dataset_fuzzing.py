"""Mutated files: each is kept or refused by status, read or refused, for a reason of ours."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)
from sqlalchemy import select

from db.files import FileStore
from db.models import Instance
from db.session import Database
from inference.isolation import IsolatedPool
from inference.pixels import InputForm
from inference.prepare import Limits, Prepared, prepare
from inference.reading import Refusal
from inference.worker.outcomes import outcome_of
from scp_service.receive import Arrived, Origin, Receiver, Status, receive, receiving
from settings import Eligibility
from tests.faults.ledger import Ledger
from tests.faults.mutants import Mutant, mutant
from tests.inference.films import NATIVE, make_film, make_picture
from tests.peers import run_hilum
from tests.peers.as_is import encoded
from tests.scp_service.running import configured

SHORT, LONG = 150, 5000
BATCH = 250
SLOWEST_SECONDS = 20.0
_SYNTAXES = (
    *NATIVE,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEG2000,
)
_FORM = InputForm(64)
_LIMITS = Limits(4_000_000, Eligibility())
_SECRETS = (
    "PatientName",
    "PatientID",
    "AccessionNumber",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)


@dataclass(slots=True)
class Seen:
    """What became of the mutants: how often each answer and each outcome came."""

    answers: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)


class Fuzzing:
    """Mutants of some files on their way through header parsing, receipt and decoding."""

    def __init__(self, seeds: Sequence[Path], receiver: Receiver, pool: IsolatedPool) -> None:
        self.seeds = [path.read_bytes() for path in seeds]
        self._secrets = [_secrets(path) for path in seeds]
        self._receiver = receiver
        self._pool = pool
        self.seen = Seen()

    def run(self, mutants: Sequence[Mutant], folder: Path, database: Database) -> None:
        """Receive each, and prepare what is kept (what is not: the file itself) for a network."""
        futures = []
        for number, each in enumerate(mutants):
            file = folder / f"{number:04}.dcm"
            file.write_bytes(each.content)
            path = self._receive(each, file, database)
            futures.append((each, self._pool.submit(prepare, path, _FORM, _LIMITS)))
        for each, future in futures:
            made = outcome_of(future)
            self.seen.outcomes[type(made).__name__] += 1
            if not isinstance(made, Prepared):
                self._hold(each, made.reason)

    def _receive(self, each: Mutant, file: Path, database: Database) -> Path:
        film = encoded(file)
        begin = time.monotonic()
        verdict = receive(
            Arrived(
                film.data,
                film.sop_class_uid,
                film.sop_instance_uid,
                film.transfer_syntax_uid,
                Origin("FUZZER", "HILUM", "127.0.0.1"),
            ),
            self._receiver,
        )
        assert time.monotonic() - begin < SLOWEST_SECONDS, each.changes
        self.seen.answers[f"{verdict.status:04X}"] += 1
        self._hold(each, verdict.comment)
        if verdict.status is not Status.SUCCESS:
            return file
        with database.read() as session:
            latest = select(Instance.path).order_by(Instance.id.desc()).limit(1)
            return self._receiver.store.path(session.scalars(latest).one())

    def _hold(self, each: Mutant, told: str) -> None:
        """What is told of a mutant holds none of its values, and is no unforeseen error."""
        leaked = [secret for secret in self._secrets[each.seed] if secret in told.lower()]
        assert not leaked, (each.changes, told)
        assert "unforeseen" not in told, (each.changes, told)
        assert "timed out" not in told, (each.changes, told)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """An empty data folder."""
    made = FileStore(tmp_path / "data")
    made.prepare()
    return made


@pytest.fixture
def database(fresh_sqlite: Callable[[], str]) -> Iterator[Database]:
    """A fresh SQLite database."""
    with closing(Database(fresh_sqlite())) as opened:
        yield opened


@pytest.fixture
def own_films(tmp_path: Path) -> list[Path]:
    """A small film in each of the transfer syntaxes, and one with a window of its own."""
    folder = tmp_path / "seeds"
    folder.mkdir()
    picture = make_picture()
    films = [
        make_film(folder / f"{number}.dcm", picture, syntax=UID(syntax))
        for number, syntax in enumerate(_SYNTAXES)
    ]
    deep = make_picture(bits=12)
    films.append(make_film(folder / "window.dcm", deep, WindowCenter="2000", WindowWidth="3000"))
    return films


@contextlib.contextmanager
def fuzzing(seeds: Sequence[Path], database: Database, store: FileStore) -> Iterator[Fuzzing]:
    """Have everything run that mutants go through."""
    settings = configured(store.root, listener__max_dataset_bytes=16_000_000)
    with (
        receiving(settings, database, store) as receiver,
        closing(IsolatedPool(1, timeout_seconds=SLOWEST_SECONDS, memory_bytes=2**31)) as pool,
    ):
        yield Fuzzing(seeds, receiver, pool)


def test_mutated_films_are_read_or_refused_for_a_reason_of_ours(
    own_films: list[Path], database: Database, store: FileStore, tmp_path: Path
) -> None:
    rng = random.Random("short")
    with fuzzing(own_films, database, store) as fuzz:
        fuzz.run([mutant(rng, fuzz.seeds) for _ in range(SHORT)], tmp_path, database)
    assert fuzz.seen.answers["0000"] > SHORT // 5, "most mutants do not even get in"
    assert fuzz.seen.outcomes[Prepared.__name__] > 0
    assert fuzz.seen.outcomes[Refusal.__name__] > 0


@pytest.mark.faults
@pytest.mark.timeout(3000)
def test_many_mutated_files(
    own_films: list[Path],
    request: pytest.FixtureRequest,
    database: Database,
    store: FileStore,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    tmp_path: Path,
) -> None:
    """Our own films and, where they are at hand, the hostile files; also by `hilum read`."""
    seeds = own_films + _hostile(request)
    with ledger.fault("F", "SQLite") as tally, fuzzing(seeds, database, store) as fuzz:
        for batch in range(max(1, times(LONG) // BATCH)):
            mutants = [mutant(rng, fuzz.seeds) for _ in range(BATCH)]
            folder = tmp_path / f"batch{batch}"
            folder.mkdir()
            fuzz.run(mutants, folder, database)
            _read(folder, len(mutants))
            tally.times += len(mutants)
        tally.acknowledged = fuzz.seen.answers["0000"]
        answers = ", ".join(f"{n} × {answer}" for answer, n in fuzz.seen.answers.most_common())
        outcomes = ", ".join(f"{n} {kind.lower()}" for kind, n in fuzz.seen.outcomes.most_common())
        tally.remark = f"answers: {answers}; outcomes: {outcomes}"


def _read(folder: Path, count: int) -> None:
    """`hilum read` says one line of each file, and nothing else."""
    done = run_hilum(["read", folder, "--json"], folder=folder.parent, seconds=600)
    assert done.stderr == ""
    assert done.returncode in (0, 1)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == count
    assert all(line["eligible"] or line["reason"] for line in lines)


def _hostile(request: pytest.FixtureRequest) -> list[Path]:
    with contextlib.suppress(pytest.skip.Exception):
        folder: Path = request.getfixturevalue("real_data")
        return sorted(folder.glob("dicom_hostile/*.dcm"), key=lambda path: path.name)
    return []


def _secrets(path: Path) -> list[str]:
    """Return what identifies a patient or an object in a file, in small letters."""
    try:
        header = dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(_SECRETS))
        values = [str(header.get(keyword, "")) for keyword in _SECRETS]
    except Exception:  # whatever a hostile file makes pydicom raise
        return []
    return [value.lower() for value in values if len(value) > 3]
