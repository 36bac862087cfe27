"""What becomes of every file that a hospital, or anyone, can send: answer, outcome, reason.

    python -m bench.every_file FOLDER...

Each file goes to `hilum serve` by DCMTK's `dcmsend`, in its own transfer syntax; what `dcmsend`
cannot read or encode is sent byte for byte. Meanwhile the service's memory is taken and a C-ECHO
timed. Prints Markdown; the record is kept in runs/.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from sqlalchemy import func, select

from bench.common import find_films, keep, machine, table
from bench.service import Service, service
from db.models import Instance, Study, Task
from db.states import StudyState
from scp_service.answer import PeerError
from scp_service.store_scu import VERIFICATION, Peer, associated
from tests.peers import dcmsend, wait_until
from tests.peers.as_is import encoded, store_as_is

MEGABYTE = 1_000_000
LOOK_SECONDS = 0.2
ECHO_SYNTAX = "1.2.840.10008.1.2"
_RESPONSE = re.compile(r"Received C-STORE Response \(([^)]*)\)")
_NO_CONTEXT = ("No Acceptable Presentation Contexts", "No presentation context")


@dataclass(frozen=True, slots=True)
class Answered:
    """What a peer got to hear: `by` names the sender, `answer` the status or the refusal."""

    by: str
    answer: str

    @property
    def accepted(self) -> bool:
        """Whether the service has taken the file over."""
        return self.answer == "Success"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a file: `state` is "" for one that was not accepted."""

    file: str
    sent: Answered
    state: str = ""
    code: str = ""
    reason: str = ""


@dataclass(slots=True)
class Watched:
    """What was seen of the service meanwhile: all its processes' bytes, seconds for an echo."""

    memory: list[int] = field(default_factory=list)
    echoes: list[float] = field(default_factory=list)


def send(path: Path, port: int) -> Answered:
    """Send one file in its own transfer syntax, by `dcmsend` where that can."""
    output = dcmsend([path], port, options=("-dn", "--no-halt", "--no-uid-checks")).output
    response = _RESPONSE.search(output)
    if response:
        return Answered("dcmsend", response[1])
    if any(each in output for each in _NO_CONTEXT):
        return Answered("dcmsend", "no presentation context")
    try:
        answer = store_as_is(encoded(path), port)
    except PeerError as error:
        return Answered("as it is", str(error))
    said = "Success" if answer.status == 0 else f"{answer.status:04X} {answer.comment}"
    return Answered("as it is", said)


def send_all(paths: Sequence[Path], running: Service) -> list[Fate]:
    """Send the files one after the other; wait until all are settled; say what became of each."""
    sent = []
    newest = 0
    for path in paths:
        answered, before = send(path, running.port), newest
        newest = _newest(running)
        sent.append((path, answered, newest if newest > before else None))
    _wait_until_settled(running)
    with running.database.read() as session:
        rows = {row.id: row for row in session.scalars(select(Instance))}
    return [_fate(path, answered, rows.get(row or 0)) for path, answered, row in sent]


@contextlib.contextmanager
def watching(running: Service) -> Iterator[Watched]:
    """Measure the service's memory and its answers to C-ECHO every `LOOK_SECONDS`."""
    seen, over = Watched(), threading.Event()

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            seen.memory.append(_memory(running.process.pid))
            begin = time.perf_counter()
            _echo(running.port)
            seen.echoes.append(time.perf_counter() - begin)

    thread = threading.Thread(target=look, name="watching")
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _fate(path: Path, answered: Answered, row: Instance | None) -> Fate:
    name = f"{path.parent.name}/{path.name}"
    if row is None:
        return Fate(name, answered, "known already" if answered.accepted else "")
    return Fate(name, answered, row.state, row.refusal_code or "", row.reason or "")


def _newest(running: Service) -> int:
    """The latest image's id: an image is recorded before it is acknowledged."""
    with running.database.read() as session:
        return session.scalar(select(func.max(Instance.id))) or 0


def _wait_until_settled(running: Service) -> None:
    def settled() -> bool:
        with running.database.read() as session:
            tasks = session.scalar(select(func.count()).select_from(Task))
            states = set(session.scalars(select(Study.state).distinct()))
        return tasks == 0 and states <= {StudyState.REPORTED, StudyState.FAILED}

    wait_until(settled, "reports of all studies", seconds=300, process=running.process)


def _memory(pid: int) -> int:
    total = 0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


def _echo(port: int) -> None:
    peer = Peer("127.0.0.1", port, "HILUM", "ECHO", 30)
    with associated(peer, [(VERIFICATION, ECHO_SYNTAX)]) as sender:
        sender.echo()


def main() -> None:
    """Send, print a table, keep the record."""
    parser = argparse.ArgumentParser(prog="python -m bench.every_file", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="folders of .dcm files")
    folders: list[Path] = parser.parse_args().folders
    with (
        tempfile.TemporaryDirectory(prefix="hilum-bench-") as name,
        service(Path(name), deliver=False) as running,
        watching(running) as seen,
    ):
        fates = send_all([path for each in folders for path in find_films(each)], running)
    print(table(("file", "sent by", "answer", "outcome", "reason"), map(_row, fates)))
    accepted = sum(fate.sent.accepted for fate in fates)
    print(
        f"\n{len(fates)} files, {accepted} accepted. All processes of the service together took"
        f" {max(seen.memory) / MEGABYTE:.0f} MB at most (shared pages counted in each); of"
        f" {len(seen.echoes)} C-ECHOs with their associations the slowest took"
        f" {max(seen.echoes):.2f} s."
    )
    record = {
        "machine": machine(),
        "files": [asdict(fate) for fate in fates],
        "memory": max(seen.memory),
        "echo": max(seen.echoes),
    }
    print(f"Kept in {keep('every_file', record)}")


def _row(fate: Fate) -> list[str]:
    outcome = f"{fate.state} {fate.code}".strip()
    return [fate.file, fate.sent.by, fate.sent.answer, outcome, fate.reason]


if __name__ == "__main__":
    main()
