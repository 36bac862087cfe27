"""A model bundle: the folder that holds a network and all that is needed to run it and trust it.

bundle.json      what the model is (see `inference.manifest`), and the digests of all files
network/         one TensorFlow SavedModel
golden.npz       an input and the output that the network must give for it
model_card.md    the same for people; model_card.html, where it is there, with plots
out_of_fold.npz  where it is there, the predictions that the measured figures come from
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import uuid
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from inference.calibration import Calibration
from inference.kept import OutOfFold, read_kept, write_kept
from inference.manifest import STRICT, Manifest, Prevalence
from inference.pixels import InputForm
from inference.prevalence import PriorShift
from inference.reading import Device

DEFAULT_BUNDLE = Path(__file__).parent / "default_bundle"
MANIFEST = "bundle.json"
NETWORK = "network"
GOLDEN = "golden.npz"
MODEL_CARD = "model_card.md"
MODEL_CARD_HTML = "model_card.html"
OUT_OF_FOLD = "out_of_fold.npz"

_NAMESPACE = uuid.UUID("5f8c1f0e-6a53-4d52-9d0b-2f7d9f0f7c11")
_REMEDY = "make the bundle again with `hilum train-bundle` or name another folder in worker.bundle"


class BundleError(Exception):
    """A bundle cannot be used; the message names the field or file and says what to do."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Bundle(Manifest):
    """A verified bundle, the folder that it lies in, and the prevalence that it reads for.

    `site_prevalence` is the share of lung opacity among the films of the site, to which the
    probabilities are adjusted; None: they stay as calibrated.
    """

    path: Path
    site_prevalence: Prevalence | None = None

    @property
    def prior_shift(self) -> PriorShift | None:
        """How probabilities are adjusted to the site's prevalence; None where they are not."""
        if self.prevalence is None or self.site_prevalence is None:
            return None
        return PriorShift(self.prevalence, self.site_prevalence)

    @property
    def threshold(self) -> float:
        """The calibrated probability of opacity from which on a film counts as positive."""
        return self.operating_points[self.operating_point].threshold

    @property
    def calibration(self) -> Calibration:
        """How logits become probabilities."""
        return Calibration(self.temperature, self.biases)

    @property
    def input_form(self) -> InputForm:
        """What films are brought to before the network reads them."""
        return InputForm(self.input_size, self.contrast)

    @property
    def network_path(self) -> Path:
        """The SavedModel's folder."""
        return self.path / NETWORK

    @property
    def label(self) -> str:
        """Name and version, as readings carry it."""
        return f"{self.id} {self.version}"

    @property
    def weights_digest(self) -> str:
        """SHA-256 over the network's files: their paths and digests, in the order of the paths."""
        lines = [f"{n} {d}\n" for n, d in sorted(self.files.items()) if n.startswith(f"{NETWORK}/")]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True)
class Golden:
    """An input and what the network gave for it when it was exported.

    `inputs` is (n, size, size) uint8, `probabilities` (n, 3) before calibration, `boxes`
    (n, m, 4) and `scores` (n, m) as `inference.predict.Raw` has them, `kinds` (n, 5) the
    probabilities of KINDS, None where the network does not tell them; float32.
    """

    inputs: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    kinds: NDArray[np.float32] | None = None


def load_bundle(path: Path | None = None) -> Bundle:
    """Read and verify the bundle at `path`, or the packaged default.

    Raises:
        BundleError: a file is missing, unlisted or altered, or a field is missing or wrong.
    """
    folder = DEFAULT_BUNDLE if path is None else path
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise BundleError(f"{folder}: no readable {MANIFEST} is here; {_REMEDY}") from None
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{folder / MANIFEST}: not valid JSON ({error}); {_REMEDY}") from None
    manifest = _validated(fields, folder)
    bundle = Bundle(path=folder, **_fields(manifest))
    _verify_files(bundle)
    return bundle


def for_site(bundle: Bundle, prevalence: float | None) -> Bundle:
    """Return the bundle as it reads at a site with this prevalence of opacity; None: as it is.

    Raises:
        BundleError: the bundle does not say at which prevalence it is calibrated.
    """
    if prevalence is not None and bundle.prevalence is None:
        raise BundleError(
            f"worker.prevalence: {bundle.label} does not say at which prevalence it is calibrated,"
            " so it cannot be adjusted; unset the key or name another folder in worker.bundle"
        )
    return dataclasses.replace(bundle, site_prevalence=prevalence)


def load_golden(bundle: Bundle) -> Golden:
    """Read the bundle's golden input and output.

    Raises:
        BundleError: an array is missing or has the wrong shape.
    """
    try:
        with np.load(bundle.path / GOLDEN, allow_pickle=False) as file:
            arrays = [file[name] for name in ("inputs", "probabilities", "boxes", "scores")]
            if bundle.film_kinds is not None:
                arrays.append(file["kinds"])
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"{bundle.path / GOLDEN}: cannot be read: {error}; {_REMEDY}") from None
    golden = Golden(arrays[0].astype(np.uint8), *(a.astype(np.float32) for a in arrays[1:]))
    n, size = len(golden.inputs), bundle.input_size
    if n == 0 or golden.inputs.shape != (n, size, size) or golden.probabilities.shape != (n, 3):
        raise BundleError(
            f"{bundle.path / GOLDEN}: holds no input of input_size {size} with its three"
            f" probabilities; {_REMEDY}"
        )
    return golden


