"""The data files hold every row of the report's tables, and a wrong file is refused by its key."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from training.experiments.overrides import Overrides, apply
from training.experiments.spec import Spec, SpecError, find, find_many, load_all

# The grid as the report prints it: loss in per cent / accuracy in per cent.
GRID = {
    "base": "67 / 71.25|71 / 68.17|75 / 67.75|59 / 69.58",
    "10,000 films": "54 / 74.1|77 / 65.65|56 / 74.5|53 / 72.95",
    "JPEG": "76 / 69|60 / 70.5|62 / 68.67|53 / 73.83",
    "JPEG 128": "54 / 73.25|62 / 71.83|58 / 70.58|57 / 72.25",
    "DICOM 128": "55 / 73.83|61 / 67.92|55 / 73.08|56 / 73.25",
    "learning rate, Adam betas and epsilon, categorical cross-entropy": (
        "59 / 71.42|57 / 70.5|56 / 71.83|57 / 69.83"
    ),
    "smaller batch": "64 / 69.17|69 / 50|65 / 50|69 / 50",
    "larger batch": "61 / 71.5|69 / 50|56 / 71.58|69 / 50",
    "more layers, regularisers, strides, padding": (
        "24851053 / 68.67|10705 / 50.67|8354902 / 69.92|58 / 70.67"
    ),
    "RMSprop": "28070 / 50|136 / 50.75|770955 / 50|63 / 70.83",
    "image data generator": "29586747 / 63.33|1453439 / 50|14527342 / 61.42|61 / 68.67",
}
MODELS = ("model", "model_2", "model_2a", "model_3")


@pytest.fixture(scope="module")
def every() -> list[Spec]:
    return load_all()


def test_every_row_of_every_table_is_there_once(every: list[Spec]) -> None:
    assert Counter(spec.table for spec in every) == {
        "base": 4, "grid": 44, "transfer": 10, "boxes": 2, "faster_rcnn": 1,
    }  # fmt: skip
    rows = [(spec.table, spec.row, spec.model) for spec in every]
    assert len(set(rows)) == len(rows)
    assert [(t, r, m) for t, r, m in rows if t == "grid"] == [
        ("grid", row, model) for row in GRID for model in MODELS
    ]


def test_the_grid_holds_the_printed_figures(every: list[Spec]) -> None:
    for spec in every:
        if spec.table == "grid":
            cell = GRID[spec.row].split("|")[MODELS.index(spec.model)]
            loss, accuracy = cell.split(" / ")
            assert spec.reported.printed == cell
            assert spec.reported.loss == pytest.approx(float(loss) / 100)
            assert spec.reported.accuracy == pytest.approx(float(accuracy) / 100)


def test_the_other_tables_hold_the_printed_figures() -> None:
    base = find("base-model_3").reported
    assert (base.train_accuracy, base.val_accuracy, base.test_accuracy) == (0.80, 0.73, 0.72)
    assert (base.precision_0, base.recall_0, base.f1_0) == (0.74, 0.69, 0.71)
    assert (base.precision_1, base.recall_1, base.f1_1) == (0.71, 0.76, 0.73)
    for pipeline in ("array", "generator"):
        chexnet = find(f"transfer-densenet121_chexnet-{pipeline}").reported
        assert (chexnet.accuracy, chexnet.precision, chexnet.recall) == (0.7925, 0.7655, 0.8433)
        assert (chexnet.f1, chexnet.balanced_accuracy) == (0.8025, 0.7925)
    assert find("boxes-mobilenet").reported.iou == 0.1795
    assert find("boxes-mobilenet").reported.loss == 467.66
    assert find("boxes-densenet121_chexnet").reported.iou == 0.2265


def test_a_row_differs_from_the_base_row_in_what_its_name_says() -> None:
    base = find("grid-base-model_2a")
    assert base.train is not None
    assert (base.data.films, base.data.size, base.train.batch) == (6000, 224, 128)
    assert (base.train.epochs, base.train.optimizer) == (10, "adam")
    assert base.train.loss == "binary_crossentropy"

    def differs(name: str) -> set[str]:
        other = find(f"grid-{name}-model_2a")
        assert base.train is not None
        assert other.train is not None
        parts = [(base.data, other.data), (base.train, other.train), (base.network, other.network)]
        return {
            key
            for one, two in parts
            for key, value in two.model_dump().items()
            if one.model_dump()[key] != value
        }

    assert differs("films_10000") == {"films"}
    assert differs("jpeg") == {"source", "colour", "test"}
    assert differs("jpeg_128") == {"source", "colour", "test", "size"}
    assert differs("dicom_128") == {"size"}
    assert differs("adam") == {"learning_rate", "beta_2", "epsilon", "loss"}
    assert differs("small_batch") == differs("large_batch") == {"batch"}
    assert differs("more_layers") == {"extended"}
    assert differs("rmsprop") == {"extended", "optimizer"}
    assert differs("generator") == {"extended", "augmentation", "batch", "test"}


def test_every_variant_is_valid_and_changes_something(every: list[Spec]) -> None:
    count = 0
    for spec in every:
        for name in spec.variants:
            other = spec.variant(name)
            assert other.id == f"{spec.id}@{name}"
            assert (other.table, other.row, other.model) == (spec.table, spec.row, spec.model)
            changed = (other.data, other.train, other.network)
            assert changed != (spec.data, spec.train, spec.network), other.id
            count += 1
    assert count >= 30
    assert find("grid-dicom_128-model@np_resize").data.resize == "np_resize"
    assert find("boxes-densenet121_chexnet@unscaled_targets").network.targets == "unscaled"


GOOD = """
id = "mine"
table = "own"
row = "mine"
model = "model"
note = "tried"
[data]
films = 100
size = 64
source = "dicom"
colour = "stacked"
[train]
epochs = 1
batch = 8
optimizer = "adam"
learning_rate = 0.001
loss = "binary_crossentropy"
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("films = 100", "films = 2", "data.films: Input should be greater than or equal to 10"),
        ("films = 100", "", "data.films: this key is needed and missing"),
        ("size = 64", "size = 64\nsise = 3", "data.sise: no such key"),
        ('optimizer = "adam"', 'optimizer = "sgd"', "train.optimizer: Input should be"),
        ('model = "model"', 'model = "model_9"', "model: the table 'own' takes model, model_2"),
        ('"binary_crossentropy"', '"mean_squared_error"', "train.loss: model gives classes"),
        ('id = "mine"', 'id = "other"', "id: it must be the file's name, 'mine'"),
        ('note = "tried"', "note = tried", "not valid TOML"),
        ("learning_rate = 0.001", "learning_rate = nan", "train.learning_rate"),
        ("[data]", "[reported]\naccurracy = 1\n[data]", "reported.accurracy: no such key"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_key(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD)
    assert find(str(file)).id == "mine"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(SpecError, match=re.escape(says)) as raised:
        find(str(file))
    assert str(file) in str(raised.value)


def test_a_variant_that_is_not_valid_is_refused_when_the_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'{GOOD}[variants.odd]\nnote = "n"\ndata = {{ sise = 3 }}\n')
    with pytest.raises(SpecError, match=r"mine, variant odd: data\.sise: no such key"):
        find(str(file))


