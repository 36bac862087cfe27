"""Which kind of archive is asked by what."""

from __future__ import annotations

from scp_service.archives.dicomweb import WebArchive
from scp_service.archives.dimse import DimseArchive
from scp_service.archives.found import Archive
from scp_service.receive import Receiver
from settings import Archive as Configured
from settings import DicomArchive, DicomwebArchive, Settings


def archive_of(configured: Configured, settings: Settings, receiver: Receiver | None) -> Archive:
    """Return an archive that can be asked; nothing is sent to it yet.

    `receiver` is where films go; None where it is only asked what it has.
    """
    if isinstance(configured, DicomwebArchive):
        return WebArchive(configured, settings, receiver)
    assert isinstance(configured, DicomArchive), "the settings know no other kind"
    return DimseArchive(configured, settings, receiver)
