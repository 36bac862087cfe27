"""What a report says: plain, true at the edges, and never normal by silence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inference.reading import Device, Finding, Reading, Refusal
from inference.report import words
from inference.report.header import FilmHeader
from inference.report.study import Film, RefusedFilm, Study
from tests.inference.report.studies import (
    ABNORMAL,
    BROKEN,
    DEVICE,
    LATERAL,
    NORMAL,
    OPACITY,
)

ENDING = (
    "; algorithm hilum-default 1, threshold 42 %"
    "; for evaluation, not for clinical use; not verified by a physician"
)


def study(*results: Reading | Refusal) -> Study:
    header = FilmHeader(
        "1.2", "1.2.3", "1.2.4", "1.2.5", 1, b"", 8, 8, "CR", None, None, None, (), None, (), {}
    )
    return Study(
        (header,),
        tuple(Film(Path("film.dcm"), header, r) for r in results if isinstance(r, Reading)),
        tuple(RefusedFilm(None, r) for r in results if isinstance(r, Refusal)),
    )


@pytest.mark.parametrize(
    ("results", "sentence"),
    [
        (
            (OPACITY,),
            "Lung opacity suspected: probability of pneumonia 87 %, 2 regions marked" + ENDING,
        ),
        (
            (replace(OPACITY, boxes=OPACITY.boxes[:1]),),
            "Lung opacity suspected: probability of pneumonia 87 %, 1 region marked" + ENDING,
        ),
        (
            (replace(OPACITY, boxes=()),),
            "Lung opacity suspected: probability of pneumonia 87 %, no region marked" + ENDING,
        ),
        (
            (NORMAL,),
            "No lung opacity found above the threshold (probability of pneumonia 3 %)" + ENDING,
        ),
        (
            (ABNORMAL,),
            "No lung opacity found above the threshold (probability of pneumonia 12 %), "
            "but the image does not look normal" + ENDING,
        ),
        (
            (NORMAL, LATERAL),
            "No lung opacity found above the threshold (probability of pneumonia 3 %)"
            "; 1 of 2 images was not analysed "
            "(This is a lateral view; only frontal chest films are read)" + ENDING,
        ),
        (
            (OPACITY, LATERAL, BROKEN),
            "Lung opacity suspected: probability of pneumonia 87 %, 2 regions marked"
            "; 2 of 3 images were not analysed "
            "(This is a lateral view; only frontal chest films are read"
            "; The pixels cannot be decoded)" + ENDING,
        ),
        (
            (BROKEN, BROKEN),
            "Not analysed (The pixels cannot be decoded), so no statement about the lungs"
            "; algorithm hilum-default 1"
            "; for evaluation, not for clinical use; not verified by a physician",
        ),
    ],
)
def test_the_sentence_of_a_study(results: tuple[Reading | Refusal, ...], sentence: str) -> None:
    assert words.sentence(study(*results), DEVICE) == sentence


def test_a_bundle_for_clinical_use_is_still_not_verified() -> None:
    said = words.sentence(study(NORMAL), replace(DEVICE, evaluation_only=False))
    assert "evaluation" not in said
    assert said.endswith("not verified by a physician")


@pytest.mark.parametrize(
    ("probability", "threshold", "said"),
    [
        (0.4201, 0.42, ("42.01 %", "42.00 %")),
        (0.4199, 0.42, ("41.99 %", "42.00 %")),
        (0.424, 0.42, ("42.4 %", "42.0 %")),
        (0.42, 0.42, ("42 %", "42 %")),
        (0.9996, 0.42, ("above 99 %", "42 %")),
        (0.0004, 0.42, ("below 1 %", "42 %")),
        (0.004, 0.006, ("0.4 %", "0.6 %")),
    ],
)
def test_a_probability_never_reads_as_the_threshold_that_it_missed(
    probability: float, threshold: float, said: tuple[str, str]
) -> None:
    finding = Finding.OPACITY if probability >= threshold else Finding.NORMAL
    reading = replace(NORMAL, pneumonia=probability, threshold=threshold, finding=finding)
    sentence = words.sentence(study(reading), DEVICE)
    assert f"probability of pneumonia {said[0]}" in sentence
    assert f"threshold {said[1]};" in sentence


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Größe ≥ 3 × 4 µm", "Grosse >= 3 x 4 um"),
        ("line\nbreaks\tand  spaces", "line breaks and spaces"),
        ("“quoted” – yes…", '"quoted" - yes...'),
        ("胸", "?"),
    ],
)
def test_texts_are_written_in_ascii(text: str, plain: str) -> None:
    assert words.ascii_text(text) == plain


def test_descriptions_keep_their_length_and_their_warning() -> None:
    long = Device("n" * 70, "1", "00", "A manufacturer with a name of " + "x" * 50, "1.2", True)
    described = words.series_description("overlay", long)
    assert len(described) == 64
    assert described.endswith("overlay, not verified by a physician")
    many = study(NORMAL, *[LATERAL] * 100_000)
    assert len(words.completion(many)) <= 64


def test_an_adjusted_prevalence_is_told_in_report_and_overlay() -> None:
    adjusted = replace(DEVICE, prevalence=0.05)
    told = "threshold 42 %, adjusted to a prevalence of 5 %"
    assert told in words.sentence(study(NORMAL), adjusted)
    assert any(told in line for line in words.legend(NORMAL, adjusted))
    assert "prevalence" not in words.sentence(study(NORMAL), DEVICE)
    assert "of 0.25 %" in words.sentence(study(NORMAL), replace(DEVICE, prevalence=0.0025))
