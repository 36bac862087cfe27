"""Every destination gets overlays in its own look, of the images that it asks for."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from pydicom import dcmread

from inference.reading import Box
from inference.report import words
from inference.report.build import ResultObject, build_study
from inference.report.look import COLOURS, USUAL, Images, Look, Overlays
from inference.report.overlay import draw
from settings import ImagingDestination
from tests import judges
from tests.inference.report.studies import (
    ABNORMAL,
    DEVICE,
    NORMAL,
    OPACITY,
    STUDY,
    film,
    job,
    keep,
    read,
)

SMALL = Look(max_side=128, colour="cyan", min_score=0.7)
FILM = np.full((1024, 1024), 90, np.uint8)
MARKED = replace(
    OPACITY,
    rows=1024,
    columns=1024,
    boxes=(Box(100, 200, 300, 300, 0.9), Box(600, 200, 300, 300, 0.5)),
)


@pytest.mark.parametrize("colour", COLOURS)
def test_boxes_have_the_colour_that_is_asked_for(colour: str) -> None:
    picture = draw(FILM, MARKED, DEVICE, Look(colour=colour))
    assert (picture[200, 150:350] == COLOURS[colour]).all()
    assert (picture[350, 600] == COLOURS[colour]).all()


def test_boxes_below_the_score_are_not_drawn_and_the_overlay_says_so() -> None:
    picture = draw(FILM, MARKED, DEVICE, Look(min_score=0.7))
    assert (picture[200, 150:350] == COLOURS["amber"]).all()
    assert (picture[180:520, 580:920] == 90).all()
    assert "1 region marked" in words.headline(Look(min_score=0.7).shown(MARKED))
    assert words.hidden(1, 0.7) == ["1 region scored below 70 % not drawn"]
    everything = draw(FILM, replace(MARKED, boxes=MARKED.boxes[:1]), DEVICE)
    assert not np.array_equal(picture[-80:], everything[-80:]), "the foot tells of the one hidden"


def test_the_settings_offer_the_colours_and_images_that_there_are() -> None:
    fields = ImagingDestination.model_fields
    assert set(get_args(fields["sc_colour"].annotation)) == set(COLOURS)
    assert get_args(fields["sc_images"].annotation) == get_args(Images)
    assert (fields["sc_colour"].default, fields["sc_min_score"].default) == (
        USUAL.colour,
        USUAL.min_score,
    )


def test_each_look_is_made_once_for_all_that_ask_for_it(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm")
    asked = (
        Overlays(destination="pacs"),
        Overlays(SMALL, destination="viewer"),
        Overlays(destination="archive"),
    )
    result = build_study(job(read(path), overlays=asked))
    usual, small = result.overlays
    assert (usual.destinations, small.destinations) == (("pacs", "archive"), ("viewer",))
    assert usual.data == build_study(job(read(path))).overlays[0].data, "as it always was"
    assert usual.sop_instance_uid != small.sop_instance_uid
    assert usual.series_instance_uid != small.series_instance_uid
    assert max(dcmread(BytesIO(small.data)).pixel_array.shape) == 128
    assert judges.judge(keep(tmp_path / "results", result), [path]) == []


def test_another_look_has_another_uid_and_the_same_look_the_same() -> None:
    looks = [USUAL, SMALL, Look(max_side=128), Look(colour="cyan"), Look(min_score=0.7)]
    assert len({look.name for look in looks}) == len(looks)
    assert Look(128, "cyan", 0.7).name == SMALL.name
    assert USUAL.name == ""


@pytest.mark.parametrize(
    ("images", "expected"),
    [("all", ["marked", "plain"]), ("with_boxes", ["marked"]), ("positive", ["marked", "plain"])],
)
def test_a_destination_gets_overlays_of_the_images_that_it_asks_for(
    tmp_path: Path, images: Images, expected: list[str]
) -> None:
    marked = film(tmp_path / "marked.dcm")
    plain = film(tmp_path / "plain.dcm", SOPInstanceUID=f"{STUDY}.1.2", InstanceNumber=2)
    names = {f"{STUDY}.1.1": "marked", f"{STUDY}.1.2": "plain"}
    asked = (Overlays(images=images, destination="pacs"),)
    positive = build_study(job(read(marked), read(plain, NORMAL), overlays=asked))
    assert _films(positive.overlays, names) == expected
    negative = build_study(job(read(marked, ABNORMAL), read(plain, NORMAL), overlays=asked))
    assert _films(negative.overlays, names) == (["marked", "plain"] if images == "all" else [])
    assert negative.objects[0].kind == "sr"


def test_boxes_that_are_not_drawn_make_no_overlay_where_only_boxed_ones_are_asked_for(
    tmp_path: Path,
) -> None:
    path = film(tmp_path / "film.dcm")
    asked = (Overlays(Look(min_score=0.95), "with_boxes", "pacs"),)
    assert build_study(job(read(path), overlays=asked)).overlays == ()


def test_without_overlays_asked_for_none_is_made(tmp_path: Path) -> None:
    result = build_study(job(read(film(tmp_path / "film.dcm")), overlays=()))
    assert [each.kind for each in result.objects] == ["sr"]


def _films(overlays: tuple[ResultObject, ...], names: dict[str, str]) -> list[str]:
    return [names[each.source_sop_instance_uid or ""] for each in overlays]
