"""Fault 11: hostile text in UIDs, AE titles, names and descriptions is kept, and does no harm."""

from __future__ import annotations

import contextlib
import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select

from db.models import Instance, Study
from tests.faults.ledger import Ledger
from tests.faults.roles import delivering, reading, scheduling
from tests.peers import StoreSCP, dcmsend, hilum_process, run_hilum, wire
from tests.peers.as_is import encoded
from tests.peers.wire import Wire
from tests.system.whole import Whole, destination, make_films, whole

# pydicom warns of escape sequences that it does not know, as this test reads names back.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

FILMS = 60
SIDE = 256
NAMES = (
    "Robert'); DROP TABLE study;--^Bobby",
    "<script>alert(document.cookie)</script>",
    "../../../../etc/passwd",
    "{{7*7}}${7*7}%(name)s",
    "\x1b[2J\x1b[31mred",
    "Müller^Ännchen",
    "=cmd|' /C calc'!A0",
    "名^前",
    "[red]markup[/red][link=x]",
    "a" * 64,
)
UIDS = ("../../../evil", "1.2.3'; DROP TABLE task;--", "1..2", "", "1" * 65, "1.2.3\n4")
REFUSED = (None, 0x0117, 0xA900, 0xC000)
_PATIENCE_SECONDS = 2.0
_FRAGMENT = 8192
TITLES = ("<b>AE</b>", "'; DROP TABLE", "%s%n{0}", "../../etc")


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_hostile_text(
    database_url: str,
    kind: str,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    storescp: StoreSCP,
    tmp_path: Path,
) -> None:
    films = make_films(tmp_path / "films", times(FILMS), size=SIDE)
    to_pacs = destination(storescp.port, storescp.ae_title, objects=["sr"])
    env = {"HILUM_WORKER__DECODE_PROCESSES": "1"}
    with (
        ledger.fault("11", kind) as tally,
        whole(tmp_path, destinations=[to_pacs], env=env, database_url=database_url) as service,
        hilum_process(["listen"], service.env, folder=service.folder) as listener,
        reading(service),
        scheduling(service),
        delivering(service),
    ):
        listener.wait_for(service.answers)
        names = {}
        for film in films:
            dataset = _named(film, rng)
            sent = dcmsend([film], service.port, calling=rng.choice(TITLES))
            assert sent.accepted == 1
            names[str(dataset.SOPInstanceUID)] = str(dataset.PatientName)
            assert _status(rng.choice(UIDS), film, service.port) in REFUSED
            tally.times += 2
        service.wait_until_idle(len(films))
        tally.acknowledged = len(films)
        kept = _kept(service)
        tally.lost = sum(kept.get(uid) != name for uid, name in names.items())
        tally.duplicated = len(service.instances()) - len(films)
        service.assert_no_orphans()
        told = {
            str(each.StudyInstanceUID): str(each.PatientName)
            for each in (dcmread(path, stop_before_pixels=True) for path in storescp.files())
        }
        assert sorted(told.values()) == sorted(names.values())
        _assert_shown(service, set(names.values()))
    assert not list(tmp_path.parent.rglob("*evil*"))


def _named(film: Path, rng: random.Random) -> Dataset:
    """Give a film hostile texts wherever it may say what it likes."""
    dataset = dcmread(film)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that such values are invalid is what this is about
        dataset.PatientName = rng.choice(NAMES)
        dataset.PatientID = rng.choice(NAMES)
        dataset.StudyDescription = rng.choice(NAMES)
        dataset.StationName = rng.choice(NAMES)[:16]
        dataset.AccessionNumber = rng.choice(NAMES)[:16]
        dataset.save_as(film)
    return dataset


def _status(uid: str, film: Path, port: int) -> int | None:
    """Send a film as an object of this SOP Instance UID; return what it is answered with.

    None where the association is aborted, or where nothing is said: a request that names no
    instance at all is no request to pynetdicom, and ends with its association.
    """
    data = encoded(film).data
    with Wire(port, seconds=_PATIENCE_SECONDS) as caller:
        assert caller.ask()[0] == wire.ASSOCIATE_AC
        caller.send(wire.store_rq(uid))
        for begin in range(0, len(data), _FRAGMENT):
            last = begin + _FRAGMENT >= len(data)
            part = data[begin : begin + _FRAGMENT]
            caller.send(wire.fragment(3, part, command=False, last=last))
        with contextlib.suppress(ConnectionError, TimeoutError):
            return caller.status()
    return None


def _kept(service: Whole) -> dict[str, str]:
    with service.database.read() as session:
        query = select(Instance.sop_instance_uid, Study.patient_name).join(Study)
        return dict(session.execute(query).all())


def _assert_shown(service: Whole, names: set[str]) -> None:
    """A person sees no control character; a program gets every name as it is."""
    as_json = run_hilum(["history", "--json"], service.env, folder=service.folder)
    shown = {json.loads(line)["patient_name"] for line in as_json.stdout.splitlines()}
    assert shown == names
    for command in (["history"], ["show", "1"], ["show", "2"], ["show", "3"]):
        done = run_hilum(command, service.env, folder=service.folder)
        assert done.returncode == 0
        assert "\x1b" not in done.stdout
