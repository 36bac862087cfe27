"""What an evaluation's report is made of, and its files: page, JSON and predictions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inference.manifest import Metric
from training import metrics
from training.evaluation import page
from training.evaluation.compare import Comparison
from training.evaluation.curves import FROC_IOU
from training.evaluation.figures import Evaluation, key_figures
from training.evaluation.gallery import Gallery
from training.evaluation.groups import Group
from training.evaluation.leakage import Leakage
from training.evaluation.table import write_predictions

HTML, JSON, CSV = "report.html", "report.json", "predictions.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An evaluation with what there is to say around it.

    `bundle` is name and version, `weights` the digest of its network. `kind` is "folder" where the
    bundle read films, "out-of-fold" where its kept predictions were judged. `differing` names the
    figures of bundle.json that came out otherwise here, None where they were not compared.
    `left_out` counts films whose predictions are kept and that no folder had; `not_again` names the
    figures that were not had again without them. `others` are figures on films of other sources.
    """

    bundle: str
    weights: str
    evaluation_only: bool
    kind: str
    data: str
    draws: int
    told: Evaluation
    leakage: Leakage | None = None
    comparison: Comparison | None = None
    gallery: Gallery | None = None
    differing: tuple[str, ...] | None = None
    left_out: int = 0
    not_again: tuple[str, ...] = ()
    others: Mapping[str, Metric]

    @property
    def verdict(self) -> str:
        """Whether the figures of bundle.json came out again; "" where they were not compared."""
        if self.differing is None:
            return ""
        if self.differing:
            names = ", ".join(self.differing)
            return f"These figures of bundle.json are not what was computed here: {names}."
        if not self.left_out:
            return "Every figure of bundle.json was computed again here and is the same."
        missing = (
            f"{self.left_out} films that predictions are kept of are in none of the named folders"
            " and were left out"
        )
        if not self.not_again:
            return f"{missing}; every figure of bundle.json came out the same without them."
        return (
            f"{missing}, so these figures of bundle.json were not computed again, or not on all"
            f" their films: {', '.join(self.not_again)}. Every other one is the same."
        )


def write_report(out: Path, report: Report) -> Path:
    """Write report.html, report.json and predictions.csv into the folder `out`; return the page."""
    out.mkdir(parents=True, exist_ok=True)
    write_predictions(out / CSV, report.told.predictions)
    text = json.dumps(document(report), indent=1, ensure_ascii=False, allow_nan=False)
    _write(out / JSON, text + "\n")
    _write(out / HTML, page.render(report))
    return out / HTML


def document(report: Report) -> dict[str, Any]:
    """Return everything that was measured, as plain values; what is not a number is null."""
    told = report.told
    cases = told.predictions.cases
    found: dict[str, Any] = {
        "bundle": report.bundle,
        "weights_digest": report.weights,
        "evaluation_only": report.evaluation_only,
        "kind": report.kind,
        "data": report.data,
        "films": len(cases),
        "patients": len(set(told.predictions.patients)),
        "positives": int(told.predictions.positive.sum()),
        "films_with_known_boxes": sum(case.truth is not None for case in cases),
        "refused": dict(told.refused),
        "leakage": report.leakage and asdict(report.leakage),
        "operating_point": told.predictions.point,
        "rules": {
            "bootstrap_draws": report.draws,
            "challenge_iou_thresholds": list(metrics.CHALLENGE_THRESHOLDS),
            "challenge_hit": "IoU greater than the threshold",
            "froc_hit": f"IoU greater than {FROC_IOU}",
        },
        "key_figures": {name: asdict(m) for name, m in key_figures(told).items()},
        "metrics": {name: asdict(m) for name, m in told.metrics.items()},
        "operating_points": [asdict(point) for point in told.points],
        "challenge_score_by_iou": {f"{t:.2f}": value for t, value in told.challenge.items()},
        "froc": {f"{rate:g}": asdict(m) for rate, m in told.froc.items()},
        "reliability": [asdict(each) for each in told.reliability],
        "groups": [_group(group) for group in told.groups],
        "controls": {name: asdict(m) for name, m in told.controls.items()},
        "other_films": {name: asdict(m) for name, m in report.others.items()},
        "comparison": report.comparison and asdict(report.comparison),
        "differing_from_bundle": None if report.differing is None else list(report.differing),
        "films_left_out": report.left_out,
        "not_computed_again": list(report.not_again),
    }
    return {name: _plain(value) for name, value in found.items()}


def _group(group: Group) -> dict[str, Any]:
    """A group's figures; of one that is too small not even how many films it has."""
    if group.metrics:
        return {**asdict(group), "suppressed": False}
    return {"kind": group.kind, "name": group.name, "suppressed": True}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write(file: Path, text: str) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)
