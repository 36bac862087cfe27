"""The packaged default bundle, from data folders to files: one plain function."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.bundle import CLASSES, Bundle, Manifest, Metric, TrainedOn
from inference.pixels import InputForm
from inference.predict import softmax
from training import metrics
from training.cache import Square, fingerprint, load_squares
from training.evaluate import OPERATING_POINT, Judged, choose, measure
from training.export import export_bundle
from training.fit import Examples, Outputs, Recipe, apply, featurise, fit, make_variants
from training.model_card import model_card
from training.networks import Network, build
from training.phantoms import Kind, phantom
from training.splits import patient_folds
from training.tables import LUNG_OPACITY, Film, read_kaggle, read_nih

SIZE = 512
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
    recipe: Recipe | None = None,
    work: Path = Path("runs/default_bundle"),
    seed: int = 0,
    size: int = SIZE,
    folds: int = FOLDS,
    say: Callable[[str], None] = print,
) -> Bundle:
    """Train, measure, calibrate and write the default bundle.

    Out-of-fold outputs of `folds` networks, folds by patient, give every figure and every setting;
    the network that is written is then trained in the same way on all films. A run that was
    stopped goes on where it was: finished folds are kept in `work`.

    Args:
        rsna: The Kaggle folder of the RSNA challenge.
        nih: A folder of NIH films, on which the networks are tested and never trained; None: no
            test.
        weights: ImageNet weights of MobileNetV2 without its top; None starts at random.
        out: The bundle's folder.
        version: The bundle's version.
        recipe: How to train; None: the default recipe.
        work: Folder of decoded films and finished folds.
        seed: Seed of all chance.
        size: Side of the network's input in pixels.
        folds: Number of folds.
        say: Where progress is told.
    """
    recipe = recipe or Recipe()
    films = read_kaggle(rsna)
    others = read_nih(nih) if nih is not None else []
    squares = load_squares(films + others, InputForm(size), work / "films")
    own = squares[: len(films)]
    data = fingerprint(films, own)
    say(f"{len(films)} films to train on, {len(others)} to test on")

    fold_of = patient_folds(
        [film.patient for film in films + others],
        [film.label + len(CLASSES) * (film.source == "nih") for film in films + others],
        folds,
        seed=seed,
    )
    start = hashlib.sha256(weights.read_bytes()).hexdigest() if weights is not None else "random"
    identity = f"{data} {recipe} {start} {seed} {size} {folds}"
    network = build(size, weights, seed=seed)
    run = _Run(recipe, network, network.heads.get_weights(), seed, work, identity, say)
    examples = run.examples(films, own)
    images = np.stack([square.image for square in squares])
    outputs = run.out_of_fold(examples, images, fold_of)
    judged = Judged(
        outputs=_rows(outputs, slice(0, len(films))),
        labels=examples.labels,
        truth=[square.corners(film) for film, square in zip(films, own, strict=True)],
        patients=[film.patient for film in films],
        folds=fold_of[: len(films)],
        views=[square.view for square in own],
        size=size,
    )
    choice = choose(judged)
    figures = measure(judged)
    if others:
        figures["nih_pneumonia_auc"] = _foreign(
            _rows(outputs, slice(len(films), None)), others, choice.temperature
        )
    for name, metric in figures.items():
        say(f"{name}: {metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})")

    say("training on all films")
    run.fit(examples, seed + folds)
    manifest = Manifest(
        format=1,
        id="hilum-default",
        version=version,
        manufacturer="Hilum",
        evaluation_only=True,
        intended_use=INTENDED_USE,
        input_size=size,
        classes=("normal", "not_normal", "lung_opacity"),
        temperature=choice.temperature,
        operating_point=OPERATING_POINT,
        operating_points=choice.operating_points,
        boxes=choice.boxes,
        trained_on=_trained_on(films, data),
        metrics=figures,
    )
    card = model_card(manifest, films, recipe, folds)
    return export_bundle(out, network, manifest, golden=_golden(seed, size), model_card=card)


@dataclass(frozen=True, slots=True)
class _Run:
    recipe: Recipe
    network: Network
    start: list[NDArray[np.float32]]
    seed: int
    work: Path
    identity: str
    say: Callable[[str], None]

    def fit(self, examples: Examples, seed: int) -> list[float]:
        """Train the network, from its start, on the examples."""
        self.network.heads.set_weights(self.start)
        return fit(self.network, examples, self.recipe, seed=seed)

    def examples(self, films: Sequence[Film], squares: Sequence[Square]) -> Examples:
        """Augment and featurise the films; kept in `work`."""
        file = self._file("examples")
        if file.exists():
            with np.load(file) as kept:
                features, cells = kept["features"], kept["cells"]
        else:
            self.say(f"making {self.recipe.variants} variants of each film")
            boxes = [square.corners(film) for film, square in zip(films, squares, strict=True)]
            features, cells = make_variants(
                self.network,
                [square.image for square in squares],
                boxes,
                self.recipe,
                seed=self.seed,
            )
            _save(file, features=features, cells=cells)
        ones = np.ones(len(films), np.float32)
        labels = np.array([film.label for film in films], np.int32)
        return Examples(features, cells, labels, ones, ones)

    def out_of_fold(
        self, examples: Examples, images: NDArray[np.uint8], folds: NDArray[np.intp]
    ) -> Outputs:
        """Outputs for `images`, the first of which are the examples' films, fold by fold."""
        parts: list[Outputs] = []
        count = int(folds.max()) + 1
        for fold in range(count):
            file = self._file(f"fold {fold} {len(images)}")
            if not file.exists():
                train = folds[: len(examples.labels)] != fold
                losses = self.fit(examples.take(train), self.seed + fold)
                self.say(f"fold {fold}: loss {losses[0]:.3f} to {losses[-1]:.3f}")
                found = apply(self.network, featurise(self.network, images[folds == fold]))
                _save(file, logits=found.logits, boxes=found.boxes, scores=found.scores)
            with np.load(file) as kept:
                parts.append(Outputs(kept["logits"], kept["boxes"], kept["scores"]))
        back = np.argsort(np.concatenate([np.nonzero(folds == k)[0] for k in range(count)]))
        columns = [[p.logits for p in parts], [p.boxes for p in parts], [p.scores for p in parts]]
        return Outputs(*(np.concatenate(column)[back] for column in columns))

    def _file(self, what: str) -> Path:
        key = hashlib.sha256(f"{self.identity} {what}".encode()).hexdigest()[:16]
        return self.work / f"{what.split()[0]}-{key}.npz"


