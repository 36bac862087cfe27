"""What the benchmarks rest on: copies that are studies of their own, and tables that read well."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from bench.common import find_films, fresh_copies, table


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    """Two small files that pass for films."""
    folder = tmp_path / "films" / "deeper"
    folder.mkdir(parents=True)
    for name in "ab":
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
        dataset.SOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID = generate_uid()
        dataset.SeriesInstanceUID = generate_uid()
        dataset.PatientID = name
        dataset.BitsAllocated = 8
        dataset.PixelData = bytes(range(16))
        dataset.save_as(folder / f"{name}.dcm", enforce_file_format=True)
    return find_films(tmp_path / "films")


def test_every_copy_is_a_study_of_its_own_with_the_pixels_of_its_film(
    films: list[Path], tmp_path: Path
) -> None:
    copies = [dcmread(path) for path in fresh_copies(films, 5, tmp_path / "copies")]
    assert [copy.PatientID for copy in copies] == ["a", "b", "a", "b", "a"]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        uids = {copy[keyword].value for copy in [*copies, *map(dcmread, films)]}
        assert len(uids) == 7, keyword
    for copy in copies:
        assert copy.file_meta.MediaStorageSOPInstanceUID == copy.SOPInstanceUID
        assert copy.PixelData == bytes(range(16))


def test_a_folder_without_films_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no \.dcm files here"):
        find_films(tmp_path)


def test_a_table_is_markdown_with_aligned_columns() -> None:
    assert table(("what", "s"), [("a", "1"), ("longer", "22")]).splitlines() == [
        "| what   | s  |",
        "|--------|----|",
        "| a      | 1  |",
        "| longer | 22 |",
    ]
