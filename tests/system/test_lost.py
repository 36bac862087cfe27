"""A role that starts takes back at once what processes had that were killed on its machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from db import migrations
from db.files import FileStore
from db.models import Task
from db.states import TaskKind
from tests.db.makers import claim, film, receive, rows
from tests.peers import hilum_process
from tests.system.whole import whole

DAY_SECONDS = 86_400.0


def name_of_one_that_has_ended() -> str:
    """Return what a process was called in leases that has ended since."""
    code = "from db.owners import this_process; print(this_process('work'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
@pytest.mark.parametrize("role", ["deliver", "work", "schedule"])
def test_a_role_takes_back_what_one_that_is_gone_had_for_a_day(role: str, tmp_path: Path) -> None:
    with whole(tmp_path) as service:
        store = FileStore(service.data)
        store.prepare()
        migrations.upgrade(service.database, store.root)
        receive(service.database, film(), film())
        for owner in ("work@elsewhere:1", name_of_one_that_has_ended()):
            claim(service.database, TaskKind.READ, limit=1, owner=owner, lease_seconds=DAY_SECONDS)
        with hilum_process([role], service.env, folder=service.folder) as process:
            process.wait_for("1 tasks of lost workers were taken back")
        leased = [each.owner for each in rows(service.database, Task) if each.state == "leased"]
        assert leased == ["work@elsewhere:1"]
