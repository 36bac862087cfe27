"""A PACS that is not ours files results beside their films, once, and gives them back unchanged."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from pydicom import dcmread

from inference.report.build import Predecessor, build_study
from tests.inference.report.studies import OPACITY, STUDY, film, job, keep, read
from tests.peers import Orthanc, dcmsend
from tests.twins import as_comprehensive_sr

NAME = "Müller^Jörg"


def test_orthanc_files_results_with_the_film_and_keeps_every_value(
    tmp_path: Path, orthanc: Orthanc
) -> None:
    path = film(
        tmp_path / "film.dcm",
        SpecificCharacterSet=None,  # undeclared, as many modalities leave it
        PatientName=NAME.encode("latin-1"),
    )
    result = build_study(job(read(path), presentations=True))
    twin = tmp_path / "twin.dcm"
    twin.write_bytes(as_comprehensive_sr(result.sr.data)[0])
    sent = [path, *keep(tmp_path / "results", result), twin]
    assert dcmsend(sent, orthanc.port, called="ORTHANC").accepted == len(sent)

    assert len(orthanc.studies()) == 1
    instances = orthanc.instances()
    assert len(instances) == len(sent)
    assert len(orthanc.get("/series")) == 4
    tags = [orthanc.tags(instance) for instance in instances]
    assert {tag["PatientName"] for tag in tags} == {NAME}
    assert {tag["PatientID"] for tag in tags} == {"P-7"}
    for original in sent:
        expected = dcmread(original)
        (found,) = orthanc.find("Instance", {"SOPInstanceUID": expected.SOPInstanceUID})
        assert dcmread(BytesIO(orthanc.file(found))) == expected

    (report,) = (tag for tag in tags if tag["SOPInstanceUID"] == result.sr.sop_instance_uid)
    said = report["ContentSequence"][-1]["ContentSequence"]
    assert said[0]["TextValue"] == result.sentence
    assert said[2]["ConceptCodeSequence"][0]["CodeMeaning"] == "Present"


def test_orthanc_has_nothing_new_when_the_same_work_is_done_again(
    tmp_path: Path, orthanc: Orthanc
) -> None:
    path = film(tmp_path / "film.dcm")
    for run in ("first", "second"):
        results = keep(tmp_path / run, build_study(job(read(path))))
        dcmsend([path, *results], orthanc.port, called="ORTHANC")
        assert len(orthanc.instances()) == 3
    first = build_study(job(read(path, OPACITY))).sr
    before = Predecessor(
        STUDY, first.series_instance_uid, first.sop_class_uid, first.sop_instance_uid
    )
    revised = build_study(job(read(path), revision=2, predecessor=before))
    dcmsend(keep(tmp_path / "third", revised), orthanc.port, called="ORTHANC")
    assert len(orthanc.instances()) == 5
    assert len(orthanc.studies()) == 1
