"""The page and its Markdown show every row, stand alone, and run no script of anybody's."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest

from tests.training.results.made import boxed, detected, labelled, run_folder
from tests.training.results.made_specs import box_spec, spec
from training import metrics
from training.experiments.spec import load_all
from training.kaggle.folder import open_folder
from training.phantoms import phantom, write_phantom_dicom
from training.results import page
from training.results.markdown import markdown
from training.results.rows import build_rows
from training.results.runs import load_runs
from training.results.table import sections, summary


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals from few draws: it is not they that are tested here."""
    honest = metrics.with_interval
    monkeypatch.setattr(
        metrics, "with_interval", lambda m, p, of, draws=0: honest(m, p, of, draws=20)
    )


def test_a_page_without_runs_has_every_row_with_its_printed_figure(tmp_path: Path) -> None:
    written = page.report(tmp_path / "none", tmp_path / "out")
    assert written == tmp_path / "out" / "report.html"
    html, text = written.read_text(), (tmp_path / "out" / "report.md").read_text()
    specs = [each for each in load_all() if each.table != "own"]
    assert "61 rows: 61 not run." in html
    for each in specs:
        assert f'id="{each.id}"' in html
        assert f"<code>hilum train {each.id}</code>" in html
        assert each.reported.printed in text
    assert html.count('class="status not-run"') == len(specs)
    assert html.count('<div class="mistake">') == 14


def test_a_page_stands_alone(tmp_path: Path) -> None:
    run_folder(tmp_path / "runs", "base-model", labelled())
    html = page.report(tmp_path / "runs", tmp_path / "out").read_text()
    assert re.findall(r'(?:src|href)="(?!data:image/png;base64,|#)', html) == []
    assert "<script" not in html
    assert "url(" not in html
    (picture,) = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    stored = (tmp_path / "out" / "figures" / "base-model.png").read_bytes()
    assert base64.b64decode(picture) == stored
    assert stored.startswith(b"\x89PNG")
    assert "figures/base-model.png" in (tmp_path / "out" / "report.md").read_text()


def test_what_a_run_says_is_shown_and_never_run(tmp_path: Path) -> None:
    run_folder(
        tmp_path / "runs",
        "base-model",
        None,
        status="failed",
        reason="<script>alert(1)</script> | `rm`",
    )
    html = page.report(tmp_path / "runs", tmp_path / "out").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; | <code>rm</code>" in html
    assert "<script" not in html
    (line,) = [
        each
        for each in (tmp_path / "out" / "report.md").read_text().splitlines()
        if "alert" in each
    ]
    assert "\\| `rm`" in line


def test_ours_is_written_in_the_form_that_the_report_prints(tmp_path: Path) -> None:
    run_folder(tmp_path, "b", labelled())
    run_folder(tmp_path, "g", labelled())
    run_folder(tmp_path, "t", labelled())
    run_folder(tmp_path, "x", boxed())
    specs = [
        spec("b"),
        spec("g", table="grid"),
        spec("t", table="transfer", model="vgg16"),
        box_spec("x"),
    ]
    base, grid, transfer, boxes = (
        s.lines[0] for s in sections(build_rows(specs, load_runs(tmp_path)))
    )
    decimals = r"\.\d\d \.\d\d \.\d\d"
    assert re.fullmatch(rf"\d+ / \d+ / \d+; {decimals} · {decimals}", base.ours)
    assert re.fullmatch(r"\d+ / \d+\.\d\d", grid.ours)
    assert re.fullmatch(r"(\.\d{4} ?){5}", transfer.ours)
    assert re.fullmatch(r"IoU 0\.\d{4} \(loss [\d,]+\.\d\d\)", boxes.ours)
    assert base.films == ("6,000", "64 / 16 / 40")
    assert base.epochs == ("10", "3")
    assert len(boxes.figures) == 3


def test_a_detector_has_its_row_and_its_mistake(tmp_path: Path) -> None:
    run_folder(tmp_path / "runs", "faster_rcnn-nas_coco", detected(), remarks=["size 640 px."])
    html = page.report(tmp_path / "runs", tmp_path / "out").read_text()
    assert "3 detections on 3 films" in html
    assert "Measured here: 3 detections on 3 films (2 of class 1, 1 of class 32" in html
    assert "<div>Ours: size 640 px.</div>" in html


def test_markdown_tables_have_as_many_cells_in_every_row(tmp_path: Path) -> None:
    run_folder(tmp_path, "base-model", labelled())
    run_folder(tmp_path, "base-model@by_patient", labelled())
    run_folder(tmp_path, "boxes-mobilenet", boxed())
    rows = build_rows(load_all(), load_runs(tmp_path))
    text = markdown("Title", ["a note"], sections(rows), [], {})
    widths: list[set[int]] = [set()]
    for line in text.splitlines():
        if line.startswith("|"):
            widths[-1].add(len(re.findall(r"(?<!\\)\|", line)))
        elif widths[-1]:
            widths.append(set())
    assert [len(each) for each in widths if each] == [1] * 5
    assert "↳ @by_patient" in text


def test_the_summary_counts_every_row(tmp_path: Path) -> None:
    run_folder(tmp_path, "a", labelled())
    run_folder(tmp_path, "b", None, status="failed", reason="x")
    rows = build_rows([spec("a"), spec("b"), spec("c")], load_runs(tmp_path))
    assert summary(rows) == "3 rows: 1 done, 1 failed, 1 not run."


def test_few_films_are_said_to_be_few(tmp_path: Path) -> None:
    run_folder(tmp_path / "runs", "base-model", labelled())
    html = page.report(tmp_path / "runs", tmp_path / "out").read_text()
    assert "Our runs used 120 films at most" in html
    assert "not comparable with its figures" in html
    assert "by bootstrap over films" in html


def test_strange_runs_are_named(tmp_path: Path) -> None:
    run_folder(tmp_path / "runs", "who_am_i", labelled())
    html = page.report(tmp_path / "runs", tmp_path / "out").read_text()
    assert "runs of no experiment known here: who_am_i" in html


def test_with_the_kaggle_folder_films_are_drawn_with_their_boxes(tmp_path: Path) -> None:
    arrays = boxed(splits=(("train", 6), ("test", 3)))
    run_folder(tmp_path / "runs", "boxes-mobilenet", arrays)
    images = tmp_path / "kaggle" / "stage_2_train_images"
    images.mkdir(parents=True)
    labels, classes = ["patientId,x,y,width,height,Target"], ["patientId,class"]
    film = phantom(np.random.default_rng(0), kind="opacity", size=128)
    for name, box in zip(arrays["patient_id"], arrays["boxes_true"], strict=True):
        write_phantom_dicom(film, images / f"{name}.dcm", bits=8)
        labels.append(f"{name},{','.join(map(str, box))},1")
        classes.append(f"{name},Lung Opacity")
    (tmp_path / "kaggle" / "stage_2_train_labels.csv").write_text("\n".join(labels))
    (tmp_path / "kaggle" / "stage_2_detailed_class_info.csv").write_text("\n".join(classes))
    told: list[tuple[int, int]] = []
    written = page.report(
        tmp_path / "runs",
        tmp_path / "out",
        folder=open_folder(tmp_path / "kaggle"),
        tell=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 1)]
    assert "films with true and predicted boxes" in written.read_text()
    assert (tmp_path / "out" / "figures" / "boxes-mobilenet-films.png").is_file()
    assert "Measured on this folder: 9 of 9 rows" in written.read_text()
