"""What a person changes in an experiment for one run."""

from __future__ import annotations

from dataclasses import dataclass

from training.experiments.spec import Precision, Spec, validate


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a person changes for one run; None leaves the experiment's own value.

    `weights` is "none", or the file to start from, or a folder of such files (see
    `weights.find`); with `random_if_missing` a network whose weights cannot be had starts at
    random, and the run says so.
    """

    films: int | None = None
    epochs: int | None = None
    size: int | None = None
    batch: int | None = None
    seed: int | None = None
    precision: Precision | None = None
    weights: str | None = None
    random_if_missing: bool = False

    def given(self) -> dict[str, int | str | bool]:
        """Return what is not left as it was, by name."""
        names = ("films", "epochs", "size", "batch", "seed", "precision", "weights")
        values = {name: getattr(self, name) for name in names}
        found = {name: value for name, value in values.items() if value is not None}
        return found | ({"random_if_missing": True} if self.random_if_missing else {})


def apply(spec: Spec, overrides: Overrides) -> Spec:
    """Return the experiment with the overrides in it.

    With another size, the size that `np_resize` starts from changes in proportion, so that the
    mistake stays what it is.

    Raises:
        SpecError: a value is out of range.
    """
    values = spec.model_dump()
    for part, names in (("data", ("films", "size")), ("train", ("epochs", "batch", "seed"))):
        for name in names:
            value = getattr(overrides, name)
            if value is not None and values[part] is not None:
                values[part][name] = value
    if overrides.precision is not None and values["train"] is not None:
        values["train"]["precision"] = overrides.precision
    if overrides.size is not None:
        scale = overrides.size / spec.data.size
        values["data"]["resize_from"] = max(16, round(spec.data.resize_from * scale))
    return validate(values, f"{spec.id} with its overrides")