def _save(file: Path, **arrays: NDArray[np.generic]) -> None:
    """Write through a second name, so that a file with the right name is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part.npz")
    np.savez(part, **arrays)  # type: ignore[arg-type]  # the stub confuses it with allow_pickle
    part.rename(file)


def _rows(outputs: Outputs, which: slice) -> Outputs:
    return Outputs(outputs.logits[which], outputs.boxes[which], outputs.scores[which])


def _foreign(outputs: Outputs, films: Sequence[Film], temperature: float) -> Metric:
    opacity = softmax(outputs.logits / np.float32(temperature))[:, LUNG_OPACITY]
    truth = np.array([film.label == LUNG_OPACITY for film in films])
    return metrics.with_interval(
        lambda i: metrics.auc(opacity[i], truth[i]),
        [film.patient for film in films],
        "NIH films: AUC, pneumonia against no finding as mined from reports (noisy)",
    )


def _golden(seed: int, size: int) -> NDArray[np.uint8]:
    """Films that may be given away, one for each class."""
    kinds: tuple[Kind, ...] = ("normal", "abnormal", "opacity")
    films = [phantom(np.random.default_rng(seed), kind=kind, size=size) for kind in kinds]
    return np.stack([film.image for film in films])


def _trained_on(films: Sequence[Film], data: str) -> TrainedOn:
    return TrainedOn(
        description=(
            "Films of the RSNA Pneumonia Detection Challenge (Shih et al. 2019), which come from"
            " NIH ChestX-ray14 (Wang et al. 2017, NIH Clinical Center); features start from"
            " ImageNet weights"
        ),
        films=len(films),
        patients=len({film.patient for film in films}),
        fingerprint=data,
    )
