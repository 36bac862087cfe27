"""Which bundle reads, and which in shadow: seen and chosen, by the rules of `inference.worker`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from audit.events import SOFTWARE_CONFIGURATION
from console.bundles.check import runtime_of
from console.context import Context
from console.security.audited import changed
from console.security.who import Who
from console.services.errors import MissingError, OutdatedError, RefusedError
from db import bundles
from db.bundles import BundleKey, NothingBeforeError
from db.models import BundleChoice
from db.states import BundleRole
from inference.bundle import Bundle, BundleError
from inference.worker import choosing
from inference.worker.choosing import (
    ChoiceError,
    Chooser,
    OutdatedChoiceError,
    Row,
    name_of,
)
from inference.worker.registry import Registry, key_of

CONFIGURED = "The configured bundle"


def listed(context: Context) -> list[Row]:
    """List all bundles, with what each is chosen for and why one cannot be used."""
    return choosing.rows(context.settings, _registry(context), context.database)


def history(context: Context, limit: int = 50) -> Sequence[BundleChoice]:
    """List what was chosen, newest first."""
    with context.database.read() as session:
        return bundles.history(session, limit=limit)


def version(context: Context) -> int:
    """Return what changes with each choice: who chooses shows that none came between."""
    with context.database.read() as session:
        return bundles.version(session)


def before(context: Context) -> str | None:
    """Name what a rollback would return to; None where there is nothing."""
    with context.database.read() as session:
        holds = bundles.current(session, BundleRole.ACTIVE)
        if holds is None or (holds.bundle is None and holds.before_id is None):
            return None
        earlier = None if holds.before_id is None else session.get(BundleChoice, holds.before_id)
        return _name(bundles.key_of(earlier))


def find(context: Context, name: str) -> Bundle:
    """Return a bundle by its name, `ID/VERSION`, verified.

    Raises:
        MissingError: there is none, or it is not whole.
    """
    try:
        return _registry(context).find(name)
    except BundleError as error:
        raise MissingError(str(error)) from None


def verify(context: Context, name: str) -> str:
    """Hold a bundle against its digests and its golden output; return what was found.

    Raises:
        RefusedError: it does not fit.
    """
    bundle = find(context, name)
    runtime = runtime_of(bundle.path, context.settings.worker)
    return (
        f"{name}: {len(bundle.files)} files fit their digests, and the golden input gives the"
        f" golden output on {runtime}."
    )


def activate(
    context: Context, who: Who, name: str | None, reason: str, *, version: int | None = None
) -> bool:
    """Have the readings of a bundle reported; None: of the configured one.

    It is loaded and checked first, so that one that cannot run is refused before any worker meets
    it. Returns whether anything is different now.

    Raises:
        RefusedError: there is none of this name, or it cannot run.
        OutdatedError: another one was chosen since `version`.
    """
    key = None if name is None else _checked(context, name)
    with _refusals():
        new = _chooser(context, who, reason, version).activate(key)
    if new:
        _tell(context, who, "active", key, reason)
    return new


def shadow(
    context: Context, who: Who, name: str | None, reason: str, *, version: int | None = None
) -> bool:
    """Have a bundle read in shadow, or none; return whether anything is different now.

    Raises:
        RefusedError: there is none of this name, it cannot run, or it is the active one.
        OutdatedError: another one was chosen since `version`.
    """
    key = None if name is None else _checked(context, name)
    with _refusals():
        new = _chooser(context, who, reason, version).shadow(key)
    if new:
        _tell(context, who, "in shadow", key, reason)
    return new


def roll_back(context: Context, who: Who, reason: str, *, version: int | None = None) -> str:
    """Return to the bundle that was active before; return its name.

    Raises:
        RefusedError: there is none, or it is gone or damaged.
        OutdatedError: another one was chosen since `version`.
    """
    with _refusals():
        key = _chooser(context, who, reason, version).roll_back()
    _tell(context, who, "active again (rollback)", key, reason)
    return _name(key)


def _checked(context: Context, name: str) -> BundleKey:
    bundle = find(context, name)
    runtime_of(bundle.path, context.settings.worker)
    return key_of(bundle)


def _registry(context: Context) -> Registry:
    return Registry(context.files.root)


def _chooser(context: Context, who: Who, reason: str, version: int | None) -> Chooser:
    why = reason.strip() or None
    registry = _registry(context)
    return Chooser(context.settings, registry, context.database, who.name, why, version)


@contextmanager
def _refusals() -> Iterator[None]:
    """Say why something cannot be chosen."""
    try:
        yield
    except OutdatedChoiceError as error:
        raise OutdatedError(_sentence(error)) from None
    except ChoiceError as error:
        raise RefusedError(_sentence(error)) from None
    except NothingBeforeError:
        raise RefusedError("No bundle was active before, so there is no way back.") from None
    except BundleError as error:
        raise RefusedError(str(error)) from None


def _sentence(error: Exception) -> str:
    said = str(error)
    return f"{said[:1].upper()}{said[1:]}."


def _name(key: BundleKey | None) -> str:
    return CONFIGURED if key is None else name_of(key)


def _tell(context: Context, who: Who, role: str, key: BundleKey | None, reason: str) -> None:
    changed(
        context,
        who,
        f"Bundle {role}: {_name(key) if key else 'none registered'}. {reason}".strip(),
        kind=SOFTWARE_CONFIGURATION,
        details=None if key is None else {"Digest": key.digest},
    )
