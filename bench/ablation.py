"""What each part of the training is worth: the recipe without it, out of fold, on real films.

    python -m bench.ablation RSNA_FOLDER --nih NIH_FOLDER --weights mobilenet_v2_notop.weights.h5

Every arm is trained and judged on the same folds by patient, as the small network of the packaged
bundle is; all that is chosen is chosen on the other folds. Differences from the first arm have
intervals by a bootstrap over patients that draws the same patients for both. A run that was stopped
goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.common import keep, machine, table
from inference.manifest import Metric
from inference.pixels import InputForm
from training import metrics
from training.default_bundle import RECIPES, stop_early
from training.evaluation.choice import Judged, choose, film_scores
from training.films import Films, load_films
from training.fit import Recipe
from training.runs import Making, begin
from training.tables import LUNG_OPACITY

WHOLE = "whole recipe"


def arms(whole: Recipe, phantoms: int) -> Mapping[str, Recipe]:
    """Return the recipes to compare, the whole one first."""
    return {
        WHOLE: whole,
        "backbone left as it was": replace(
            whole, epochs=whole.epochs + whole.tune_epochs, tune_epochs=0
        ),
        "films not mirrored": replace(whole, mirrored=False),
        "no opacities pasted": replace(whole, pasted=0, controls=0),
        "other films left out": replace(whole, others_share=0.0),
        f"{phantoms} phantoms first": replace(whole, phantoms=phantoms),
    }


def main() -> None:
    """Train, print the table, keep the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rsna", type=Path, help="the RSNA challenge's folder")
    parser.add_argument("--nih", type=Path, help="a folder of NIH films")
    parser.add_argument("--weights", type=Path, help="the backbone's weights without its top")
    parser.add_argument("--phantoms", type=int, default=300)
    parser.add_argument("--arms", nargs="+", help="words of the arms to run beside the first")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path("runs/ablation"))
    arguments = parser.parse_args()
    films = load_films(
        arguments.rsna,
        arguments.nih,
        InputForm(512, "percentiles"),
        arguments.work / "films",
        folds=arguments.folds,
        seed=0,
    )
    whole = RECIPES["small"]
    making = Making(weights=arguments.weights)
    judged = {}
    for name, recipe in arms(whole, arguments.phantoms).items():
        if name != WHOLE and not any(word in name for word in arguments.arms or [name]):
            continue
        print(f"-- {name}", flush=True)
        judged[name] = _judge(films, recipe, making, arguments.work)
    found = {name: _figures(each, judged[WHOLE], films) for name, each in judged.items()}
    about = machine()
    path = keep("ablation", {"machine": about, "found": {k: _plain(v) for k, v in found.items()}})
    print(f"\n{arguments.folds} folds ({about['time']}).\n")
    header = ("recipe", *next(iter(found.values())))
    print(table(header, [(name, *map(_told, each.values())) for name, each in found.items()]))
    print(f"\nKept in {path}")


def _judge(films: Films, recipe: Recipe, making: Making, work: Path) -> Judged:
    runs = begin(films, recipe, making, work, lambda text: print(text, flush=True))
    return stop_early(runs.out_of_fold(runs.examples(films), films), films, lambda _: None)[1]


def _figures(arm: Judged, whole: Judged, films: Films) -> dict[str, Metric]:
    """Figures of an arm, and how far they lie above those of the whole recipe."""
    own, others = films.own, ~films.own
    found = {
        "AUC": _auc(arm.take(own), None),
        "more than whole": _auc(arm.take(own), whole.take(own)),
        "challenge metric": _challenge(arm.take(own), None),
        "more than whole ": _challenge(arm.take(own), whole.take(own)),
    }
    if others.any():
        found["NIH AUC"] = _auc(arm.take(others), None)
    return found


def _auc(arm: Judged, whole: Judged | None) -> Metric:
    truth = arm.labels == LUNG_OPACITY
    ours, theirs = _opacity(arm), None if whole is None else _opacity(whole)

    def figure(at: NDArray[np.intp]) -> float:
        value = metrics.auc(ours[at], truth[at])
        return value if theirs is None else value - metrics.auc(theirs[at], truth[at])

    return metrics.with_interval(figure, arm.patients, "AUC of opacity")


def _challenge(arm: Judged, whole: Judged | None) -> Metric:
    ours, theirs = _scores(arm), None if whole is None else _scores(whole)

    def figure(at: NDArray[np.intp]) -> float:
        value = float(np.nanmean(ours[at]))
        return value if theirs is None else value - float(np.nanmean(theirs[at]))

    return metrics.with_interval(figure, arm.patients, "challenge metric")


def _scores(films: Judged) -> NDArray[np.float64]:
    """Each film's challenge metric, with what was chosen on the other folds."""
    scores = np.full(len(films.labels), np.nan)
    for fold in np.unique(films.folds):
        here = films.folds == fold
        scores[here] = film_scores(films.take(here), choose(films.take(~here)))
    return scores


def _opacity(films: Judged) -> NDArray[np.float64]:
    logits = films.outputs.logits.astype(np.float64)
    others = np.logaddexp(*(logits[:, k] for k in range(3) if k != LUNG_OPACITY))
    return np.asarray(logits[:, LUNG_OPACITY] - others)


def _told(metric: Metric) -> str:
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})"


def _plain(found: Mapping[str, Metric]) -> dict[str, list[float]]:
    return {name: [m.value, m.low, m.high] for name, m in found.items()}


if __name__ == "__main__":
    main()
