"""What is written is for one user, whatever the umask; no list of processes has a secret."""

from __future__ import annotations

import base64
import json
import stat
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from xml.etree import ElementTree as ET

import psutil
import pytest

from audit.file import verify
from db.files import FileStore
from tests.db.makers import NOON
from tests.peers import ChildProcess, dcmsend, hilum_environment, run_hilum, running
from tests.system.whole import destination, make_films, whole

CANARY = "CANARY-SECRET"
ROLES = ("listen", "deliver", "schedule")


def _open_to_others(folder: Path) -> list[str]:
    """Name what others may read, write or enter, and what its user may not."""
    found = []
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode != (0o700 if path.is_dir() else 0o600):
            found.append(f"{path.name} {mode:o}")
    return found


@pytest.mark.parametrize("umask", ["0000", "0777"])
def test_folders_and_files_are_for_one_user_whatever_the_umask(umask: str, tmp_path: Path) -> None:
    films = make_films(tmp_path / "films", 2, size=64)
    secrets = {
        "HILUM_BACKUP__PASSPHRASE": CANARY,
        "HILUM_DICOMWEB__TOKEN": CANARY,
        "HILUM_LISTENER__TLS__KEY_PASSWORD": CANARY,
    }
    to = destination(1, "PACS")
    with whole(tmp_path, env=secrets, destinations=[to]) as service, ExitStack() as stack:
        for role in ROLES:
            hilum = [sys.executable, "-m", "hilum", role]
            command = ["/bin/sh", "-c", f'umask {umask}; exec "$@"', "sh", *hilum]
            process = ChildProcess(
                command, log=tmp_path / f"{role}.log", env=hilum_environment(service.env)
            )
            stack.enter_context(running(process))
        process.wait_for(service.answers, seconds=60)
        assert dcmsend(films, service.port).accepted == 2
        assert not [each for each in psutil.process_iter(["cmdline"]) if _shows(each)]
        assert _open_to_others(service.data) == []
        done = run_hilum(["config"], service.env, folder=tmp_path)
        assert CANARY not in done.stdout + done.stderr
        stack.close()
        assert CANARY not in "".join(log.read_text() for log in tmp_path.glob("*.log"))
        assert _open_to_others(service.data) == []
        _assert_told(service.data / "audit")


def _assert_told(trail: Path) -> None:
    """The trail tells when each role began and ended, and the settings without their secrets."""
    assert verify(trail).problem is None
    (day,) = trail.glob("*.audit")
    messages = [ET.fromstring(line.split(" ", 1)[1]) for line in day.read_text().splitlines()]
    kinds = Counter(
        kind.attrib["csd-code"]
        for message in messages
        for kind in message.iterfind("EventIdentification/EventTypeCode")
    )
    assert kinds == {"110120": 3, "110121": 3, "110129": 3}
    settings = [
        base64.b64decode(each.attrib["value"]).decode()
        for message in messages
        for each in message.iter("ParticipantObjectDetail")
        if each.get("type") == "Settings"
    ]
    assert len(settings) == 3
    for each in settings:
        assert json.loads(each)["backup.passphrase"] == "***"
        assert CANARY not in each


def _shows(process: psutil.Process) -> bool:
    return CANARY in " ".join(process.info["cmdline"] or [])


def test_results_are_for_one_user(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "data")
    store.prepare()
    store.write_results({"a.dcm": b"sr", "b.dcm": b"sc"}, NOON)
    assert _open_to_others(store.root) == []
