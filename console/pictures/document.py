"""A kept report as people read it: its head and its tree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from console.pictures.shown import CannotBeShownError
from inference.report.header import ReportError
from inference.report.outline import Line, outline
from inference.report.read import ReadReport, read_report


@dataclass(frozen=True, slots=True)
class Document:
    """A report, and what it says item by item."""

    report: ReadReport
    lines: tuple[Line, ...]

    @property
    def observer(self) -> str:
        """What has observed."""
        observer = self.report.observer
        if observer is None:
            return self.report.manufacturer
        named = (observer.model_name or observer.name, observer.manufacturer)
        return ", ".join(each for each in named if each)

    @property
    def written(self) -> str:
        """When, in the zone that the report was written in."""
        date, _, time = self.report.recorded.partition(" ")
        if len(date) == 8 and len(time) >= 6 and f"{date}{time[:6]}".isdecimal():
            return f"{date[:4]}-{date[4:6]}-{date[6:]} {time[:2]}:{time[2:4]}:{time[4:6]}"
        return self.report.recorded


def document(path: Path) -> Document:
    """Read the report in a file of ours.

    Raises:
        CannotBeShownError: it is gone or damaged.
    """
    try:
        report = read_report(path)
    except ReportError as error:
        raise CannotBeShownError(f"The report cannot be read: {error}.") from None
    except OSError as error:
        raise CannotBeShownError(f"The report's file cannot be read: {error.strerror}.") from None
    return Document(report, outline(report, patients=True))
