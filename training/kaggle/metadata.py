"""The metadata table: one row per training film, as Parquet, made once and in parallel."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from training.kaggle.csvs import FolderError
from training.kaggle.description import INTEGERS, SPACINGS, TEXTS, Value, describe
from training.kaggle.folder import KaggleFolder
from training.kaggle.pool import in_processes
from training.kaggle.unpack import Progress

PART_FILMS = 64
"""Films in one part: what a kill costs at most, for each process."""

GROUP_PARTS = 64
"""Parts in one row group of the table."""

_FINGERPRINT = b"hilum.fingerprint"
_MADE_OF = "1"  # grows when rows come to hold something else, so that old tables are made again

ATTRIBUTES = (*TEXTS, *INTEGERS, *SPACINGS, "MultiPixelSpacing")
FILE_COLUMNS = ("FNAME", "IMG_MIN", "IMG_MAX", "IMG_MEAN", "IMG_STD")

SCHEMA = pa.schema(
    [
        pa.field("patientId", pa.string(), nullable=False),
        *(pa.field(name, pa.string()) for name in TEXTS),
        *(pa.field(name, pa.int32()) for name in INTEGERS),
        *(pa.field(name, pa.float64()) for name in SPACINGS),
        pa.field("MultiPixelSpacing", pa.int32()),
        pa.field("FNAME", pa.string(), nullable=False),
        pa.field("IMG_MIN", pa.int32()),
        pa.field("IMG_MAX", pa.int32()),
        pa.field("IMG_MEAN", pa.float64()),
        pa.field("IMG_STD", pa.float64()),
        pa.field("DIGEST", pa.string()),
        pa.field("PROBLEM", pa.string()),
    ]
)
"""DICOM attributes by keyword, the file name, and the stored values' statistics; a film that cannot
be read has a PROBLEM, and no statistics. DIGEST is the same where all pixels are."""


def make_metadata(
    folder: KaggleFolder, file: Path, *, processes: int = 0, progress: Progress | None = None
) -> Path:
    """Describe every training film in `file`, ordered by patientId, unless that is done already.

    Parts of `PART_FILMS` films are made by several processes and kept beside the file until all
    are there, so that a killed run goes on where it was; then they become the table. Memory: one
    film and one part per process. A film that changed (size or time) makes its part anew.
    `progress` is told the films done and their number.

    Raises:
        FolderError: the disk is full or cannot be written, or a process was ended.
    """
    films = list(folder.train_images.items())
    parts = _parts(films, file.with_name(f"{file.name}.parts"))
    whole = _digest(part.fingerprint for part in parts)
    try:
        if _fingerprint(file) == whole:
            return file
        _make_parts(parts, len(films), processes, progress)
        _join(parts, file, whole)
        shutil.rmtree(parts[0].file.parent)
    except OSError as error:
        raise FolderError(f"{file}: cannot be written: {error.strerror or error}") from None
    return file


def read_metadata(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the table, or some of its columns.

    Raises:
        FolderError: the file is missing or is no such table.
    """
    try:
        return pq.read_table(file, columns=list(columns) if columns is not None else None)
    except (OSError, pa.ArrowInvalid, KeyError):
        raise FolderError(f"{file}: no table of ours: delete it to make it anew") from None


@dataclass(frozen=True, slots=True)
class _Part:
    file: Path
    films: tuple[tuple[str, Path], ...]
    fingerprint: str


def _parts(films: Sequence[tuple[str, Path]], folder: Path) -> list[_Part]:
    parts = []
    for number, start in enumerate(range(0, len(films), PART_FILMS)):
        chosen = tuple(films[start : start + PART_FILMS])
        stats = ((name, path.stat()) for name, path in chosen)
        fingerprint = _digest(f"{name} {s.st_size} {s.st_mtime_ns}" for name, s in stats)
        parts.append(_Part(folder / f"{number:05d}.parquet", chosen, fingerprint))
    return parts


def _make_parts(
    parts: Sequence[_Part], total: int, processes: int, progress: Progress | None
) -> None:
    parts[0].file.parent.mkdir(parents=True, exist_ok=True)
    todo = [part for part in parts if _fingerprint(part.file) != part.fingerprint]
    done = total - sum(len(part.films) for part in todo)
    if progress is not None:
        progress(done, total)
    for count in in_processes(_make_part, todo, processes):
        done += count
        if progress is not None:
            progress(done, total)


def _make_part(part: _Part) -> int:
    rows = [_row(patient_id, path) for patient_id, path in part.films]
    schema = SCHEMA.with_metadata({_FINGERPRINT: part.fingerprint.encode()})
    growing = part.file.with_suffix(".growing")
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), growing)
    growing.replace(part.file)
    return len(rows)


def _row(patient_id: str, path: Path) -> dict[str, Value]:
    film = describe(path)
    return {
        **dict.fromkeys(ATTRIBUTES),
        **film.attributes,
        "patientId": patient_id,
        "Rows": film.attributes.get("Rows", film.rows),
        "Columns": film.attributes.get("Columns", film.columns),
        "FNAME": path.name,
        "IMG_MIN": film.minimum,
        "IMG_MAX": film.maximum,
        "IMG_MEAN": film.mean,
        "IMG_STD": film.std,
        "DIGEST": film.digest,
        "PROBLEM": film.problem,
    }


def _join(parts: Sequence[_Part], file: Path, fingerprint: str) -> None:
    schema = SCHEMA.with_metadata({_FINGERPRINT: fingerprint.encode()})
    growing = file.with_name(f"{file.name}.growing")
    with pq.ParquetWriter(growing, schema) as writer:
        for start in range(0, len(parts), GROUP_PARTS):
            tables = [pq.read_table(part.file) for part in parts[start : start + GROUP_PARTS]]
            group = pa.concat_tables(table.replace_schema_metadata() for table in tables)
            writer.write_table(group.cast(schema))
    growing.replace(file)


def _fingerprint(file: Path) -> str | None:
    """Read what a table was made of; None where there is none or it is cut off."""
    try:
        metadata = pq.read_schema(file).metadata or {}
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    value = metadata.get(_FINGERPRINT)
    return None if value is None else value.decode()


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.sha256(_MADE_OF.encode())
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:32]
