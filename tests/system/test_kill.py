"""Any process may be killed at any moment: the end is the same as if none had been."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread

from db.models import Delivery, Instance
from tests.peers import ChildProcess, StoreSCP, dcmsend, wait_until
from tests.system.whole import Whole, destination, make_films, whole

LONG = pytest.mark.long
FILMS = 40
KILLS = 3


def _role(serve: ChildProcess, role: str) -> psutil.Process | None:
    for child in serve.children():
        try:
            if child.cmdline()[-1] == role:
                return child
        except (psutil.NoSuchProcess, psutil.ZombieProcess, IndexError):
            continue
    return None


def _kill(serve: ChildProcess, role: str) -> None:
    victim = wait_until(lambda: _role(serve, role), f"a {role} process")
    victim.send_signal(signal.SIGKILL)
    wait_until(
        lambda: (found := _role(serve, role)) is not None and found.pid != victim.pid,
        f"a new {role} process",
    )


def _send_until_accepted(service: Whole, films: list[Path]) -> None:
    """Send as a PACS does: whatever is not acknowledged is sent again."""

    def accepted() -> bool:
        return dcmsend(films, service.port).accepted == len(films)

    wait_until(accepted, "all films to be acknowledged", seconds=120)


def _progress(service: Whole, role: str) -> Callable[[], int]:
    """Return what moves on while a role works."""
    table = {"listen": Instance, "deliver": Delivery}.get(role)
    if table is Instance:
        return lambda: service.count(Instance)
    if table is Delivery:
        return lambda: sum(each.state == "sent" for each in service.deliveries())
    return lambda: sum(each.state == "read" for each in service.instances())


def _assert_same_end(service: Whole, pacs: StoreSCP, films: list[Path]) -> None:
    service.wait_until_idle(len(films))
    service.assert_no_orphans()
    came = [dcmread(path, stop_before_pixels=True) for path in pacs.files()]
    assert sum(each.Modality == "SR" for each in came) == len(films)
    assert len(came) == 2 * len(films)
    sources = {str(dcmread(film, stop_before_pixels=True).StudyInstanceUID) for film in films}
    assert {str(each.StudyInstanceUID) for each in came} == sources
    assert all(each.state == "read" for each in service.instances())
    assert service.count(Instance) == len(films)


@pytest.mark.slow
@pytest.mark.parametrize(
    "role",
    ["listen", *(pytest.param(role, marks=LONG) for role in ("work", "deliver", "schedule"))],
)
def test_kill_9_of_a_role_three_times_during_a_run(
    role: str, tmp_path: Path, storescp: StoreSCP
) -> None:
    """One SR and one SC a film, one row and one file a film, whatever was killed."""
    films = make_films(tmp_path / "films", FILMS)
    to_pacs = destination(storescp.port, storescp.ae_title)
    with whole(tmp_path, destinations=[to_pacs]) as service, service.serving() as serve:
        progress = _progress(service, role)
        for kill in range(1, KILLS + 1):
            goal = progress() + 2
            with ThreadPoolExecutor(1) as sender:
                sending = sender.submit(dcmsend, films[: FILMS * kill // KILLS], service.port)
                wait_until(lambda goal=goal: progress() >= goal, f"{goal} done", seconds=120)
                _kill(serve, role)
                sending.result()
            wait_until(service.answers, "an echo", seconds=30)
        _send_until_accepted(service, films)
        _assert_same_end(service, storescp, films)


@pytest.mark.long
def test_kill_9_of_the_whole_service_three_times(tmp_path: Path, storescp: StoreSCP) -> None:
    """When the supervisor is killed its children die too; a new start carries on."""
    films = make_films(tmp_path / "films", FILMS)
    to_pacs = destination(storescp.port, storescp.ae_title)
    with whole(tmp_path, destinations=[to_pacs]) as service:
        for kill in range(1, KILLS + 1):
            with service.serving() as serve:
                dcmsend(films[: FILMS * kill // KILLS], service.port)
                children = serve.children()
                assert len(children) >= 4
                serve.kill()
                _, alive = psutil.wait_procs(children, timeout=20)
                assert not alive
        with service.serving():
            _send_until_accepted(service, films)
            _assert_same_end(service, storescp, films)
