"""Eligibility: adult frontal chests pass, whatever they are called; all else has its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from inference.anatomy import Part, View, part_of, view_of
from inference.decode import read_header
from inference.eligibility import Stated, check_header, check_pixels, stated
from inference.prepare import load_display
from inference.reading import RefusalCode, RefusedError
from settings import Eligibility
from tests.inference.films import make_dataset, make_picture

LIMITS = Eligibility()


def verdict(limits: Eligibility = LIMITS, **elements: Any) -> RefusalCode | None:
    """The refusal's code; its reason must be one sentence without patient data."""
    refusal = check_header(make_dataset(**elements), limits)
    if refusal is None:
        return None
    assert refusal.reason.endswith(".")
    assert "\n" not in refusal.reason
    assert "anary" not in refusal.reason.lower()
    return refusal.code


def coded(value: str, scheme: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


CHEST_CODE = coded("51185008", "SCT", "Chest")
LATERAL_CODE = coded("399173006", "SCT", "left lateral")


def test_an_ordinary_film_passes() -> None:
    assert verdict() is None


@pytest.mark.parametrize(
    "sop_class",
    [
        DigitalXRayImageStorageForPresentation,
        DigitalXRayImageStorageForProcessing,
        SecondaryCaptureImageStorage,
        MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    ],
)
def test_the_sop_classes_of_radiographs_pass(sop_class: str) -> None:
    assert verdict(SOPClassUID=sop_class, NumberOfFrames=1) is None


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"SOPClassUID": CTImageStorage}, RefusalCode.UNSUPPORTED),
        ({"SOPClassUID": "1.2.3.4"}, RefusalCode.UNSUPPORTED),
        ({"NumberOfFrames": 2}, RefusalCode.FRAMES),
        ({"SamplesPerPixel": 3}, RefusalCode.UNSUPPORTED),
        ({"Modality": "CT"}, RefusalCode.MODALITY),
        ({"Modality": "OT", "SOPClassUID": SecondaryCaptureImageStorage}, RefusalCode.MODALITY),
        ({"Modality": "", "SOPClassUID": SecondaryCaptureImageStorage}, RefusalCode.MODALITY),
        ({"BodyPartExamined": "HAND"}, RefusalCode.BODY_PART),
        ({"ViewPosition": "LL"}, RefusalCode.VIEW),
        ({"PatientAge": "017Y"}, RefusalCode.AGE),
    ],
)
def test_what_is_not_an_adult_frontal_radiograph_is_refused(
    elements: dict[str, Any], code: RefusalCode
) -> None:
    assert verdict(**elements) is code


def test_colour_passes_only_as_a_secondary_capture() -> None:
    colours = np.stack([make_picture()] * 3, axis=-1)
    elements = {"SOPClassUID": SecondaryCaptureImageStorage}
    assert check_header(make_dataset(colours, **elements), LIMITS) is None


def test_a_cr_film_without_modality_passes() -> None:
    assert verdict(Modality="") is None


def test_a_capture_without_a_modality_is_refused_for_that() -> None:
    """The reason is that the header says nothing, not that it says something else."""
    header = make_dataset(Modality="", SOPClassUID=SecondaryCaptureImageStorage)
    refusal = check_header(header, LIMITS)
    assert refusal is not None
    assert "names no modality" in refusal.reason


def test_the_configured_modalities_decide() -> None:
    assert verdict(Eligibility(modalities=("DX",))) is RefusalCode.MODALITY
    assert verdict(Eligibility(modalities=("XX",)), Modality="XX") is None


@pytest.mark.parametrize(
    "text",
    [
        "CHEST",
        "Chest PA",
        "XR CHEST 2 VIEWS PA AND LATERAL",
        "PORT_CHEST_AP",
        "THORAX",
        "Thorax p.a.",
        "Röntgen-Thoraxaufnahme im Stehen",
        "Radiographie du thorax de face",
        "Tórax PA",
        "RX TORAX 2P",
        "RX torace",
        "TÓRAX (PA/PERFIL)",
        "Hrudník PA",
        "RTG klatki piersiowej",
        "Mellkas rtg",
        "Akciğer grafisi PA",
        "Toraks PA",
        "рентгенография органов грудной клетки",
        "ОГК прямая",
        "Лёгкие",
        "胸部正面",
        "胸片 正位",
        "胸部X線",
        "흉부 정면",
        "أشعة الصدر",
        "צילום חזה",
        "Ακτινογραφία θώρακος",
        "X-quang ngực thẳng",
        "CXR",
        "Lungs",
        "Poumons",
        "Chest and abdomen",
        "Rib cage / chest",
    ],
)
def test_a_chest_is_recognised_in_many_languages(text: str) -> None:
    assert part_of(text) is Part.CHEST


