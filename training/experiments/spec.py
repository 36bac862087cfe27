"""An experiment is a TOML file: one row of the report's tables, validated; nothing is run here."""

from __future__ import annotations

import difflib
import fnmatch
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

SPECS = Path(__file__).parent / "specs"
VARIANT_MARK = "@"
"""Stands between an experiment's id and the name of one of its variants."""

Table = Literal["base", "grid", "transfer", "boxes", "faster_rcnn", "own"]
Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]
TABLES: tuple[Table, ...] = ("base", "grid", "transfer", "boxes", "faster_rcnn", "own")
MODELS: dict[Table, tuple[str, ...]] = {
    "base": ("model", "model_2", "model_2a", "model_3"),
    "grid": ("model", "model_2", "model_2a", "model_3"),
    "transfer": ("vgg16", "resnet50", "inceptionv3", "densenet121", "densenet121_chexnet"),
    "boxes": ("mobilenet", "densenet121_chexnet"),
    "faster_rcnn": ("faster_rcnn_nas",),
}
"""What may stand in `model`, by table; "own" takes those of all but Faster R-CNN."""


class SpecError(Exception):
    """An experiment's file is wrong or not there; the message names the file and the key."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Augmentation(_Part):
    """How far films are moved at random, as Keras's ImageDataGenerator takes it.

    `rotation` and `shear` are degrees to either side, the shifts parts of the film's side, `zoom`
    the factor's distance from 1, in either direction by itself; `flip` mirrors every second film.
    What comes in from outside has the value of the film's edge.
    """

    rotation: float = Field(20, ge=0, le=180)
    width_shift: float = Field(0.2, ge=0, lt=1)
    height_shift: float = Field(0.2, ge=0, lt=1)
    shear: float = Field(0.2, ge=0, lt=90)
    zoom: float = Field(0.2, ge=0, lt=1)
    flip: bool = True
    fill: Literal["nearest"] = "nearest"


class Reported(_Part):
    """The report's figures: `printed` as they stand in it, the others from 0 to 1, losses raw."""

    printed: str = ""
    train_accuracy: float | None = None
    val_accuracy: float | None = None
    test_accuracy: float | None = None
    precision_0: float | None = None
    recall_0: float | None = None
    f1_0: float | None = None
    precision_1: float | None = None
    recall_1: float | None = None
    f1_1: float | None = None
    loss: float | None = None
    accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    balanced_accuracy: float | None = None
    iou: float | None = None


class Data(_Part):
    """Which films, and how they become pictures.

    `films` in all (half of them positive; box rows take positive films alone); `size` is the
    picture's side in pixels. `resize = "np_resize"` is the report's mistake: the whole array of
    pictures of `resize_from` pixels is cut anew, so that pictures lose their labels. `split` keeps
    single films or whole patients apart; with `test = "validation"` four fifths are trained on and
    the rest is both validation and test, as in the report's JPEG and generator runs.
    """

    films: int = Field(ge=10)
    size: int = Field(ge=16, le=4096)
    source: Literal["dicom", "jpeg"]
    colour: Literal["stacked", "pet"]
    resize: Literal["correct", "np_resize"] = "correct"
    resize_from: int = Field(224, ge=16, le=4096)
    split: Literal["film", "patient"] = "film"
    test: Literal["held_out", "validation"] = "held_out"


class Train(_Part):
    """How the network is trained. `batch` is the batch over all GPUs together."""

    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    optimizer: Literal["adam", "rmsprop"]
    learning_rate: float = Field(gt=0)
    beta_1: float = Field(0.9, ge=0, lt=1)
    beta_2: float = Field(0.999, ge=0, lt=1)
    epsilon: float = Field(1e-7, gt=0)
    loss: Literal["binary_crossentropy", "categorical_crossentropy", "mean_squared_error"]
    augmentation: Augmentation | None = None
    precision: Precision = "float32"
    seed: int = Field(0, ge=0)


class Network(_Part):
    """Which form of the network.

    `extended` adds layers as the report did in its last runs. `weights` is where training starts:
    ImageNet's by Keras's own download, CheXNet's or a detector's from a given file, or none.
    `frozen` keeps the backbone as it starts. `preprocess = "backbone"` scales pixels as the
    backbone's weights expect it; the report left that out. `targets = "unscaled"` leaves boxes in
    pixels of the film although the picture is smaller, as the report's loss implies.
    """

    extended: bool = False
    weights: Literal["none", "imagenet", "chexnet", "given"] = "none"
    frozen: bool = False
    preprocess: Literal["none", "backbone"] = "none"
    targets: Literal["scaled", "unscaled"] = "scaled"


class Variant(_Part):
    """The same row done otherwise: keys of `data`, `train` and `network` that differ, and why."""

    note: str
    data: dict[str, Any] = Field(default_factory=dict)
    train: dict[str, Any] = Field(default_factory=dict)
    network: dict[str, Any] = Field(default_factory=dict)


