"""Files that survive: durable writes, and no orphan after a crash at any moment."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from db import files
from db.files import FileStore, Intake, recover
from tests import peers

RECEIVED = datetime(2024, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    made = FileStore(tmp_path / "data")
    made.prepare()
    return made


def everything(store: FileStore) -> set[str]:
    """Return all files below the data folder but the locks, relative."""
    found = (path for path in store.root.rglob("*") if path.is_file())
    return {str(path.relative_to(store.root)) for path in found if "lock" not in path.name}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_film_is_kept_whole_under_a_name_of_ours(store: FileStore) -> None:
    intake = Intake(store)
    relative = intake.put([b"head", b"", b"data" * 100_000], RECEIVED)
    assert relative.startswith("films/2024/03/01/")
    assert store.path(relative).read_bytes() == b"head" + b"data" * 100_000
    intake.settle(relative, keep=True)
    intake.close()
    assert everything(store) == {relative}
    assert list((store.root / "incoming").iterdir()) == []


def test_a_film_that_is_not_wanted_leaves_nothing(store: FileStore) -> None:
    intake = Intake(store)
    kept, dropped = (intake.put([b"x"], RECEIVED) for _ in range(2))
    intake.settle(dropped, keep=False)
    intake.settle(kept, keep=True)
    intake.close()
    assert everything(store) == {kept}


def test_the_same_bytes_twice_are_two_files(store: FileStore) -> None:
    intake = Intake(store)
    assert intake.put([b"x"], RECEIVED) != intake.put([b"x"], RECEIVED)


def test_only_the_owner_may_read_what_is_kept(store: FileStore) -> None:
    previous = os.umask(0)
    try:
        fresh = FileStore(store.root.parent / "fresh")
        fresh.prepare()
        intake = Intake(fresh)
        intake.put([b"x"], RECEIVED)
        fresh.write_result("r", b"x", RECEIVED)
    finally:
        os.umask(previous)
    for path in [fresh.root, *fresh.root.rglob("*")]:
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path


class Calls:
    """The order of the system calls that durability rests on, seen through `os`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[str, str]] = []
        self._real_fsync, self._real_link = os.fsync, os.link
        self._real_replace = os.replace
        monkeypatch.setattr(os, "fsync", self._fsync)
        monkeypatch.setattr(os, "link", self._link)
        monkeypatch.setattr(os, "replace", self._replace)

    def _fsync(self, descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        self.made.append(("sync", name))
        self._real_fsync(descriptor)

    def _link(self, source: Path, target: Path, **how: bool) -> None:
        self.made.append(("link", Path(target).name))
        self._real_link(source, target, **how)

    def _replace(self, source: Path, target: Path) -> None:
        self.made.append(("rename", Path(target).name))
        self._real_replace(source, target)


def test_a_film_is_synced_before_and_its_folder_after_it_gets_its_name(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = Intake(store)
    calls = Calls(monkeypatch)
    relative = intake.put([b"x"], RECEIVED)
    name = Path(relative).name
    part = f"{Path(relative).stem}.part"
    folders = [("sync", folder) for folder in ("data", "films", "2024", "03")]
    assert calls.made == [("sync", part), *folders, ("link", name), ("sync", "01")]
    calls.made.clear()
    assert Path(intake.put([b"x"], RECEIVED)).parent == Path(relative).parent
    assert [call for call, _ in calls.made] == ["sync", "link", "sync"]


def test_a_folder_that_another_process_made_is_made_durable_too(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been made this moment, and not be synced yet."""
    (store.root / "films/2024/03/01").mkdir(parents=True)
    intake = Intake(store)
    calls = Calls(monkeypatch)
    intake.put([b"x"], RECEIVED)
    assert ("sync", "03") in calls.made


def test_a_result_is_synced_before_and_its_folder_after_it_gets_its_name(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_result("before", b"x", RECEIVED)
    calls = Calls(monkeypatch)
    store.write_result("sr.dcm", b"x", RECEIVED)
    (part, *rest) = calls.made
    assert part[0] == "sync"
    assert part[1].endswith(".part")
    assert rest == [("rename", "sr.dcm"), ("sync", "01")]


def test_a_result_written_twice_is_one_file(store: FileStore) -> None:
    first = store.write_result("sr.dcm", b"one", RECEIVED)
    assert store.write_result("sr.dcm", b"one", RECEIVED) == first == "results/2024/03/01/sr.dcm"
    assert store.path(first).read_bytes() == b"one"
    assert everything(store) == {first}


def test_a_film_that_cannot_be_written_leaves_nothing(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = Intake(store)
    real = os.fsync
    for failing in range(1, 6):
        count = 0

        def fsync(descriptor: int, failing: int = failing) -> None:
            nonlocal count
            count += 1
            if count == failing:
                raise OSError(5, "Input/output error")
            real(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match="Input/output"):
            intake.put([b"x"], datetime(2000 + failing, 3, 1, tzinfo=UTC))
        assert everything(store) == set()
    monkeypatch.setattr(os, "fsync", real)
    intake.settle(relative := intake.put([b"x"], RECEIVED), keep=True)
    assert everything(store) == {relative}


def test_removing_what_is_gone_is_no_error(store: FileStore) -> None:
    relative = store.write_result("sr", b"x", RECEIVED)
    store.remove(relative)
    store.remove(relative)
    assert everything(store) == set()


def test_the_digest_tells_what_is_there(store: FileStore) -> None:
    relative = store.write_result("sr", b"x", RECEIVED)
    assert store.digest(relative) == hashlib.sha256(b"x").hexdigest()
    assert store.digest("results/nothing.dcm") is None


def test_what_cannot_be_read_has_no_digest(store: FileStore) -> None:
    (store.root / "results" / "folder.dcm").mkdir()
    assert store.digest("results/folder.dcm") is None


CRASHER = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from db.files import FileStore, Intake

store = FileStore(Path(sys.argv[1]))
intake = Intake(store)
moment = sys.argv[2]
settled = intake.put([b"settled"], datetime(2024, 3, 1, tzinfo=UTC))
intake.settle(settled, keep=True)
print(settled, flush=True)
if moment == "written":
    real = os.link
    os.link = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
relative = intake.put([b"film"], datetime(2024, 3, 1, tzinfo=UTC))
print(relative, flush=True)
if moment == "living":
    sys.stdin.read()  # until it is killed
os.kill(os.getpid(), signal.SIGKILL)
"""


def crashed(store: FileStore, moment: str) -> list[str]:
    """Let another process receive two films and be killed; return the paths that it printed."""
    done = subprocess.run(
        [sys.executable, "-c", CRASHER, str(store.root), moment],
        cwd=peers.ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    return done.stdout.split()


def test_a_film_whose_row_was_not_committed_goes_after_a_kill(store: FileStore) -> None:
    settled, unfinished = crashed(store, "put")
    assert len(everything(store)) == 3
    assert recover(store, lambda path: path == settled) == 1
    assert everything(store) == {settled}
    assert not store.path(unfinished).exists()
    assert list((store.root / "incoming").iterdir()) == []


def test_a_film_whose_row_was_committed_stays_after_a_kill(store: FileStore) -> None:
    settled, committed = crashed(store, "put")
    assert recover(store, lambda path: path in (settled, committed)) == 0
    assert everything(store) == {settled, committed}
    assert store.path(committed).read_bytes() == b"film"
    assert list((store.root / "incoming").iterdir()) == []


def test_a_film_that_had_no_name_yet_goes_after_a_kill(store: FileStore) -> None:
    (settled,) = crashed(store, "written")
    assert recover(store, lambda path: path == settled) == 1
    assert everything(store) == {settled}


def test_recovering_twice_does_nothing_more(store: FileStore) -> None:
    settled, _ = crashed(store, "put")
    recover(store, lambda path: path == settled)
    assert recover(store, lambda _: False) == 0
    assert everything(store) == {settled}


@contextmanager
def child(script: str, *arguments: str) -> Iterator[Callable[[], str]]:
    """Run a script; yields what tells it to go on to its next line of output, and returns that."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=peers.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def go_on() -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    with process:
        try:
            yield go_on
        finally:
            process.kill()


def test_films_of_a_living_listener_are_left_alone(store: FileStore) -> None:
    mine = Intake(store)
    my_film = mine.put([b"mine"], RECEIVED)
    with child(CRASHER, str(store.root), "living") as go_on:
        _, unfinished = go_on(), go_on()
        before = everything(store)
        assert recover(store, lambda _: False) == 0
        assert everything(store) == before
        assert store.path(unfinished).exists()
    assert recover(store, lambda _: False) == 1
    assert not store.path(unfinished).exists()
    assert store.path(my_film).exists()


def test_an_intake_closed_with_films_on_their_way_leaves_them_to_recovery(
    store: FileStore,
) -> None:
    intake = Intake(store)
    relative = intake.put([b"x"], RECEIVED)
    intake.close()
    assert recover(store, lambda _: False) == 1
    assert not store.path(relative).exists()


RECOVERING = """
import sys
from pathlib import Path
from db import files

folder = Path(sys.argv[1])
with files.exclusive(files._recovery_lock(files.FileStore(folder))):
    print("held", flush=True)
    sys.stdin.readline()
    sys.stdin.readline()
    print(len(list((folder / "incoming").iterdir())), flush=True)
"""


def test_an_intake_does_not_close_while_another_process_recovers(store: FileStore) -> None:
    """Otherwise recovery finds a folder that vanishes under its hands, and fails."""
    intake = Intake(store)
    with child(RECOVERING, str(store.root)) as go_on:
        assert go_on() == "held"
        closing = threading.Thread(target=intake.close)
        closing.start()
        closing.join(0.2)
        assert go_on() == "1"
        closing.join(10)
    assert list((store.root / "incoming").iterdir()) == []


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[FileStore]:
    """A data folder on a file system of 256 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"needs a root user who may mount a tmpfs: {mounted.stderr.strip()}")
    try:
        made = FileStore(folder)
        made.prepare()
        yield made
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_leaves_nothing_and_takes_films_again_when_there_is_room(
    tiny: FileStore,
) -> None:
    intake = Intake(tiny)
    kept = intake.put([b"x" * 100_000], RECEIVED)
    intake.settle(kept, keep=True)
    with pytest.raises(OSError, match="No space left"):
        intake.put([b"x" * 300_000], RECEIVED)
    with pytest.raises(OSError, match="No space left"):
        tiny.write_result("sr", b"x" * 300_000, RECEIVED)
    assert everything(tiny) == {kept}
    tiny.remove(kept)
    intake.settle(intake.put([b"x" * 100_000], RECEIVED), keep=True)
    tiny.write_result("sr", b"x" * 50_000, RECEIVED)


def test_free_bytes_is_what_is_left(tiny: FileStore) -> None:
    before = tiny.free_bytes()
    tiny.write_result("sr", b"x" * 100_000, RECEIVED)
    assert 100_000 <= before - tiny.free_bytes() < 150_000


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="Not a directory"):
        FileStore(tmp_path / "file" / "data").prepare()


def test_an_exclusive_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []
    lock = tmp_path / "lock"

    def second() -> None:
        with files.exclusive(lock):
            order.append("second")

    with files.exclusive(lock):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_what_a_killed_writer_left_half_written_is_removed_when_it_is_old(store: FileStore) -> None:
    kept = store.write_result("sr", b"x", RECEIVED)
    half = store.path(kept).with_name("sc.0123.part")
    half.write_bytes(b"half")
    written = half.stat().st_mtime
    assert store.remove_stale_partials(before=written - 1) == 0
    assert store.remove_stale_partials(before=written + 1) == 1
    assert everything(store) == {kept}
