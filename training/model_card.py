"""The model card: what a bundle is, for people, written from the same values as `bundle.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from inference.manifest import CLASSES, Manifest
from training.fit import Recipe
from training.tables import Film


def model_card(
    manifest: Manifest, films: Sequence[Film], recipe: Recipe, folds: int, epochs: int
) -> str:
    """Return the card as Markdown; `epochs` is how long the network was trained."""
    own = [film for film in films if film.source == "rsna"]
    others = len(films) - len(own)
    counts = Counter(CLASSES[film.label] for film in own)
    mix = ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in CLASSES)
    boxes = sum(len(film.boxes or ()) for film in films)
    share = counts["lung_opacity"] / len(own)
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
        "One pass: features of a backbone at strides 16 and 32, and on them probabilities of the"
        " three RSNA classes, boxes of lung opacity (anchor-free) and a heat map of it."
        + (
            f" {recipe.members} heads that were trained from different seeds speak together."
            if recipe.members > 1
            else ""
        )
        + (" A film is read as it is and mirrored, and the mean counts." if recipe.mirrored else "")
        + f" Input: {manifest.input_size} x {manifest.input_size} pixels, 8 bit, air dark, the"
        " film's shape kept, greys spread between the 0.5th and the 99.5th percentile. "
        + (
            "The backbone's first part is ImageNet's and was not trained."
            if recipe.tune_epochs
            else "The backbone is ImageNet's and was not trained."
        ),
        "",
        "## What it was trained on",
        f"{manifest.trained_on.description}. {manifest.trained_on.films} films of"
        f" {manifest.trained_on.patients} patients. Films of the challenge: {mix}; {boxes} boxes."
        f" Fingerprint of the films: `{manifest.trained_on.fingerprint}`.",
        "",
        *(
            [
                f"The {others} other films weigh {recipe.others_weight} of one of the challenge,"
                f" {recipe.others_share:.0%} of them are shown in an epoch, and their labels are"
                f" believed to {recipe.others_trust:.0%}.",
                "",
            ]
            if others
            else []
        ),
        f"{recipe.variants} augmented variants of each film, of those without opacity"
        f" {recipe.pasted} with an opacity of another film pasted on and {recipe.controls} with a"
        f" patch of ordinary lung. {epochs} of {recipe.epochs + recipe.tune_epochs} epochs, chosen"
        " by the challenge metric out of fold; the moving average of the weights is what counts.",
        "",
        "## How well it does",
        f"Measured on the films of the challenge, each by a network that had seen no film of its"
        f" patient ({folds} folds by NIH patient). Number of epochs, calibration, operating point"
        " and box rule for a fold were chosen on the other folds. 95 % intervals by bootstrap over"
        " patients. The network in this bundle was trained on all films and was itself measured"
        " on none.",
        "",
        "| figure | value | 95 % interval | what |",
        "|---|---|---|---|",
        *(
            f"| {name} | {m.value:.3f} | {m.low:.3f} to {m.high:.3f} | {m.of} |"
            for name, m in manifest.metrics.items()
        ),
        "",
        "These figures come from few films and say nothing about other hospitals; they are not"
        " comparable with results on the whole challenge set. They lean to the good side by an"
        " unknown amount: how the network is built and trained, and that there are biases, votes of"
        " boxes and a usual size at all, was settled while looking at out-of-fold results on these"
        " same films.",
        "",
        "## How its outputs are read",
        f"Logits are divided by {manifest.temperature} and moved by"
        f" {', '.join(f'{bias:g}' for bias in manifest.biases)} before softmax. Positive from a"
        f" probability of opacity of {point.threshold:.3f} on (operating point"
        f" `{manifest.operating_point}`: sensitivity {point.sensitivity:.2f}, specificity"
        f" {point.specificity:.2f} on the films it was chosen on). All operating points:",
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
        f" {rule.iou} with a better one, at most {rule.most}, scaled by {rule.shrink}."
        + (
            f" Weaker candidates from an IoU of {rule.vote} on have a say in the edges."
            if rule.vote < 1
            else ""
        )
        + (
            f" Sizes are drawn by {rule.typical_weight} to the usual one of"
            f" {rule.typical[0]:.0f} x {rule.typical[1]:.0f} pixels of the input."
            if rule.typical_weight > 0
            else ""
        ),
        "",
        "## What to beware of",
        f"- {share:.0%} of the training films show opacity. Where opacity is rarer or more common,"
        " probabilities are too high or too low, and positive predictive value differs.",
        "- The view (AP at the bedside, PA upright) goes along with disease in this data; see the"
        " figures by view and the control that looks at nothing but the view.",
        "- It has not been tested on children, on lateral films or on films of other body parts;"
        " whether a film may be read is decided by its header and by the check below.",
        *(
            [
                "- Films of the other folder were drawn from another time and differ in their"
                " greys: part of what tells pneumonia there may be no disease at all."
            ]
            if others
            else []
        ),
        "",
        *_kinds(manifest),
    ]
    return "\n".join(lines)


def _kinds(manifest: Manifest) -> list[str]:
    """What is refused by what the network sees of a picture's kind, and how often."""
    rule = manifest.film_kinds
    if rule is None:
        return []
    return [
        "## What it refuses",
        "The same pass tells what kind of picture a film is. It is refused if the probability that"
        f" it is no upright frontal chest film is at least {rule.threshold:g}, or"
        f" {rule.contradicted_threshold:g} where its header says otherwise. Measured out of fold;"
        " what is to be refused was drawn or made from frontal films.",
        "",
        "| figure | value | 95 % interval | what |",
        "|---|---|---|---|",
        *(
            f"| {name} | {m.value:.3f} | {m.low:.3f} to {m.high:.3f} | {m.of} |"
            for name, m in rule.figures.items()
        ),
        "",
    ]