class Spec(_Part):
    """One experiment. `place` orders the rows of a table; `note` says what was chosen, and why."""

    id: str = Field(pattern=r"^[a-z0-9_]+(-[a-z0-9_]+)*(@[a-z0-9_]+)?$")
    table: Table
    place: int = Field(999, ge=0)
    row: str
    model: str
    note: str
    reported: Reported = Reported()
    data: Data
    train: Train | None = None
    network: Network = Network()
    variants: dict[str, Variant] = Field(default_factory=dict)

    @property
    def kind(self) -> Literal["classes", "boxes", "detector"]:
        """What the network gives: the film's class, one box, or a detector's boxes."""
        if self.model == "faster_rcnn_nas":
            return "detector"
        mean_squared = self.train is not None and self.train.loss == "mean_squared_error"
        return "boxes" if mean_squared else "classes"

    def variant(self, name: str) -> Spec:
        """Return the variant `name` as an experiment of its own, with the id `id@name`.

        Raises:
            SpecError: there is no such variant, or it is not valid.
        """
        if name not in self.variants:
            known = ", ".join(sorted(self.variants)) or "none"
            raise SpecError(f"{self.id}: it has no variant {name!r}; it has: {known}")
        chosen = self.variants[name]
        values = self.model_dump()
        values |= {"id": f"{self.id}{VARIANT_MARK}{name}", "note": chosen.note, "variants": {}}
        for part in ("data", "train", "network"):
            values[part] = (values[part] or {}) | getattr(chosen, part)
        return validate(values, f"{self.id}, variant {name}")

    @model_validator(mode="after")
    def _fits_together(self) -> Spec:
        allowed = MODELS.get(self.table) or [
            name for table, names in MODELS.items() if table != "faster_rcnn" for name in names
        ]
        if self.model not in allowed:
            raise ValueError(f"model: the table {self.table!r} takes {', '.join(allowed)}")
        if (self.train is None) != (self.kind == "detector"):
            raise ValueError("train: every experiment needs it but Faster R-CNN, which has none")
        if self.table == "boxes" and self.kind != "boxes":
            raise ValueError("train.loss: boxes need mean_squared_error")
        if self.table != "boxes" and self.kind == "boxes" and self.model not in MODELS["boxes"]:
            raise ValueError(f"train.loss: {self.model} gives classes, which need a cross-entropy")
        if self.kind == "boxes" and self.train is not None and self.train.augmentation is not None:
            raise ValueError("train.augmentation: films move without their boxes")
        if self.network.extended and self.model not in MODELS["grid"]:
            raise ValueError(f"network.extended: {self.model} has no extended form")
        return self


def load(file: Path) -> Spec:
    """Read an experiment's file; its id must be the file's name.

    Raises:
        SpecError: the file cannot be read or is not valid; the message names file and key.
    """
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{file}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{file}: not valid TOML: {error}") from None
    spec = validate(values, str(file))
    if spec.id != file.stem:
        raise SpecError(f"{file}: id: it must be the file's name, {file.stem!r}, not {spec.id!r}")
    for name in spec.variants:
        spec.variant(name)
    return spec


def load_all(folder: Path = SPECS) -> list[Spec]:
    """Read every experiment of a folder, in the order of the report's tables.

    Raises:
        SpecError: a file is not valid.
    """
    specs = [load(file) for file in sorted(folder.glob("*.toml"))]
    return sorted(specs, key=lambda spec: (TABLES.index(spec.table), spec.place, spec.id))


def find(name: str, folder: Path = SPECS) -> Spec:
    """Find an experiment by id, by `id@variant`, or by the path of its file.

    Raises:
        SpecError: there is no such experiment, or its file is not valid.
    """
    base, _, variant = name.partition(VARIANT_MARK)
    file = Path(base) if base.endswith(".toml") else folder / f"{base}.toml"
    if not file.is_file():
        close = difflib.get_close_matches(base, [each.stem for each in folder.glob("*.toml")], n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise SpecError(f"{base}: there is no such experiment{hint}")
    spec = load(file)
    return spec.variant(variant) if variant else spec


def find_many(pattern: str, folder: Path = SPECS) -> list[Spec]:
    """Find experiments by a pattern of ids ("grid-*"), and a variant of each ("grid-*@np_resize").

    "@np_resize" is that variant of every experiment that has it. A name without a pattern is one
    experiment, as in `find`.

    Raises:
        SpecError: nothing is of that name.
    """
    base, mark, variant = pattern.partition(VARIANT_MARK)
    if base and not any(sign in base for sign in "*?["):
        return [find(pattern, folder)]
    found = [spec for spec in load_all(folder) if fnmatch.fnmatchcase(spec.id, base or "*")]
    if mark:
        found = [spec.variant(variant) for spec in found if variant in spec.variants]
    if not found:
        raise SpecError(f"{pattern}: no experiment is named like that")
    return found


def validate(values: Mapping[str, Any], where: str) -> Spec:
    """Make an experiment of plain values; `where` is named in errors.

    Raises:
        SpecError: a key is unknown, missing or out of range.
    """
    try:
        return Spec.model_validate(values)
    except ValidationError as error:
        raise SpecError("\n".join(f"{where}: {line}" for line in _explain(error))) from None


def _explain(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            yield f"{key}: no such key"
        elif problem["type"] == "missing":
            yield f"{key}: this key is needed and missing"
        elif problem["type"] == "value_error":
            text = problem["msg"].removeprefix("Value error, ")
            yield f"{key}: {text}" if key else text
        else:
            yield f"{key}: {problem['msg']}, not {problem['input']!r}"
