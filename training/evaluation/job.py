"""An evaluation from start to end: of a folder of films, or of a bundle's kept predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.bundle import Bundle, load_out_of_fold
from inference.kept import OutOfFold
from inference.manifest import Metric
from inference.pixels import InputForm
from inference.predict import Predictor, Runtime
from inference.prepare import Limits, Prepared
from training.evaluation.case import Predictions
from training.evaluation.choice import choose
from training.evaluation.compare import Comparison, compare
from training.evaluation.figures import DRAWS, Evaluation, evaluate, key_figures
from training.evaluation.films import Progress, prepare_film, read_films, read_folder
from training.evaluation.gallery import Gallery, gallery
from training.evaluation.known import with_known
from training.evaluation.leakage import leakage
from training.evaluation.out_of_fold import foreign_auc, judged_of, predictions_of, pseudonym
from training.evaluation.report import Report
from training.tables import Film


class EvaluationError(Exception):
    """An evaluation cannot be made; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How films are read, as in the service, and how many bootstrap samples an interval has."""

    limits: Limits
    runtime: Runtime = "auto"
    threads: int = 0
    draws: int = DRAWS


def evaluate_folder(
    bundle: Bundle,
    folder: Path,
    setting: Setting,
    *,
    against: Bundle | None = None,
    tell: Progress = lambda done, total: None,
) -> Report:
    """Have the bundle read a folder's films as the service would, and measure.

    Args:
        bundle: The bundle.
        folder: The RSNA challenge's folder, or one of NIH films.
        setting: How to read.
        against: Another bundle, to be compared with on the same films.
        tell: Told how many films are done, of how many.

    Raises:
        TableError: the folder cannot be used.
        EvaluationError: no film could be read.
        BundleError: a bundle cannot be used.
    """
    films = read_folder(folder)
    predictor = Predictor(bundle, runtime=setting.runtime, threads=setting.threads)
    predictions = read_films(predictor, films, setting.limits, tell=tell)
    told = _evaluate(predictions, setting)
    comparison = None
    if against is not None:
        other = Predictor(against, runtime=setting.runtime, threads=setting.threads)
        theirs = read_films(other, films, setting.limits, inverted=False, tell=tell)
        comparison = _compare(predictions, theirs, against, setting)
    return Report(
        bundle=bundle.label,
        weights=bundle.weights_digest,
        evaluation_only=bundle.evaluation_only,
        kind="folder",
        data=f"{len(films)} labelled films, read by the bundle as the service would",
        draws=setting.draws,
        told=told,
        leakage=leakage(bundle, load_out_of_fold(bundle), films),
        comparison=comparison,
        gallery=_gallery(predictions, films, bundle.input_form, setting),
        others={},
    )


def evaluate_kept(
    bundle: Bundle,
    setting: Setting,
    *,
    folders: Sequence[Path] = (),
    against: Bundle | None = None,
    tell: Progress = lambda done, total: None,
) -> Report:
    """Compute a bundle's figures again from the out-of-fold predictions that it keeps.

    Labels, boxes and patients come from the bundle where it keeps them, and from the folders where
    it does not; films that are in no folder are then left out.

    Args:
        bundle: The bundle.
        setting: How many bootstrap samples, and how films are read for the gallery.
        folders: The films' folders, for a gallery too; none makes none.
        against: Another bundle that keeps predictions, to be compared with on shared films.
        tell: Told how many films are decoded, of how many.

    Raises:
        TableError: a folder cannot be used.
        EvaluationError: a bundle keeps no predictions, or there are no labels for them.
        BundleError: a bundle's kept predictions cannot be read.
    """
    films = [film for folder in folders for film in read_folder(folder)]
    kept, left_out = _kept(bundle, films, tell)
    assert kept.known is not None
    sources = list(dict.fromkeys(kept.known.sources.tolist()))
    source = "rsna" if "rsna" in sources else sources[0]
    predictions = predictions_of(judged_of(kept, source), source)
    told = _evaluate(predictions, setting)
    others = _others(kept, source, [name for name in sources if name != source], setting)
    comparison = None
    if against is not None:
        theirs = predictions_of(judged_of(_kept(against, films, tell)[0]), "")
        comparison = _compare(predictions, theirs, against, setting)
    differing = _differing(bundle, {**key_figures(told), **others})
    return Report(
        bundle=bundle.label,
        weights=bundle.weights_digest,
        evaluation_only=bundle.evaluation_only,
        kind="out-of-fold",
        data=(
            f"{len(predictions.cases)} films, each read by a network that had seen no film of its"
            " patient, with calibration, operating points and box rule chosen on the other folds"
        ),
        draws=setting.draws,
        told=told,
        comparison=comparison,
        gallery=_gallery(predictions, films, bundle.input_form, setting) if films else None,
        differing=() if left_out else differing,
        left_out=left_out,
        not_again=differing if left_out else (),
        others=others,
    )


def _kept(bundle: Bundle, films: Sequence[Film], tell: Progress) -> tuple[OutOfFold, int]:
    """Return a bundle's predictions with what is known of them, and how many were left out."""
    kept = load_out_of_fold(bundle)
    if kept is None:
        raise EvaluationError(
            f"{bundle.path}: keeps no out-of-fold predictions; name a folder of films instead of"
            " --out-of-fold, or make the bundle again with `hilum train-bundle`"
        )
    if kept.known is not None:
        return kept, 0
    if not films:
        raise EvaluationError(
            f"{bundle.path}: keeps no labels with its out-of-fold predictions; name the folders of"
            " the films that it was trained on beside --out-of-fold"
        )
    try:
        found = with_known(kept, films, bundle.input_form, tell)
    except ValueError as error:
        raise EvaluationError(f"{bundle.path}: {error}") from None
    return found, len(kept.films) - len(found.films)


