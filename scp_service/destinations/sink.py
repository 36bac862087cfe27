"""Where the results of the self-test end: each is read as a receiver would, and kept nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import dcmread

from db.deliveries import Parcel
from db.files import FileStore
from scp_service.answer import Answer, Outcome
from settings import Settings
from settings.destinations.sink import SinkDestination


class SinkConnector:
    """A destination that is always there."""

    def __init__(self, destination: SinkDestination, settings: Settings) -> None:
        self._destination = destination

    @property
    def where(self) -> str:
        """The self-test."""
        return "the self-test"

    @contextmanager
    def connected(self, store: FileStore) -> Iterator[SinkConnection]:
        """Begin."""
        yield SinkConnection(store)

    def probe(self) -> None:
        """Nobody is asked."""


class SinkConnection:
    """Takes DICOM objects that are what they are said to be."""

    def __init__(self, store: FileStore) -> None:
        self._store = store

    def send(self, parcel: Parcel) -> Answer:
        """Read an object, and look whether it is the one that was to be sent."""
        with self._store.near(parcel.path, parcel.file_sha256) as path:
            found = dcmread(path, stop_before_pixels=True)
        if (found.SOPClassUID, found.SOPInstanceUID) == (
            parcel.sop_class_uid,
            parcel.sop_instance_uid,
        ):
            return Answer(Outcome.STORED)
        return Answer(Outcome.REJECTED, "its file holds another object")
