"""What an archive says that it has, and what it answers when it is asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scp_service.archives.query import Query


class ArchiveError(Exception):
    """The archive cannot be used as it is configured, here or there; says what is to be done."""


class UnavailableError(Exception):
    """The archive cannot be reached or went away: the same may succeed later."""


class RetrieveError(Exception):
    """The archive did not give what it was asked for; says why."""


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study that matches a query; texts are "" where the archive does not tell."""

    study_instance_uid: str
    study_date: str
    study_description: str
    accession_number: str
    patient_id: str
    patient_name: str


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image of a wanted modality; its SOP class is "" where the archive does not tell."""

    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str


class Archive(Protocol):
    """A PACS that can be asked; one request at a time."""

    @property
    def where(self) -> str:
        """Where it is, for people."""
        ...

    def probe(self) -> None:
        """See whether it answers and offers what is needed.

        Raises:
            ArchiveError, RetrieveError, UnavailableError: it does not; says why.
        """
        ...

    def studies(self, query: Query) -> list[FoundStudy]:
        """Return the studies that match, each once.

        Raises:
            ArchiveError: it refuses to answer.
            UnavailableError: it cannot be reached or went away.
        """
        ...

    def images(self, study: FoundStudy, modalities: Sequence[str]) -> list[FoundImage]:
        """Return the images in a study's series of these modalities.

        Raises:
            ArchiveError, UnavailableError: as `studies`.
            RetrieveError: it does not tell for this study.
        """
        ...

    def retrieve(self, study: FoundStudy, images: Sequence[FoundImage]) -> None:
        """Have these images of a study sent to where films are kept; returns when all have come.

        Raises:
            ArchiveError, UnavailableError: as `studies`.
            RetrieveError: some did not come; those that did are kept.
        """
        ...

    def close(self) -> None:
        """End what is open."""
        ...
