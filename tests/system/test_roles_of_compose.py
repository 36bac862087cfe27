"""The services of docker-compose.yml as processes of this machine, in its order, without Docker.

PostgreSQL and Orthanc are real; only addresses, ports and the data folder differ from the file.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests import peers
from training.phantoms import Kind, phantom, write_phantom_dicom

STUDIES = 3


@pytest.fixture
def services() -> dict[str, Any]:
    """The services of the compose file."""
    text = (peers.ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


def test_the_roles_work_together_on_postgresql_and_pass_their_health_checks(
    services: dict[str, Any], orthanc: peers.Orthanc, postgres_url: str, tmp_path: Path
) -> None:
    port = peers.free_port()
    (destination,) = json.loads(services["worker"]["environment"]["HILUM_DESTINATIONS"])
    assert destination["ae_title"] == orthanc.ae_title
    destination |= {"host": "127.0.0.1", "port": orthanc.port}
    env = {
        "HILUM_DATABASE_URL": postgres_url,
        "HILUM_DESTINATIONS": json.dumps([destination]),
        "HILUM_DATA_DIR": str(tmp_path / "data"),
        "HILUM_LISTENER__HOST": "127.0.0.1",
        "HILUM_LISTENER__PORT": str(port),
    }

    roles = ("listener", "worker", "deliver", "scheduler")
    watched = {role: {**env, "HILUM_METRICS__PORT": str(peers.free_port())} for role in roles}
    for role, values in watched.items():
        values["HILUM_METRICS__ENABLED"] = services[role]["environment"]["HILUM_METRICS__ENABLED"]

    def is_healthy(role: str) -> bool:
        _, program, *command = services[role]["healthcheck"]["test"]
        assert program == "hilum"
        return peers.run_hilum(command, watched[role], folder=tmp_path).returncode == 0

    films = []
    kinds: tuple[Kind, ...] = ("opacity", "normal", "abnormal")
    for number, kind in enumerate(kinds, 1):
        films.append(tmp_path / f"{number}.dcm")
        film = phantom(np.random.default_rng(number), kind=kind, size=512)
        write_phantom_dicom(film, films[-1], number=number)

    with contextlib.ExitStack() as stack:
        started = {}
        assert not is_healthy("listener")
        for role in roles:
            command = services[role]["command"]
            process = peers.hilum_process(command, watched[role], folder=tmp_path)
            started[role] = stack.enter_context(process)
            if role == "listener":
                started[role].wait_for(lambda: is_healthy("listener"), seconds=60)
        sent = peers.dcmsend(films, port)
        assert (sent.returncode, sent.accepted) == (0, STUDIES), sent.output
        instances = orthanc.wait_for_instances(2 * STUDIES, seconds=120)
        assert all(is_healthy(role) for role in started)
        assert all(process.returncode is None for process in started.values())

    classes = Counter(orthanc.tags(instance)["SOPClassUID"] for instance in instances)
    assert sorted(classes.values()) == [STUDIES, STUDIES]
    assert len(orthanc.studies()) == STUDIES
