"""The model card: what a bundle is, for people, written from the same values as `bundle.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from inference.bundle import CLASSES, Manifest
from training.fit import Recipe
from training.tables import Film


def model_card(manifest: Manifest, films: Sequence[Film], recipe: Recipe, folds: int) -> str:
    """Return the card as Markdown."""
    counts = Counter(CLASSES[film.label] for film in films)
    mix = ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in CLASSES)
    boxes = sum(len(film.boxes or ()) for film in films)
    share = counts["lung_opacity"] / len(films)
    point = manifest.operating_points[manifest.operating_point]
    rule = manifest.boxes
    lines = [
        f"# {manifest.id} {manifest.version}",
        "",
        "**For evaluation only, not for clinical use.**" if manifest.evaluation_only else "",
        "",
        manifest.intended_use,
        "",
        "## What it is",
        "One pass of MobileNetV2 features with two heads: the three RSNA classes, and boxes of lung"
        f" opacity (anchor-free, stride 16). Input: {manifest.input_size} x {manifest.input_size}"
        " pixels, 8 bit, air dark, the film's shape kept. The features up to stride 16 are"
        " ImageNet's and were not trained.",
        "",
        "## What it was trained on",
        f"{manifest.trained_on.description}. {manifest.trained_on.films} films of"
        f" {manifest.trained_on.patients} patients: {mix}; {boxes} boxes. Fingerprint of the films:"
        f" `{manifest.trained_on.fingerprint}`.",
        "",
        f"{recipe.variants} augmented variants of each film; {recipe.warm_epochs} epochs for the"
        f" new heads, then {recipe.epochs} with the last blocks of the backbone.",
        "",
        "## How well it does",
        f"Measured on the same films, each by a network that had seen no film of its patient"
        f" ({folds} folds by NIH patient). Temperature, operating point and box rule for a fold"
        " were chosen on the other folds. 95 % intervals by bootstrap over patients. The network"
        " in this bundle was trained on all films and has itself been measured on none.",
        "",
        "| figure | value | 95 % interval | what |",
        "|---|---|---|---|",
        *(
            f"| {name} | {m.value:.3f} | {m.low:.3f} to {m.high:.3f} | {m.of} |"
            for name, m in manifest.metrics.items()
        ),
        "",
        "These figures come from few films and say nothing about other hospitals; they are not"
        " comparable with results on the whole challenge set.",
        "",
        "## How its outputs are read",
        f"Temperature {manifest.temperature} before softmax. Positive from a probability of opacity"
        f" of {point.threshold:.3f} on (operating point `{manifest.operating_point}`: sensitivity"
        f" {point.sensitivity:.2f}, specificity {point.specificity:.2f} on the films it was chosen"
        " on). All operating points:",
        "",
        "| name | threshold | sensitivity | specificity |",
        "|---|---|---|---|",
        *(
            f"| {name} | {p.threshold:.3f} | {p.sensitivity:.3f} | {p.specificity:.3f} |"
            for name, p in manifest.operating_points.items()
        ),
        "",
        f"Boxes are drawn on positive films alone: score (detector x probability of opacity) at"
        f" least {rule.score}, at least {rule.relative_score} of the film's best, IoU at most"
        f" {rule.iou} with a better one, at most {rule.most}, scaled by {rule.shrink}.",
        "",
        "## What to beware of",
        f"- {share:.0%} of the training films show opacity. Where opacity is rarer or more common,"
        " probabilities are too high or too low, and positive predictive value differs.",
        "- The view (AP at the bedside, PA upright) goes along with disease in this data; see the"
        " figures by view and the control that looks at nothing but the view.",
        "- It has not been tested on children, on lateral films or on films of other body parts;"
        " whether a film may be read is decided before it.",
        "",
    ]
    return "\n".join(lines)
