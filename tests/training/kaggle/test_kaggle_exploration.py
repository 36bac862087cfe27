"""The exploration shows every figure and table, and says of each claim whether it holds."""

from __future__ import annotations

import base64
import io
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from commands.explore import explore
from commands.problem import ProblemError
from tests.training.kaggle.folders import make_folder, write_csv
from tests.training.kaggle.surveys import mixed, survey_of
from training.kaggle import measures, tables
from training.kaggle.claims import CLAIMS, judge
from training.kaggle.csvs import FolderError
from training.kaggle.exploration import Draw, make_page, write_page
from training.kaggle.figures_boxes import box_centres
from training.kaggle.figures_pairs import pair_plots
from training.kaggle.findings import Finding, Verdict
from training.kaggle.page import Page, Section
from training.kaggle.sources import survey_tables
from training.kaggle.survey import Survey

OF_TABLES = {
    "pies",
    "class_target",
    "sex",
    "age",
    "view",
    "ages",
    "box_centres",
    "box_map",
    "box_sizes",
    "pairs_boxes",
    "correlation",
    "heat_map",
    "box_plots",
}
OF_FILMS = {"films", "pairs_films"}


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[bytes] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.ids.add(values.get("id", ""))
        if tag == "img":
            kind, _, data = values["src"].partition(",")
            assert kind == "data:image/png;base64"
            assert values["alt"]
            self.images.append(base64.b64decode(data, validate=True))
        self.links += [values[name] for name in ("href", "src") if tag != "img" and name in values]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exploration of a small Kaggle folder with films."""
    path = tmp_path_factory.mktemp("explored")
    folder = make_folder(path / "made", films=30)
    explore(folder.path, path / "out", Console(quiet=True))
    return path / "out"


def test_a_folder_with_films_gets_every_figure(explored: Path) -> None:
    figures = {file.stem for file in (explored / "figures").iterdir()}
    assert figures == OF_TABLES | OF_FILMS
    assert (explored / "metadata.parquet").is_file()


def test_the_page_is_one_self_contained_file(explored: Path) -> None:
    page = _Page((explored / "exploration.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert {link for link in page.links if not link.startswith("#")} == set()
    assert {link[1:] for link in page.links} <= page.ids
    files = [file.read_bytes() for file in (explored / "figures").iterdir()]
    assert sorted(page.images) == sorted(files)


def test_no_figure_is_empty(explored: Path) -> None:
    for file in (explored / "figures").iterdir():
        pixels = np.asarray(Image.open(io.BytesIO(file.read_bytes())).convert("L"))
        assert (pixels < 250).mean() > 0.01, file.name


def test_markdown_names_figures_that_are_there_and_holds_every_table(explored: Path) -> None:
    text = (explored / "exploration.md").read_text(encoding="utf-8")
    named = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert {explored / name for name in named} == set((explored / "figures").iterdir())
    for title in ("What there is", "The naive merge", "Ages above 100", "Columns with a single"):
        assert f"**{title}" in text
    assert all(claim.said in text for claim in CLAIMS)


def test_tables_alone_get_every_figure_but_those_of_films(tmp_path: Path) -> None:
    page = make_page(mixed(), datetime(2024, 1, 1, tzinfo=UTC))
    write_page(page, tmp_path)
    assert {file.stem for file in (tmp_path / "figures").iterdir()} == OF_TABLES


@pytest.mark.parametrize("draw", [box_centres, pair_plots])
def test_what_is_drawn_by_chance_is_the_same_each_time(draw: Draw) -> None:
    assert draw(mixed(30)) == draw(mixed(30))


def test_a_set_without_boxes_or_with_one_class_is_explored_too(tmp_path: Path) -> None:
    survey = survey_of([(0, ())] * 4)
    page = make_page(survey, datetime(2024, 1, 1, tzinfo=UTC))
    write_page(page, tmp_path)
    assert "pies.png" in {file.name for file in (tmp_path / "figures").iterdir()}


def test_names_in_the_data_cannot_write_into_the_page(tmp_path: Path) -> None:
    survey = survey_of([(0, ())] * 12, view=["<script>alert(1)</script>"] * 12)
    section = Section("a", "<script>", [tables.groups(survey)], [])
    page = Page("<script>", False, False, datetime(2024, 1, 1, tzinfo=UTC), (), (), [section])
    text = write_page(page, tmp_path).read_text(encoding="utf-8")
    assert "alert(1)" in text
    assert "<script>" not in text


def test_a_folder_that_is_neither_is_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="stage_2_train_labels"):
        explore(tmp_path, tmp_path / "out", Console(quiet=True))


def test_tables_that_lack_one_are_told(tmp_path: Path) -> None:
    columns = ("PatientID", "PatientAge", "PatientSex", "ViewPosition", "PixelSpacing")
    file = tmp_path / "kaggle_stage_2_train_images_dicom_headers.csv"
    write_csv(file, columns, [("a", "1", "M", "PA", "0.1")])
    with pytest.raises(FolderError, match=r"stage_2_train_labels\.csv .* not found"):
        survey_tables(tmp_path)


def test_claims_of_the_whole_set_are_not_judged_on_a_part() -> None:
    verdicts = _verdicts(mixed())
    whole = ("films", "label_rows", "boxes", "merge", "per_film", "median_box", "one_box_films")
    assert {verdicts[name].verdict for name in whole} == {Verdict.UNTOLD}


def test_a_view_that_tells_the_class_is_seen() -> None:
    films = [(0, ()), (2, ((1.0, 1.0, 9.0, 9.0),))] * 20
    assert _verdicts(survey_of(films, view=["PA", "AP"] * 20))["view"].verdict is Verdict.HOLDS
    evenly = ["PA", "PA", "AP", "AP"] * 10
    assert _verdicts(survey_of(films, view=evenly))["view"].verdict is Verdict.FAILS


def test_one_box_per_film_holds_only_where_films_have_one() -> None:
    box = (1.0, 1.0, 9.0, 9.0)
    assert _verdicts(survey_of([(2, (box,))] * 3))["one_box"].verdict is Verdict.HOLDS
    two = survey_of([(2, (box,)), (2, (box, (50.0, 1.0, 9.0, 9.0)))])
    finding = _verdicts(two)["one_box"]
    assert finding.verdict is Verdict.FAILS
    assert finding.value.startswith("50.0 %")


@pytest.fixture(scope="module")
def complete(real_data: Path) -> Survey:
    """All 26,684 films, from the challenge's tables."""
    if not (real_data / "rsna_labels").is_dir():
        pytest.skip(f"no complete label tables in {real_data / 'rsna_labels'}")
    return survey_tables(real_data / "rsna_labels")


