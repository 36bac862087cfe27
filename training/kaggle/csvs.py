"""Reads the CSV files of a data folder, plain, zipped or gzipped, and says what is wrong."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from training.tables import TableError

MAX_BYTES = 1_073_741_824
"""Largest table read, in bytes after decompression; the challenge's are below 2 MB."""


class FolderError(TableError):
    """A data folder is not as it should be; the message names the part and what to do."""


def is_zip(file: Path) -> bool:
    """Tell by its first bytes whether a file is a zip file."""
    return _starts_with(file, b"PK\x03\x04")


def read_rows(file: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV file's rows with their line numbers (the header is line 1).

    What the file is, plain, gzip or zip with one CSV file in it, is told by its first bytes: a
    download is often zipped without its name saying so.

    Raises:
        FolderError: the file cannot be read, has no rows or lacks one of `columns`, or a row has
            fewer or more values than the header.
    """
    try:
        with _open(file) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
            reader = csv.DictReader(text)
            rows = [(reader.line_num, row) for row in reader]
            names = reader.fieldnames or ()
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError) as error:
        raise FolderError(f"{file}: cannot be read ({error}): download it again") from None
    except (UnicodeDecodeError, csv.Error):
        raise FolderError(f"{file}: this is no CSV file in UTF-8: download it again") from None
    missing = [name for name in columns if name not in names]
    if missing:
        raise FolderError(f"{file}: no column {missing[0]!r} in its first line")
    if not rows:
        raise FolderError(f"{file}: no rows below its first line")
    for line, row in rows:
        if None in row or None in row.values():
            raise FolderError(f"{file}, line {line}: {len(names)} values are needed")
    return rows


@contextmanager
def _open(file: Path) -> Iterator[BinaryIO]:
    if is_zip(file):
        with zipfile.ZipFile(file) as archive:
            members = [
                each
                for each in archive.infolist()
                if each.filename.endswith(".csv") and not each.filename.startswith("__MACOSX")
            ]
            if len(members) != 1 or members[0].flag_bits & 1:
                raise FolderError(f"{file}: one CSV file without password is needed in it")
            if members[0].file_size > MAX_BYTES:
                raise FolderError(f"{file}: its table is larger than {MAX_BYTES} bytes")
            with archive.open(members[0]) as stream:
                yield cast("BinaryIO", stream)
    elif _starts_with(file, b"\x1f\x8b"):
        with gzip.open(file) as unzipped:
            yield cast("BinaryIO", unzipped)
    else:
        with file.open("rb") as plain:
            yield plain


def _starts_with(file: Path, magic: bytes) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(magic)) == magic
