"""Files below the data folder: where they lie, and how they are written so that they survive.

Films lie in `films/YYYY/MM/DD/`, results in `results/YYYY/MM/DD/`; both are named by ids of ours,
never by a peer's text. Paths in the database are relative to the data folder. `db.objects` has the
store that puts them into a bucket.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600
PARTIAL = ".part"


class AwayError(OSError):
    """An object store cannot be used now, which is no fault of a film; says why in a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EHOSTUNREACH, f"the object store: {reason}")

    def __str__(self) -> str:
        return str(self.strerror)


class FileStore:
    """The data folder. Users of files ask for them by `near` or `read`, wherever they lie."""

    is_remote = False
    """Whether files lie elsewhere too, so that a call may take its time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._durable: set[Path] = set()

    def prepare(self) -> None:
        """Create the folders.

        Raises:
            OSError: the data folder cannot be made or written.
        """
        for folder in (
            self.root,
            self.root / "incoming",
            self.root / "films",
            self.root / "results",
        ):
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)

    def make_folder(self, folder: Path) -> None:
        """Create a folder below the data folder, and make its name and those above it durable.

        That a folder exists does not make it durable: somebody else may have made it just now. So
        every process syncs each folder's name once.
        """
        if folder == self.root or (folder in self._durable and folder.is_dir()):
            return
        self.make_folder(folder.parent)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        sync_folder(folder.parent)
        self._durable.add(folder)

    def path(self, relative: str) -> Path:
        """Return where a file is in the data folder, if it is there."""
        return self.root / relative

    def near_path(self, relative: str) -> Path:
        """Return where a file is while it is `near`; the same each time in this process."""
        return self.path(relative)

    @contextmanager
    def near(self, relative: str, sha256: str | None = None) -> Iterator[Path]:
        """Have a stored file at `near_path`, not to be written to, until the context ends.

        Raises:
            FileNotFoundError: it is nowhere.
            OSError: it cannot be had, or what comes from afar differs from its digest `sha256`.
        """
        yield self.near_path(relative)

    def read(self, relative: str, sha256: str | None = None) -> bytes:
        """Return a stored file's bytes; errors as of `near`."""
        with self.near(relative, sha256) as path:
            return path.read_bytes()

    def keep(self, relative: str, partial: Path) -> None:
        """Keep a film that is written and synced as `partial` for good, under its own name.

        Raises:
            OSError: no room, or the disk failed.
        """
        target = self.path(relative)
        self.make_folder(target.parent)
        target.hardlink_to(partial)
        sync_folder(target.parent)

    def hand_over(self, relatives: Iterable[str]) -> None:
        """Say that results are written whole, so that they may go to where they are kept."""

    def discard(self, relative: str) -> None:
        """Delete a film that no row names, or have it deleted as soon as that can be."""
        self.path(relative).unlink(missing_ok=True)

    def part_name(self, relative: str) -> str:
        """Return the name of a film in `incoming/`."""
        return f"{Path(relative).stem}.part"

    def parts_films(self, partial: Path) -> list[str]:
        """Return the relative paths of what was kept of a `partial`."""
        found = self.root.glob(f"films/*/*/*/{partial.stem}.dcm")
        return [str(path.relative_to(self.root)) for path in found]

    def problem(self) -> str | None:
        """Say what is wrong with where files go beyond the data folder; None where nothing is."""
        return None

    def close(self) -> None:
        """Give up what this process alone has of files."""

    def free_bytes(self) -> int:
        """Return how many bytes an ordinary user may still write to the data folder."""
        return shutil.disk_usage(self.root).free

    def write_result(self, name: str, data: bytes, recorded_at: datetime) -> str:
        """Write one result; see `write_results`."""
        return self.write_results({name: data}, recorded_at)[name]

    def write_results(self, results: Mapping[str, bytes], recorded_at: datetime) -> dict[str, str]:
        """Write results by file name, durably, all or none, and return their relative paths.

        The same name and time give the same path, so that work done twice leaves one file.

        Raises:
            OSError: no room, or the disk failed; nothing new is left behind.
        """
        folder = f"results/{recorded_at:%Y/%m/%d}"
        self.make_folder(self.path(folder))
        paths = {name: f"{folder}/{name}" for name in results}
        partials = {
            name: self.path(f"{folder}/{name}.{uuid.uuid4().hex}{PARTIAL}") for name in results
        }
        try:
            for name, data in results.items():
                write_synced(partials[name], [data])
            for name, partial in partials.items():
                partial.replace(self.path(paths[name]))
        except OSError:
            for partial in partials.values():
                partial.unlink(missing_ok=True)
            raise
        sync_folder(self.path(folder))
        return paths

    def remove_stale_partials(self, *, before: float) -> int:
        """Delete what killed writers of results left before a moment (seconds since the epoch)."""
        stale = [
            path
            for path in (self.root / "results").rglob(f"*{PARTIAL}")
            if path.stat().st_mtime < before
        ]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    def remove(self, relative: str) -> None:
        """Delete a stored file; one that is gone already is no error."""
        self.path(relative).unlink(missing_ok=True)

    def digest(self, relative: str) -> str | None:
        """Return the SHA-256 of a stored file, or None where it is missing or cannot be read."""
        try:
            with self.path(relative).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None


