"""Every real file, ordinary, odd or hostile, is read, or refused by name and for a true reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.every_file import Fate, Watched, send_all, watching
from bench.service import service
from tests.peers import require

FOLDERS = ("dicom_cxr", "dicom_syntax", "dicom_hostile")
READ = {
    "fod__CR-MONO1-10-chest.dcm",
    "orth__Monochrome1-Jpeg.dcm",
    "pydd__RG1_J2KI.dcm",
    "txv__1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm",
}
"""The upright frontal chests of adults among them."""
NO_PIXELS = {
    "orth__CR000000.dcm",
    "orth__Issue56-NoPixelData.dcm",
    "pyd__chrJapMulti.dcm",
    "pyd__chrKoreanMulti.dcm",
}
OTHER_PARTS = {
    "fod__CR-ModalitySequenceLUT.dcm",
    "hd__dx_image.dcm",
    "pyd__6154.dcm",
    "pyd__6247.dcm",
    "pydd__RG3_J2KI.dcm",
    "pydd__RG3_J2KR.dcm",
}
SAME_UID_AGAIN = {
    "pyd__JPGExtended.dcm",
    "pydd__SC_rgb_expb_16bit.dcm",
    "pyd__chrJapMultiExplicitIR6.dcm",
    "txv__Fake_MONOHR1.dcm",
}
"""Files whose SOP Instance UIDs come twice here: refused, as altered copies or for themselves."""
REFUSALS = (
    "no presentation context",
    "it accepted none of the presentation contexts",
    "Error: CannotUnderstand",
    "C000 the data set has no valid",
)
"""What a peer may be told: in negotiation, or by the status that docs/conformance.md names."""


@pytest.fixture(scope="module")
def seen(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Fate], Watched]:
    """What became of all files, and how the service was meanwhile."""
    require("dcmsend", "echoscu")
    paths = [path for name in FOLDERS for path in sorted((real_data / name).glob("*.dcm"))]
    with (
        service(tmp_path_factory.mktemp("every_file"), deliver=False) as running,
        watching(running) as watched,
    ):
        return send_all(paths, running), watched


def _expected(name: str) -> tuple[str, str]:
    if name in READ:
        return "read", ""
    for names, code in (
        (NO_PIXELS, "no_pixels"),
        (OTHER_PARTS, "body_part"),
    ):
        if name in names:
            return "refused", code
    return "refused", "modality"  # test pictures of libraries: no modality, or OT, NM, US


@pytest.mark.slow
def test_every_accepted_file_ends_as_it_should(seen: tuple[list[Fate], Watched]) -> None:
    """Films are read; all else has the code of its true reason and a sentence."""
    accepted = [fate for fate in seen[0] if fate.sent.accepted]
    assert len(accepted) > 30
    found = {Path(fate.file).name: (fate.state, fate.code) for fate in accepted}
    assert all(found[name][0] == "refused" for name in SAME_UID_AGAIN & found.keys())
    others = {name: fate for name, fate in found.items() if name not in SAME_UID_AGAIN}
    assert others == {name: _expected(name) for name in others}
    assert found.keys() >= READ
    assert all(fate.reason.endswith(".") for fate in accepted if fate.state != "read")


@pytest.mark.slow
def test_every_other_file_is_refused_in_negotiation_or_by_status(
    seen: tuple[list[Fate], Watched],
) -> None:
    """No file is lost in silence, and none breaks an association."""
    refused = [fate.sent.answer for fate in seen[0] if not fate.sent.accepted]
    assert [answer for answer in refused if not answer.startswith(REFUSALS)] == []


@pytest.mark.slow
def test_the_service_stays_small_and_answers_meanwhile(seen: tuple[list[Fate], Watched]) -> None:
    """All its processes together stay below 2 GB, and every C-ECHO is answered.

    How quickly depends on what else the machine does: `bench.every_file` tells.
    """
    watched = seen[1]
    assert len(watched.echoes) == len(watched.memory) > 10
    assert max(watched.memory) < 2_000_000_000