def test_an_unknown_name_is_refused_with_what_is_near() -> None:
    with pytest.raises(SpecError, match=r"no such experiment; did you mean .*grid-base-model"):
        find("grid-base-modell")
    with pytest.raises(SpecError, match=r"no variant 'nothing'; it has: by_patient"):
        find("base-model@nothing")


def test_the_experiment_in_the_docs_is_valid(tmp_path: Path) -> None:
    docs = Path(__file__).resolve().parents[3] / "docs" / "training.md"
    _, _, rest = docs.read_text(encoding="utf-8").partition("```toml\n")
    (tmp_path / "mine.toml").write_text(rest.partition("```")[0])
    spec = find(str(tmp_path / "mine.toml"))
    assert spec.train is not None
    assert spec.train.augmentation is not None
    assert (spec.train.augmentation.rotation, spec.train.augmentation.zoom) == (10, 0.2)
    assert spec.variant("small").data.size == 224


def test_patterns_name_many_experiments_in_the_order_of_the_tables() -> None:
    assert [spec.id for spec in find_many("grid-jpeg-*")] == [
        f"grid-jpeg-{model}" for model in MODELS
    ]
    assert [spec.id for spec in find_many("grid-*@np_resize")] == [
        f"grid-dicom_128-{model}@np_resize" for model in MODELS
    ]
    assert len(find_many("@np_resize")) == 6
    assert [spec.id for spec in find_many("base-model@by_patient")] == ["base-model@by_patient"]
    for nothing in ("green-*", "@nothing", "base-*@np_resize"):
        with pytest.raises(SpecError, match="no experiment is named like that"):
            find_many(nothing)


def test_overrides_change_only_what_they_name() -> None:
    spec = find("grid-dicom_128-model@np_resize")
    small = apply(spec, Overrides(films=20, size=64, epochs=1, batch=4, seed=7))
    assert small.train is not None
    assert (small.data.films, small.data.size) == (20, 64)
    assert (small.train.epochs, small.train.batch, small.train.seed) == (1, 4, 7)
    assert small.data.resize_from == 112  # 224 is to 128 as 112 to 64
    assert apply(spec, Overrides()) == spec
    assert Overrides(epochs=2, random_if_missing=True).given() == {
        "epochs": 2, "random_if_missing": True,
    }  # fmt: skip
    with pytest.raises(SpecError, match=r"with its overrides: data\.films"):
        apply(spec, Overrides(films=1))
