"""The films of one report, put in order: the same films in any order make the same report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inference.reading import Finding, Reading, Refusal, RefusalCode
from inference.report.header import FilmHeader, ReportError, read_header
from inference.report.job import StudyJob


@dataclass(frozen=True, slots=True)
class Film:
    """A film that was read, with its header."""

    path: Path
    header: FilmHeader
    reading: Reading


@dataclass(frozen=True, slots=True)
class RefusedFilm:
    """A film that was not read, and why; without a header where that cannot be read either."""

    header: FilmHeader | None
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Study:
    """What is known of a study.

    `headers` are those of all its films, each SOP instance once; the films that were read stand
    first, and the first of them speaks for patient and study.
    """

    headers: tuple[FilmHeader, ...]
    films: tuple[Film, ...]
    refused: tuple[RefusedFilm, ...]

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Why films were not read, one refusal per film, in the order of the refused films."""
        return tuple(film.refusal for film in self.refused)

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The readings of the films, in their order."""
        return tuple(film.reading for film in self.films)

    @property
    def finding(self) -> Finding:
        """The gravest finding of the images, FAILED where none was read."""
        findings = {film.reading.finding for film in self.films}
        for finding in (Finding.OPACITY, Finding.ABNORMAL, Finding.NORMAL):
            if finding in findings:
                return finding
        return Finding.FAILED

    @property
    def probability(self) -> float | None:
        """The highest probability of pneumonia of the images, None where none was read."""
        return max((film.reading.pneumonia for film in self.films), default=None)


def arrange(job: StudyJob) -> Study:
    """Read the headers of a job's films and put them in order.

    A refused film whose header cannot be read is counted and not referred to. An altered duplicate
    is counted too, and does not speak for the study: its original does.

    Raises:
        ReportError: no header can be read, or the films are not of one study of one patient.
    """
    films: list[Film] = []
    refused: list[RefusedFilm] = []
    for image in job.images:
        if image.reading is not None:
            films.append(Film(image.path, read_header(image.path), image.reading))
        elif image.refusal is not None:
            refused.append(RefusedFilm(_header_if_any(image.path), image.refusal))
    films.sort(key=lambda film: _order(film.header))
    refused.sort(key=_refused_order)
    named = sorted(filter(None, map(_naming, refused)), key=_order)
    headers = {
        header.sop_instance_uid: header
        for header in reversed([*(film.header for film in films), *named])
    }
    ordered = tuple(reversed(headers.values()))
    _hold_together(ordered)
    if len({film.header.sop_instance_uid for film in films}) != len(films):
        raise ReportError("a film stands twice among those that were read")
    return Study(ordered, tuple(films), tuple(refused))


def _header_if_any(path: Path) -> FilmHeader | None:
    try:
        return read_header(path)
    except ReportError:
        return None


def _naming(film: RefusedFilm) -> FilmHeader | None:
    """Return the header of a refused film that the report refers to."""
    return None if film.refusal.code is RefusalCode.ALTERED_DUPLICATE else film.header


def _refused_order(film: RefusedFilm) -> tuple[str, str, int, str]:
    position = (0, "") if film.header is None else _order(film.header)
    return film.refusal.code, film.refusal.reason, *position


def _order(header: FilmHeader) -> tuple[int, str]:
    return header.instance_number, header.sop_instance_uid


def _hold_together(headers: tuple[FilmHeader, ...]) -> None:
    if not headers:
        raise ReportError("no film of the study has a header that can be read")
    if len({header.study_instance_uid for header in headers}) > 1:
        raise ReportError("the films belong to different studies")
    if len({header.patient_id for header in headers}) > 1:
        raise ReportError("the films of the study carry different Patient IDs")
