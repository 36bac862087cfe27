"""DCMTK's tools: a receiver that writes files, and three senders."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers.process import LOOPBACK, ChildProcess, free_port, require, running, wait_until


@dataclass(frozen=True, slots=True)
class Sent:
    """What a sending tool of DCMTK said: its exit status and everything that it printed."""

    returncode: int
    output: str

    @property
    def accepted(self) -> int:
        """How many objects were answered with status Success (0x0000); warnings do not count."""
        return len(re.findall(r"Received (?:C-STORE|Store) Response \(Success\)", self.output))


@dataclass(frozen=True, slots=True)
class StoreSCP:
    """A running `storescp`: `folder` takes one file per object received."""

    port: int
    ae_title: str
    folder: Path
    process: ChildProcess

    def files(self) -> list[Path]:
        """Return the objects received so far, in name order."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())

    def wait_for_files(self, count: int, *, seconds: float = 60) -> list[Path]:
        """Wait until at least `count` objects have arrived."""
        return wait_until(
            lambda: found if len(found := self.files()) >= count else None,
            f"{count} files at storescp",
            seconds=seconds,
            process=self.process,
        )


@contextlib.contextmanager
def storescp(
    folder: Path,
    *,
    ae_title: str = "STORESCP",
    options: Sequence[str] = (),
    contexts: Mapping[str, Sequence[str]] | None = None,
    keep_every_copy: bool = False,
    port: int | None = None,
    echo_options: Sequence[str] = (),
) -> Iterator[StoreSCP]:
    """Run DCMTK's `storescp`; `folder` (made if needed) takes its files and its log.

    `options` go to the command line as they are (`("+xa",)` accepts every transfer syntax, as
    default only uncompressed ones are taken). `contexts` limits it to these SOP Class UIDs, each
    with its Transfer Syntax UIDs. `keep_every_copy` writes a second file where the same object
    comes twice instead of replacing the first. `echo_options` are what `echoscu` needs to be
    answered, such as those of TLS.
    """
    program, _ = require("storescp", "echoscu")
    port = port or free_port()
    received = folder / "received"
    received.mkdir(parents=True, exist_ok=True)
    arguments = [*options, "-aet", ae_title, "-od", str(received), "-dhl"]
    if contexts is not None:
        config = folder / "storescp.cfg"
        config.write_text(_association_config(contexts), encoding="ascii")
        arguments += ["-xf", str(config), "Accepted"]
    if keep_every_copy:
        arguments.append("+uf")
    process = ChildProcess(
        [program, "-v", *arguments, str(port)],
        log=folder / "storescp.log",
        clean_exits=(0, -signal.SIGTERM),
    )
    with running(process):
        wait_until(
            lambda: echoscu(port, options=echo_options), "an echo of storescp", process=process
        )
        yield StoreSCP(port, ae_title, received, process)


def dcmsend(
    files: Iterable[Path],
    port: int,
    *,
    called: str = "HILUM",
    calling: str = "DCMSEND",
    options: Sequence[str] = ("-dn", "--no-halt"),
    nagle: bool = False,
    seconds: float = 300,
) -> Sent:
    """Send files or folders over one association with DCMTK's `dcmsend`, encoded as they are."""
    arguments = ["+sd", "+r", "-aet", calling, "-aec", called, *options, LOOPBACK, str(port)]
    return _scu("dcmsend", [*arguments, *map(str, files)], nagle=nagle, seconds=seconds)


def storescu(
    files: Iterable[Path],
    port: int,
    *,
    called: str = "HILUM",
    calling: str = "STORESCU",
    options: Sequence[str] = ("-xs",),
    nagle: bool = False,
    seconds: float = 300,
) -> Sent:
    """Send files or folders with DCMTK's `storescu`; `options` choose what it proposes."""
    arguments = ["+sd", "+r", "-aet", calling, "-aec", called, *options, LOOPBACK, str(port)]
    return _scu("storescu", [*arguments, *map(str, files)], nagle=nagle, seconds=seconds)


def echoscu(
    port: int,
    *,
    called: str = "ANY-SCP",
    calling: str = "ECHOSCU",
    options: Sequence[str] = (),
    seconds: float = 10,
) -> bool:
    """Say whether a C-ECHO by DCMTK's `echoscu` is answered with success."""
    arguments = [*options, "-to", "5", "-aet", calling, "-aec", called, LOOPBACK, str(port)]
    return _scu("echoscu", arguments, seconds=seconds).returncode == 0


def _scu(tool: str, arguments: list[str], *, nagle: bool = False, seconds: float) -> Sent:
    (program,) = require(tool)
    done = subprocess.run(
        [program, "-v", *arguments],
        env={**os.environ, "TCP_NODELAY": "0" if nagle else "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )
    return Sent(done.returncode, done.stdout)


def _association_config(contexts: Mapping[str, Sequence[str]]) -> str:
    """Write DCMTK's association profile "Accepted" (asconfig.txt of DCMTK's documentation)."""
    wanted = {"1.2.840.10008.1.1": ["1.2.840.10008.1.2"], **contexts}
    lines = ["[[TransferSyntaxes]]"]
    for number, syntaxes in enumerate(wanted.values(), 1):
        lines.append(f"[Syntaxes{number}]")
        lines += [f"TransferSyntax{i} = {uid}" for i, uid in enumerate(syntaxes, 1)]
    lines += ["[[PresentationContexts]]", "[Contexts]"]
    lines += [
        f"PresentationContext{number} = {uid}\\Syntaxes{number}"
        for number, uid in enumerate(wanted, 1)
    ]
    lines += ["[[Profiles]]", "[Accepted]", "PresentationContexts = Contexts"]
    return "\n".join(lines) + "\n"