@pytest.mark.parametrize(
    "text",
    [
        "HAND",
        "Hand links",
        "LWS",
        "BWS seitlich",
        "Brustwirbelsäule ap",
        "CSPINE",
        "C-Spine",
        "Thoracic spine",
        "ABDOMEN",
        "KUB",
        "Becken",
        "BÄCKEN",
        "Panoramic",
        "JAW",
        "MODALITYLUT - TEETH",
        "Knie rechts",
        "Genou gauche",
        "Rodilla",
        "Ginocchio",
        "Коленный сустав",
        "кисть",
        "грудной отдел позвоночника",
        "胸椎",
        "EXTREMITY",
        "Mammography",
        "RIB",
    ],
)
def test_other_body_parts_are_recognised(text: str) -> None:
    assert part_of(text) is Part.OTHER


@pytest.mark.parametrize("text", ["", "PA", "ERECT", "CARLOS", "Standard 1", "STAND"])
def test_texts_without_a_body_part_say_nothing(text: str) -> None:
    assert part_of(text) is None


@pytest.mark.parametrize(
    ("elements", "passes"),
    [
        ({"BodyPartExamined": None}, True),
        ({"BodyPartExamined": ""}, True),
        ({"BodyPartExamined": "THORAX"}, True),
        ({"BodyPartExamined": "UNKNOWN"}, True),
        ({"BodyPartExamined": "", "StudyDescription": "Chest"}, True),
        ({"BodyPartExamined": "", "StudyDescription": "Knee"}, False),
        ({"BodyPartExamined": "", "SeriesDescription": "Knee", "StudyDescription": "Chest"}, False),
        (
            {
                "BodyPartExamined": "",
                "SeriesDescription": "Chest",
                "StudyDescription": "Polytrauma spine",
            },
            True,
        ),
        ({"BodyPartExamined": "ABDOMEN", "StudyDescription": "Chest and abdomen"}, False),
        ({"BodyPartExamined": "CHEST", "StudyDescription": "Chest and left hand"}, True),
        ({"BodyPartExamined": "KOERPER", "StudyDescription": "Thorax"}, True),
        ({"BodyPartExamined": "KOERPER"}, False),
        (
            {
                "AnatomicRegionSequence": coded("51185008", "SCT", "Chest"),
                "BodyPartExamined": "ABDOMEN",
            },
            True,
        ),
        ({"AnatomicRegionSequence": coded("T-D3000", "SRT", "?")}, True),
        ({"AnatomicRegionSequence": coded("72696002", "SCT", "Knee")}, False),
        ({"AnatomicRegionSequence": Sequence()}, True),
    ],
)
def test_the_body_part_is_found_where_it_is_said(elements: dict[str, Any], passes: bool) -> None:
    assert verdict(**elements) is (None if passes else RefusalCode.BODY_PART)


@pytest.mark.parametrize(
    "elements",
    [
        {"AcquisitionDeviceProcessingDescription": "CANINE LATERAL THORAX 0-15cm"},
        {"StudyDescription": "Feline thorax"},
        {"PatientSpeciesDescription": "Canis lupus familiaris"},
        {"PatientBreedDescription": "Beagle"},
        {"PatientSpeciesCodeSequence": coded("L-80700", "SRT", "Canine species")},
    ],
)
def test_animals_are_refused(elements: dict[str, Any]) -> None:
    assert verdict(**elements) is RefusalCode.BODY_PART


