"""A sender that its results return to has the same choices of what it gets as a destination."""

from __future__ import annotations

from settings import DicomDestination, Peer, Settings
from settings.destinations.imaging import ImagingProfile

PROFILE = {
    "objects": ("sr", "gsps"),
    "sr": "comprehensive",
    "sc_max_side": 256,
    "sc_colour": "cyan",
    "sc_min_score": 0.5,
    "sc_images": "with_boxes",
}


def test_results_return_in_the_form_that_the_peer_wants() -> None:
    assert PROFILE.keys() == ImagingProfile.model_fields.keys()
    peer = Peer(ae_title="ER", port=104, return_results=True, commit=True, **PROFILE)
    back = Settings(peers=(peer,)).destination("ER@10.0.0.9")
    assert isinstance(back, DicomDestination)
    assert {key: getattr(back, key) for key in PROFILE} == PROFILE
    assert back.commit


def test_a_peer_gets_the_results_of_positive_studies_alone_if_it_wants() -> None:
    peer = Peer(ae_title="ER", port=104, return_results=True, results="positive")
    loaded = Settings(peers=(peer,))
    assert loaded.profiles("ER", "10.0.0.9", positive=False) == {}
    told = loaded.profiles("ER", "10.0.0.9", positive=False, told={"ER@10.0.0.9"})
    assert told == {"ER@10.0.0.9": ("sr", "sc")}
