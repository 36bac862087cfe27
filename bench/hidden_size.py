"""What it costs to read a film of 8 x 8 pixels whose JPEG 2000 codestream claims 30,000 x 30,000.

    python -m bench.hidden_size

Beside it the film as it was before it lied: what the program takes anyway.
"""

from __future__ import annotations

import contextlib
import struct
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

import psutil
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from bench.common import ROOT, table
from tests.inference.films import make_film
from tests.peers import ChildProcess, orthanc

SIDE = 30_000
_SECONDS = 300.0
_LOOK_SECONDS = 0.02
_MEGABYTE = 1_000_000
_HILUM = """
import sys
from pathlib import Path
from inference.decode import decode
from settings import Worker
decode(Path(sys.argv[1]), max_pixels=Worker().max_pixels)
"""
_PYDICOM = """
import sys
from pydicom import dcmread
dcmread(sys.argv[1]).pixel_array
"""


@dataclass(frozen=True, slots=True)
class _Read:
    seconds: float
    memory: float
    what: str


def read_by_all(folder: Path) -> str:
    """Return the table of those who read the film; `folder` is made."""
    folder.mkdir(parents=True)
    sound = make_film(folder / "sound.dcm", syntax=JPEG2000Lossless)
    lying = _lying(sound, folder / "lying.dcm")
    readers: dict[str, Callable[[Path], _Read]] = {
        "Hilum": lambda path: _by_script(_HILUM, path, folder),
        "pydicom": lambda path: _by_script(_PYDICOM, path, folder),
        "Orthanc (preview)": lambda path: _by_orthanc(path, folder / f"orthanc-{path.stem}"),
    }
    rows = []
    for name, read in readers.items():
        before, after = read(sound), read(lying)
        rows.append(
            [
                name,
                f"{before.seconds:.1f}",
                f"{before.memory:.0f}",
                f"{after.seconds:.1f}",
                f"{after.memory:.0f}",
                after.what,
            ]
        )
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    header = ["reader", "sound film, s", "MB", "lying film, s", "MB at most", "the lying film"]
    return table(header, rows)


def _lying(sound: Path, path: Path) -> Path:
    film = dcmread(sound)
    film.Rows = film.Columns = 8
    film.save_as(path)
    whole = path.read_bytes()
    size_at = whole.index(b"\xff\x4f\xff\x51") + 8  # SIZ: Xsiz and Ysiz (ISO 15444-1 A.5.1)
    path.write_bytes(whole[:size_at] + struct.pack(">2I", SIDE, SIDE) + whole[size_at + 8 :])
    return path


def _by_script(script: str, path: Path, folder: Path) -> _Read:
    log = folder / f"{path.stem}-{len(list(folder.glob('*.log')))}.log"
    begin = time.monotonic()
    process = ChildProcess([sys.executable, "-c", script, path], log=log, cwd=ROOT)
    memory = _most_memory(process.pid, lambda: process.returncode is not None, begin)
    seconds = time.monotonic() - begin
    process.kill_all()
    lines = log.read_text(encoding="utf-8").strip().splitlines()
    return _Read(seconds, memory, shorten(lines[-1], 80) if lines else "is read")


def _by_orthanc(path: Path, folder: Path) -> _Read:
    with orthanc(folder) as server:
        root = f"http://127.0.0.1:{server.http_port}/instances"
        with urllib.request.urlopen(root, data=path.read_bytes(), timeout=60):
            (instance,) = server.wait_for_instances(1)
        said: list[str] = []

        def preview() -> None:
            try:
                with urllib.request.urlopen(f"{root}/{instance}/preview", timeout=_SECONDS) as got:
                    said.append(f"{len(got.read()):,} bytes of PNG")
            except (urllib.error.URLError, OSError) as error:
                said.append(str(error))

        thread = threading.Thread(target=preview)
        begin = time.monotonic()
        thread.start()
        memory = _most_memory(server.process.pid, lambda: not thread.is_alive(), begin)
        return _Read(time.monotonic() - begin, memory, said[0])


def _most_memory(pid: int, ended: Callable[[], bool], begin: float) -> float:
    most = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        while not ended() and time.monotonic() < begin + _SECONDS:
            most = max(most, process.memory_info().rss)
            time.sleep(_LOOK_SECONDS)
    return most / _MEGABYTE


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(read_by_all(Path(place) / "films"))
