"""Whatever a film's header holds, results are valid and the patient comes back as he came."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from inference.report.build import ReportError, build_study
from inference.report.header import FilmHeader, read_header
from inference.report.values import character_set
from tests import judges
from tests.inference.report.studies import STUDY, film, job, keep, read, refused

TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
)
DEIDENTIFIED = {"PatientIdentityRemoved": "YES", "DeidentificationMethod": "by hand"}


@disable_value_validation()
def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


@pytest.mark.parametrize(
    "attributes",
    [
        dict.fromkeys(TYPE_2),
        {"SpecificCharacterSet": None},
        {"PatientAge": "51"},
        {"PatientAge": "", "StudyDescription": ""},
        {"PatientSex": "U"},
        {"PatientSex": "female"},
        {"StudyDate": "1995.07.20", "StudyTime": "11:22:07"},
        {"PatientBirthDate": "00000000", "StudyTime": "noon"},
        {"StudyDescription": "C" * 80, "StudyID": "S" * 20},
        {"StudyDescription": "two\nlines", "PatientComments": "several\r\nlines"},
        {"PatientWeight": "", "PatientSize": "1.78"},
        {"ImagerPixelSpacing": None},
        {"ImagerPixelSpacing": [0.0, 0.2]},
        {"PatientOrientation": None},
        {"PatientOrientation": ["left", "feet"]},
        {"BodyPartExamined": "THORAX"},
        {"BodyPartExamined": None, "Laterality": ""},
        {"SOPClassUID": SecondaryCaptureImageStorage, "ImagerPixelSpacing": None},
        {"PatientIdentityRemoved": "YES"},
        DEIDENTIFIED,
        {"ProcedureCodeSequence": [_item(CodeValue="1")]},
        {
            "ProcedureCodeSequence": [
                _item(CodeValue="1", CodingSchemeDesignator="99H", CodeMeaning="Chest, 2 views"),
                _item(CodeValue="1", CodingSchemeDesignator="99H", CodeMeaning="M" * 70),
            ]
        },
        {
            "ProcedureCodeSequence": [
                _item(
                    CodeValue="1",
                    CodingSchemeDesignator="99H",
                    CodeMeaning="Chest",
                    ContextIdentifier="12",
                )
            ]
        },
        {
            "OtherPatientIDsSequence": [
                _item(PatientID="X1", TypeOfPatientID="TEXT"),
                _item(PatientID="X2"),
            ],
            "IssuerOfAccessionNumberSequence": [
                _item(UniversalEntityID="1.2.3", UniversalEntityIDType="ISO"),
                _item(UniversalEntityID="1.2.3"),
            ],
        },
        {"LossyImageCompression": "01", "LossyImageCompressionMethod": "ISO_10918_1"},
        {
            "LossyImageCompression": "01",
            "LossyImageCompressionMethod": "ISO_10918_1",
            "LossyImageCompressionRatio": "9.1",
        },
        {"TimezoneOffsetFromUTC": "CET"},
        {"InstanceNumber": None, "SeriesInstanceUID": None},
        {"SpecificCharacterSet": "LATIN"},
        {"SpecificCharacterSet": "ISO 2022 IR 100", "PatientName": "Müller^Jörg".encode("latin-1")},
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Δοκιμή^Ψ"},
    ],
    ids=lambda attributes: "+".join(attributes),
)
def test_a_bad_header_gives_valid_results(tmp_path: Path, attributes: dict[str, Any]) -> None:
    path = film(tmp_path / "film.dcm", **attributes)
    results = keep(tmp_path / "results", build_study(job(read(path))))
    assert judges.judge(results, [path]) == []


def test_a_film_without_preamble_is_read(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm")
    dataset = dcmread(path)
    bare = Dataset({element.tag: element for element in dataset})
    dcmwrite(path, bare, implicit_vr=True, little_endian=True)
    assert path.read_bytes()[128:132] != b"DICM"
    header = read_header(path)
    assert (header.study_instance_uid, header.rows) == (STUDY, 320)
    assert header.shared[0x00100010] == ("PN", b"Phantom^Paula")


@pytest.mark.parametrize(
    ("name", "declared", "written"),
    [
        ("Müller^Jörg".encode("latin-1"), "ISO_IR 100", "ISO_IR 100"),
        ("Müller^Jörg".encode("latin-1"), None, "ISO_IR 100"),
        ("Müller^Jörg".encode(), None, "ISO_IR 192"),
        ("Müller^Jörg".encode(), "ISO_IR 192", "ISO_IR 192"),
        (b"M\xfcller", "ISO_IR 192", "ISO_IR 100"),
        ("Люкceмбypг".encode("iso8859_5"), "ISO_IR 144", "ISO_IR 144"),
        (b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", ["", "ISO 2022 IR 149"], None),
        ("Wang^XiaoDong=王^小东".encode("gb18030"), "GB18030", "GB18030"),
        (b"Plain^Name", "LATIN", ""),
        (b"\x1b(B\x1b$B;3ED\x1b(B^=", ["", "ISO 2022 IR 87"], None),  # oddly, yet rightly written
    ],
)
def test_names_keep_their_bytes_and_get_the_character_set_they_are_in(
    tmp_path: Path, name: bytes, declared: Any, written: str | None
) -> None:
    path = film(
        tmp_path / "film.dcm", SpecificCharacterSet=declared, PatientName=name, PatientID=name[:9]
    )
    result = build_study(job(read(path)))
    for item in (result.sr, *result.overlays):
        dataset = dcmread(BytesIO(item.data))
        raw = dataset.get_item("PatientName")
        assert raw is not None
        assert raw.value.rstrip(b" ") == name
        assert dataset.get_item("PatientID").value.rstrip(b" ") == name[:9].rstrip(b" ")  # type: ignore[union-attr]
        if written is not None:
            assert dataset.get("SpecificCharacterSet", "") == written


def test_identity_comes_back_even_where_it_breaks_the_standard(tmp_path: Path) -> None:
    identity = {"PatientID": "P" * 70, "AccessionNumber": "A" * 20, "IssuerOfPatientID": "I" * 70}
    path = film(tmp_path / "film.dcm", **identity)
    report = dcmread(BytesIO(build_study(job(read(path))).sr.data))
    for keyword, value in identity.items():
        assert report.get_item(keyword).value == value.encode()  # type: ignore[union-attr]


def test_a_valid_header_is_carried_whole(tmp_path: Path) -> None:
    carried = {
        "PatientAge": "062Y",
        "PatientSize": "1.71",
        "PatientWeight": "70",
        "StudyDescription": "Chest PA",
        "AdditionalPatientHistory": "cough for two weeks",
        "MedicalAlerts": ["A", "B"],
        "SmokingStatus": "YES",
        "ProcedureCodeSequence": [
            _item(CodeValue="1", CodingSchemeDesignator="99H", CodeMeaning="Thorax, 2 Ebenen"),
            _item(CodeValue="2", CodingSchemeDesignator="99H", CodeMeaning="Äußeres"),
        ],
        "OtherPatientIDsSequence": [_item(PatientID="X1", TypeOfPatientID="TEXT")],
        **DEIDENTIFIED,
    }
    path = film(tmp_path / "film.dcm", **carried)
    source = dcmread(path)
    result = build_study(job(read(path)))
    for item in (result.sr, *result.overlays):
        dataset = dcmread(BytesIO(item.data))
        for keyword in (*carried, *TYPE_2):
            assert dataset[keyword].value == source[keyword].value


def test_missing_study_and_series_uids_are_made_the_same_way_each_time(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm", StudyInstanceUID=None, SeriesInstanceUID=None)
    first, second = read_header(path), read_header(path)
    assert first.study_instance_uid == second.study_instance_uid
    assert first.study_instance_uid.startswith("2.25.")
    assert first.series_instance_uid != first.study_instance_uid


@pytest.mark.parametrize(
    "attributes",
    [{"SOPInstanceUID": "../../../evil"}, {"StudyInstanceUID": "no uid"}],
)
def test_a_film_that_names_no_instance_makes_no_report(
    tmp_path: Path, attributes: dict[str, str]
) -> None:
    path = film(tmp_path / "film.dcm", **attributes)
    with pytest.raises(ReportError, match="is not a UID") as caught:
        build_study(job(read(path)))
    assert not any(value in str(caught.value) for value in attributes.values())


def test_nothing_of_a_patient_is_logged_or_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    secrets = {
        "PatientID": "SECRET-ID" * 9,
        "PatientName": "Secret^Name\x07",
        "StudyDate": "secret date",
        "InstanceNumber": "7777777",
        "StudyInstanceUID": "1.02.003.99999",
    }
    path = film(tmp_path / "film.dcm", Rows=None, **secrets)
    path.write_bytes(path.read_bytes().replace(b"7777777 ", b"secret7 "))
    caplog.clear()
    build_study(job(refused(path)))
    said = "\n".join([*(record.getMessage() for record in caplog.records), *map(str, recwarn)])
    assert "ecret" not in said
    assert "99999" not in said


def test_a_lossy_film_counts_its_own_compression_first(tmp_path: Path, real_data: Path) -> None:
    (path, *_) = sorted((real_data / "rsna_mini" / "stage_2_train_images").glob("*.dcm"))
    ratio, method = read_header(path).compressions[0]
    assert method == "ISO_10918_1"
    assert ratio == pytest.approx(1024 * 1024 / path.stat().st_size, abs=0.01)


def test_hostile_headers_end_in_a_header_or_one_sentence(real_data: Path) -> None:
    paths = sorted((real_data / "dicom_hostile").iterdir())
    ends = [_header_or_sentence(path) for path in paths]
    assert len(ends) > 40
    sentences = [end for end in ends if isinstance(end, str)]
    assert 0 < len(sentences) < len(ends)
    assert all(sentence and "\n" not in sentence for sentence in sentences)


def _header_or_sentence(path: Path) -> FilmHeader | str:
    try:
        return read_header(path)
    except ReportError as error:
        return str(error)


@pytest.mark.parametrize(
    ("declared", "texts", "expected"),
    [
        ((), [b"plain"], ()),
        (("ISO_IR 100",), [b"plain"], ("ISO_IR 100",)),
        (("ISO 2022 IR 100",), [b"\xfc"], ("ISO_IR 100",)),
        (
            ("ISO 2022 IR 6", "ISO 2022 IR 87"),
            [b"\x1b$B;3\x1b(B"],
            ("ISO 2022 IR 6", "ISO 2022 IR 87"),
        ),
        (("ISO_IR 6",), [b"\xc3\xbc"], ("ISO_IR 192",)),
    ],
)
def test_the_character_set_is_the_one_the_texts_are_in(
    declared: tuple[str, ...], texts: list[bytes], expected: tuple[str, ...]
) -> None:
    assert character_set(declared, texts) == expected
