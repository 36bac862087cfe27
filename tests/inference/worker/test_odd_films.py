"""Films as devices and archives really write them: read and reported whole, or refused truly.

The network is made up. What it finds is drawn, written and checked as any finding is, so that a
header that no report can be made of would show here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import history, migrations
from db.files import FileStore
from db.models import Instance, Study
from db.session import Database
from inference.bundle import Bundle
from inference.predict import Raw
from settings import DicomDestination, Hl7Destination, Settings
from tests.db.makers import rows
from tests.inference.bundles import small_bundle
from tests.inference.films import make_dataset, make_film, make_picture
from tests.inference.worker.work import receive_files, worker_settings, working
from tests.peers import wait_until

SIDE = 192
GREY = make_picture(SIDE, SIDE)
DEEP = make_picture(SIDE, SIDE, bits=12)
SIGNED = (DEEP.astype(np.int32) - 2048).astype(np.int16)
COLOUR = np.stack([GREY] * 3, axis=-1)
SC = {"SOPClassUID": SecondaryCaptureImageStorage}


def raw(tag: int, vr: str, value: bytes) -> Callable[[Dataset], None]:
    """Put an element in as these bytes, whatever the standard says of them."""

    def change(dataset: Dataset) -> None:
        element = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)
        dataset._dict[Tag(tag)] = element

    return change


def nested(dataset: Dataset) -> None:
    inner = Dataset()
    for _ in range(60):
        outer = Dataset()
        outer.ContentSequence = Sequence([inner])
        outer["ContentSequence"].is_undefined_length = True
        inner = outer
    dataset.ContentSequence = inner.ContentSequence


def private_megabytes(dataset: Dataset) -> None:
    for group, size in ((0x0029, 20_000_000), (0x7FE3, 5_000_000)):
        dataset.private_block(group, "HUGE", create=True).add_new(1, "OB", bytes(size))


def empty_item(keyword: str) -> Callable[[Dataset], None]:
    return lambda dataset: setattr(dataset, keyword, Sequence([Dataset()]))


def pixels(change: Callable[[bytes], bytes]) -> Callable[[Dataset], None]:
    return lambda dataset: setattr(dataset, "PixelData", change(dataset.PixelData))


def vr_of_pixels(vr: str) -> Callable[[Dataset], None]:
    return lambda dataset: setattr(dataset["PixelData"], "VR", vr)


Picture = NDArray[Any]
Change = Callable[[Dataset], None]
READ: dict[str, tuple[Picture, dict[str, Any], Change | None]] = {
    "negative window": (GREY, {"WindowCenter": 128, "WindowWidth": -256}, None),
    "spaces in windows": (
        DEEP,
        {"BitsStored": 12},
        raw(0x00281050, "DS", b" 2048 \\ 1024  "),
    ),
    "empty first window": (DEEP, {"BitsStored": 12, "WindowCenter": ["", "2048"]}, None),
    "signed, padded": (SIGNED, {"PixelPaddingValue": -32768}, None),
    "window of words": (DEEP, {"BitsStored": 12}, raw(0x00281050, "DS", b"auto")),
    "signed MONOCHROME1": (
        SIGNED,
        {"PhotometricInterpretation": "MONOCHROME1"},
        raw(0x00280120, "US", b"\x00\x80"),
    ),
    "one bit": ((DEEP > 2000).astype(np.uint16), {"BitsStored": 1}, None),
    "high bit of another": (DEEP, {"BitsStored": 12, "HighBit": 99}, None),
    "no high bit": (DEEP, {"BitsStored": 12, "HighBit": None}, None),
    "no pixel representation": (GREY, {"PixelRepresentation": None}, None),
    "words as bytes": (DEEP, {"BitsStored": 12}, vr_of_pixels("OB")),
    "pixels unknown": (DEEP, {"BitsStored": 12}, vr_of_pixels("UN")),
    "bytes behind": (GREY, {}, pixels(lambda whole: whole + bytes(1000))),
    "overlay in bit 15": (DEEP | np.uint16(1 << 15), {"BitsStored": 12}, None),
    "slope 0": (DEEP, {"BitsStored": 12, "RescaleSlope": 0, "RescaleIntercept": 0}, None),
    "slope beyond all": (DEEP, {"BitsStored": 12}, raw(0x00281053, "DS", b"1e400 ")),
    "empty LUT": (DEEP, {"BitsStored": 12}, empty_item("VOILUTSequence")),
    "shutter beyond": (
        GREY,
        {
            "ShutterShape": "RECTANGULAR",
            "ShutterLeftVerticalEdge": 600,
            "ShutterRightVerticalEdge": 700,
            "ShutterUpperHorizontalEdge": 1,
            "ShutterLowerHorizontalEdge": 2,
        },
        None,
    ),
    "no spacing": (GREY, {}, raw(0x00280030, "DS", b"0.1 ")),
    "one frame": (
        GREY,
        {"NumberOfFrames": 1, "SOPClassUID": MultiFrameGrayscaleByteSecondaryCaptureImageStorage},
        None,
    ),
    "frames unsaid": (GREY, {}, raw(0x00280008, "IS", b"")),
    "for processing": (
        DEEP,
        {"BitsStored": 12, "SOPClassUID": DigitalXRayImageStorageForProcessing, "Modality": "DX"},
        None,
    ),
    "colour without planes": (COLOUR, {**SC, "PlanarConfiguration": None}, None),
    "no modality": (GREY, {"Modality": None}, None),
    "nested": (GREY, {}, nested),
    "private megabytes": (GREY, {}, private_megabytes),
    "unknown character set": (GREY, {"SpecificCharacterSet": "KLINGON"}, None),
    "character sets of many": (
        GREY,
        {},
        raw(0x00080005, "CS", b"ISO_IR 100\\JUNK\\ISO 2022 IR 149"),
    ),
    "name in another set": (GREY, {}, raw(0x00100010, "PN", b"\xff\xfe^\xe4 ")),
    "name with zeros": (GREY, {}, raw(0x00100010, "PN", b"A\0B\0C^D ")),
    "name of lines": (GREY, {}, raw(0x00100010, "PN", b"A\nB^C\r\x1b[31m")),
    "name of many": (GREY, {"PatientName": "X" * 300}, None),
    "no name": (GREY, {"PatientName": None}, None),
    "no patient": (GREY, {"PatientID": None, "PatientBirthDate": None}, None),
    "dates of nobody": (GREY, {}, raw(0x00080020, "DA", b"2024-13-99")),
    "times of nobody": (GREY, {}, raw(0x00080030, "TM", b"99:99:99")),
    "born unknown": (GREY, {"PatientAge": None}, raw(0x00100030, "DA", b"unknown ")),
    "sex in words": (GREY, {}, raw(0x00100040, "CS", b"female")),
    "age in words": (GREY, {}, raw(0x00101010, "AS", b"old ")),
    "accession of two": (GREY, {}, raw(0x00080050, "SH", b"A\\B ")),
    "accession too long": (GREY, {}, raw(0x00080050, "SH", b"A" * 200)),
    "number too large": (GREY, {}, raw(0x00200011, "IS", b"99999999999999")),
    "code of nothing": (GREY, {}, empty_item("ProcedureCodeSequence")),
    "order of nothing": (GREY, {}, empty_item("RequestAttributesSequence")),
    "description of pages": (GREY, {"StudyDescription": "D" * 5000}, None),
    "time zone of nowhere": (GREY, {"TimezoneOffsetFromUTC": "+2500"}, None),
    "lossy without a method": (GREY, {"LossyImageCompression": "01"}, None),
}
ENCODED: dict[str, UID] = {
    "big endian": ExplicitVRBigEndian,
    "RLE": RLELossless,
    "JPEG 2000": JPEG2000Lossless,
}
REFUSED: dict[str, tuple[Picture, dict[str, Any], Change | None, str, str]] = {
    "no rows": (GREY, {"Rows": 0}, None, "undecodable", "Rows or Columns are missing or zero"),
    "more bits than room": (GREY, {"BitsStored": 12}, None, "undecodable", "contradicts itself"),
    "32 bits": (GREY.astype(np.uint32), {}, None, "unsupported", "Bits Allocated is 32"),
    "two frames": (GREY, {"NumberOfFrames": 2}, None, "frames", "has 2 frames"),
    "pixels too short": (GREY, {}, pixels(lambda whole: whole[:-2]), "undecodable", "cut off"),
    "blank": (np.zeros_like(GREY), {}, None, "not_a_chest", "blank"),
    "stripe": (np.tile(GREY[:128], (1, 10)), {}, None, "not_a_chest", "too long and narrow"),
    "palette missing": (
        GREY,
        {"PhotometricInterpretation": "PALETTE COLOR"},
        None,
        "undecodable",
        "palette of the image's colours is missing",
    ),
    "born after all": (
        GREY,
        {"PatientAge": None, "PatientBirthDate": "20200101"},
        None,
        "age",
        "younger than 18",
    ),
}


class Fate(NamedTuple):
    """What became of a film: its state and reason, its study's, and what was made."""

    image: str
    code: str | None
    reason: str | None
    study: str
    results: tuple[str, ...]
    events: set[str]


