"""One film in many forms is one film: the packaged bundle gives it the same probability."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from inference.bundle import load_bundle
from inference.outcome import outcome
from inference.predict import Predictor
from inference.prepare import Limits, Prepared, load_display, prepare
from inference.reading import Reading
from settings import Eligibility
from training.phantoms import phantom, write_phantom_dicom

LIMITS = Limits(max_pixels=4_000_000, eligibility=Eligibility())
WITHIN = 0.02


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """The packaged network."""
    return Predictor(load_bundle(None), runtime="openvino")


def probability(path: Path, predictor: Predictor) -> float:
    film = prepare(path, predictor.bundle.input_form, LIMITS)
    assert isinstance(film, Prepared), film
    (raw,) = predictor.predict(film.input[None])
    said = outcome(raw, film, predictor.bundle)
    assert isinstance(said, Reading), said
    return said.pneumonia


def forms(film: Dataset, shown: np.ndarray) -> Iterator[tuple[str, Dataset]]:
    """The same film as others would have stored it, less its name for the form."""
    rng = np.random.default_rng(0)
    deep = shown.astype(np.uint16) * 16 + rng.integers(0, 16, shown.shape, np.uint16)
    full = deep.astype(np.uint32) * 65535 // 4095
    yield "MONOCHROME1", stored(film, 255 - shown, 8, interpretation="MONOCHROME1")
    yield "12 bit, its window", stored(film, deep, 12, window=(2048, 4096))
    yield "12 bit, a wide window", stored(film, deep, 12, window=(2048, 8192))
    yield "12 bit, no window", stored(film, deep, 12)
    yield "12 bit, MONOCHROME1", stored(film, 4095 - deep, 12, interpretation="MONOCHROME1")
    yield "16 bit, no window", stored(film, full.astype(np.uint16), 16)
    compressed = stored(film, deep, 12, window=(2048, 4096))
    compressed.compress(JPEG2000Lossless, generate_instance_uid=False)
    yield "JPEG 2000", compressed


def stored(
    film: Dataset,
    pixels: np.ndarray,
    bits: int,
    *,
    interpretation: str = "MONOCHROME2",
    window: tuple[int, int] | None = None,
) -> Dataset:
    """The film with other pixels."""
    made = Dataset()
    made.update({element.tag: element for element in film if element.keyword != "PixelData"})
    made.file_meta = film.file_meta.__class__()
    made.file_meta.update(film.file_meta)
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword in ("WindowCenter", "WindowWidth", "PresentationLUTShape", "LossyImageCompression"):
        if keyword in made:
            delattr(made, keyword)
    made.SamplesPerPixel, made.PixelRepresentation = 1, 0
    made.Rows, made.Columns = pixels.shape
    made.BitsAllocated = 8 if bits == 8 else 16
    made.BitsStored, made.HighBit = bits, bits - 1
    made.PhotometricInterpretation = interpretation
    if window is not None:
        made.WindowCenter, made.WindowWidth = window
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OB" if bits == 8 else "OW"
    return made


def spread(path: Path, predictor: Predictor, folder: Path) -> dict[str, float]:
    """How far each form's probability lies from the film's own."""
    own = probability(path, predictor)
    _, shown = load_display(path, LIMITS.max_pixels)
    found = {}
    for number, (name, form) in enumerate(forms(dcmread(path), shown)):
        file = folder / f"{number}.dcm"
        form.save_as(file, enforce_file_format=True)
        found[name] = probability(file, predictor) - own
    return found


def test_a_phantom_in_other_forms_has_the_same_probability(
    predictor: Predictor, tmp_path: Path
) -> None:
    path = tmp_path / "phantom.dcm"
    film = phantom(np.random.default_rng(3), kind="opacity", size=512)
    write_phantom_dicom(film, path, bits=8)
    found = spread(path, predictor, tmp_path)
    assert len(found) == 7
    assert {name: far for name, far in found.items() if abs(far) > WITHIN} == {}


def test_real_films_in_other_forms_have_the_same_probability(
    predictor: Predictor, real_data: Path, tmp_path: Path
) -> None:
    films = sorted((real_data / "rsna_mini" / "stage_2_train_images").glob("*.dcm"))[::50]
    for path in films:
        if isinstance(prepare(path, predictor.bundle.input_form, LIMITS), Prepared):
            found = spread(path, predictor, tmp_path)
            assert {name: far for name, far in found.items() if abs(far) > WITHIN} == {}
