"""Why a film was not read reaches whoever looks: history, SR, result document and RIS."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UltrasoundImageStorage, generate_uid
from rich.console import Console
from sqlalchemy import select

from commands import history as pages
from db import history, migrations
from db.files import FileStore
from db.models import Report, Study
from db.session import Database
from inference.bundle import Bundle
from inference.manifest import KINDS, FilmKinds, Metric
from inference.predict import Raw
from inference.report.read import read_report
from scp_service.destinations.document import read_document
from scp_service.destinations.hl7.message import Envelope, oru
from settings import Hl7Destination
from tests.db.makers import rows
from tests.inference.bundles import small_bundle
from tests.inference.worker.work import receive_files, worker_settings, working
from tests.peers import wait_until
from training.phantoms import phantom, write_phantom_dicom

RIS = Hl7Destination(name="ris", host="127.0.0.1", port=2575)
ENVELOPE = Envelope("HILUM", "", "RIS", "", "P", "2.5.1", "UNICODE UTF-8", ("OBR-3",))
SIDE = 256
STEP = 60
"""Greys between the marks, in the films' first corner, that tell the network what to see."""

NO_CODE: dict[str, Any] = {"AnatomicRegionSequence": None}
UNREAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no radiograph": ({"SOPClassUID": UltrasoundImageStorage}, "unsupported", "not a radiograph"),
    "modality": ({"Modality": "MG"}, "modality", "The modality is MG; only CR, DX"),
    "body part": (
        {"BodyPartExamined": "HAND", **NO_CODE},
        "body_part",
        "another body part than the chest",
    ),
    "unknown part": (
        {"BodyPartExamined": "XQZ", **NO_CODE},
        "body_part",
        "not known to be the chest",
    ),
    "animal": ({"PatientSpeciesDescription": "Canis lupus"}, "body_part", "of an animal"),
    "view by tag": ({"ViewPosition": "LL"}, "view", "is a lateral view"),
    "view by description": (
        {"ViewPosition": "", "PatientOrientation": None, "SeriesDescription": "view: LATERAL"},
        "view",
        "is a lateral view",
    ),
    "orientation": ({"PatientOrientation": ["R", "H"]}, "view", "rotated or upside down"),
    "age": ({"PatientAge": "009Y"}, "age", "younger than 18 years"),
    "frames": ({"NumberOfFrames": 2}, "frames", "has 2 frames; only single films are read"),
    "size": ({"Rows": 64, "Columns": 64}, "not_a_chest", "only 64 x 64 pixels"),
    "pixels gone": ({"PixelData": b"\0" * 64}, "undecodable", ""),
    "seen lateral": ({"mark": 1}, "view", "sees a lateral view, although the header names a"),
    "seen no chest": ({"mark": 2}, "not_a_chest", "that is no chest film, although the header"),
    "seen rotated": ({"mark": 3}, "view", "lies on its side or is upside down, although"),
    "seen inverted": ({"mark": 4}, "inverted", "inverted greys (air bright, bone dark)"),
}
READ: dict[str, dict[str, Any]] = {
    "plain": {},
    "like RSNA's": {
        "ViewPosition": "",
        "PatientOrientation": None,
        "PatientAge": "51",
        "SeriesDescription": "view: AP",
    },
}


