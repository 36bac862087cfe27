"""DCMTK's `dcmqrscp`: an archive that is queried, and that gives films by C-GET and C-MOVE."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers.dcmtk import echoscu
from tests.peers.process import ChildProcess, free_port, require, running, wait_until


@dataclass(frozen=True, slots=True)
class QueryRetrieveSCP:
    """A running `dcmqrscp`."""

    port: int
    ae_title: str
    process: ChildProcess


@contextlib.contextmanager
def dcmqrscp(
    folder: Path,
    *,
    ae_title: str = "QRSCP",
    move_destinations: Mapping[str, int] | None = None,
    options: Sequence[str] = (),
) -> Iterator[QueryRetrieveSCP]:
    """Run `dcmqrscp`; `folder` (made if needed) takes its films, its configuration and its log.

    `move_destinations` are the AE titles that it may send to, each with its port on loopback.
    """
    require("dcmqrscp", "echoscu")
    films = folder / "films"
    films.mkdir(parents=True)
    port = free_port()
    hosts = [
        f"host{number} = ({title}, localhost, {where})"
        for number, (title, where) in enumerate((move_destinations or {}).items())
    ]
    lines = [
        f"NetworkTCPPort = {port}",
        "MaxPDUSize = 16384",
        "MaxAssociations = 16",
        "HostTable BEGIN",
        *hosts,
        "HostTable END",
        "VendorTable BEGIN",
        "VendorTable END",
        "AETable BEGIN",
        f"{ae_title} {films} RW (1000, 1024mb) ANY",
        "AETable END",
    ]
    config = folder / "dcmqrscp.cfg"
    config.write_text("\n".join(lines) + "\n", encoding="ascii")
    process = ChildProcess(
        ["dcmqrscp", "-v", *options, "-c", config],
        log=folder / "dcmqrscp.log",
        clean_exits=(0, -signal.SIGTERM),
    )
    with running(process):
        wait_until(lambda: echoscu(port, called=ae_title), "an echo of dcmqrscp", process=process)
        yield QueryRetrieveSCP(port, ae_title, process)
