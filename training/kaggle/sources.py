"""Where surveys come from: a Kaggle folder, or a folder that holds the challenge's tables alone."""

from __future__ import annotations

from pathlib import Path

from training.kaggle.csvs import FolderError, read_rows
from training.kaggle.folder import (
    CLASS_INFO,
    CSV_SUFFIXES,
    TRAIN_LABELS,
    KaggleFolder,
    read_classes,
    read_labels,
)
from training.kaggle.metadata import ATTRIBUTES, FILE_COLUMNS, make_metadata, read_metadata
from training.kaggle.survey import Parts, Survey, make_survey, years
from training.kaggle.unpack import Progress

HEADERS = "kaggle_stage_2_train_images_dicom_headers"
NIH_MAP = "rsna_to_nih_map"
NIH_ENTRIES = "Data_Entry_2017_v2020"


def has_tables_alone(source: Path) -> bool:
    """Tell whether a folder holds the challenge's header table, which stands for its films."""
    return _table(source, HEADERS) is not None


def survey_tables(source: Path) -> Survey:
    """Read a folder that holds tables alone: the films' headers and both label files.

    The NIH tables, where they stand beside, tell patients and revised ages.

    Raises:
        FolderError: a table is missing or not as it should be.
    """
    headers, labels, classes = (
        _required(source, name) for name in (HEADERS, TRAIN_LABELS, CLASS_INFO)
    )
    names = ("PatientID", "PatientAge", "PatientSex", "ViewPosition", "PixelSpacing")
    rows = sorted((row for _, row in read_rows(headers, names)), key=lambda row: row["PatientID"])
    columns = {name: [row[name] for row in rows] for name in rows[0] if name}
    patients, ages = _nih(source)
    return make_survey(
        Parts(
            name=source.name,
            headers={
                "patientId": columns["PatientID"],
                "sex": columns["PatientSex"],
                "view": columns["ViewPosition"],
                "age": columns["PatientAge"],
                "spacing": columns["PixelSpacing"],
            },
            columns=columns,
            label_rows=read_labels(labels),
            class_rows=read_classes(classes),
            patients=patients,
            revised_ages=ages,
        )
    )


def survey_folder(folder: KaggleFolder, metadata: Path, progress: Progress | None) -> Survey:
    """Read a Kaggle folder; its films are described in `metadata` first, if they are not yet.

    Raises:
        FolderError: the metadata table cannot be made, or no film has an image and labels.
    """
    table = read_metadata(make_metadata(folder, metadata, progress=progress))
    columns: dict[str, list[object]] = {
        name: table[name].to_pylist() for name in table.column_names
    }
    return make_survey(
        Parts(
            name=folder.path.resolve().name,
            headers={
                "patientId": columns["patientId"],
                "sex": columns["PatientSex"],
                "view": columns["ViewPosition"],
                "age": columns["PatientAge"],
                "spacing": columns["PixelSpacing"],
                "mean": columns["IMG_MEAN"],
                "std": columns["IMG_STD"],
            },
            columns={name: columns[name] for name in (*ATTRIBUTES, *FILE_COLUMNS)},
            label_rows=folder.labels,
            class_rows=folder.class_rows,
            patients=folder.patients,
            revised_ages={},
            paths=folder.train_images,
            test_films=len(folder.test_images),
        )
    )


def _nih(source: Path) -> tuple[dict[str, str], dict[str, float]]:
    """Read NIH patients (the first 8 digits of an image's name) and ages of the films matched."""
    matches, entries = _table(source, NIH_MAP), _table(source, NIH_ENTRIES)
    if matches is None:
        return {}, {}
    rows = read_rows(matches, ("patientId", "nih_image", "usable_mse_lt_10"))
    images = {r["patientId"]: r["nih_image"] for _, r in rows if r["usable_mse_lt_10"] == "1"}
    patients = {name: image[:8] for name, image in images.items()}
    if entries is None:
        return patients, {}
    table = read_rows(entries, ("Image Index", "Patient Age"))
    ages = {row["Image Index"]: years(row["Patient Age"]) for _, row in table}
    return patients, {n: ages[image] for n, image in images.items() if image in ages}


def _table(source: Path, name: str) -> Path | None:
    return next((f for suffix in CSV_SUFFIXES if (f := source / f"{name}{suffix}").is_file()), None)


def _required(source: Path, name: str) -> Path:
    file = _table(source, name)
    if file is None:
        raise FolderError(f"{source}: {name}.csv (plain, .gz or .zip) not found in it")
    return file
