"""Backup of a listener at work, and restore on an empty machine, by the very commands."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from db.models import Instance, Task
from tests.peers import dcmsend, hilum_process, run_hilum
from tests.system.whole import Whole, make_films, whole

BEFORE, AFTER = 4, 30


def _films(service: Whole) -> dict[str, str]:
    """Map the films that are held to the digests of their files."""
    return {each.sop_instance_uid: each.file_sha256 for each in service.instances()}


def test_a_listener_at_work_is_backed_up_and_goes_on_elsewhere(tmp_path: Path) -> None:
    """What was acknowledged before is there, and nothing is half there; the rest comes again."""
    films = make_films(tmp_path / "films", BEFORE + AFTER, size=256)
    (tmp_path / "passphrase").write_text("correct horse\n")
    secret = {"HILUM_BACKUP__PASSPHRASE": f"file:{tmp_path / 'passphrase'}"}
    backup = tmp_path / "hilum.backup"
    for name in ("here", "there"):
        (tmp_path / name).mkdir()

    with (
        whole(tmp_path / "here", env=secret) as here,
        whole(tmp_path / "there", env=secret) as there,
    ):
        with hilum_process(["listen"], here.env, folder=here.folder) as process:
            process.wait_for(here.answers, seconds=60)
            assert dcmsend(films[:BEFORE], here.port).accepted == BEFORE
            with ThreadPoolExecutor(1) as sender:
                traffic = sender.submit(dcmsend, films[BEFORE:], here.port)
                done = run_hilum(["backup", backup], here.env, folder=here.folder)
                assert traffic.result().accepted == AFTER
        assert done.returncode == 0, done.stderr

        restored = run_hilum(["restore", backup], there.env, folder=there.folder)
        assert restored.returncode == 0, restored.stderr
        came = _films(there)
        assert len(came) >= BEFORE
        assert came.items() <= _films(here).items()
        there.assert_no_orphans()
        assert there.count(Task) == there.count(Instance) == len(came)
        for path in there.files():
            assert (there.data / path).read_bytes() == (here.data / path).read_bytes()

        with hilum_process(["listen"], there.env, folder=there.folder) as process:
            process.wait_for(there.answers, seconds=60)
            assert dcmsend(films, there.port).accepted == BEFORE + AFTER
        assert there.count(Instance) == BEFORE + AFTER
        assert _films(there).keys() == _films(here).keys()


def test_without_a_passphrase_no_backup_is_made(tmp_path: Path) -> None:
    env = {"HILUM_DATA_DIR": str(tmp_path / "data")}
    done = run_hilum(["backup", tmp_path / "x.backup"], env, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("hilum: backups are encrypted, and there is no passphrase")
    assert not (tmp_path / "x.backup").exists()


def test_backups_of_a_folder_are_made_verified_and_deleted_by_their_age(tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("correct horse\n")
    folder = tmp_path / "backups"
    folder.mkdir()
    env = {
        "HILUM_DATA_DIR": str(tmp_path / "data"),
        "HILUM_BACKUP__PASSPHRASE": f"file:{tmp_path / 'passphrase'}",
        "HILUM_BACKUP__FOLDER": str(folder),
    }
    old = folder / "hilum-20200101T010000Z.backup"
    old.touch()
    done = run_hilum(["backup"], env, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 old backups were deleted." in done.stdout
    (made,) = folder.iterdir()
    whole_one = run_hilum(["backup", "--verify", made], env, folder=tmp_path)
    assert (whole_one.returncode, "is whole" in whole_one.stdout) == (0, True)
    made.write_bytes(made.read_bytes()[:-1])
    broken = run_hilum(["backup", "--verify", made], env, folder=tmp_path)
    assert broken.returncode == 2
    assert broken.stderr.startswith("hilum: the backup is damaged")
    (tmp_path / "passphrase").unlink()
    without = run_hilum(["backup"], env, folder=tmp_path)
    assert without.returncode == 2
    assert "passphrase cannot be read (No such file or directory)" in without.stderr
    assert list(folder.iterdir()) == [made]
