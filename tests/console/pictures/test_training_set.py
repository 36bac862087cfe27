"""Films with verdicts, given away as a training set: labels as said, and nobody's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless

from console.pictures import training_set
from console.pictures.bare import bare
from console.pictures.pool import PoolOnDemand
from db.files import FileStore
from db.verdicts import Labelled
from inference.decode import decode
from inference.pixels import display_image
from tests.inference.films import make_film, make_picture
from training.tables import LUNG_OPACITY, NORMAL, read_kaggle


@pytest.fixture
def pool() -> Iterator[PoolOnDemand]:
    with closing(PoolOnDemand(1, timeout_seconds=60, memory_bytes=2**32, idle_seconds=60)) as made:
        yield made


def labelled(number: int, finding: str, *boxes: tuple[float, float, float, float]) -> Labelled:
    return Labelled(number, f"{number}.dcm", f"1.2.{number}", "P1", f"1.3.{number}", finding, boxes)


def test_a_training_set_is_one_that_training_reads(tmp_path: Path, pool: PoolOnDemand) -> None:
    store, folder = FileStore(tmp_path), tmp_path / "set"
    for number in (1, 2, 3):
        make_film(tmp_path / f"{number}.dcm")
    films = [
        labelled(1, "opacity", (10, 20, 30, 40), (50.25, 60, 70, 80)),
        labelled(2, "normal"),
        labelled(3, "opacity"),
        labelled(4, "abnormal"),
    ]

    made = training_set.TrainingSet(films, store, lambda text: f"{hash(text):032x}"[-32:], pool)
    for name, data in made.files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    written = made.written
    assert (written.films, written.without_boxes, written.unreadable) == (2, 1, 1)
    assert "2 films written; left out: 1 with an opacity and no box, 1 whose" in written.sentence
    read = {film.label: film for film in read_kaggle(folder)}
    assert read.keys() == {LUNG_OPACITY, NORMAL}
    assert read[LUNG_OPACITY].boxes == ((10, 20, 30, 40), (50.2, 60, 70, 80))
    assert read[NORMAL].boxes == ()
    assert read[NORMAL].patient == read[LUNG_OPACITY].patient  # the same Patient ID
    assert read[NORMAL].id != read[LUNG_OPACITY].id


@pytest.mark.parametrize("syntax", [None, DeflatedExplicitVRLittleEndian, JPEG2000Lossless])
def test_what_is_given_away_shows_the_film_and_names_nobody(
    tmp_path: Path, syntax: str | None
) -> None:
    inner = Dataset()
    inner.LUTDescriptor = [256, 0, 16]
    inner.add_new("LUTData", "OW", (np.arange(256) * 257).astype("<u2").tobytes())
    inner.LUTExplanation = "Canary"
    path = make_film(
        tmp_path / "film.dcm",
        make_picture(),
        **({"syntax": syntax} if syntax else {}),
        AccessionNumber="Canary",
        InstitutionName="Canary",
        PatientComments="Canary",
        OtherPatientIDs="Canary",
        PatientAge="097Y",
        ImageComments="Canary",
        VOILUTSequence=[inner],
    )
    original = path.read_bytes()
    assert b"Canary" in original or syntax == DeflatedExplicitVRLittleEndian
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(bare(path, "0123456789abcdef"))
    header, stored = decode(copy, max_pixels=10**6)
    before, before_stored = decode(path, max_pixels=10**6)
    np.testing.assert_array_equal(
        display_image(header, stored), display_image(before, before_stored)
    )
    told = dcmread(copy)
    assert (told.PatientID, told.PatientName, told.PatientAge) == (
        *["0123456789abcdef"] * 2,
        "090Y",
    )
    assert told.ViewPosition == "PA"
    everything = str(told) + str(told.file_meta)
    for mine in ("Canary", "CANARY", str(before.SOPInstanceUID), str(before.StudyInstanceUID)):
        assert mine not in everything
    assert not {"PatientBirthDate", "StudyDate", "InstitutionName"} & set(told.dir())
    assert told.SOPInstanceUID == dcmread(copy).SOPInstanceUID
