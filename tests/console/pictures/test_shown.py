"""What is made of films: in child processes, once, and gone from memory when others need it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from console.pictures.cache import Cache
from console.pictures.heat import from_boxes
from console.pictures.pool import PoolOnDemand
from console.pictures.shown import CannotBeShownError, Pictures, StoredFilm
from db.files import FileStore
from inference.bundle import load_bundle
from inference.isolation import ChildFailedError
from inference.predict import Raw
from settings import Settings
from tests.console.pictures.test_film import opened, unpack
from tests.inference.films import make_film
from tests.peers import wait_until
from training.phantoms import phantom, write_phantom_dicom


@pytest.fixture
def pictures(tmp_path: Path) -> Iterator[Pictures]:
    settings = Settings(data_dir=tmp_path, worker={"runtime": "openvino", "threads": 1})
    with closing(Pictures(settings, FileStore(tmp_path))) as made:
        yield made


def test_a_film_is_made_once_for_all_who_ask(pictures: Pictures, tmp_path: Path) -> None:
    make_film(tmp_path / "film.dcm")
    film = StoredFilm(1, "film.dcm", "0" * 64)
    first = pictures.pixels(film)
    assert opened(unpack(first)).shape == (256, 240)
    (tmp_path / "film.dcm").unlink()
    assert pictures.pixels(film) is first
    with pytest.raises(CannotBeShownError, match="not there any more"):
        pictures.pixels(StoredFilm(2, "other.dcm", "1" * 64))


def test_what_cannot_be_decoded_is_told_in_a_sentence(pictures: Pictures, tmp_path: Path) -> None:
    (tmp_path / "film.dcm").write_bytes(b"\0" * 1000)
    with pytest.raises(CannotBeShownError, match=r"\.$"):
        pictures.preview(StoredFilm(1, "film.dcm", "0" * 64))


def test_every_tag_is_listed_and_hostile_text_is_only_text(
    pictures: Pictures, tmp_path: Path
) -> None:
    make_film(tmp_path / "film.dcm", PatientName="<b>\x1b[31mA", StudyDescription="x" * 500)
    listed = {each.name: each for each in pictures.tags("film.dcm")}
    assert listed["Patient's Name"].value == "<b>\\x1b[31mA"
    assert listed["Patient's Name"].tag == "(0010,0010)"
    assert listed["Transfer Syntax UID"].value == "1.2.840.10008.1.2.1"
    assert len(listed["Study Description"].value) <= 401
    assert "Pixel Data" not in listed


@pytest.mark.slow
def test_heat_lies_on_the_film_where_its_opacity_is(pictures: Pictures, tmp_path: Path) -> None:
    made = phantom(np.random.default_rng(7), kind="opacity", size=512)
    write_phantom_dicom(made, tmp_path / "film.dcm")
    film = StoredFilm(1, "film.dcm", "0" * 64)
    label = load_bundle().label
    heat = pictures.heat(film, label)
    assert heat.source == "heat"
    assert heat.cells.shape == (32, 32)
    assert (heat.x1 - heat.x0, heat.y1 - heat.y0) == (512, 512)
    x, y, width, height = made.boxes[0]
    rows, columns = np.mgrid[0:32, 0:32] * 16 + 8
    inside = (columns >= x) & (columns < x + width) & (rows >= y) & (rows < y + height)
    assert heat.cells[inside].mean() > 2 * heat.cells[~inside].mean()
    row = pictures.read_beside(film, label)
    assert (row.bundle, row.refusal_code) == (label, None)
    assert row.pneumonia is not None
    assert 0 < row.pneumonia < 1
    assert pictures.labels() == [label]
    with pytest.raises(CannotBeShownError, match="is registered"):
        pictures.heat(film, "other 9")


def test_without_a_heat_map_the_boxes_scores_make_one() -> None:
    boxes = np.array([[0, 0, 32, 32], [16, 16, 64, 48]], np.float32)
    raw = Raw(np.zeros(3, np.float32), boxes, np.array([0.5, 0.9], np.float32))
    wanted = np.array(
        [
            [0.5, 0.5, 0, 0],
            [0.5, 0.9, 0.9, 0.9],
            [0, 0.9, 0.9, 0.9],
            [0, 0, 0, 0],
        ],
        np.float32,
    )
    np.testing.assert_array_equal(from_boxes(raw, 64), wanted)


def test_child_processes_come_with_the_first_call_and_go_when_nobody_calls() -> None:
    ended = threading.Event()
    pool = PoolOnDemand(
        1, timeout_seconds=60, memory_bytes=2**32, idle_seconds=0.2, ended=ended.set
    )
    with closing(pool):
        assert not pool.running
        assert pool.run(abs, -5) == 5
        wait_until(lambda: not pool.running, what="the child processes end")
        assert ended.wait(10)
        assert pool.run(abs, -6) == 6
        assert pool.running
        with pytest.raises(ChildFailedError):
            pool.run(os._exit, 3)
        assert pool.run(abs, -7) == 7
    with pytest.raises(RuntimeError):
        pool.run(abs, -7)


def test_the_cache_makes_a_thing_once_and_forgets_the_oldest() -> None:
    cache: Cache[bytes] = Cache(10, len)
    made: list[str] = []
    together = threading.Barrier(3)

    def make(name: str, size: int) -> bytes:
        made.append(name)
        return b"x" * size

    def ask() -> None:
        together.wait()
        cache.get("a", lambda: make("a", 4))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["a"]
    cache.get("b", lambda: make("b", 4))
    cache.get("a", lambda: make("a", 4))
    cache.get("c", lambda: make("c", 4))  # b, which was asked for longest ago, goes
    cache.get("a", lambda: make("a", 4))
    cache.get("b", lambda: make("b", 4))
    assert made == ["a", "b", "c", "b"]
    cache.get("big", lambda: make("big", 11))
    cache.get("big", lambda: make("big", 11))
    assert made[-2:] == ["big", "big"]

    cache.clear()
    cache.get("b", lambda: make("b", 4))
    assert made[-1] == "b"

    def fail() -> bytes:
        raise ValueError("not made")

    with pytest.raises(ValueError, match="not made"):
        cache.get("bad", fail)
    assert cache.get("bad", lambda: b"good") == b"good"
