"""Other forms of a result: the same every time, and the same in what they say."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian

from scp_service.destinations.adapt import Form, adapt, forms, twin_uid
from tests.scp_service.films import encode
from tests.scp_service.results import file, sc, sr
from tests.scp_service.scripted import EXPLICIT, IMPLICIT, JPEG, SC, SR, SR_2D


def test_the_kept_file_is_the_first_form_and_others_follow() -> None:
    assert forms(SR, EXPLICIT) == [
        Form(SR, EXPLICIT),
        Form(SR, IMPLICIT),
        Form(SR_2D, EXPLICIT),
        Form(SR_2D, IMPLICIT),
    ]
    assert forms(SC, JPEG) == [Form(SC, JPEG), Form(SC, EXPLICIT), Form(SC, IMPLICIT)]
    assert forms(SC, IMPLICIT) == [Form(SC, IMPLICIT), Form(SC, EXPLICIT)]


def test_a_comprehensive_sr_says_the_same_under_a_uid_of_its_own() -> None:
    original = sr()
    twin = adapt(file(original), Form(SR_2D, EXPLICIT))
    assert twin.SOPClassUID == twin.file_meta.MediaStorageSOPClassUID == SR_2D
    assert twin.SOPInstanceUID == twin_uid(original.SOPInstanceUID) != original.SOPInstanceUID
    assert twin.file_meta.MediaStorageSOPInstanceUID == twin.SOPInstanceUID
    for element in original:
        if element.keyword not in ("SOPClassUID", "SOPInstanceUID"):
            assert twin[element.tag] == element


def test_a_twins_uid_is_valid_and_always_the_same() -> None:
    assert twin_uid("1.2.3") == twin_uid("1.2.3") != twin_uid("1.2.4")
    for number in range(200):
        assert UID(twin_uid(f"1.2.{number}")).is_valid


@pytest.mark.parametrize(
    ("make", "form"),
    [(sr, Form(SR_2D, EXPLICIT)), (sr, Form(SR, IMPLICIT)), (sc, Form(SC, EXPLICIT))],
)
def test_a_form_made_twice_has_the_same_bytes(make: type, form: Form) -> None:
    data = file(make())
    assert encode(adapt(data, form)) == encode(adapt(data, form))


def test_a_decoded_overlay_keeps_its_uid_its_picture_and_its_history() -> None:
    original = sc()
    data = file(original)
    decoded = adapt(data, Form(SC, EXPLICIT))
    assert decoded.SOPInstanceUID == original.SOPInstanceUID
    assert decoded.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert decoded.PhotometricInterpretation == "RGB"
    assert len(decoded.PixelData) == 48 * 64 * 3
    assert np.array_equal(decoded.pixel_array, dcmread(BytesIO(data)).pixel_array)
    for keyword in ("LossyImageCompression", "LossyImageCompressionMethod"):
        assert decoded[keyword] == original[keyword]


def test_the_kept_file_is_left_as_it_is() -> None:
    data = file(sr())
    before = bytes(data)
    adapt(data, Form(SR_2D, IMPLICIT))
    assert data == before
