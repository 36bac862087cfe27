"""Making a backup: a tar of all rows, then all files, then the digests of both, sealed as one file.

It may be made while the service runs. Rows come first, from one snapshot. Files never change once
a row names them, so those that the snapshot names are the right ones however much later they are
read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

from sqlalchemy import Connection, select

from db import migrations
from db.backup.rows import dumped, last_ids, snapshot
from db.backup.sealed import BackupError, SealedWriter
from db.files import FILE_MODE, FOLDER_MODE, FileStore, exclusive, sync_folder
from db.models import Instance, Result
from db.session import Database

FORMAT = 1
HEAD, DIGESTS = "backup.json", "digests.json"
TREES = ("bundles", "audit")
"""Folders below the data folder that are kept as they are, beside the files that rows name."""
_SCRATCH = "backup.scratch"


@dataclass(frozen=True, slots=True)
class Packed:
    """What is in a backup, and how many files could not be put in as they were recorded."""

    rows: int
    files: int
    bytes: int
    missing: int
    damaged: int


def write_backup(
    target: Path, database: Database, store: FileStore, passphrase: str, *, now: datetime
) -> Packed:
    """Write a backup of database and files to a new file, durably, whole or not at all.

    A film or result that is missing or damaged is counted; a damaged one is kept as it is.

    Raises:
        BackupError: the file exists already.
        OSError: no room, or a disk failed.
    """
    if target.exists():
        raise BackupError(f"{target} exists already; name another file, or move that one away")
    partial = target.with_name(f"{target.name}.part")
    try:
        with _created(partial) as file, exclusive(store.root / "backup.lock"):
            sealed = SealedWriter(file, passphrase)
            with tarfile.open(
                fileobj=cast(BinaryIO, sealed), mode="w|", format=tarfile.PAX_FORMAT
            ) as tar:
                packed = _pack(_Pack(tar), database, store, now)
            sealed.close()
            size = file.tell()
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(target.absolute().parent)
    return replace(packed, bytes=size)


class _Pack:
    """A tar under way, and the digests of what is in it."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.digests: dict[str, str] = {}

    def add(self, name: str, data: bytes) -> None:
        """Add what is in memory."""
        self.stream(name, BytesIO(data), len(data))

    def stream(self, name: str, source: BinaryIO, size: int) -> str:
        """Add the first `size` bytes of a file; return their SHA-256."""
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, FILE_MODE
        hashing = _Hashing(source)
        self._tar.addfile(member, cast(BinaryIO, hashing))
        self.digests[name] = hashing.digest.hexdigest()
        return self.digests[name]


class _Hashing:
    """A file that keeps the digest of what was read of it."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self.digest.update(data)
        return data


def _pack(pack: _Pack, database: Database, store: FileStore, now: datetime) -> Packed:
    scratch = store.root / _SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)  # of a backup that was killed
    scratch.mkdir(mode=FOLDER_MODE)
    try:
        with snapshot(database, scratch) as connection:
            head = {
                "format": FORMAT,
                "made_at": now.isoformat(),
                "schema": migrations.version(connection),
                "database": connection.dialect.name,
                "last_ids": last_ids(connection),
            }
            pack.add(HEAD, json.dumps(head, indent=1).encode())
            rows = 0
            for number, (table, lines) in enumerate(dumped(connection)):
                pack.add(f"rows/{number:06}-{table}.jsonl", lines)
                rows += lines.count(b"\n")
            named = named_files(connection)
    finally:
        shutil.rmtree(scratch)
    missing, damaged = _add_named(pack, named, database, store)
    for path in _in_trees(store.root):
        with path.open("rb") as file:
            pack.stream(str(path.relative_to(store.root)), file, os.fstat(file.fileno()).st_size)
    files = sum(not name.startswith("rows/") for name in pack.digests) - 1
    pack.add(DIGESTS, json.dumps(pack.digests).encode())
    return Packed(rows, files, 0, missing, damaged)


def named_files(connection: Connection) -> dict[str, str]:
    """Map the path of every film and result to the digest that it was stored with."""
    return {
        path: digest
        for table in (Instance, Result)
        for path, digest in connection.execute(
            select(table.path, table.file_sha256).order_by(table.id)
        )
    }


def _add_named(
    pack: _Pack, named: dict[str, str], database: Database, store: FileStore
) -> tuple[int, int]:
    """Add films and results; return how many are missing, and how many differ from their digest."""
    missing = damaged = 0
    for path, digest in named.items():
        try:
            with store.near(path) as near, near.open("rb") as file:
                found = pack.stream(path, file, os.fstat(file.fileno()).st_size)
        except FileNotFoundError:
            missing += _is_named(database, path)
            continue
        damaged += found != digest
    return missing, damaged


def _is_named(database: Database, path: str) -> bool:
    """Tell whether a row still names a file: retention may have deleted both since the snapshot."""
    with database.read() as session:
        return any(
            session.scalar(select(table.id).where(table.path == path)) is not None
            for table in (Instance, Result)
        )


def _in_trees(root: Path) -> Iterator[Path]:
    for tree in TREES:
        yield from sorted(
            path for path in (root / tree).rglob("*") if path.is_file() and not path.is_symlink()
        )


@contextmanager
def _created(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that is ours alone; at the end it is synced."""
    descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, FILE_MODE)
    with closing(os.fdopen(descriptor, "wb")) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
