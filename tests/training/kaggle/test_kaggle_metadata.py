"""The metadata table says what the films hold, is made once, and survives a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.peers import ROOT
from tests.training.kaggle.folders import film_name, make_folder, write_film
from training.kaggle.folder import open_folder
from training.kaggle.metadata import FILE_COLUMNS, PART_FILMS, make_metadata, read_metadata

FILMS = 2 * PART_FILMS + 10


def test_each_film_has_its_attributes_and_the_statistics_of_its_pixels(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made", films=3)
    stored = write_film(made.train / f"{film_name(1)}.dcm", seed=5, age="155", sex="F", view="AP")
    file = make_metadata(open_folder(made.path), tmp_path / "metadata.parquet", processes=1)
    rows = read_metadata(file).to_pylist()
    assert [row["patientId"] for row in rows] == [film_name(n) for n in range(3)]
    row = rows[1]
    assert row["FNAME"] == f"{film_name(1)}.dcm"
    assert (row["PatientAge"], row["PatientSex"], row["ViewPosition"]) == ("155", "F", "AP")
    assert (row["Rows"], row["Columns"], row["BitsStored"]) == (64, 64, 8)
    assert (row["PixelSpacing"], row["PixelSpacing1"]) == (0.139, 0.139)
    assert (row["IMG_MIN"], row["IMG_MAX"]) == (stored.min(), stored.max())
    assert row["IMG_MEAN"] == pytest.approx(stored.mean())
    assert row["IMG_STD"] == pytest.approx(stored.std())
    assert row["PROBLEM"] is None


def test_a_film_that_cannot_be_read_has_a_row_that_says_why(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made", films=3)
    cut = made.train / f"{film_name(1)}.dcm"
    cut.write_bytes(cut.read_bytes()[:-100])
    file = make_metadata(open_folder(made.path), tmp_path / "metadata.parquet", processes=1)
    row = read_metadata(file).to_pylist()[1]
    assert "cut off" in row["PROBLEM"]
    assert row["PatientID"] == film_name(1)
    assert row["IMG_MEAN"] is None


def test_jpeg_films_have_statistics_and_no_attributes(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made", films=3)
    for file in list(made.train.iterdir()):
        Image.fromarray(np.full((32, 48), 100, np.uint8)).save(file.with_suffix(".jpg"))
        file.unlink()
    file = make_metadata(open_folder(made.path), tmp_path / "metadata.parquet", processes=1)
    row = read_metadata(file).to_pylist()[0]
    assert (row["Rows"], row["Columns"], row["IMG_MEAN"]) == (32, 48, 100)
    assert row["PatientAge"] is None


def test_it_is_made_once_and_again_only_for_films_that_changed(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made", films=3)
    folder = open_folder(made.path)
    file = make_metadata(folder, tmp_path / "metadata.parquet", processes=1)
    node = file.stat().st_ino
    make_metadata(folder, file, processes=1)
    assert file.stat().st_ino == node
    stored = write_film(made.train / f"{film_name(1)}.dcm", seed=99, age="61")
    make_metadata(folder, file, processes=1)
    means = read_metadata(file, ["IMG_MEAN"])["IMG_MEAN"].to_pylist()
    assert means[1] == pytest.approx(stored.mean())
    assert [path.name for path in tmp_path.iterdir() if "metadata" in path.name] == [file.name]


KILLED = """
import os, signal, sys
from pathlib import Path
from training.kaggle.folder import open_folder
from training.kaggle.metadata import make_metadata

def progress(done, total):
    if done > 0:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    make_metadata(open_folder(Path(sys.argv[1])), Path(sys.argv[2]), processes=1, progress=progress)
"""


def test_after_a_kill_it_goes_on_with_the_part_that_was_under_way(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made", films=FILMS)
    file = tmp_path / "metadata.parquet"
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    before = set(_python_processes())
    killed = subprocess.run(
        [sys.executable, script, made.path, file],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    orphans = [each for pid, each in _python_processes().items() if pid not in before]
    _, alive = psutil.wait_procs(orphans, timeout=10)
    assert not alive
    assert not file.exists()
    done = {
        part.name: part.stat().st_ino for part in file.with_name(f"{file.name}.parts").iterdir()
    }
    assert "00000.parquet" in done

    told: list[tuple[int, int]] = []
    make_metadata(
        open_folder(made.path), file, processes=1, progress=lambda *each: told.append(each)
    )
    assert told[0][0] >= PART_FILMS
    assert told[-1] == (FILMS, FILMS)
    names = read_metadata(file, ["FNAME"])["FNAME"].to_pylist()
    assert names == [f"{film_name(number)}.dcm" for number in range(FILMS)]
    assert not file.with_name(f"{file.name}.parts").exists()


def test_a_cut_off_part_is_made_again(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made", films=3)
    file = tmp_path / "metadata.parquet"
    parts = tmp_path / "metadata.parquet.parts"
    parts.mkdir()
    (parts / "00000.parquet").write_bytes(b"PAR1")
    make_metadata(open_folder(made.path), file, processes=1)
    assert pq.read_metadata(file).num_rows == 3


def test_the_films_of_the_real_small_set_have_25_columns_with_a_single_value(
    real_data: Path, tmp_path: Path
) -> None:
    file = make_metadata(open_folder(real_data / "rsna_mini"), tmp_path / "metadata.parquet")
    table = read_metadata(file)
    assert table.num_rows == 242
    assert table["PROBLEM"].null_count == 242
    ours = {"patientId", "DIGEST", "PROBLEM"}
    distinct = {
        name: len(set(table[name].to_pylist())) for name in table.column_names if name not in ours
    }
    assert sum(count == 1 for count in distinct.values()) == 25
    assert min(distinct[name] for name in FILE_COLUMNS) > 1


def _python_processes() -> dict[int, psutil.Process]:
    return {
        each.pid: each
        for each in psutil.process_iter()
        if "multiprocessing" in " ".join(_command(each))
    }


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
