"""The bytes of a result are pinned: who changes them changes SCHEMA_VERSION, and so the UIDs.

A PACS that was given an object must never be given another one under the same UID. The pixels of
the overlay are left out, because they depend on the JPEG library's version.
"""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

from pydicom import dcmread, dcmwrite

from inference.report.build import build_study
from inference.report.uids import SCHEMA_VERSION
from tests.inference.report.studies import ABNORMAL, STUDY, film, job, read, refused
from tests.twins import as_comprehensive_sr

PINNED: dict[int, dict[str, str]] = {
    1: {
        "positive": "f3b40d18691b4837",
        "negative": "e6b9510b56826dab",
        "failed": "649a2cb148213bc8",
        "twin": "0d103af46186e7f1",
        "overlay": "b23d1142d1843d1e",
        "presentation": "b816b87c697e4072",
    }
}


def test_bytes_change_only_with_the_schema_version(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm")
    lateral = film(tmp_path / "lateral.dcm", SOPInstanceUID=f"{STUDY}.1.2", InstanceNumber=2)
    positive = build_study(job(read(path), refused(lateral), presentations=True))
    negative = build_study(job(read(path, ABNORMAL)))
    failed = build_study(job(refused(path)))
    found = {
        "positive": positive.sr.data,
        "negative": negative.sr.data,
        "failed": failed.sr.data,
        "twin": as_comprehensive_sr(positive.sr.data)[0],
        "presentation": positive.presentations[0].data,
        "overlay": _without_pixels(positive.overlays[0].data),
    }
    digests = {name: hashlib.sha256(data).hexdigest()[:16] for name, data in found.items()}
    assert digests == PINNED.get(SCHEMA_VERSION), (
        "results have other bytes than before: raise SCHEMA_VERSION in inference/report/uids.py "
        "and pin the digests above"
    )


def _without_pixels(data: bytes) -> bytes:
    overlay = dcmread(BytesIO(data))
    del overlay.PixelData, overlay.LossyImageCompressionRatio
    buffer = BytesIO()
    dcmwrite(buffer, overlay)
    return buffer.getvalue()