class Opacity:
    """What a worker needs of a predictor: it sees an opacity in every film, and where."""

    runtime = "test"

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, inputs: NDArray[np.uint8]) -> list[Raw]:
        box, score = np.array([[10, 10, 30, 40]], np.float32), np.array([0.9], np.float32)
        return [Raw(np.array((0, 0, 9), np.float32), box, score) for _ in inputs]


def settings() -> Settings:
    """Everything that can be made of a film is asked for."""
    viewer = DicomDestination(
        name="viewer", ae_title="V", host="127.0.0.1", port=104, objects=("sr", "sc", "gsps")
    )
    ris = Hl7Destination(name="ris", host="127.0.0.1", port=2575)
    return worker_settings(destinations=(viewer, ris))


def write(folder: Path) -> dict[str, Path]:
    """Write all films, by name."""
    paths: dict[str, Path] = {}
    cases = [(name, *each) for name, each in READ.items()]
    cases += [(name, *each[:3]) for name, each in REFUSED.items()]
    for name, picture, elements, change in cases:
        paths[name] = folder / f"{len(paths)}.dcm"
        dataset = make_dataset(picture, **elements)
        if change is not None:
            change(dataset)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(paths[name], enforce_file_format=True)
    for name, syntax in ENCODED.items():
        path = folder / f"{len(paths)}.dcm"
        paths[name] = make_film(path, DEEP, syntax=syntax, BitsStored=12)
    return paths


