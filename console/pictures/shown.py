"""Everything that is shown of a film, made in child processes and kept for a moment."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from console.pictures import film as films
from console.pictures import heat as heats
from console.pictures.cache import Cache
from console.pictures.heat import Heat, Job
from console.pictures.pool import PoolOnDemand
from console.pictures.tags import Tag, tags
from db.files import FileStore
from db.models import ShadowReading
from inference.bundle import Bundle, BundleError, for_site, load_bundle
from inference.isolation import ChildFailedError
from inference.prepare import Limits
from inference.reading import Refusal, RefusedError
from inference.worker.registry import Registry
from inference.worker.shadow import row_of
from settings import Settings

_KEPT_BYTES = 96 * 2**20
_KEPT_HEAT_BYTES = 16 * 2**20
_PROCESSES = 2
_IDLE_SECONDS = 300.0
_NETWORK_SECONDS = 180.0
"""Longest for one film, with the time that a network takes to load."""
_NETWORK_MEMORY_BYTES = 16 * 2**30
"""Address space; a network's runtime reserves far more than it uses."""

T = TypeVar("T")


class CannotBeShownError(Exception):
    """Something cannot be made of a film; the message says in one sentence why."""


@dataclass(frozen=True, slots=True)
class StoredFilm:
    """A kept film: our id, its path below the data folder, and the SHA-256 of the file."""

    id: int
    path: str
    file_sha256: str


class Pictures:
    """Makes what is shown of films. Nothing is decoded in this process, nor written to a disk."""

    def __init__(self, settings: Settings, store: FileStore) -> None:
        self._settings = settings
        self._store = store
        self._registry = Registry(store.root)
        worker = settings.worker
        self._own: Cache[list[str]] = Cache(1, lambda _: 0)  # to verify a bundle takes a moment
        self._made: Cache[bytes] = Cache(_KEPT_BYTES, len)
        self._heats: Cache[Heat] = Cache(_KEPT_HEAT_BYTES, lambda heat: heat.cells.nbytes)
        self.pool = PoolOnDemand(
            _PROCESSES,
            timeout_seconds=worker.decode_timeout_seconds,
            memory_bytes=worker.decode_memory_bytes,
            idle_seconds=_IDLE_SECONDS,
            ended=self._made.clear,  # what was erased meanwhile is nowhere left then
        )
        self._networks = PoolOnDemand(
            1,
            timeout_seconds=_NETWORK_SECONDS,
            memory_bytes=_NETWORK_MEMORY_BYTES,
            idle_seconds=_IDLE_SECONDS,
            ended=self._heats.clear,
        )

    def preview(self, film: StoredFilm) -> bytes:
        """Return a small PNG of a film; see `film.preview`.

        Raises:
            CannotBeShownError: it cannot be decoded.
        """
        return self._film("preview", films.preview, film)

    def pixels(self, film: StoredFilm) -> bytes:
        """Return every value of a film; see `film.pixels`.

        Raises:
            CannotBeShownError: it cannot be decoded.
        """
        return self._film("pixels", films.pixels, film)

    def heat(self, film: StoredFilm, label: str) -> Heat:
        """Return where the bundle `label` ("id version") sees opacity on a film.

        Raises:
            CannotBeShownError: the bundle is not here any more, or may not read the film.
        """

        def make() -> Heat:
            bundle = self._bundle(label)
            found = _plainly(
                lambda: self._near(film, self._networks, heats.heat, self._job(film, bundle))
            )
            if isinstance(found, Refusal):
                raise CannotBeShownError(found.reason)
            return found

        return self._heats.get(("heat", film.id, film.file_sha256, label), make)

    def read_beside(self, film: StoredFilm, label: str) -> ShadowReading:
        """Read a film with the bundle `label`, for comparison alone; return the row to keep.

        Raises:
            CannotBeShownError: the bundle cannot be used.
        """
        bundle = self._bundle(label)
        job = self._job(film, bundle)
        read = _plainly(lambda: self._near(film, self._networks, heats.read_again, job))
        return row_of(read, bundle)

    def tags(self, path: str) -> list[Tag]:
        """Return the elements of a kept film or result, by its path below the data folder.

        Raises:
            CannotBeShownError: it cannot be parsed.
        """

        def make() -> list[Tag]:
            with self._store.near(path) as near:
                return self.pool.run(tags, near)

        return _plainly(make)

    def labels(self) -> list[str]:
        """List the bundles that may be asked, by id and version; not verified."""
        registered = [f"{identity} {version}" for identity, version in self._registry.names()]
        return list(dict.fromkeys([*self._own.get("labels", self._own_labels), *registered]))

    def close(self) -> None:
        """End the child processes."""
        self.pool.close()
        self._networks.close()

    def _film(self, what: str, make: Callable[[Path, int], bytes], film: StoredFilm) -> bytes:
        path, most = self._store.near_path(film.path), self._settings.worker.max_pixels
        return self._made.get(
            (what, film.id, film.file_sha256),
            lambda: _plainly(lambda: self._near(film, self.pool, make, path, most)),
        )

    def _near(
        self, film: StoredFilm, pool: PoolOnDemand, make: Callable[..., T], *args: object
    ) -> T:
        """Have a child process work on a film, which is fetched for that where it lies afar."""
        with self._store.near(film.path, film.file_sha256):
            return pool.run(make, *args, key=film.path)

    def _own_labels(self) -> list[str]:
        """Name the bundles that are there without being registered: packaged and configured."""
        found = []
        for folder in (None, self._settings.worker.bundle):
            with suppress(BundleError):
                found.append(load_bundle(folder).label)
        return found

    def _bundle(self, label: str) -> Bundle:
        configured = self._settings.worker.bundle
        try:
            bundle = None if configured is None else load_bundle(configured)
            if bundle is None or bundle.label != label:
                bundle = self._registry.find(label.replace(" ", "/", 1))
            return for_site(bundle, self._settings.worker.prevalence)
        except BundleError as error:
            raise CannotBeShownError(f"The bundle {label} cannot be used: {error}.") from None

    def _job(self, film: StoredFilm, bundle: Bundle) -> Job:
        worker = self._settings.worker
        return Job(
            path=self._store.near_path(film.path),
            bundle=bundle.path,
            prevalence=worker.prevalence,
            # A GPU belongs to the worker alone.
            runtime="openvino" if worker.runtime == "auto" else worker.runtime,
            threads=worker.threads,
            limits=Limits(worker.max_pixels, self._settings.eligibility),
        )


def _plainly(make: Callable[[], T]) -> T:
    """Return what is made; whatever keeps it from being made is one kind of error."""
    try:
        return make()
    except RefusedError as error:
        raise CannotBeShownError(error.refusal.reason) from None
    except (ChildFailedError, BundleError) as error:
        raise CannotBeShownError(str(error)) from None
    except FileNotFoundError:
        raise CannotBeShownError("The file is not there any more.") from None
    except OSError as error:
        raise CannotBeShownError(f"The file cannot be read: {error.strerror}.") from None