def load_out_of_fold(bundle: Bundle) -> OutOfFold | None:
    """Read the out-of-fold predictions that the bundle keeps; None where it keeps none.

    Raises:
        BundleError: the file cannot be read.
    """
    if OUT_OF_FOLD not in bundle.files:
        return None
    try:
        return read_kept(bundle.path / OUT_OF_FOLD)
    except ValueError as error:
        raise BundleError(
            f"{bundle.path / OUT_OF_FOLD}: cannot be read: {error}; {_REMEDY}"
        ) from None


def device(bundle: Bundle) -> Device:
    """Return the algorithm as the reports name it.

    The UID is "2.25." and a UUIDv5 (PS3.5 B.2) of name, version, weights digest and configuration.
    """
    configuration: dict[str, Any] = {
        "input_size": bundle.input_size,
        "contrast": bundle.contrast,
        "temperature": bundle.temperature,
        "biases": bundle.biases,
        "threshold": bundle.threshold,
        "boxes": dataclasses.asdict(bundle.boxes),
    }
    if bundle.site_prevalence is not None:
        configuration["prevalence"] = bundle.site_prevalence
    if bundle.film_kinds is not None:
        kinds = bundle.film_kinds
        configuration["film_kinds"] = [kinds.threshold, kinds.contradicted_threshold]
    identity = [bundle.id, bundle.version, bundle.weights_digest, configuration]
    name = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return Device(
        name=bundle.id,
        version=bundle.version,
        weights_digest=bundle.weights_digest,
        manufacturer=bundle.manufacturer,
        uid=f"2.25.{uuid.uuid5(_NAMESPACE, name).int}",
        evaluation_only=bundle.evaluation_only,
        prevalence=bundle.site_prevalence,
        operating_point=bundle.operating_point,
    )


def write_bundle(
    path: Path,
    manifest: Manifest,
    *,
    network: Path,
    golden: Golden,
    model_card: str,
    model_card_html: str | None = None,
    out_of_fold: OutOfFold | None = None,
) -> Bundle:
    """Write a bundle folder at `path` from a SavedModel folder; replaces a bundle that is there.

    The folder is made beside `path` and then renamed, so that no half bundle is ever seen.
    `manifest.files` is filled here.

    Raises:
        BundleError: `path` is there and is not a bundle, or the manifest does not fit.
    """
    if path.exists() and not (path / MANIFEST).exists():
        raise BundleError(f"{path}: this is there and is not a bundle; name another folder")
    fresh = path.with_name(f".{path.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    shutil.copytree(network, fresh / NETWORK)
    arrays = {f.name: getattr(golden, f.name) for f in dataclasses.fields(golden)}
    known = {name: array for name, array in arrays.items() if array is not None}
    np.savez_compressed(fresh / GOLDEN, **known)
    (fresh / MODEL_CARD).write_text(model_card, encoding="utf-8")
    if model_card_html is not None:
        (fresh / MODEL_CARD_HTML).write_text(model_card_html, encoding="utf-8")
    if out_of_fold is not None:
        write_kept(fresh / OUT_OF_FOLD, out_of_fold)
    files = {
        file.relative_to(fresh).as_posix(): _sha256(file)
        for file in sorted(fresh.rglob("*"))
        if file.is_file()
    }
    document = TypeAdapter(Manifest).dump_python(
        dataclasses.replace(manifest, files=files), mode="json"
    )
    (fresh / MANIFEST).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    load_bundle(fresh)
    if path.exists():
        shutil.rmtree(path)
    fresh.rename(path)
    return load_bundle(path)


def _validated(fields: object, folder: Path) -> Manifest:
    try:
        manifest = TypeAdapter(Manifest).validate_python(fields)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in problem["loc"]) or "the document"
        raise BundleError(
            f"{folder / MANIFEST}: {name}: {problem['msg'].lower()}; {_REMEDY}"
        ) from None
    if manifest.operating_point not in manifest.operating_points:
        raise BundleError(
            f"{folder / MANIFEST}: operating_point: {manifest.operating_point!r} is not among"
            f" operating_points; {_REMEDY}"
        )
    return manifest


def _fields(manifest: Manifest) -> dict[str, Any]:
    return {f.name: getattr(manifest, f.name) for f in dataclasses.fields(Manifest)}


def _verify_files(bundle: Bundle) -> None:
    """Hold every file against its digest; files of the network that are not listed are refused."""
    needed = {f"{NETWORK}/saved_model.pb", GOLDEN, MODEL_CARD}
    for name in sorted(needed - set(bundle.files)):
        raise BundleError(f"{bundle.path / MANIFEST}: files: {name} is not listed; {_REMEDY}")
    for name, digest in bundle.files.items():
        parts = PurePosixPath(name).parts
        if PurePosixPath(name).is_absolute() or ".." in parts or "\\" in name:
            raise BundleError(f"{bundle.path / MANIFEST}: files: {name!r} leaves the bundle")
        file = bundle.path / name
        if not file.is_file():
            raise BundleError(f"{file}: this file of the bundle is missing; {_REMEDY}")
        if _sha256(file) != digest:
            raise BundleError(
                f"{file}: its SHA-256 is not the one in {MANIFEST}, so it was altered or damaged;"
                " copy the bundle anew or name another folder in worker.bundle"
            )
    for file in sorted(bundle.network_path.rglob("*")):
        if file.is_file() and file.relative_to(bundle.path).as_posix() not in bundle.files:
            raise BundleError(f"{file}: this file is not listed in {MANIFEST}; remove it")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
