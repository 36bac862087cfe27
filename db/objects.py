"""Films and results in a bucket of an S3 store; the data folder holds what is not there yet.

A film is put into the bucket before it is acknowledged. What the store does not take in time is
kept in the data folder, under the same relative path and as durably as without a bucket, and
`db.upload` puts it into the bucket later. So readers look into the data folder first.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from db.bucket import Bucket
from db.files import (
    FILE_MODE,
    FOLDER_MODE,
    PARTIAL,
    AwayError,
    FileStore,
    exclusive,
    is_alive,
    sync_folder,
    write_synced,
)
from settings import Settings

_log = logging.getLogger(__name__)

_PAUSE_SECONDS = 10.0
"""How long films go to the data folder at once, after the store did not take one in time."""
_PING_SECONDS = 15.0
NEAR, UNWANTED = "near", "unwanted"
_BETWEEN = "_"


class NotHereError(AwayError, FileNotFoundError):
    """A file is neither in the bucket nor on this machine: perhaps on the one that it came to."""

    def __init__(self) -> None:
        super().__init__("the file is not in it; it may still wait on the machine that it came to")


@dataclass(slots=True)
class _Fetched:
    """A file that somebody has near, and how many do."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


class ObjectStore(FileStore):
    """A bucket, with the data folder before it.

    Args:
        root: the data folder.
        bucket: where films and results go.
        wait_seconds: how long a film waits for the bucket before it is kept here.
    """

    is_remote = True

    def __init__(self, root: Path, bucket: Bucket, *, wait_seconds: float) -> None:
        super().__init__(root)
        self.bucket = bucket
        self._wait_seconds = wait_seconds
        self._again_at = 0.0
        self._fetched: dict[str, _Fetched] = {}
        self._guard = threading.Lock()
        self._near: Path | None = None
        self._near_lock = -1
        self._pinged: tuple[float, str | None] | None = None

    def prepare(self) -> None:
        """Create the folders; what killed processes had fetched goes.

        Raises:
            OSError: the data folder cannot be made or written.
        """
        super().prepare()
        for name in (NEAR, UNWANTED):
            (self.root / name).mkdir(mode=FOLDER_MODE, exist_ok=True)
        with exclusive(self.root / "near.lock"):
            for folder in (self.root / NEAR).iterdir():
                if not is_alive(folder):
                    shutil.rmtree(folder)

    def keep(self, relative: str, partial: Path) -> None:
        """Put a film into the bucket; where that takes too long, keep it in the data folder."""
        if time.monotonic() >= self._again_at and self._put(relative, partial):
            return
        super().keep(relative, partial)

    def hand_over(self, relatives: Iterable[str]) -> None:
        """Put results into the bucket now, if it takes them; else it is done later."""
        for relative in relatives:
            path = self.path(relative)
            if time.monotonic() < self._again_at or not self._put(relative, path):
                return
            path.unlink()

    def near_path(self, relative: str) -> Path:
        """Return where a file is while it is near."""
        return self._own_folder() / relative

    @contextmanager
    def near(self, relative: str, sha256: str | None = None) -> Iterator[Path]:
        """Fetch a file for as long as somebody in this process has it near."""
        path = self.near_path(relative)
        with self._guard:
            fetched = self._fetched.setdefault(relative, _Fetched())
            fetched.users += 1
        try:
            with fetched.lock:
                if not path.exists():
                    self._fetch(relative, path, sha256)
            yield path
        finally:
            with self._guard:
                fetched.users -= 1
                if not fetched.users:
                    path.unlink(missing_ok=True)
                    del self._fetched[relative]

    def bring_back(self, relative: str, sha256: str) -> bool:
        """Keep a file in the data folder, durably; False where it is there already.

        Raises:
            FileNotFoundError: it is nowhere.
            OSError: the store or the disk failed, or it differs from its digest.
        """
        path = self.path(relative)
        if path.exists():
            return False
        data = self.read(relative, sha256)
        self.make_folder(path.parent)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
        try:
            write_synced(partial, [data])
            partial.rename(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
        return True

    def digest(self, relative: str) -> str | None:
        """Return the SHA-256 of a file, or None where it is missing.

        Raises:
            AwayError: the store does not answer, so that nobody knows.
        """
        try:
            return hashlib.sha256(self.read(relative)).hexdigest()
        except FileNotFoundError:
            return None

    def remove(self, relative: str) -> None:
        """Delete a file here and in the bucket; one that is gone already is no error.

        Raises:
            AwayError: the store does not answer, so that the file may still be there.
        """
        super().remove(relative)
        self.bucket.delete(relative)

    def discard(self, relative: str) -> None:
        """Delete a film that no row names; `db.upload` tries again until the store has done so.

        It does so too where the store has answered: a put that was given up may still arrive.
        """
        super().discard(relative)
        mark = self.root / UNWANTED / self.part_name(relative)
        with suppress(FileExistsError):
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
        sync_folder(mark.parent)

    def part_name(self, relative: str) -> str:
        """Return a name that tells the whole path: no other file here may tell the day."""
        return f"{relative.replace('/', _BETWEEN)}.part"

    def parts_films(self, partial: Path) -> list[str]:
        """Return the relative path that a partial, or the mark of what is unwanted, tells."""
        if partial.stem.startswith(f"films{_BETWEEN}"):
            return [partial.stem.replace(_BETWEEN, "/")]
        return super().parts_films(partial)

    def waiting(self) -> Iterator[Path]:
        """Yield the files of the data folder that are to go into the bucket."""
        for tree in ("films", "results"):
            for path in (self.root / tree).glob("*/*/*/*"):
                if path.suffix != PARTIAL:
                    yield path

    def problem(self) -> str | None:
        """Say why the bucket cannot be used; asked anew after a moment."""
        now = time.monotonic()
        if self._pinged is None or now - self._pinged[0] > _PING_SECONDS:
            try:
                self.bucket.ping()
                self._pinged = (now, None)
            except AwayError as error:
                self._pinged = (now, str(error))
        return self._pinged[1]

    def close(self) -> None:
        """Delete what is near."""
        with self._guard:
            if self._near is not None:
                shutil.rmtree(self._near)
                os.close(self._near_lock)
                self._near = None

    def _put(self, relative: str, path: Path) -> bool:
        try:
            self.bucket.put(relative, path.read_bytes(), seconds=self._wait_seconds)
        except AwayError as error:
            self._again_at = time.monotonic() + _PAUSE_SECONDS
            _log.warning("Files are kept in the data folder for now: %s.", error)
            return False
        return True

    def _fetch(self, relative: str, path: Path, sha256: str | None) -> None:
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        try:
            path.hardlink_to(self.path(relative))  # whatever becomes of the name there
            return
        except FileNotFoundError:
            pass
        try:
            data = self.bucket.get(relative)
        except FileNotFoundError:
            raise NotHereError from None
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise OSError(errno.EIO, "the object in the bucket differs from its digest")
        partial = path.with_name(f"{path.name}.part")
        partial.write_bytes(data)
        os.utime(partial, (0, 0))  # the same file each time that it comes
        partial.rename(path)

    def _own_folder(self) -> Path:
        """Return this process's folder of fetched files; it is locked while the process lives."""
        with self._guard:
            if self._near is None:
                folder = self.root / NEAR / uuid.uuid4().hex
                with exclusive(self.root / "near.lock"):
                    folder.mkdir(mode=FOLDER_MODE)
                    self._near_lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, FILE_MODE)
                    fcntl.flock(self._near_lock, fcntl.LOCK_EX)
                self._near = folder
            return self._near


def open_store(settings: Settings) -> FileStore:
    """Return where films and results are kept.

    Raises:
        AwayError: it cannot be used as it is configured.
    """
    if settings.storage_url is None:
        return FileStore(settings.data_path)
    bucket = Bucket(settings.storage_url, settings.storage)
    return ObjectStore(settings.data_path, bucket, wait_seconds=settings.storage.wait_seconds)
