"""Films of a given size that a benchmark makes by itself; each can be made another one in no time.

Receivers never look at pixels, so these hold noise: a small one passes for a JPEG of 130 KB, a
large one is 2500 x 2048 pixels of 16 bits, as a detector makes them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

SMALL_BYTES = 130_000
LARGE_ROWS, LARGE_COLUMNS = 2500, 2048
_DIGITS = 36
_PLACES = {name: f"2.25.{digit * _DIGITS}" for name, digit in zip("123", "789", strict=True)}
"""What stands in the encoded film where the UIDs of study, series and instance belong."""


class Kind:
    """A kind of film: its bytes, and where in them the UIDs are."""

    def __init__(self, name: str, encoded: bytes, transfer_syntax: UID) -> None:
        self.name = name
        self.transfer_syntax = transfer_syntax
        self.size = len(encoded)
        self._encoded = encoded
        self._at = [list(_finds(encoded, place.encode())) for place in _PLACES.values()]

    def make(self, count: int, folder: Path) -> list[Path]:
        """Write so many films, each a study of its own with UIDs of its own."""
        folder.mkdir(parents=True)
        paths = [folder / f"{self.name}-{number:05}.dcm" for number in range(count)]
        for path in paths:
            path.write_bytes(self._encoded)
        self.renew(paths)
        return paths

    def renew(self, paths: Sequence[Path]) -> None:
        """Give films that `make` wrote UIDs of their own again."""
        for path in paths:
            with path.open("r+b") as file:
                for places in self._at:
                    uid = _uid()
                    for place in places:
                        file.seek(place)
                        file.write(uid)

    def data_set(self) -> tuple[str, bytes]:
        """Return a SOP Instance UID, and the encoded data set of a film that has it."""
        film = bytearray(self._encoded)
        for places in self._at:
            uid = _uid()
            for place in places:
                film[place : place + len(uid)] = uid
        meta_bytes = int.from_bytes(film[140:144], "little")  # PS3.10 7.1: the group's length
        return uid.decode(), bytes(film[144 + meta_bytes :])


def small() -> Kind:
    """Return films of 130 KB, as JPEG leaves of a film of 1024 x 1024 pixels."""
    dataset = _film(1024, 1024, 8)
    dataset.PixelData = encapsulate([os.urandom(SMALL_BYTES - 1000)])
    return Kind("small", _encode(dataset, JPEGBaseline8Bit), JPEGBaseline8Bit)


def large() -> Kind:
    """Return films of 10 MB, uncompressed."""
    dataset = _film(LARGE_ROWS, LARGE_COLUMNS, 16)
    dataset.PixelData = os.urandom(LARGE_ROWS * LARGE_COLUMNS * 2)
    return Kind("large", _encode(dataset, ExplicitVRLittleEndian), ExplicitVRLittleEndian)


def _film(rows: int, columns: int, bits: int) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    study, series, instance = _PLACES.values()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.SOPInstanceUID = instance
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20240301", "101500", "A1"
    dataset.Modality, dataset.StationName = "CR", "BENCH"
    dataset.PatientName, dataset.PatientID = "Bench^Film", "BENCH1"
    dataset.PatientBirthDate, dataset.PatientSex = "19500101", "O"
    dataset.ViewPosition, dataset.InstanceNumber = "PA", 1
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = rows, columns, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    return dataset


def _encode(dataset: Dataset, transfer_syntax: UID) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    encoded = BytesIO()
    dcmwrite(encoded, dataset, enforce_file_format=True)
    return encoded.getvalue()


def _finds(encoded: bytes, place: bytes) -> list[int]:
    found, at = [], encoded.find(place)
    while at >= 0:
        found.append(at)
        at = encoded.find(place, at + 1)
    return found


def _uid() -> bytes:
    return f"2.25.{random.randrange(10 ** (_DIGITS - 1), 10**_DIGITS)}".encode()