class Intake:
    """Films on their way in, written so that a crash at any moment leaves no orphan.

    A film is written and synced as `incoming/<intake>/<id>.part`, then linked to its final name,
    and only when its row is committed does the `.part` name go. So whatever a killed listener left
    unfinished still has its `.part` name, and `recover` finds all of it.
    """

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._folder = store.root / "incoming" / uuid.uuid4().hex
        # Neither begins nor ends while another listener recovers: that looks at all folders.
        with exclusive(_recovery_lock(store)):
            self._folder.mkdir(mode=FOLDER_MODE)
            self._lock = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR, FILE_MODE)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        sync_folder(self._folder.parent)

    def put(self, parts: Sequence[bytes | memoryview], received_at: datetime) -> str:
        """Write a film durably and return its relative path; `settle` must follow.

        Raises:
            OSError: no room, or the disk failed; nothing is left behind.
        """
        name = uuid.uuid4().hex
        relative = f"films/{received_at:%Y/%m/%d}/{name}.dcm"
        partial = self._partial(relative)
        try:
            write_synced(partial, parts)
            self._store.keep(relative, partial)
        except OSError:
            self._store.discard(relative)
            partial.unlink(missing_ok=True)
            raise
        return relative

    def settle(self, relative: str, *, keep: bool) -> None:
        """End a film's way in: its row is committed (`keep`), or it is not wanted after all.

        Where it cannot be discarded now, its `.part` name stays, and the next start does so.
        """
        if not keep:
            try:
                self._store.discard(relative)
            except OSError:
                return
        self._partial(relative).unlink(missing_ok=True)

    def close(self) -> None:
        """Give up the intake folder; it goes if everything in it is settled."""
        with exclusive(_recovery_lock(self._store)):
            if not any(self._folder.glob("*.part")):
                (self._folder / "lock").unlink()
                self._folder.rmdir()
            os.close(self._lock)

    def _partial(self, relative: str) -> Path:
        return self._folder / self._store.part_name(relative)


def recover(store: FileStore, is_known: Callable[[str], bool]) -> int:
    """Settle what dead listeners left in `incoming/`; return how many films were dropped.

    A film whose row was committed (`is_known` of its relative path) stays; one that was never
    acknowledged is removed. Folders of living listeners are locked and left alone.
    """
    dropped = 0
    with exclusive(_recovery_lock(store)):
        for folder in (store.root / "incoming").iterdir():
            if is_alive(folder):
                continue
            for partial in folder.glob("*.part"):
                films = store.parts_films(partial)
                if not any(is_known(film) for film in films):
                    for film in films:
                        store.discard(film)
                    dropped += 1
                partial.unlink()
            (folder / "lock").unlink(missing_ok=True)
            folder.rmdir()
    return dropped


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold an advisory lock on a file of this machine."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _recovery_lock(store: FileStore) -> Path:
    return store.root / "recovery.lock"


def is_alive(folder: Path) -> bool:
    """Tell whether the process that holds a folder's lock still runs."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def write_synced(path: Path, parts: Sequence[bytes | memoryview]) -> None:
    """Write a new file; its content is durable, its name is once its folder is synced."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[file.write(view) :]
        os.fsync(file.fileno())
