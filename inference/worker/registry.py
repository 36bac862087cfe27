"""The bundles that this installation knows: the packaged one, and `bundles/ID/VERSION` below the
data folder. Which of them is in use is told by `db.bundles`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from db.bundles import BundleKey
from db.files import FOLDER_MODE, FileStore, exclusive, sync_folder
from inference.bundle import MANIFEST, Bundle, BundleError, load_bundle
from inference.bundle_zip import unpack_zip

FOLDER = "bundles"


@dataclass(frozen=True, slots=True)
class Listed:
    """A bundle of the registry, or in `problem` the sentence that says why it cannot be used."""

    id: str
    version: str
    path: Path
    packaged: bool
    bundle: Bundle | None
    problem: str | None

    @property
    def name(self) -> str:
        """Id and version, as commands take them."""
        return f"{self.id}/{self.version}"


def key_of(bundle: Bundle) -> BundleKey:
    """Return what names a bundle, with the digest of its `bundle.json`, which lists all others."""
    data = (bundle.path / MANIFEST).read_bytes()
    return BundleKey(bundle.id, bundle.version, hashlib.sha256(data).hexdigest())


class Registry:
    """The registered bundles below the data folder `root`, and the packaged one.

    A bundle never changes once it is registered: its folder appears whole, and another one of the
    same id and version is refused.
    """

    def __init__(self, root: Path) -> None:
        self._store = FileStore(root)
        self._folder = root / FOLDER

    def listed(self) -> list[Listed]:
        """List all bundles, verified: the packaged one first, then by id and version."""
        packaged = load_bundle(None)
        first = Listed(packaged.id, packaged.version, packaged.path, True, packaged, None)
        return [first, *(self._listed(path) for path in self._paths())]

    def names(self) -> list[tuple[str, str]]:
        """List id and version of what is registered beside the packaged bundle, not verified."""
        return [(path.parent.name, path.name) for path in self._paths()]

    def look_up(self, name: str) -> Listed:
        """Return the entry `ID/VERSION`, or the only one that is called `ID`.

        Raises:
            BundleError: there is none, or there are several.
        """
        identity, _, version = name.partition("/")
        fitting = [
            each
            for each in self.listed()
            if each.id == identity and (not version or each.version == version)
        ]
        if not fitting:
            raise BundleError(
                f"no bundle {name!r} is registered; `hilum bundle list` names them,"
                " `hilum bundle register` adds one"
            )
        if len(fitting) > 1:
            names = ", ".join(each.name for each in fitting)
            raise BundleError(f"{name!r} may be any of {names}; name one with its version")
        return fitting[0]

    def find(self, name: str) -> Bundle:
        """Return a bundle by its name, verified; see `look_up`.

        Raises:
            BundleError: there is none, there are several, or it is not whole any more.
        """
        found = self.look_up(name)
        if found.bundle is None:
            raise BundleError(found.problem)
        return found.bundle

    def load(self, key: BundleKey) -> Bundle:
        """Return the very bundle that was chosen, verified.

        Raises:
            BundleError: it is not there, not whole, or another one of the same name.
        """
        bundle = self.find(f"{key.id}/{key.version}")
        if key_of(bundle) != key:
            raise BundleError(
                f"the bundle {key.id}/{key.version} is not the one that was chosen: its"
                f" {MANIFEST} has another digest; register the chosen one, or choose this one anew"
            )
        return bundle

    def register(self, source: Path) -> tuple[Bundle, bool]:
        """Copy a bundle in from a folder or a ZIP; return it, and whether it is new here.

        Raises:
            BundleError: it is not whole, or another bundle of its id and version is there.
            OSError: it cannot be read, or there is no room for it.
        """
        self._store.make_folder(self._folder)
        with self._staging() as staging:
            staged = load_bundle(_staged(source, staging))
            with exclusive(self._folder / ".lock"):
                known = self._known(staged)
                if known is not None:
                    return known, False
                target = self._folder / staged.id / staged.version
                self._store.make_folder(target.parent)
                staged.path.rename(target)
                sync_folder(target.parent)
        return load_bundle(target), True

    def remove(self, listed: Listed) -> None:
        """Delete a registered bundle. Whether it is in use is the caller's to ask.

        Raises:
            BundleError: it is the packaged one.
        """
        if listed.packaged:
            raise BundleError(f"{listed.name} comes with Hilum and always stays")
        with exclusive(self._folder / ".lock"), self._staging() as staging:
            listed.path.rename(staging / "removed")
            sync_folder(listed.path.parent)
            if not any(listed.path.parent.iterdir()):
                listed.path.parent.rmdir()

    def _paths(self) -> list[Path]:
        return sorted(
            path
            for path in self._folder.glob("*/*")
            if path.is_dir() and not path.parent.name.startswith(".")
        )

    def _listed(self, path: Path) -> Listed:
        identity, version = path.parent.name, path.name
        try:
            bundle = load_bundle(path)
        except BundleError as error:
            return Listed(identity, version, path, False, None, str(error))
        if (bundle.id, bundle.version) != (identity, version):
            problem = (
                f"{path}: its {MANIFEST} calls it {bundle.id}/{bundle.version}, so it was moved or"
                " altered; remove it and register it anew"
            )
            return Listed(identity, version, path, False, None, problem)
        return Listed(identity, version, path, False, bundle, None)

    def _known(self, staged: Bundle) -> Bundle | None:
        """Return the registered bundle that `staged` is; refuse one that only shares its name."""
        for each in self.listed():
            if (each.id, each.version) != (staged.id, staged.version):
                continue
            if each.bundle is not None and key_of(each.bundle) == key_of(staged):
                return each.bundle
            raise BundleError(
                f"another bundle is registered as {each.name} already, and what is registered never"
                " changes; give the new one another version"
            )
        return None

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        """Make a folder that nobody takes for a bundle, and delete it at the end."""
        staging = self._folder / f".staging-{uuid.uuid4().hex}"
        staging.mkdir(mode=FOLDER_MODE)
        try:
            yield staging
        finally:
            shutil.rmtree(staging)


def _staged(source: Path, staging: Path) -> Path:
    """Copy what a source's manifest lists, and nothing else, to a folder below `staging`."""
    if source.is_file():
        unpacked = staging / "unpacked"
        unpacked.mkdir()
        unpack_zip(source, unpacked)
        source = unpacked
    bundle = load_bundle(source)
    whole = staging / "whole"
    for name in sorted((MANIFEST, *bundle.files)):
        target = whole / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path / name, target)
        _sync(target)
    for folder in (whole, *(path for path in whole.rglob("*") if path.is_dir())):
        sync_folder(folder)
    return whole


def _sync(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
