"""Who chooses which bundle reads, and which in shadow: the rules of terminal and console."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from db import bundles
from db.bundles import BundleKey
from db.dialects import Turn, in_turn
from db.session import Database
from db.states import BundleRole
from inference.bundle import Bundle, BundleError, for_site, load_bundle
from inference.predict import Predictor
from inference.worker.registry import Registry, key_of
from settings import Settings, Worker


class ChoiceError(Exception):
    """This bundle cannot be chosen for that; the message says why."""


class OutdatedChoiceError(ChoiceError):
    """Somebody else has chosen meanwhile; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("another bundle was chosen meanwhile; look anew, and decide again")


@dataclass(frozen=True, slots=True)
class Chooser:
    """Somebody (`by`) who chooses, for this `reason`, if one is given.

    `version`: the latest choice that this is decided by (`db.bundles.version`); after another one
    each method raises OutdatedChoiceError. None: whatever was chosen meanwhile.
    """

    settings: Settings
    registry: Registry
    database: Database
    by: str
    reason: str | None = None
    version: int | None = None

    def activate(self, key: BundleKey | None) -> bool:
        """Have the readings of a bundle reported, or of the configured one.

        Whether it can run is the caller's to ask before (`checked`). Returns whether anything is
        different now.
        """
        with self._deciding() as session:
            holds = bundles.current(session, BundleRole.ACTIVE)
            if bundles.key_of(holds) == key and (holds is not None or key is None):
                return False
            now = self.database.now(session)
            bundles.activate(session, key, by=self.by, reason=self.reason, now=now)
            self._end_shadow_of_active(session, now)
        return True

    def roll_back(self) -> BundleKey | None:
        """Return to the bundle that was active before; None: the configured one.

        Raises:
            NothingBeforeError: there is none.
            BundleError: it is gone or damaged; nothing was changed.
        """
        with self._deciding() as session:
            now = self.database.now(session)
            chosen = bundles.roll_back(session, by=self.by, reason=self.reason, now=now)
            key = bundles.key_of(chosen)
            if key is not None:
                self.registry.load(key)
            self._end_shadow_of_active(session, now)
        return key

    def shadow(self, key: BundleKey | None) -> bool:
        """Have a bundle read in shadow, or none; return whether anything is different now.

        Raises:
            ChoiceError: it is the active one.
        """
        with self._deciding() as session:
            if key is not None and key == self._active(session):
                raise ChoiceError(f"{name_of(key)} is the active bundle; name another one")
            if bundles.key_of(bundles.current(session, BundleRole.SHADOW)) == key:
                return False
            now = self.database.now(session)
            bundles.shadow(session, key, by=self.by, reason=self.reason, now=now)
        return True

    @contextmanager
    def _deciding(self) -> Iterator[Session]:
        """Hold a transaction in which nobody else chooses."""
        with self.database.write() as session:
            in_turn(session, Turn.BUNDLES)
            if self.version is not None and bundles.version(session) != self.version:
                raise OutdatedChoiceError
            yield session

    def _active(self, session: Session) -> BundleKey:
        """Return the bundle whose readings are reported: the activated one, or the configured."""
        key = bundles.key_of(bundles.current(session, BundleRole.ACTIVE))
        return key or key_of(load_bundle(self.settings.worker.bundle))

    def _end_shadow_of_active(self, session: Session, now: datetime) -> None:
        """Let the configured bundle read in shadow no longer where it is the active one again."""
        key = bundles.key_of(bundles.current(session, BundleRole.SHADOW))
        if key is not None and key == self._active(session):
            why = "it is the active bundle now"
            bundles.shadow(session, None, by=self.by, reason=why, now=now)


@dataclass(frozen=True, slots=True)
class Row:
    """A bundle as lists show it; `role` is active, shadow or empty."""

    name: str
    origin: str
    role: str
    evaluation_only: bool | None
    opacity_auc: float | None
    digest: str | None
    problem: str | None


def rows(settings: Settings, registry: Registry, database: Database) -> list[Row]:
    """List all bundles, with what each is chosen for and why one cannot be used."""
    with database.read() as session:
        active = bundles.key_of(bundles.current(session, BundleRole.ACTIVE))
        shadow = bundles.key_of(bundles.current(session, BundleRole.SHADOW))
        problems = _problems(session)
    entries = [
        (each.name, "packaged" if each.packaged else "registered", each.bundle, each.problem)
        for each in registry.listed()
    ]
    if settings.worker.bundle is not None:
        entries.append(_configured(settings))
    if active is None:  # nothing is activated: what is configured reads
        configured = entries[0 if settings.worker.bundle is None else -1][2]
        active = None if configured is None else key_of(configured)
    roles = {shadow: "shadow", active: "active"}
    found = []
    for name, origin, bundle, problem in entries:
        key = None if bundle is None else key_of(bundle)
        role = "" if key is None else roles.pop(key, "")
        found.append(_row(name, origin, role, bundle, problem))
    for key, role in roles.items():
        if key is not None:
            gone = "it was chosen and is not registered any more"
            found.append(Row(name_of(key), "-", role, None, None, key.digest, gone))
    return [
        replace(row, problem="; ".join(filter(None, (row.problem, problems.get(row.role)))) or None)
        for row in found
    ]


def checked(worker: Worker, bundle: Bundle) -> Predictor:
    """Load a bundle's network as this site reads with it; hold it against its golden output.

    Raises:
        BundleError: it does not fit.
    """
    bundle = for_site(bundle, worker.prevalence)
    return Predictor(bundle, runtime=worker.runtime, threads=worker.threads)


def runtime_of(path: Path, worker: Worker) -> str:
    """Verify the bundle in a folder as `checked` does; return what it ran on.

    Raises:
        BundleError: it is not whole, or does not fit.
    """
    return checked(worker, load_bundle(path)).runtime


def name_of(key: BundleKey) -> str:
    """Return id and version, as the registry takes them."""
    return f"{key.id}/{key.version}"


def _configured(settings: Settings) -> tuple[str, str, Bundle | None, str | None]:
    """Describe the bundle of worker.bundle: name, origin, itself, and why it cannot be used."""
    path = settings.worker.bundle
    assert path is not None
    try:
        bundle = load_bundle(path)
    except BundleError as error:
        return path.name, str(path), None, str(error)
    return f"{bundle.id}/{bundle.version}", str(path), bundle, None


def _row(name: str, origin: str, role: str, bundle: Bundle | None, problem: str | None) -> Row:
    if bundle is None:
        return Row(name, origin, role, None, None, None, problem)
    auc = bundle.metrics.get("opacity_auc")
    return Row(
        name,
        origin,
        role,
        bundle.evaluation_only,
        None if auc is None else auc.value,
        key_of(bundle).digest,
        problem,
    )


def _problems(session: Session) -> dict[str, str]:
    """Return what workers say of the chosen bundles, by role."""
    found: dict[str, str] = {}
    for choice, problem in bundles.problems(session):
        said = f"{problem.worker}, {problem.at:%Y-%m-%d %H:%M}: {problem.sentence}"
        found[choice.role.value] = "; ".join(filter(None, (found.get(choice.role.value), said)))
    return found
