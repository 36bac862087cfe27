"""The packaged network on real pictures that no training saw: chests are read, all else is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.bundle import load_bundle
from inference.eligibility import Stated, check_pixels
from inference.film_kind import check_film_kind
from inference.manifest import FilmKinds
from inference.pixels import InputForm, network_input
from inference.predict import Predictor
from inference.prepare import load_display
from inference.reading import RefusalCode, RefusedError

FRONTAL = {
    "fod__CR-MONO1-10-chest.dcm",
    "orth__Monochrome1-Jpeg.dcm",
    "pydd__RG1_J2KI.dcm",
    "txv__1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm",
}
INVERTED = "txv__Fake_MONOHR1.dcm"
SILENT = Stated(chest=False, frontal=False, upright=False)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(load_bundle(), runtime="openvino")


@pytest.fixture(scope="module")
def rule(predictor: Predictor) -> FilmKinds:
    if predictor.bundle.film_kinds is None:
        pytest.skip("the packaged bundle does not tell kinds of pictures")
    return predictor.bundle.film_kinds


def pictures(folder: Path, form: InputForm) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """The pictures of a folder that can be shown, each once, by the names of their files."""
    seen = set()
    for path in sorted(folder.glob("*.dcm")):
        try:
            _, display = load_display(path, 100_000_000)
        except (RefusedError, ValueError, AttributeError, RuntimeError):
            continue
        square, _ = network_input(display, form)
        if check_pixels(display) is None and square.tobytes() not in seen:
            seen.add(square.tobytes())
            yield path.name, square


@pytest.mark.parametrize("folder", ["dicom_cxr", "dicom_syntax", "dicom_hostile"])
def test_a_picture_is_judged_for_what_it_is_where_headers_say_nothing(
    real_data: Path, predictor: Predictor, rule: FilmKinds, folder: str
) -> None:
    found = dict(pictures(real_data / folder, predictor.bundle.input_form))
    assert len(found) > 4
    raws = predictor.predict(np.stack(list(found.values())))
    judged = {
        name: check_film_kind(raw.kinds, SILENT, rule, "it")
        for name, raw in zip(found, raws, strict=True)
        if raw.kinds is not None
    }
    assert {name for name, refusal in judged.items() if refusal is None} == FRONTAL & set(judged)
    if INVERTED in judged:
        assert judged[INVERTED].code is RefusalCode.INVERTED
