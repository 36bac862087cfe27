"""One film in many forms is one film: the packaged bundle gives it the same probability."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from inference.bundle import device, load_bundle
from inference.decode import decode
from inference.outcome import outcome
from inference.predict import Predictor
from inference.prepare import Limits, Prepared, load_display, prepare
from inference.reading import Reading, Refusal
from inference.report.overlay import draw
from settings import Eligibility
from training.phantoms import phantom, write_phantom_dicom

LIMITS = Limits(max_pixels=8_000_000, eligibility=Eligibility())
WITHIN = 0.02
TWINS_WITHIN = 0.01


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """The packaged network."""
    return Predictor(load_bundle(None), runtime="openvino")


def read(path: Path, predictor: Predictor) -> Reading | Refusal:
    film = prepare(path, predictor.bundle.input_form, LIMITS)
    if isinstance(film, Refusal):
        return film
    (raw,) = predictor.predict(film.input[None])
    return outcome(raw, film, predictor.bundle)


def probability(path: Path, predictor: Predictor) -> float:
    said = read(path, predictor)
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
    window: tuple[float, float] | None = None,
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


def inverted_twins(film: Dataset, cells: np.ndarray) -> Iterator[tuple[str, Dataset]]:
    """MONOCHROME2 films that show what a MONOCHROME1 film shows, as others would make them."""
    bits = int(film.BitsStored)
    top = (1 << bits) - 1
    center, width = float(film.WindowCenter), float(film.WindowWidth)
    inverse = (top - cells).astype(cells.dtype)
    yield "window mirrored", stored(film, inverse, bits, window=(top - center + 1, width))
    yield "window mirrored, a grey off", stored(film, inverse, bits, window=(top - center, width))
    lossless = stored(film, inverse, bits, window=(top - center + 1, width))
    lossless.compress(JPEG2000Lossless, generate_instance_uid=False)
    yield "JPEG 2000", lossless


def test_real_monochrome1_films_and_their_monochrome2_twins_are_one_film(
    predictor: Predictor, real_data: Path, tmp_path: Path
) -> None:
    """The same probability, the same boxes, and overlays that nobody can tell apart."""
    by = device(predictor.bundle)
    films = 0
    for path in sorted((real_data / "dicom_cxr").glob("*.dcm")):
        film = dcmread(path, force=True)
        said = read(path, predictor)
        if film.get("PhotometricInterpretation") != "MONOCHROME1" or isinstance(said, Refusal):
            continue
        films += 1
        _, cells = decode(path, max_pixels=LIMITS.max_pixels)
        overlay = draw(load_display(path, LIMITS.max_pixels)[1], said, by)
        for number, (name, twin) in enumerate(inverted_twins(film, cells)):
            file = tmp_path / f"{number}.dcm"
            twin.save_as(file, enforce_file_format=True)
            other = read(file, predictor)
            assert isinstance(other, Reading), (path.name, name, other)
            assert abs(other.pneumonia - said.pneumonia) < TWINS_WITHIN, (path.name, name)
            assert len(other.boxes) == len(said.boxes), (path.name, name)
            drawn = draw(load_display(file, LIMITS.max_pixels)[1], other, by)
            assert cv2.absdiff(overlay, drawn).mean() < 1, (path.name, name)
    assert films >= 3