class MarkReader:
    """What a worker needs of a predictor: it sees the kind of picture that a film's mark names."""

    runtime = "test"

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, inputs: NDArray[np.uint8]) -> list[Raw]:
        logits = np.array((9, 0, 0), np.float32)
        empty = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        kinds = 9 * np.eye(len(KINDS), dtype=np.float32)
        return [Raw(logits, *empty, kinds[round(each[1, 1] / STEP)]) for each in inputs]


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of one study, and where."""

    study: dict[str, Any]
    shown: str
    listed: str
    sr: Path
    document: bytes


def write(folder: Path, name: str, mark: int = 0, **elements: Any) -> Path:
    """A phantom with a mark in its first corner and other elements, of a study of its own."""
    path = folder / f"{name.replace(' ', '_')}.dcm"
    film = phantom(np.random.default_rng(1), kind="normal", size=SIDE)
    film.image[: SIDE // 16, : SIDE // 16] = mark * STEP
    write_phantom_dicom(film, path, bits=8)
    dataset = dcmread(path)
    dataset.StudyInstanceUID, dataset.SOPInstanceUID = generate_uid(), generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.AccessionNumber = name[:16]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of the values are wrong, as in life
        alter(dataset, **elements)
        dataset.save_as(path, enforce_file_format=True)
    return path


def alter(dataset: Dataset, **elements: Any) -> None:
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    if "Rows" in elements:
        dataset.PixelData = bytes(dataset.Rows * dataset.Columns)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Told]]:
    """What one worker made of all films, by the film's name, which is its accession number."""
    folder = tmp_path_factory.mktemp("refused")
    changes = {name: elements for name, (elements, _, _) in UNREAD.items()} | READ
    films = [write(folder, name, **elements) for name, elements in changes.items()]
    store = FileStore(folder)
    store.prepare()
    figures = {"refused": Metric(0.9, 0.8, 1.0, "made up")}
    bundle = replace(
        small_bundle(folder / "bundle", input_size=64),
        film_kinds=FilmKinds(KINDS, 0.5, 0.9, figures),
    )
    with closing(Database(f"sqlite:///{folder / 'hilum.sqlite'}")) as database:
        migrations.upgrade(database, folder)
        receive_files(database, store, *films)
        settings = worker_settings(destinations=(RIS,))
        with working(database, store, MarkReader(bundle), settings=settings):
            wait_until(lambda: len(rows(database, Report)) == len(films), "reports", seconds=60)
        yield dict(tellings(database, store))


def tellings(database: Database, store: FileStore) -> Iterator[tuple[str, Told]]:
    with database.read() as session:
        listed = {row["id"]: row["sentence"] for row in pages.rows(session, history.Filter(), 99)}
        for study in session.scalars(select(Study)):
            page = StringIO()
            pages.print_study(session, study, Console(file=page, width=2000))
            files = {each.kind: store.path(each.path) for each in study.reports[0].results}
            document = files["json"].read_bytes()
            name = json.loads(document)["study"]["accession_number"]
            everything = pages.everything(session, study)
            yield name, Told(everything, page.getvalue(), listed[study.id], files["sr"], document)


@pytest.mark.parametrize("name", UNREAD)
def test_the_reason_of_a_film_that_is_not_read_reaches_everybody(
    name: str, told: dict[str, Told]
) -> None:
    _, code, words = UNREAD[name]
    found = told[name[:16]]
    (image,) = found.study["images"]
    reason = image["reason"]
    assert (image["state"], image["refusal_code"]) == ("refused", code)
    assert words in reason
    assert reason.endswith(".")

    sentence = f"Not analysed ({reason.rstrip('.')}), so no statement about the lungs"
    assert sentence in found.shown
    assert sentence in found.listed
    assert f"Image 1  refused: {reason}" in found.shown

    report = read_report(found.sr)
    assert report.sentence is not None
    assert report.sentence.startswith(sentence)
    assert (report.finding, report.probability) == ("failed", None)
    assert (report.completion, report.processing.value) == ("PARTIAL", "111245")
    assert (report.pneumonia.value, report.normality.value) == ("373068000", "371934000")

    document = json.loads(found.document)
    assert document["report"]["completeness"] == "failed"
    assert document["images"][0]["refusal"] == {"code": code, "reason": reason}
    message = oru(read_document(found.document), ENVELOPE).decode().split("\r")
    observed = {
        line.split("|")[3].split("^")[0]: line.split("|") for line in message if "OBX" in line[:3]
    }
    assert observed["121106"][5].startswith(sentence)
    assert {observed[each][11] for each in ("233604007", "112033", "121402")} == {"X"}
    assert "122157" not in observed


@pytest.mark.parametrize("name", READ)
def test_a_frontal_chest_of_an_adult_is_read(name: str, told: dict[str, Told]) -> None:
    found = told[name]
    (image,) = found.study["images"]
    assert (image["state"], image["refusal_code"]) == ("read", None)
    assert "Not analysed" not in found.shown
