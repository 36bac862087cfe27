"""`hilum read`: films are read without network or database, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from commands.send import files_below
from inference import elements
from inference.bundle import for_site, load_bundle
from inference.decode import read_header
from inference.isolation import ChildFailedError, IsolatedPool
from inference.outcome import outcome
from inference.predict import Predictor
from inference.prepare import Limits, Prepared, prepare
from inference.reading import Reading, Refusal, RefusalCode, RefusedError
from settings import Settings


def read(paths: Sequence[Path], settings: Settings) -> Iterator[dict[str, Any]]:
    """Read films and yield one plain dictionary each, in order.

    Raises:
        BundleError: the model cannot be used.
    """
    bundle = for_site(load_bundle(settings.worker.bundle), settings.worker.prevalence)
    predictor = Predictor(bundle, runtime=settings.worker.runtime, threads=settings.worker.threads)
    limits = Limits(settings.worker.max_pixels, settings.eligibility)
    name = f"{bundle.id} {bundle.version}"
    with IsolatedPool(
        settings.worker.processes,
        timeout_seconds=settings.worker.decode_timeout_seconds,
        memory_bytes=settings.worker.decode_memory_bytes,
        modules=(prepare.__module__,),
    ) as pool:
        for group in _batched(files_below(paths), settings.worker.batch_size):
            futures = [
                pool.submit(prepare, path, predictor.bundle.input_form, limits) for path in group
            ]
            films = [_prepared(future) for future in futures]
            ready = [film for film in films if isinstance(film, Prepared)]
            raws = iter(
                predictor.predict(np.stack([film.input for film in ready])) if ready else []
            )
            for path, film in zip(group, films, strict=True):
                if isinstance(film, Refusal):
                    yield _refused(path, _uid(pool.submit(instance_uid, path)), film, name)
                    continue
                said = outcome(next(raws), film, bundle)
                if isinstance(said, Refusal):
                    yield _refused(path, film.sop_instance_uid, said, name)
                else:
                    yield _read(path, film.sop_instance_uid, said)


def print_read(lines: Iterator[dict[str, Any]], console: Console, *, as_json: bool) -> bool:
    """Print what was read; return whether every film was."""
    complete = True
    for line in lines:
        complete = complete and line["eligible"]
        if as_json:
            print(json.dumps(line), flush=True)
        elif line["eligible"]:
            console.print(
                f"{line['path']}: pneumonia {line['pneumonia']:.0%}, {len(line['boxes'])} boxes",
                highlight=False,
            )
        else:
            console.print(f"[yellow]{line['path']}: {line['reason']}[/]", highlight=False)
    return complete


def instance_uid(path: Path) -> str | None:
    """Return the SOP Instance UID of a film that is not read; None where it has none."""
    try:
        return elements.text(read_header(path), "SOPInstanceUID") or None
    except RefusedError:
        return None


def _uid(future: Future[str | None]) -> str | None:
    try:
        return future.result()
    except (ChildFailedError, OSError):
        return None


def _prepared(future: Future[Prepared | Refusal]) -> Prepared | Refusal:
    try:
        return future.result()
    except ChildFailedError as error:
        return Refusal(RefusalCode.UNDECODABLE, str(error))
    except OSError as error:
        return Refusal(RefusalCode.UNDECODABLE, f"The file cannot be read: {error.strerror}.")


def _refused(path: Path, uid: str | None, refusal: Refusal, bundle: str) -> dict[str, Any]:
    return {
        "path": str(path),
        "sop_instance_uid": uid,
        "eligible": False,
        "reason": refusal.reason,
        "probabilities": None,
        "pneumonia": None,
        "boxes": [],
        "bundle": bundle,
    }


def _read(path: Path, sop_instance_uid: str, said: Reading) -> dict[str, Any]:
    return {
        "path": str(path),
        "sop_instance_uid": sop_instance_uid,
        "eligible": True,
        "reason": None,
        "probabilities": asdict(said.probabilities),
        "pneumonia": said.pneumonia,
        "boxes": [asdict(box) for box in said.boxes],
        "bundle": said.bundle,
    }


def _batched(paths: Iterator[Path], size: int) -> Iterator[list[Path]]:
    while group := list(islice(paths, size)):
        yield group
