"""What a child process does for a report: build its objects and write them durably."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from db.files import FileStore
from db.reports import NewResult
from inference.reading import Finding
from inference.report.build import ResultObject, StudyJob, build_study


@dataclass(frozen=True, slots=True)
class Built:
    """A report whose objects are safely on disk."""

    finding: Finding
    probability: float | None
    sentence: str
    results: tuple[NewResult, ...]
    stopped: tuple[str, ...]


def build(job: StudyJob, root: Path) -> Built:
    """Build a study's objects and keep them below the data folder `root`.

    Raises:
        ReportError: no object would be valid; one that is not is stopped alone.
        OSError: the files cannot be read or written.
    """
    study = build_study(job)
    paths = _store(root).write_results(
        {_name(each): each.data for each in study.objects}, recorded_at=job.recorded_at
    )
    return Built(
        study.finding,
        study.probability,
        study.sentence,
        tuple(_described(each, paths[_name(each)]) for each in study.objects),
        study.stopped,
    )


@lru_cache(maxsize=1)
def _store(root: Path) -> FileStore:
    """Return the data folder; it remembers which of its folders are durable already."""
    return FileStore(root)


def _name(new: ResultObject) -> str:
    """Name a file by its UID's digest: the same object always has the same file."""
    suffix = "json" if new.kind == "json" else "dcm"
    return f"{hashlib.sha256(new.sop_instance_uid.encode()).hexdigest()[:32]}.{suffix}"


def _described(new: ResultObject, path: str) -> NewResult:
    return NewResult(
        kind=new.kind,
        sop_class_uid=new.sop_class_uid,
        sop_instance_uid=new.sop_instance_uid,
        series_instance_uid=new.series_instance_uid,
        transfer_syntax_uid=new.transfer_syntax_uid,
        path=path,
        size=len(new.data),
        file_sha256=hashlib.sha256(new.data).hexdigest(),
        destinations=new.destinations,
    )