@pytest.mark.parametrize(
    "elements",
    [
        {"PatientSpeciesDescription": "Homo sapiens"},
        {"PatientSpeciesCodeSequence": coded("337915000", "SCT", "homo sapiens")},
    ],
)
def test_people_are_not_animals(elements: dict[str, Any]) -> None:
    assert verdict(**elements) is None


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("view: AP", View.FRONTAL),
        ("P.A.", View.FRONTAL),
        ("PA ERECT", View.FRONTAL),
        ("Thorax frontal", View.FRONTAL),
        ("胸部正面", View.FRONTAL),
        ("прямая проекция", View.FRONTAL),
        ("postero-anterior", View.FRONTAL),
        ("LAT", View.LATERAL),
        ("Chest Lateral", View.LATERAL),
        ("Thorax seitlich", View.LATERAL),
        ("Thorax de profil", View.LATERAL),
        ("Tórax perfil", View.LATERAL),
        ("боковая", View.LATERAL),
        ("胸部側面", View.LATERAL),
        ("left lateral decubitus", View.LATERAL),
        ("Cervical OBLI 1", View.OBLIQUE),
        ("LAO", View.OBLIQUE),
        ("RLD", View.OTHER),
        ("lordotic", View.OTHER),
        ("PA and lateral", None),
        ("Thorax p.a. und seitl.", None),
        ("Bilateral", None),
        ("Chest", None),
        ("PLATE 2", None),
        ("", None),
    ],
)
def test_views_are_recognised(text: str, view: View | None) -> None:
    assert view_of(text) is view


@pytest.mark.parametrize(
    ("elements", "passes"),
    [
        ({"ViewPosition": "AP"}, True),
        ({"ViewPosition": ""}, True),
        ({"ViewPosition": None}, True),
        ({"ViewPosition": "RL"}, False),
        ({"ViewPosition": "LLD"}, False),
        ({"ViewPosition": "LAO"}, False),
        ({"ViewPosition": "LATERAL"}, False),
        ({"ViewPosition": "", "SeriesDescription": "view: AP"}, True),
        ({"ViewPosition": "", "SeriesDescription": "Chest LAT"}, False),
        ({"ViewPosition": "AP", "SeriesDescription": "Chest OBL"}, False),
        ({"ViewPosition": "PA", "StudyDescription": "Chest with lateral"}, True),
        ({"ViewPosition": "", "StudyDescription": "Chest lateral"}, False),
        ({"ViewPosition": "", "StudyDescription": "Chest PA and lateral"}, True),
        ({"ViewCodeSequence": coded("399348003", "SCT", "antero-posterior")}, True),
        (
            {"ViewPosition": "", "ViewCodeSequence": LATERAL_CODE},
            False,
        ),
        ({"ViewPosition": "", "ViewCodeSequence": coded("R-10206", "SRT", "?")}, True),
        ({"ViewPosition": "", "PatientOrientation": ["L", "F"]}, True),
        ({"ViewPosition": "", "PatientOrientation": ["R", "F"]}, True),
        ({"ViewPosition": "", "PatientOrientation": ["A", "F"]}, False),
        ({"ViewPosition": "", "PatientOrientation": ["P", "F"]}, False),
        ({"ViewPosition": "PA", "PatientOrientation": ["P", "F"]}, True),
        ({"PatientOrientation": ["L", "H"]}, False),
        ({"PatientOrientation": ["F", "R"]}, False),
        ({"PatientOrientation": ""}, True),
    ],
)
def test_only_upright_frontal_views_pass(elements: dict[str, Any], passes: bool) -> None:
    assert verdict(**elements) is (None if passes else RefusalCode.VIEW)


@pytest.mark.parametrize(
    ("elements", "passes"),
    [
        ({"PatientAge": "018Y"}, True),
        ({"PatientAge": "51"}, True),  # as RSNA's films write it
        ({"PatientAge": "155"}, True),
        ({"PatientAge": "17"}, False),
        ({"PatientAge": "012M"}, False),
        ({"PatientAge": "400M"}, True),
        ({"PatientAge": "006W"}, False),
        ({"PatientAge": "900D"}, False),
        ({"PatientAge": "", "PatientBirthDate": "20060602"}, False),
        ({"PatientAge": "", "PatientBirthDate": "20060531"}, True),
        (
            {
                "PatientAge": None,
                "PatientBirthDate": "20200101",
                "StudyDate": "",
                "ContentDate": "20240101",
            },
            False,
        ),
        ({"PatientAge": "", "PatientBirthDate": ""}, True),
        ({"PatientAge": "", "PatientBirthDate": "20250101"}, True),  # after the study: unknown
    ],
)
def test_children_are_refused(elements: dict[str, Any], passes: bool) -> None:
    assert verdict(**elements) is (None if passes else RefusalCode.AGE)


