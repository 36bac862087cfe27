"""`hilum demo`: the whole way of a study on one machine, shown as it happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from pydicom import dcmread
from rich.console import Console
from rich.text import Text
from sqlalchemy import select

from commands import demo_pacs
from commands.history import print_timeline
from commands.problem import ProblemError
from commands.send import echo, files_below, send, sendable
from db.files import FileStore
from db.models import Delivery, Instance, Report, Result, Study
from db.session import Database
from db.states import DeliveryState, StudyState
from metrics import SUPERVISOR_VARIABLE
from scp_service.store_scu import Peer
from settings import Loaded
from training.phantoms import Kind, phantom, write_phantom_dicom

_START_SECONDS = 60
_READ_SECONDS = 300
_KINDS: tuple[Kind, ...] = ("opacity", "normal", "abnormal", "opacity", "lateral")


@dataclass(frozen=True, slots=True)
class _Came:
    """What came back for a study."""

    study: Study
    images: Sequence[Instance]
    results: Sequence[Result]


def demo(
    loaded: Loaded,
    environment: Mapping[str, str],
    films: Path | None,
    console: Console,
    *,
    once: bool,
) -> None:
    """Run the service with a PACS beside it, send films, print what came back, keep serving.

    Everything is kept below `data_dir`, or in `var/demo` where that is not set.

    Raises:
        ProblemError: a port is taken, there are no films, the service does not start, or nothing
            comes back in time.
    """
    folder = (
        loaded.settings.data_path if "data_dir" in loaded.origins else Path("var/demo").absolute()
    )
    port = loaded.settings.listener.port
    _require_free(loaded)
    given = None if films is None else _sendable(films)
    store = FileStore(folder)
    store.prepare()
    with (
        demo_pacs.running(folder / "pacs") as pacs,
        _service(folder, environment, pacs) as service,
    ):
        ours = Peer("127.0.0.1", port, loaded.settings.listener.ae_title, "DEMO", 30)
        console.print(f"Hilum listens on port {port}; {pacs.kind} stands beside it.")
        _await_start(service, ours, folder / "hilum.log")
        paths = _samples(folder / "samples") if given is None else given
        send(paths, ours, console)
        database = Database(f"sqlite:///{folder / 'hilum.sqlite'}")
        came = _await_results(database, _uids(paths), service, console)
        for each in came:
            _print(each, store, folder, console)
        if came:
            console.print("\n[bold]The way of the first study[/]")
            with database.read() as session:
                print_timeline(session, came[0].study.id, console)
        database.close()
        _say_how_to_go_on(loaded, folder, pacs, console)
        if not once:
            console.print("Serving until Ctrl-C.")
            _serve_until_interrupted(service)


def _require_free(loaded: Loaded) -> None:
    listener = loaded.settings.listener
    if not demo_pacs.is_free(listener.port):
        raise ProblemError(
            f"port {listener.port} is in use: end the other program, or choose another port with"
            " HILUM_LISTENER__PORT=11113 make run"
        )
    if loaded.settings.database_url is not None or loaded.settings.destinations:
        raise ProblemError(
            "hilum demo runs with its own database and PACS: leave out database_url and"
            " destinations, or use `hilum serve`"
        )


@contextmanager
def _service(
    folder: Path, environment: Mapping[str, str], pacs: demo_pacs.Pacs
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `hilum serve` on the embedded default, with the PACS as its one destination."""
    destination = {
        "name": "demo-pacs",
        "ae_title": demo_pacs.AE_TITLE,
        "host": "127.0.0.1",
        "port": pacs.port,
    }
    variables = {
        **environment,
        "HILUM_STORAGE_URL": "",
        "HILUM_DATA_DIR": str(folder),
        "HILUM_LISTENER__HOST": "127.0.0.1",
        "HILUM_DESTINATIONS": json.dumps([destination]),
        SUPERVISOR_VARIABLE: str(os.getpid()),
    }
    with (folder / "hilum.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hilum", "serve"], env=variables, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _await_start(service: subprocess.Popen[bytes], ours: Peer, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while echo(ours) is not None:
        if service.poll() is not None or time.monotonic() > deadline:
            raise ProblemError(f"the service did not start; its last words are in {log}")
        time.sleep(0.2)


def _samples(folder: Path) -> list[Path]:
    """Make phantom films; other ones each time, so that every demo reads something new."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.dcm"):
        old.unlink()
    seed = int(time.time())
    paths = []
    for number, kind in enumerate(_KINDS, start=1):
        film = phantom(np.random.default_rng([seed, number]), kind=kind)
        path = folder / f"{number}-{kind}.dcm"
        write_phantom_dicom(film, path, number=number)
        paths.append(path)
    return paths


def _sendable(films: Path) -> list[Path]:
    if not films.exists():
        raise ProblemError(f"{films}: no such file or folder")
    paths = [path for path in files_below([films]) if sendable(path) is not None]
    if not paths:
        raise ProblemError(f"{films}: holds no DICOM file")
    return paths


def _uids(paths: Sequence[Path]) -> list[str]:
    return [
        str(dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
        for path in paths
    ]


def _await_results(
    database: Database, uids: Sequence[str], service: subprocess.Popen[bytes], console: Console
) -> list[_Came]:
    """Wait until every study is reported and delivered, or nothing happens for a long time."""
    deadline = time.monotonic() + _READ_SECONDS
    with console.status("Reading …") as status:
        while time.monotonic() < deadline and service.poll() is None:
            came, open_ = _look(database, uids)
            if came and not open_:
                return came
            status.update(f"Reading … {len(came)} studies reported, {open_} to go")
            time.sleep(0.1)
    raise ProblemError("no readings came back; see hilum.log in the demo's folder")


def _look(database: Database, uids: Sequence[str]) -> tuple[list[_Came], int]:
    came, open_ = [], 0
    with database.read() as session:
        ids = session.scalars(
            select(Instance.study_id).where(Instance.sop_instance_uid.in_(uids)).distinct()
        )
        for study in session.scalars(select(Study).where(Study.id.in_(list(ids)))):
            results = list(
                session.scalars(
                    select(Result)
                    .join(Report)
                    .where(Report.study_id == study.id, Report.revision == study.revision)
                )
            )
            states = session.scalars(
                select(Delivery.state).where(Delivery.result_id.in_([each.id for each in results]))
            )
            if study.state is StudyState.OPEN or DeliveryState.PENDING in set(states):
                open_ += 1
            for instance in study.instances:
                _ = instance.readings
            came.append(_Came(study, study.instances, results))
    return came, open_


def _print(came: _Came, store: FileStore, folder: Path, console: Console) -> None:
    colour = {"opacity": "red", "abnormal": "yellow", "normal": "green"}.get(
        came.study.finding or "", "magenta"
    )
    console.print()
    console.print(
        Text.assemble(
            ("● ", colour),
            (f"Study {came.study.id}", "bold"),
            f"  {came.study.patient_name or came.study.patient_id}",
        )
    )
    console.print(Text(f"  {came.study.sentence or came.study.state.value}"))
    for image in came.images:
        for box in image.readings[-1].boxes if image.readings else []:
            console.print(
                f"  box at column {box['x']:.0f}, row {box['y']:.0f}: {box['width']:.0f} x"
                f" {box['height']:.0f} pixels, score {box['score']:.0%}",
                highlight=False,
            )
    for result in came.results:
        path = store.path(result.path)
        if result.kind == "sr":
            console.print(f"  report   {path}", highlight=False, soft_wrap=True)
        else:
            console.print(
                f"  overlay  {_as_png(path, folder / 'overlays')}", highlight=False, soft_wrap=True
            )


def _as_png(path: Path, folder: Path) -> Path:
    """Write a Secondary Capture as PNG, for people without a DICOM viewer."""
    folder.mkdir(exist_ok=True)
    target = folder / f"{path.stem}.png"
    image = dcmread(path).pixel_array
    cv2.imwrite(str(target), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return target


def _say_how_to_go_on(loaded: Loaded, folder: Path, pacs: demo_pacs.Pacs, console: Console) -> None:
    port = loaded.settings.listener.port
    title = loaded.settings.listener.ae_title
    console.print(
        f"\nThe results are in {pacs.kind}: {pacs.look}\n"
        "[bold]Send films of your own[/] from another terminal:\n"
        f"  .venv/bin/hilum send --port {port} FOLDER      or\n"
        f"  dcmsend -aec {title} 127.0.0.1 {port} FILE …\n"
        f"  HILUM_DATA_DIR={folder} .venv/bin/hilum history",
        highlight=False,
        soft_wrap=True,
    )


def _serve_until_interrupted(service: subprocess.Popen[bytes]) -> None:
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        service.wait()
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, previous)
