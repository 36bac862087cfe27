"""What is wrong with the image files: each is decoded once, by several processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.kaggle.description import describe
from training.kaggle.folder import KaggleFolder
from training.kaggle.pool import in_processes
from training.kaggle.problem import FILM_PIXELS, Problem, error, note
from training.kaggle.unpack import Progress

_PIECE = 16


@dataclass(frozen=True, slots=True)
class Seen:
    """What the check keeps of a film: why it is unreadable, or its size and what it holds.

    `digest` is of the stored values; `named` tells whether its Patient ID, where it has one, is
    its file name.
    """

    problem: str | None
    rows: int | None
    columns: int | None
    digest: str | None
    named: bool


def look(folder: KaggleFolder, processes: int, progress: Progress | None) -> dict[Path, Seen]:
    """Decode every training and test film."""
    films = [*folder.train_images.values(), *folder.test_images.values()]
    pieces = (films[start : start + _PIECE] for start in range(0, len(films), _PIECE))
    seen: dict[Path, Seen] = {}
    for piece in in_processes(_look_at, pieces, processes):
        seen.update(piece)
        if progress is not None:
            progress(len(seen), len(films))
    return seen


def check_films(seen: Mapping[Path, Seen]) -> Iterator[Problem]:
    """Find films that cannot be read, are not what their name says, or have another size."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for path, film in seen.items():
        if film.problem is not None:
            reasons[film.problem].append(path.name)
    for reason, names in reasons.items():
        yield from error(
            f"films that cannot be read: {reason}", names, "download or unpack these files again"
        )
    yield from error(
        "films whose Patient ID is not their file name",
        [path.name for path, film in seen.items() if not film.named],
        "labels go by file name: files that were renamed or swapped carry wrong labels",
    )
    other = [
        path.name
        for path, film in seen.items()
        if film.rows is not None and (film.rows, film.columns) != (FILM_PIXELS, FILM_PIXELS)
    ]
    yield from note(
        f"films that are not {FILM_PIXELS} x {FILM_PIXELS} pixels",
        other,
        "see that the boxes are in pixels of these films",
    )


def check_repeated_films(folder: KaggleFolder, seen: Mapping[Path, Seen]) -> Iterator[Problem]:
    """Find films whose stored values are the same, and those of them whose targets differ."""
    same: dict[str, list[Path]] = defaultdict(list)
    for path, film in seen.items():
        if film.digest is not None:
            same[film.digest].append(path)
    targets, tests = folder.targets(), set(folder.test_images.values())
    groups = [paths for paths in same.values() if len(paths) > 1]
    yield from error(
        "groups of films with the same pixels and different targets",
        [
            paths[0].name
            for paths in groups
            if len({targets.get(path.stem) for path in paths if path not in tests} - {None}) > 1
        ],
        "one of the labels is wrong: take these films out",
    )
    yield from note(
        "groups of films with the same pixels",
        [paths[0].name for paths in groups],
        "keep the films of a group on one side of every split",
    )


def _look_at(paths: Sequence[Path]) -> list[tuple[Path, Seen]]:
    return [(path, _see(path)) for path in paths]


def _see(path: Path) -> Seen:
    film = describe(path)
    named = film.attributes.get("PatientID") in (None, "", path.stem)
    return Seen(film.problem, film.rows, film.columns, film.digest, named)
