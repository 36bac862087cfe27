"""`hilum send` and `hilum echo`: C-STORE files or folders to a peer, or ask whether it is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from rich.console import Console

from commands.progress import bars
from scp_service.answer import PeerError
from scp_service.store_scu import VERIFICATION, Peer, associated

_IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
_MOST_CONTEXTS = 128


@dataclass(frozen=True, slots=True)
class Sendable:
    """A DICOM file with what must be negotiated for it."""

    path: Path
    sop_class_uid: str
    transfer_syntax_uid: str


def files_below(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield files, and all files below folders, in order of their names."""
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.is_file())
        else:
            yield path


def sendable(path: Path) -> Sendable | None:
    """Look at a file's meta information; None where it is no DICOM file."""
    try:
        meta = dcmread(path, stop_before_pixels=True, specific_tags=[]).file_meta
        return Sendable(path, str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
    except (InvalidDicomError, AttributeError, OSError):
        return None


def send(paths: Sequence[Path], peer: Peer, console: Console) -> int:
    """Send files and folders with a progress bar; return how many were not stored.

    Raises:
        PeerError: the peer cannot be reached or goes away.
    """
    files = list(files_below(paths))
    films = [film for film in map(sendable, files) if film is not None]
    for path in {*files} - {film.path for film in films}:
        console.print(f"[yellow]skipped[/] {path}: not a DICOM file", soft_wrap=True)
    contexts = sorted({(film.sop_class_uid, film.transfer_syntax_uid) for film in films})
    failed = len(files) - len(films)
    if not films:
        return failed
    with (
        bars(console) as progress,
        associated(peer, contexts[:_MOST_CONTEXTS]) as sender,
    ):
        for film in progress.track(films, description="sending"):
            if not sender.accepts(film.sop_class_uid, film.transfer_syntax_uid):
                failed += 1
                progress.console.print(
                    f"[red]refused[/] {film.path}: the peer does not accept its SOP class in its"
                    " transfer syntax",
                    soft_wrap=True,
                )
                continue
            answer = sender.store(film.path)
            if not answer.stored:
                failed += 1
                reason = f": {answer.comment}" if answer.comment else ""
                progress.console.print(
                    f"[red]refused[/] {film.path}: status {answer.status:04X}{reason}",
                    soft_wrap=True,
                )
    stored = len(files) - failed
    console.print(f"{stored} of {len(files)} files stored by {peer.ae_title}.")
    return failed


def echo(peer: Peer) -> str | None:
    """C-ECHO a peer; return None where it answers, else what is wrong in a few words."""
    try:
        with associated(peer, [(VERIFICATION, _IMPLICIT_LITTLE_ENDIAN)]) as sender:
            status = sender.echo()
    except PeerError as error:
        return str(error)
    return None if status == 0 else f"it answered with status {status:04X}"
