"""A presentation state draws a report's boxes over the film, and leaves the film as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from inference.reading import Box, Refusal, RefusalCode
from inference.report.build import StudyResult, build_study
from tests import judges
from tests.inference.report.studies import (
    ABNORMAL,
    DEVICE,
    NORMAL,
    OPACITY,
    ROWS,
    STUDY,
    film,
    job,
    keep,
    read,
    refused,
)

REAL_FILMS = (
    "fod__CR-MONO1-10-chest.dcm",
    "hd__dx_image.dcm",
    "txv__1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm",
    "txv__Fake_MONOHR1.dcm",
)


def presented(path: Path, *others: Any, **changes: Any) -> StudyResult:
    return build_study(job(read(path), *others, presentations=True, **changes))


def kept(folder: Path, result: StudyResult) -> list[Path]:
    """Write the results, and return the paths of the presentation states."""
    return [path for path in keep(folder, result) if path.name.startswith("gsps")]


def lut(first: int, bits: int, entries: np.ndarray[Any, Any]) -> Sequence:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    item.ModalityLUTType = "US"
    return Sequence([item])


def curve(entries: int, bits: int) -> np.ndarray[Any, Any]:
    """Return entries that rise, slowly first, over all of `bits` bits."""
    return np.rint(np.linspace(0, 1, entries) ** 2 * ((1 << bits) - 1))


SHOWN: dict[str, dict[str, Any]] = {
    "without a window": {},
    "window": {"WindowCenter": 1500, "WindowWidth": 2000},
    "one of several windows": {"WindowCenter": [1500, 900], "WindowWidth": [2000, 300]},
    "sigmoid": {"WindowCenter": 1500, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
    "slope and intercept": {
        "RescaleSlope": 2,
        "RescaleIntercept": -1000,
        "RescaleType": "US",
        "WindowCenter": 2000,
        "WindowWidth": 3000,
    },
    "Modality LUT": {"ModalityLUTSequence": lut(0, 16, curve(4096, 16))},
    "VOI LUT": {"VOILUTSequence": lut(0, 12, curve(4096, 12))},
    "VOI LUT of values below zero": {
        "RescaleSlope": 1,
        "RescaleIntercept": -2048,
        "RescaleType": "US",
        "VOILUTSequence": lut(-2048, 12, curve(4096, 12)),
    },
    "VOI LUT beside a window": {
        "VOILUTSequence": lut(0, 12, curve(4096, 12)),
        "WindowCenter": 900,
        "WindowWidth": 500,
    },
    "rectangular shutter": {
        "ShutterShape": "RECTANGULAR",
        "ShutterLeftVerticalEdge": 20,
        "ShutterRightVerticalEdge": 200,
        "ShutterUpperHorizontalEdge": 10,
        "ShutterLowerHorizontalEdge": 300,
    },
    "circular shutter": {
        "ShutterShape": "CIRCULAR",
        "CenterOfCircularShutter": [160, 128],
        "RadiusOfCircularShutter": 110,
    },
    "polygonal shutter": {
        "ShutterShape": "POLYGONAL",
        "VerticesOfThePolygonalShutter": [10, 10, 10, 240, 300, 128],
    },
}


@pytest.mark.parametrize("monochrome1", [False, True])
@pytest.mark.parametrize("name", SHOWN)
def test_a_film_looks_the_same_with_its_presentation_and_without(
    tmp_path: Path, name: str, monochrome1: bool
) -> None:
    path = film(tmp_path / "film.dcm", monochrome1=monochrome1, **SHOWN[name])
    (state,) = kept(tmp_path / "results", presented(path))
    assert judges.judge([state], [path]) == []
    plain, under = judges.rendered(path), judges.rendered(path, state)
    difference = np.abs(plain.astype(int) - under).max()
    assert difference <= (1 if "VOI LUT" in name else 0), "a LUT of 12 bits becomes one of 16"
    assert int(plain.max()) - int(plain.min()) > 20, "there is something to see"


@pytest.mark.parametrize(
    "nonsense",
    [
        {"WindowCenter": 1500, "WindowWidth": 0},
        {"RescaleSlope": 0, "RescaleIntercept": 0},
        {"ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 20},
        {"ShutterShape": "HEART"},
    ],
)
def test_what_makes_no_sense_in_a_film_is_not_repeated(
    tmp_path: Path, nonsense: dict[str, Any]
) -> None:
    path = film(tmp_path / "film.dcm", **nonsense)
    (state,) = kept(tmp_path / "results", presented(path))
    assert judges.judge([state], []) == []
    plain = judges.rendered(film(tmp_path / "plain.dcm"))
    assert np.array_equal(judges.rendered(tmp_path / "plain.dcm", state), plain)


@pytest.mark.parametrize("name", REAL_FILMS)
def test_real_films_look_the_same_with_their_presentation_and_without(
    tmp_path: Path, real_data: Path, name: str
) -> None:
    path = real_data / "dicom_cxr" / name
    source = dcmread(path, stop_before_pixels=True, force=True)
    rows, columns = source.Rows, source.Columns
    box = Box(columns * 0.6, rows * 0.3, columns * 0.2, rows * 0.3, 0.7)
    reading = replace(OPACITY, rows=rows, columns=columns, boxes=(box,))
    result = build_study(job(read(path, reading), presentations=True))
    (state,) = kept(tmp_path / "results", result)
    assert judges.judge([state], []) == []
    assert np.array_equal(judges.rendered(path), judges.rendered(path, state))


def test_the_boxes_are_those_of_the_report(tmp_path: Path) -> None:
    result = presented(film(tmp_path / "film.dcm"))
    (state,) = (dcmread(BytesIO(each.data)) for each in result.presentations)
    (annotation,) = state.GraphicAnnotationSequence
    outlines, texts = annotation.GraphicObjectSequence, annotation.TextObjectSequence
    groups = _groups(dcmread(BytesIO(result.sr.data)))
    assert len(outlines) == len(groups) == len(OPACITY.boxes)
    for outline, text, group in zip(outlines, texts[:-1], groups, strict=True):
        assert outline.GraphicData == group["111030"].GraphicData
        assert outline.GraphicData[:2] == outline.GraphicData[-2:], "it is closed"
        assert (outline.GraphicType, outline.GraphicAnnotationUnits) == ("POLYLINE", "PIXEL")
        assert outline.TrackingID == text.TrackingID == group["112039"].TextValue
        assert outline.TrackingUID == text.TrackingUID == group["112040"].UID
        assert text.AnchorPoint == outline.GraphicData[:2]
    assert [text.UnformattedTextValue for text in texts[:-1]] == [
        "Opacity 1: 91 %",
        "Opacity 2: 64 %",
    ]
    assert (state.SeriesNumber, state.Modality, state.BodyPartExamined) == (9003, "PR", "CHEST")


def test_what_the_boxes_are_worth_stands_beside_them(tmp_path: Path) -> None:
    result = presented(film(tmp_path / "film.dcm"))
    state = dcmread(BytesIO(result.presentations[0].data))
    note = state.GraphicAnnotationSequence[0].TextObjectSequence[-1].UnformattedTextValue
    assert "Lung opacity suspected: probability of pneumonia 87 %" in note
    assert "Algorithm hilum-default 1, threshold 42 %" in note
    assert note.endswith("Not verified by a physician")
    assert "not verified by a physician" in state.ContentDescription
    assert "not verified by a physician" in state.SeriesDescription


def test_boxes_of_several_films_are_numbered_through_the_study(tmp_path: Path) -> None:
    first = film(tmp_path / "first.dcm")
    second = film(tmp_path / "second.dcm", SOPInstanceUID=f"{STUDY}.1.2", InstanceNumber=2)
    result = presented(first, read(second))
    states = [dcmread(BytesIO(each.data)) for each in result.presentations]
    labels = [
        outline.TrackingID
        for state in states
        for outline in state.GraphicAnnotationSequence[0].GraphicObjectSequence
    ]
    assert labels == ["Opacity 1", "Opacity 2", "Opacity 3", "Opacity 4"]
    assert len({state.SeriesInstanceUID for state in states}) == 1
    assert len({state.SOPInstanceUID for state in states}) == 2
    assert [state.InstanceNumber for state in states] == [1, 2]
    assert judges.judge(kept(tmp_path / "results", result), [first, second]) == []


def test_pixels_that_are_not_square_are_shown_in_their_shape(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm", ImagerPixelSpacing=[0.3, 0.2])
    (state,) = kept(tmp_path / "results", presented(path))
    assert judges.judge([state], [path]) == []
    (area,) = dcmread(state).DisplayedAreaSelectionSequence
    assert area.PresentationPixelAspectRatio == [3, 2]
    assert area.DisplayedAreaBottomRightHandCorner == [256, ROWS]


def _colour(path: Path) -> None:
    source = dcmread(path)
    source.SamplesPerPixel, source.PlanarConfiguration = 3, 0
    source.PhotometricInterpretation = "RGB"
    source.BitsAllocated, source.BitsStored, source.HighBit = 8, 8, 7
    source.PixelData = np.zeros((source.Rows, source.Columns, 3), np.uint8).tobytes()
    source.save_as(path)


def _as_it_is(path: Path) -> None:
    assert path.exists()


@pytest.mark.parametrize(
    ("change", "reading", "asked"),
    [
        (_as_it_is, OPACITY, False),
        (_as_it_is, NORMAL, True),
        (_as_it_is, ABNORMAL, True),
        (_as_it_is, replace(OPACITY, boxes=()), True),
        (_colour, OPACITY, True),
    ],
)
def test_there_is_none_unasked_without_boxes_or_for_colour(
    tmp_path: Path, change: Callable[[Path], None], reading: Any, asked: bool
) -> None:
    path = film(tmp_path / "film.dcm")
    change(path)
    result = build_study(job(read(path, reading), presentations=asked))
    assert [each.kind for each in result.objects] == ["sr", "sc"]


def test_a_refused_film_has_none(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm")
    broken = Refusal(RefusalCode.UNDECODABLE, "The pixels cannot be decoded.")
    result = build_study(job(refused(path, broken), presentations=True))
    assert [each.kind for each in result.objects] == ["sr"]


def test_other_objects_are_the_same_whether_there_are_presentations_or_not(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm")
    assert presented(path).objects[:2] == build_study(job(read(path))).objects


def test_the_same_work_makes_the_same_bytes_and_another_model_other_uids(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm")
    (first,), (again,) = presented(path).presentations, presented(path).presentations
    assert first == again
    (other,) = presented(path, device=replace(DEVICE, uid="2.25.77")).presentations
    assert other.sop_instance_uid != first.sop_instance_uid
    assert other.series_instance_uid != first.series_instance_uid


def test_it_has_what_highdicom_gives_a_presentation_state(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm", WindowCenter=1500, WindowWidth=2000)
    ours = dcmread(BytesIO(presented(path).presentations[0].data))
    theirs = _by_highdicom(dcmread(path), ours)
    missing = {each.keyword for each in theirs} - {each.keyword for each in ours}
    assert missing == {"ContributingEquipmentSequence"}
    for keyword in ("ReferencedSeriesSequence", "SoftcopyVOILUTSequence"):
        assert _values(ours[keyword].value[0], theirs[keyword].value[0])
    outline = ours.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    reference = theirs.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    assert _values(outline, reference)


def _values(ours: Dataset, theirs: Dataset) -> bool:
    """Whether ours holds all that theirs does, with the same values."""
    differing = {
        each.keyword
        for each in theirs
        if each.keyword != "ReferencedImageSequence" and ours.get(each.keyword) != each.value
    }
    assert not differing
    return True


def _by_highdicom(source: Dataset, ours: Dataset) -> Dataset:
    outline = ours.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    layer = hd.pr.GraphicLayer("OPACITIES", 1)
    graphic = hd.pr.GraphicObject(
        graphic_type=hd.pr.GraphicTypeValues.POLYLINE,
        graphic_data=np.array(outline.GraphicData).reshape(-1, 2),
        units=hd.pr.AnnotationUnitsValues.PIXEL,
        is_filled=False,
        tracking_id=outline.TrackingID,
        tracking_uid=outline.TrackingUID,
    )
    return hd.pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[source],
        series_instance_uid=ours.SeriesInstanceUID,
        series_number=9003,
        sop_instance_uid=ours.SOPInstanceUID,
        instance_number=1,
        manufacturer="Hilum",
        manufacturer_model_name="hilum-default",
        software_versions="1",
        device_serial_number="1",
        content_label="OPACITIES",
        graphic_layers=[layer],
        graphic_annotations=[
            hd.pr.GraphicAnnotation(
                referenced_images=[source], graphic_layer=layer, graphic_objects=[graphic]
            )
        ],
    )


def _groups(report: Dataset) -> list[dict[str, Dataset]]:
    """Return the content items of each measurement group by the codes of their names."""
    return [
        {item.ConceptNameCodeSequence[0].CodeValue: item for item in group.ContentSequence}
        for child in report.ContentSequence
        for group in child.get("ContentSequence", ())
        if group.ConceptNameCodeSequence[0].CodeValue == "125007"
    ]
