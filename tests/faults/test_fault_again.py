"""Fault 10: films that come twice, altered, late and in another order."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from sqlalchemy import func, select

from db.models import Instance, Report, Study
from tests.faults.ledger import Ledger
from tests.faults.roles import delivering, reading, receiving, scheduling
from tests.peers import StoreSCP, dcmsend
from tests.system.whole import Whole, destination, make_films, whole

STUDIES = 60
SIDE = 256
EVENTS = ("once", "twice", "altered", "late")


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_again_altered_late_and_in_another_order(
    database_url: str,
    kind: str,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    storescp: StoreSCP,
    tmp_path: Path,
) -> None:
    """Of each film: rows as many as different contents, reports as many as readable images."""
    films = make_films(tmp_path / "films", times(STUDIES), size=SIDE)
    fates = {film: EVENTS[number % len(EVENTS)] for number, film in enumerate(films)}
    to_pacs = destination(storescp.port, storescp.ae_title, objects=["sr"])
    env = {"HILUM_WORKER__DECODE_PROCESSES": "1"}
    with (
        ledger.fault("10", kind) as tally,
        whole(tmp_path, destinations=[to_pacs], env=env, database_url=database_url) as service,
        receiving(service),
        reading(service),
        scheduling(service),
        delivering(service),
    ):
        for order in (films, list(reversed(films))):
            _send(service, order)
            service.wait_until_idle(len(films))
        again = [film for film, fate in fates.items() if fate == "twice"]
        altered = [_altered(film) for film, fate in fates.items() if fate == "altered"]
        late = [_late(film) for film, fate in fates.items() if fate == "late"]
        more = again + altered + late
        rng.shuffle(more)
        _send(service, more)
        service.wait_until_idle(len(films))
        tally.times = len(films) + len(more)
        tally.acknowledged = 2 * len(films) + len(more)
        rows = service.count(Instance)
        wanted = len(films) + len(altered) + len(late)
        tally.lost, tally.duplicated = max(0, wanted - rows), max(0, rows - wanted)
        _assert_told(service, {str(dcmread(film).SOPInstanceUID) for film in altered})
        revisions = _revisions(service)
        assert revisions == Counter({1: len(films) - len(late), 2: len(late)})
        assert sum(_is_report(file) for file in storescp.files()) == len(films) + len(late)
        service.assert_no_orphans()


def _send(service: Whole, films: list[Path]) -> None:
    assert dcmsend(films, service.port).accepted == len(films)


def _altered(film: Path) -> Path:
    """The same SOP Instance UID over another content."""
    dataset = dcmread(film)
    dataset.StationName = "ALTERED"
    path = film.with_suffix(".altered.dcm")
    dataset.save_as(path)
    return path


def _late(film: Path) -> Path:
    """Another image of the same study."""
    dataset = dcmread(film)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    path = film.with_suffix(".late.dcm")
    dataset.save_as(path)
    return path


def _assert_told(service: Whole, altered: set[str]) -> None:
    """Both copies are kept; the later one is not read and says why."""
    with service.database.read() as session:
        copies = session.scalars(select(Instance).where(Instance.altered_from.is_not(None)))
        flagged = {each.sop_instance_uid: each.refusal_code for each in copies}
    assert flagged == dict.fromkeys(altered, "altered_duplicate")


def _revisions(service: Whole) -> Counter[int]:
    with service.database.read() as session:
        assert set(session.scalars(select(Study.finding))) == {"normal"}
        per_study = select(func.count()).select_from(Report).group_by(Report.study_id)
        return Counter(session.scalars(per_study))


def _is_report(file: Path) -> bool:
    return bool(dcmread(file, stop_before_pixels=True).Modality == "SR")
