"""A bundle such as the packaged one, from data folders to files: one plain function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.bundle import Bundle
from inference.manifest import Manifest, TrainedOn
from inference.pixels import InputForm, network_input
from training import kind_examples
from training.card_page import card_page
from training.evaluation.choice import OPERATING_POINT, Judged, choose, film_scores
from training.evaluation.figures import key_figures
from training.evaluation.out_of_fold import foreign_auc, keep, out_of_fold, outputs_of
from training.export import export_bundle
from training.films import Films, load_films
from training.fit import Outputs, Recipe, Said, together
from training.model_card import model_card
from training.networks import Precision, Size
from training.phantoms import Kind, phantom
from training.runs import Making, begin
from training.tables import LUNG_OPACITY

RECIPES: dict[Size, Recipe] = {
    "small": Recipe(epochs=4, tune_epochs=14, tune_rate=2e-4, watch=6, members=1),
    "large": Recipe(epochs=8, tune_epochs=16, members=1),
}
"""How each size is trained: the heads first, then the backbone's end too. The large one is meant
for a GPU."""
SIDE = 512
FOLDS = 5
INTENDED_USE = (
    "Evaluation of the service on frontal chest radiographs of adults: probabilities of the three"
    " RSNA classes and boxes of lung opacity. Not for clinical use: trained on few films, not"
    " validated, no medical device."
)


def make_default_bundle(
    rsna: Path,
    nih: Path | None,
    weights: Path | None,
    out: Path,
    *,
    version: str = "1",
    size: Size = "small",
    precision: Precision = "float32",
    recipe: Recipe | None = None,
    pictures: kind_examples.Recipe | None = None,
    work: Path = Path("runs/default_bundle"),
    seed: int = 0,
    side: int = SIDE,
    folds: int = FOLDS,
    say: Callable[[str], None] = print,
) -> Bundle:
    """Train, measure, calibrate and write a bundle.

    Out-of-fold outputs of `folds` networks, folds by patient, give every figure and every setting;
    the network that is written is then trained in the same way on all films. A run that was
    stopped goes on where it was: finished trainings are kept in `work`.

    Args:
        rsna: The Kaggle folder of the RSNA challenge.
        nih: A folder of NIH films to train on too, at the weight and trust that the recipe gives
            their noisy labels; None: none.
        weights: Weights of the backbone without its top; None starts at random.
        out: The bundle's folder.
        version: The bundle's version.
        size: The backbone: "small" for CPUs, "large" for GPUs.
        precision: Number format of the layers in training; the bundle's network is in float32.
        recipe: How to train; None: the size's own.
        pictures: How many pictures of other kinds are made, to tell them from films; None: as many
            as `training.kind_examples` says.
        work: Folder of decoded films and finished trainings.
        seed: Seed of all chance.
        side: Side of the network's input in pixels.
        folds: Number of folds.
        say: Where progress is told.
    """
    recipe = recipe or RECIPES[size]
    form = InputForm(side, "percentiles")
    films = load_films(rsna, nih, form, work / "films", folds=folds, seed=seed)
    own = films.own
    say(f"{own.sum()} films of the challenge, {(~own).sum()} others")
    making = Making(size=size, precision=precision, weights=weights, seed=seed)
    runs = begin(films, recipe, making, work, say)
    examples = runs.examples(films)
    taken, judged = stop_early(runs.out_of_fold(examples, films), films, say)
    # What is kept is rounded, so all is chosen and measured on what is kept.
    kept = keep([film.id for film in films.films], films.folds, judged.outputs, side)
    judged = replace(judged, outputs=outputs_of(kept))
    choice = choose(judged.take(own))
    told = out_of_fold(judged.take(own))
    figures = key_figures(told)
    if not own.all():
        others = judged.take(~own)
        figures["nih_pneumonia_auc"] = foreign_auc(
            others.outputs.logits, others.labels, others.patients, choice.calibration
        )
    for name, metric in figures.items():
        say(f"{name}: {metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})")

    say(f"training on all films, {taken} epochs")
    plain = making.network(films, recipe, precision="float32")
    members = runs.on_all(examples, taken, plain.heads)
    kinds = runs.kinds(films.images, films.patients, pictures)
    manifest = Manifest(
        format=1,
        id="hilum-default" if size == "small" else "hilum-large",
        version=version,
        manufacturer="Hilum",
        evaluation_only=True,
        intended_use=INTENDED_USE,
        input_size=side,
        contrast=form.contrast,
        classes=("normal", "not_normal", "lung_opacity"),
        temperature=choice.calibration.temperature,
        biases=choice.calibration.biases,
        operating_point=OPERATING_POINT,
        operating_points=choice.operating_points,
        boxes=choice.boxes,
        prevalence=round(float((judged.take(own).labels == LUNG_OPACITY).mean()), 4),
        film_kinds=kinds.rule,
        trained_on=_trained_on(films),
        metrics=figures,
    )
    card = model_card(manifest, films.films, recipe, folds, taken)
    return export_bundle(
        out,
        plain,
        manifest,
        members=members,
        kinds=kinds.head,
        mirrored=recipe.mirrored,
        golden=_golden(seed, form),
        model_card=card,
        model_card_html=card_page(f"{manifest.id} {manifest.version}", card, told),
        out_of_fold=kept,
    )


def stop_early(
    said: dict[int, list[Said]], films: Films, say: Callable[[str], None]
) -> tuple[int, Judged]:
    """Take for every fold the epoch at which the other folds have the best challenge metric.

    Args:
        said: What each member says of the films, by epoch.
        films: The films, of which those of the challenge count.
        say: Where the metric of every epoch is told.

    Returns:
        The epoch that is best over all folds, for the network that is trained on all films, and the
        films with the outputs so taken.
    """
    outputs = {epoch: together(members, films.form.size) for epoch, members in said.items()}
    epochs = sorted(outputs)
    scores = np.full((len(epochs), len(films.own)), np.nan)
    for row, epoch in enumerate(epochs):
        here = films.judged(outputs[epoch]).take(films.own)
        scores[row, films.own] = film_scores(here, choose(here))
        say(f"epoch {epoch}: challenge metric {np.nanmean(scores[row]):.3f}")
    first = outputs[epochs[0]]
    taken = Outputs(first.logits.copy(), first.boxes.copy(), first.scores.copy())
    for fold in np.unique(films.folds):
        best = epochs[int(np.nanmean(scores[:, films.folds != fold], axis=1).argmax())]
        here = films.folds == fold
        for name in ("logits", "boxes", "scores"):
            getattr(taken, name)[here] = getattr(outputs[best], name)[here]
    return epochs[int(np.nanmean(scores, axis=1).argmax())], films.judged(taken)


def _golden(seed: int, form: InputForm) -> NDArray[np.uint8]:
    """Films that may be given away, one for each class."""
    kinds: tuple[Kind, ...] = ("normal", "abnormal", "opacity")
    films = [phantom(np.random.default_rng(seed), kind=kind, size=form.size) for kind in kinds]
    return np.stack([network_input(film.image, form)[0] for film in films])


def _trained_on(films: Films) -> TrainedOn:
    others = int((~films.own).sum())
    noisy = f"; {others} further films of NIH ChestX-ray14 with labels mined from reports"
    return TrainedOn(
        description=(
            "Films of the RSNA Pneumonia Detection Challenge (Shih et al. 2019), which come from"
            " NIH ChestX-ray14 (Wang et al. 2017, NIH Clinical Center)"
            f"{noisy if others else ''}; features start from ImageNet weights"
        ),
        films=len(films.films),
        patients=len(set(films.patients)),
        fingerprint=films.fingerprint,
    )
