"""Restoring a backup into an empty data folder and an empty database, whole or not at all.

Everything is unpacked into `restoring/` below the data folder and checked there. Only then are the
files moved to their places, and last of all come the rows, so that none is there before its file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

from sqlalchemy import Connection, Table, make_url

from db import migrations
from db.backup.check import CONTRADICTS, content_of, head_of
from db.backup.pack import DIGESTS, TREES
from db.backup.rows import is_empty, load, set_last_ids, tables
from db.backup.sealed import BackupError, SealedReader
from db.files import FILE_MODE, FOLDER_MODE, FileStore, sync_folder
from db.session import Database

RESTORING = "restoring"
_ROWS = re.compile(r"rows/\d{6}-(\w+)\.jsonl")
_FILE = re.compile(rf"(?:films|results|{'|'.join(TREES)})(?:/[\w. +@-]+)+")
_SCRATCH = "hilum.sqlite"
_PIECE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and when it was backed up."""

    rows: int
    files: int
    made_at: datetime


def restore_backup(source: Path, url: str, store: FileStore, passphrase: str) -> Restored:
    """Restore a backup to the database at `url` and to the data folder, both of them empty.

    The database becomes one of this program's schema version, and may be of the other kind than
    the one that was backed up.

    Raises:
        BackupError: wrong passphrase, a damaged file, a newer schema, or the target is not empty.
        OSError: the file cannot be read, or there is no room.
    """
    with source.open("rb") as file:
        reader = SealedReader(file, passphrase)
        _refuse_used(store, url)
        folder = store.root / RESTORING
        folder.mkdir(mode=FOLDER_MODE, parents=True)
        try:
            with closing(Database(_scratch_url(url, folder))) as database:
                restored = _restore(reader, database, folder)
                migrations.upgrade(database, folder)
        except BaseException:
            # Once films are at their places, what is left says that this has not ended.
            if not (store.root / "films").exists():
                shutil.rmtree(folder)
            raise
    if (final := _sqlite_file(url)) is not None:
        final.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        shutil.move(folder / _SCRATCH, final)
        sync_folder(final.parent)
    shutil.rmtree(folder)
    sync_folder(store.root)
    return restored


def refuse_unfinished(store: FileStore) -> None:
    """Make sure that no restore into this data folder was begun and has not ended.

    Raises:
        BackupError: one was.
    """
    if (store.root / RESTORING).exists():
        raise BackupError(
            f"a restore into {store.root} is under way or was broken off; wait for it, or empty the"
            " folder and the database and restore again"
        )


def _refuse_used(store: FileStore, url: str) -> None:
    if store.root.exists() and any(each.name != "lost+found" for each in store.root.iterdir()):
        raise BackupError(
            f"{store.root} is not empty, and a restore overwrites nothing; set data_dir to an empty"
            " folder"
        )
    final = _sqlite_file(url)
    if final is not None and final.exists():
        raise BackupError(f"{final} exists, and a restore overwrites nothing; see database_url")
    if final is None:
        with closing(Database(url)) as database, database.engine.connect() as connection:
            if not is_empty(connection):
                raise BackupError(
                    "the database has rows, and a restore overwrites nothing; set database_url to"
                    " an empty database"
                )


def _sqlite_file(url: str) -> Path | None:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database is None:
        return None
    return Path(parsed.database)


def _scratch_url(url: str, folder: Path) -> str:
    """Return where rows are loaded to: a file that is moved at the end, or PostgreSQL itself."""
    return url if _sqlite_file(url) is None else f"sqlite:///{folder / _SCRATCH}"


def _restore(reader: SealedReader, database: Database, folder: Path) -> Restored:
    """Unpack everything, check it, put the files into their places, and then commit the rows."""
    with tarfile.open(fileobj=cast(BinaryIO, reader), mode="r|") as tar:
        members = iter(tar)
        digests: dict[str, str] = {}
        head = head_of(members, tar, digests)
        migrations.upgrade(database, folder, head["schema"])
        with database.write() as session:
            connection = session.connection()
            rows = _unpack(members, tar, connection, folder, digests)
            reader.finish()
            set_last_ids(connection, head["last_ids"])
            os.sync()
            files = _place(folder)
    return Restored(rows, files, datetime.fromisoformat(head["made_at"]))


def _unpack(
    members: Iterator[tarfile.TarInfo],
    tar: tarfile.TarFile,
    connection: Connection,
    folder: Path,
    digests: dict[str, str],
) -> int:
    """Load rows and write files, and hold all of it against the digests that come last."""
    into: dict[str, Table] = tables(connection)
    rows = 0
    for member in members:
        if member.name == DIGESTS:
            if json.loads(content_of(tar, member)) == digests:
                return rows
            break
        if match := _ROWS.fullmatch(member.name):
            lines = content_of(tar, member)
            digests[member.name] = hashlib.sha256(lines).hexdigest()
            rows += load(connection, into[match[1]], lines)
        elif _FILE.fullmatch(member.name) and member.isfile() and ".." not in member.name:
            _write(tar, member, folder / member.name, digests)
        else:
            break
    raise BackupError(CONTRADICTS)


def _write(
    tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, digests: dict[str, str]
) -> None:
    source = tar.extractfile(member)
    assert source is not None, "the member is a file"
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        while piece := source.read(_PIECE_BYTES):
            digest.update(piece)
            file.write(piece)
    digests[member.name] = digest.hexdigest()


def _place(folder: Path) -> int:
    """Move the unpacked folders to their places in the data folder; return how many files."""
    count = 0
    for tree in sorted(path for path in folder.iterdir() if path.is_dir()):
        count += sum(path.is_file() for path in tree.rglob("*"))
        tree.rename(folder.parent / tree.name)
    sync_folder(folder.parent)
    return count
