"""How many workers there shall be; where the cluster cannot be used; what travels to its nodes."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from cluster import connection
from cluster.connection import ClusterError, connected
from cluster.remote import environment
from cluster.scaling import Scaling
from cluster.shared import marked, problem_here
from cluster.travelling import pack
from settings import SettingsError, load
from settings.cluster import Ray
from tests.peers import free_port

RULE = Ray(min_workers=1, max_workers=3, scale_up_age_seconds=10, idle_seconds=100)


def test_one_more_comes_for_every_while_that_work_waits_up_to_the_most() -> None:
    scaling = Scaling(RULE, 0)
    assert scaling.wanted(1, 9.9, 1) == 1
    assert scaling.wanted(1, 10, 2) == 2
    assert scaling.wanted(2, 19, 11) == 2  # the second has not had time to make a difference
    assert scaling.wanted(2, 20, 12) == 3
    assert scaling.wanted(3, 60, 60) == 3


def test_one_leaves_for_every_quiet_while_down_to_the_least() -> None:
    scaling = Scaling(RULE, 0)
    assert scaling.wanted(3, 10, 0) == 3
    assert scaling.wanted(3, 9, 99) == 3
    assert scaling.wanted(3, 0, 100) == 2
    assert scaling.wanted(2, 0, 199) == 2
    assert scaling.wanted(2, 0, 200) == 1
    assert scaling.wanted(1, 0, 1000) == 1


def test_bounds_hold_whatever_there_is() -> None:
    assert Scaling(RULE, 0).wanted(0, 0, 0) == 1
    assert Scaling(RULE, 0).wanted(9, 0, 0) == 3


def test_a_least_above_the_most_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "hilum.toml"
    file.write_text("[ray]\nmin_workers = 5\nmax_workers = 2\n")
    with pytest.raises(SettingsError, match="max_workers is less than min_workers"):
        load(config=file, environ={})


@pytest.mark.parametrize("address", ["", "somewhere", "host:port", "http://host:1"])
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(ClusterError, match="is no address of a Ray cluster"), connected(address):
        pass


def test_where_nothing_answers_it_is_told() -> None:
    address = f"127.0.0.1:{free_port()}"
    said = f"no Ray cluster answers at {address}"
    with pytest.raises(ClusterError, match=said), connected(address):
        pass


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _: None)
    with pytest.raises(ClusterError, match=r"pip install 'hilum\[ray\]'"), connected("auto"):
        pass


def test_a_machine_without_the_data_folder_is_told(tmp_path: Path) -> None:
    with marked(tmp_path) as mark:
        assert problem_here(mark) is None
        assert "has not the data folder" in (problem_here(tmp_path / "other" / mark.name) or "")
    assert list(tmp_path.iterdir()) == []


def test_settings_arrive_as_they_were_given(tmp_path: Path) -> None:
    file = tmp_path / "hilum.toml"
    file.write_text('study_quiet_seconds = 7\n[backup]\npassphrase = "env:KEPT_ELSEWHERE"\n')
    given = {
        "HILUM_WORKER__MAX_ATTEMPTS": "5",
        "HILUM_CONFIG": "x",
        "KEPT_ELSEWHERE": "very secret",
        "UNRELATED": "stays",
    }
    packed = pack(load(config=file, environ=given), given)
    assert "secret" not in repr(packed)
    arrived = environment(pickle.loads(pickle.dumps(packed)), str(file), 1.5)
    assert arrived["KEPT_ELSEWHERE"] == "very secret"
    assert "UNRELATED" not in arrived
    settings = load(environ=arrived).settings
    assert settings.study_quiet_seconds == 7
    assert (settings.worker.max_attempts, settings.worker.threads) == (5, 2)
