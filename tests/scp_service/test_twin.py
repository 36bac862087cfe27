"""The twin for peers that know only Comprehensive SR says the same and passes the judges."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import ComprehensiveSRStorage

from inference.report.build import Predecessor, build_study
from tests import judges
from tests.inference.report.studies import NORMAL, STUDY, film, job, read, refused
from tests.twins import as_comprehensive_sr


def test_the_twin_is_the_same_report_of_the_other_class(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm")
    for image in (read(path), read(path, NORMAL), refused(path)):
        original = build_study(job(image)).sr
        data, uid = as_comprehensive_sr(original.data)
        assert as_comprehensive_sr(original.data) == (data, uid)
        assert uid != original.sop_instance_uid
        twin, report = dcmread(BytesIO(data)), dcmread(BytesIO(original.data))
        assert twin.SOPClassUID == twin.file_meta.MediaStorageSOPClassUID == ComprehensiveSRStorage
        assert twin.SOPInstanceUID == twin.file_meta.MediaStorageSOPInstanceUID == uid
        for dataset in (twin, report):
            del dataset.SOPClassUID, dataset.SOPInstanceUID
        assert twin == report
        kept = tmp_path / "twin.dcm"
        kept.write_bytes(data)
        assert judges.judge([kept], [path]) == []


def test_the_twin_of_a_revision_names_the_twin_of_its_predecessor(tmp_path: Path) -> None:
    images = (read(film(tmp_path / "film.dcm")),)
    first = build_study(job(*images)).sr
    before = Predecessor(
        STUDY, first.series_instance_uid, first.sop_class_uid, first.sop_instance_uid
    )
    second = build_study(job(*images, revision=2, predecessor=before)).sr
    _, first_twin = as_comprehensive_sr(first.data)
    twin = dcmread(BytesIO(as_comprehensive_sr(second.data)[0]))
    reference = (
        twin.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    )
    assert reference.ReferencedSOPClassUID == ComprehensiveSRStorage
    assert reference.ReferencedSOPInstanceUID == first_twin


def test_the_twin_keeps_names_in_their_own_bytes(tmp_path: Path) -> None:
    name = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"
    path = film(
        tmp_path / "film.dcm", SpecificCharacterSet=["", "ISO 2022 IR 149"], PatientName=name
    )
    data, _ = as_comprehensive_sr(build_study(job(read(path))).sr.data)
    raw = dcmread(BytesIO(data)).get_item("PatientName")
    assert raw is not None
    assert raw.value.rstrip(b" ") == name
