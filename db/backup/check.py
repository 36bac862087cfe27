"""Whether a backup is whole: every byte of it is read, and nothing is restored."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from db import migrations
from db.backup.pack import DIGESTS, FORMAT, HEAD
from db.backup.sealed import BackupError, SealedReader

CONTRADICTS = "the backup contradicts itself, so it is of no use; take another copy of it"
_PIECE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Checked:
    """When a backup was made, and how many files are in it."""

    made_at: datetime
    files: int


def check_backup(source: Path, passphrase: str) -> Checked:
    """Read a backup to its end, and hold all that is in it against its digests.

    Raises:
        BackupError: wrong passphrase, a damaged file, or one of a newer Hilum.
        OSError: the file cannot be read.
    """
    with source.open("rb") as file:
        reader = SealedReader(file, passphrase)
        with tarfile.open(fileobj=cast(BinaryIO, reader), mode="r|") as tar:
            members = iter(tar)
            digests: dict[str, str] = {}
            made_at = datetime.fromisoformat(head_of(members, tar, digests)["made_at"])
            for member in members:
                if member.name == DIGESTS:
                    if json.loads(content_of(tar, member)) != digests:
                        break
                    reader.finish()
                    rows = sum(name.startswith("rows/") for name in digests)
                    return Checked(made_at, len(digests) - rows - 1)
                digests[member.name] = _digest(tar, member)
    raise BackupError(CONTRADICTS)


def head_of(
    members: Iterator[tarfile.TarInfo], tar: tarfile.TarFile, digests: dict[str, str]
) -> dict[str, Any]:
    """Return what a backup says of itself, from its first member; its digest is added.

    Raises:
        BackupError: it says nothing, or a newer Hilum has made it.
    """
    first = next(members, None)
    if first is None or first.name != HEAD:
        raise BackupError(CONTRADICTS)
    data = content_of(tar, first)
    digests[first.name] = hashlib.sha256(data).hexdigest()
    head: dict[str, Any] = json.loads(data)
    if head["format"] != FORMAT or not migrations.is_known(head["schema"]):
        raise BackupError(
            f"the backup was made by a newer Hilum (schema version {head['schema']}); restore it by"
            " that version or a later one"
        )
    return head


def content_of(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Return a member's content.

    Raises:
        BackupError: it has none.
    """
    file = tar.extractfile(member)
    if file is None:
        raise BackupError(CONTRADICTS)
    return file.read()


def _digest(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file, digest = tar.extractfile(member), hashlib.sha256()
    while file is not None and (piece := file.read(_PIECE_BYTES)):
        digest.update(piece)
    return digest.hexdigest()