def test_the_configured_age_decides() -> None:
    assert verdict(Eligibility(min_age_years=0), PatientAge="003D") is None
    assert verdict(Eligibility(min_age_years=65), PatientAge="064Y") is RefusalCode.AGE


def test_a_picture_of_a_film_passes() -> None:
    assert check_pixels(make_picture()) is None


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((512, 512), np.uint8),
        np.full((512, 512), 255, np.uint8),
        np.pad(np.full((20, 20), 255, np.uint8), 246),
        make_picture(100, 300),
        make_picture(300, 1000),
    ],
    ids=["black", "white", "speck", "small", "long"],
)
def test_what_no_film_looks_like_is_refused(picture: np.ndarray) -> None:
    refusal = check_pixels(picture)
    assert refusal is not None
    assert refusal.code is RefusalCode.NOT_A_CHEST


def test_a_faint_film_is_not_blank() -> None:
    assert check_pixels((make_picture() // 12 + 100).astype(np.uint8)) is None


def test_every_real_chest_film_passes_but_for_its_age(real_data: Path) -> None:
    films = sorted((real_data / "rsna_mini").glob("stage_2_t*_images/*.dcm"))
    assert len(films) == 272
    anyone = Eligibility(min_age_years=0)
    for path in films:
        assert check_header(read_header(path), anyone) is None, path.name


def test_the_pixels_of_real_chest_films_pass(real_data: Path) -> None:
    """A third of them, for time."""
    films = sorted((real_data / "nih_frontal" / "images").glob("*.jpg"))[::3]
    assert len(films) > 100
    for path in films:
        picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert check_pixels(np.asarray(picture)) is None, path.name


def test_real_films_of_other_things_are_refused(real_data: Path) -> None:
    folder = real_data / "dicom_cxr"
    refused = {
        "hd__dx_image.dcm": RefusalCode.BODY_PART,
        "fod__CR-ModalitySequenceLUT.dcm": RefusalCode.BODY_PART,
        "pydd__RG3_J2KI.dcm": RefusalCode.BODY_PART,
        "pyd__6154.dcm": RefusalCode.BODY_PART,
    }
    for name, code in refused.items():
        refusal = check_header(read_header(folder / name), LIMITS)
        assert refusal is not None
        assert refusal.code is code
    passed = 0
    for path in sorted(folder.glob("*.dcm")):
        if path.name in refused:
            continue
        try:
            header, display = load_display(path, 100_000_000)
        except RefusedError:
            continue
        if check_header(header, LIMITS) is None and check_pixels(display) is None:
            passed += 1
    assert passed == 5


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, Stated(chest=True, frontal=True, upright=False)),
        ({"ViewPosition": None}, Stated(chest=True, frontal=False, upright=False)),
        (
            {"BodyPartExamined": "OTHER", "ViewPosition": ""},
            Stated(chest=False, frontal=False, upright=False),
        ),
        (
            {"BodyPartExamined": None, "ViewPosition": None, "SeriesDescription": "Thorax p.a."},
            Stated(chest=True, frontal=True, upright=False),
        ),
        (
            {"BodyPartExamined": None, "ViewPosition": None, "AnatomicRegionSequence": CHEST_CODE},
            Stated(chest=True, frontal=False, upright=False),
        ),
        (
            {"ViewPosition": None, "StudyDescription": "Chest PA and lateral"},
            Stated(chest=True, frontal=False, upright=False),
        ),
        ({"PatientOrientation": ["L", "F"]}, Stated(chest=True, frontal=True, upright=True)),
        ({"PatientOrientation": ["R", "F"]}, Stated(chest=True, frontal=True, upright=True)),
        ({"PatientOrientation": ["P", "F"]}, Stated(chest=True, frontal=True, upright=False)),
    ],
)
def test_a_header_states_what_it_says_and_no_more(
    elements: dict[str, Any], expected: Stated
) -> None:
    assert stated(make_dataset(**elements)) == expected
