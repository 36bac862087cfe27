"""UIDs and tracking UIDs of results: the same input gives the same UID. Nothing here is random."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

SCHEMA_VERSION = 1
"""Raised whenever the bytes of a result change for the same input, so that its UIDs change too."""

_NAMESPACE = uuid.UUID("5f0e2a4c-9d1b-5c57-8a63-2d7c4e90b1a8")


@dataclass(frozen=True, slots=True)
class Namer:
    """Names every object of one report.

    `predecessor` is the SOP Instance UID of the report that this one revises, or None. It is part
    of the name, because a revision may rest on the very same images and must not take the UID of
    the report it replaces.
    """

    study_instance_uid: str
    sources: tuple[str, ...]
    device_uid: str
    predecessor: str | None

    def series(self, kind: str, look: str = "") -> str:
        """Series Instance UID of the results of `kind` ("sr", "sc", "gsps") with a `look`."""
        return self._name(f"{_looking(kind, look)}.series")

    def instance(self, kind: str, source: str = "", look: str = "") -> str:
        """SOP Instance UID of the result of `kind` with a `look`, of the image `source` if of one.

        The usual look has no name.
        """
        return self._name(_looking(kind, look), source)

    def tracking(self, source: str, number: int) -> str:
        """Tracking UID of box `number` on the image `source`; a revision keeps it."""
        return make_uid("tracking", self.study_instance_uid, source, self.device_uid, str(number))

    def _name(self, kind: str, source: str = "") -> str:
        return make_uid(
            kind,
            self.study_instance_uid,
            *sorted(self.sources),
            self.device_uid,
            self.predecessor or "",
            source,
        )


def _looking(kind: str, look: str) -> str:
    return f"{kind} {look}" if look else kind


def make_uid(kind: str, *parts: str) -> str:
    """`2.25.` and a UUIDv5 (PS3.5 B.2) of the schema version, `kind` and `parts`."""
    return _uid((str(SCHEMA_VERSION), kind, *parts))


def _uid(parts: Iterable[str]) -> str:
    # The separator cannot occur in a UID, so no two lists of parts run into the same name.
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}"
