"""`hilum reread` on this machine: in shadow, for reports, given again, and wrongly used."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from db import migrations
from db.files import FileStore
from db.models import Report, ShadowReading, StoredReading
from inference.bundle import load_bundle
from tests.db.makers import rows
from tests.inference.bundles import packaged_as
from tests.inference.worker.work import receive_files
from tests.peers import hilum_process, run_hilum
from tests.system.whole import Whole, make_films, whole

pytestmark = pytest.mark.long

FILMS = 6


def reread(service: Whole, *args: str | Path, code: int = 0) -> dict[str, object]:
    """Run `hilum reread ARGS… --json` and return what it says; `code` is the exit status."""
    done = run_hilum(["reread", *args, "--json"], service.env, folder=service.folder)
    assert done.returncode == code, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_an_archive_is_read_in_shadow_then_for_its_reports(tmp_path: Path) -> None:
    films = make_films(tmp_path / "films", FILMS)
    packaged_as(tmp_path / "second", "second", "2", temperature=3.0)
    with whole(tmp_path) as service, closing(service.database) as database:
        store = FileStore(service.data)
        store.prepare()
        migrations.upgrade(database, store.root)
        receive_files(database, store, *films)
        with hilum_process(["work"], service.env, folder=tmp_path):
            service.wait_until_idle(FILMS)
        before = len(rows(database, StoredReading))

        found = reread(service, "--bundle", tmp_path / "second", "--shadow")
        assert (found["films"], found["studies"], found["left"]) == (FILMS, FILMS, 0)
        assert len(rows(database, ShadowReading)) == FILMS
        assert found["comparison"]["films"] == before  # type: ignore[index]
        assert len(rows(database, StoredReading)) == before

        again = reread(service, "--bundle", tmp_path / "second", "--shadow")
        assert (again["films"], again["comparison"]) == (0, found["comparison"])

        refused = run_hilum(
            ["reread", "--bundle", tmp_path / "second"], service.env, folder=tmp_path
        )
        assert refused.returncode == 2
        assert "is not the active bundle" in refused.stderr

        done = run_hilum(["bundle", "register", tmp_path / "second"], service.env, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        done = run_hilum(["bundle", "activate", "second"], service.env, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        found = reread(service, "--bundle", "second/2")
        assert (found["studies"], found["left"]) == (FILMS, 0)
        with hilum_process(["work"], service.env, folder=tmp_path):
            service.wait_until_idle(FILMS)
        reports = [(each.study_id, each.revision, each.bundle) for each in rows(database, Report)]
        packaged = load_bundle(None).label
        assert sorted(reports) == [
            (study, revision, bundle)
            for study in range(1, FILMS + 1)
            for revision, bundle in ((1, packaged), (2, "second 2"))
        ]
        assert reread(service, "--bundle", "second/2")["studies"] == 0


def test_a_missing_file_is_told_and_tried_again(tmp_path: Path) -> None:
    films = make_films(tmp_path / "films", 2)
    packaged_as(tmp_path / "second", "second", "2")
    with whole(tmp_path) as service, closing(service.database) as database:
        store = FileStore(service.data)
        store.prepare()
        migrations.upgrade(database, store.root)
        receive_files(database, store, *films)
        with hilum_process(["work"], service.env, folder=tmp_path):
            service.wait_until_idle(2)
        file = store.path(service.instances()[0].path)
        file.rename(tmp_path / "away")
        found = reread(service, "--bundle", tmp_path / "second", "--shadow", code=1)
        assert (found["films"], found["left"], found["reason"]) == (1, 1, "a file is missing")
        (tmp_path / "away").rename(file)
        found = reread(service, "--bundle", tmp_path / "second", "--shadow")
        assert (found["films"], found["left"]) == (1, 0)