@pytest.fixture(scope="module")
def fates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Fate]]:
    """What one worker made of every film, by its name."""
    folder = tmp_path_factory.mktemp("odd")
    store = FileStore(folder)
    store.prepare()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # much of what is written is wrong, as in life
        films = write(folder)
    with closing(Database(f"sqlite:///{folder / 'hilum.sqlite'}")) as database:
        migrations.upgrade(database, folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            receive_files(database, store, *films.values())
        names = dict(zip((each.id for each in rows(database, Instance)), films, strict=True))
        reader = Opacity(small_bundle(folder / "bundle", input_size=64))
        with working(database, store, reader, settings=settings()):
            done = {"reported", "failed"}
            wait_until(
                lambda: {each.state.value for each in rows(database, Study)} <= done,
                "an end of every study",
                seconds=120,
            )
        with database.read() as session:
            yield {
                names[study.instances[0].id]: fate(session, study)
                for study in session.scalars(select(Study))
            }


def fate(session: Session, study: Study) -> Fate:
    """What became of a study of one film."""
    [image] = study.instances
    [report] = study.reports
    events = {event.state for event in history.timeline(session, study.id)}
    kinds = tuple(each.kind for each in report.results)
    return Fate(image.state, image.refusal_code, image.reason, study.state, kinds, events)


@pytest.mark.parametrize("name", [*READ, *ENCODED])
def test_an_odd_film_is_read_and_everything_made_of_it(name: str, fates: dict[str, Fate]) -> None:
    found = fates[name]
    assert (found.image, found.reason, found.study) == ("read", None, "reported")
    assert "stopped" not in found.events
    states = () if "colour" in name else ("gsps",)  # which may not refer to colour
    assert found.results == ("sr", "sc", *states, "json")


@pytest.mark.parametrize("name", REFUSED)
def test_a_film_that_cannot_be_read_is_refused_for_its_true_reason(
    name: str, fates: dict[str, Fate]
) -> None:
    *_, code, words = REFUSED[name]
    found = fates[name]
    assert (found.image, found.code, found.study) == ("refused", code, "reported")
    assert words in (found.reason or "")
    assert found.results == ("sr", "json")
