"""A decoder of JPEG 2000 that crashes, hangs or takes all memory where a test tells it to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Fault = Literal["crash", "hang", "bomb"]

_LIBRARY = '''
"""Stands before the real library of this name, and puts itself before its decoder."""

import os
import signal
import sys
from pathlib import Path

here = Path(__file__).parent
path = list(sys.path)
sys.path.remove(str(here))
del sys.modules["openjpeg"]
import openjpeg

sys.path[:] = path  # which child processes take over

decode = openjpeg.decode_pixel_data

def decode_pixel_data(source, **options):
    faults = dict(line.split() for line in (here / "faults").read_text().splitlines())
    match faults.get(str(options["rows"])):
        case "crash":
            os.abort()
        case "hang":
            signal.pause()
        case "bomb":
            bytearray(1 << 45)
    return decode(source, **options)

openjpeg.decode_pixel_data = decode_pixel_data
'''


class FaultyDecoder:
    """The library in a folder that is to be the first on the path of modules.

    It is without a fault until told otherwise.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        (folder / "openjpeg.py").write_text(_LIBRARY)
        self.fails({})

    def fails(self, faults: Mapping[int, Fault]) -> None:
        """Have it fail from now on, at once in all processes, with films of so many rows."""
        lines = [f"{rows} {fault}\n" for rows, fault in faults.items()]
        (self.folder / "faults").write_text("".join(lines))