def test_the_complete_tables_have_the_published_counts(complete: Survey) -> None:
    assert len(complete.films) == 26_684
    assert len(complete.label_rows) == len(complete.class_rows) == 30_227
    assert len(complete.boxes) == 9_555
    assert complete.films.target.sum() == 6_012
    assert np.bincount(complete.films.label).tolist() == [8_851, 11_821, 6_012]
    merged = measures.naive_merge(complete)
    assert (merged.rows, merged.duplicates, merged.left) == (37_629, 7_402, 30_227)
    assert sorted(complete.films.age[complete.films.age > 100]) == [148, 150, 151, 153, 155]
    assert complete.is_complete


def test_the_complete_tables_show_the_same_in_the_exploration(complete: Survey) -> None:
    said = {row[0]: row[1] for row in tables.counts(complete).rows}
    assert said["training films"] == "26,684"
    assert said["positive films"] == "6,012"
    assert said["test films"] == "–"
    assert [row[1] for row in tables.boxes_per_film(complete).rows] == [
        "2,614",
        "3,266",
        "119",
        "13",
    ]
    shares = {row[0]: row[1:] for row in tables.shares(complete).rows}
    assert shares["target: Target 1"] == ("6,012", "22.5 %", "9,555", "31.6 %")
    assert shares["view: AP"][0] == "12,173"


def test_the_reports_observations_on_the_complete_tables(complete: Survey) -> None:
    verdicts = _verdicts(complete)
    fails = {name for name, finding in verdicts.items() if finding.verdict is Verdict.FAILS}
    untold = {name for name, finding in verdicts.items() if finding.verdict is Verdict.UNTOLD}
    assert fails == {
        "third",
        "duplicates",
        "one_box",
        "one_box_films",
        "constant_box",
        "precision",
        "patients",
    }
    assert untold == {"test_films", "single_valued"}
    assert "0.185" in verdicts["constant_box"].value
    assert "64, 33, 62, 35, 47" in verdicts["old_ages"].remark


def _verdicts(survey: Survey) -> dict[str, Finding]:
    return {claim.id: finding for claim, finding in judge(survey)}