def _evaluate(predictions: Predictions, setting: Setting) -> Evaluation:
    try:
        return evaluate(predictions, draws=setting.draws)
    except ValueError as error:
        refused = sorted({each.code for each in predictions.refused})
        raise EvaluationError(f"{error}; refusals: {', '.join(refused) or 'none'}") from None


def _compare(ours: Predictions, theirs: Predictions, other: Bundle, setting: Setting) -> Comparison:
    try:
        return compare(ours, theirs, other.label, draws=setting.draws)
    except ValueError as error:
        raise EvaluationError(str(error)) from None


def _others(
    kept: OutOfFold, source: str, names: Sequence[str], setting: Setting
) -> dict[str, Metric]:
    """Figures on films of other sources, with the calibration of all films of `source`."""
    if not names:
        return {}
    calibration = choose(judged_of(kept, source)).calibration
    found = {}
    for name in names:
        films = judged_of(kept, name)
        found[f"{name}_pneumonia_auc"] = foreign_auc(
            films.outputs.logits, films.labels, films.patients, calibration, draws=setting.draws
        )
    return found


def _differing(bundle: Bundle, found: Mapping[str, Metric]) -> tuple[str, ...]:
    """Name the figures of bundle.json that are not what was found; those not measured too."""

    def numbers(metric: Metric | None) -> tuple[float, float, float] | None:
        return None if metric is None else (metric.value, metric.low, metric.high)

    return tuple(
        name for name, told in bundle.metrics.items() if numbers(found.get(name)) != numbers(told)
    )


def _gallery(
    predictions: Predictions, films: Sequence[Film], form: InputForm, setting: Setting
) -> Gallery:
    by_digest = {pseudonym("film", film.id): film for film in films}

    def find(digest: str) -> Prepared | None:
        film = by_digest.get(digest)
        outcome = film and prepare_film(film, form, setting.limits)
        return outcome if isinstance(outcome, Prepared) else None

    return gallery(predictions, find)
