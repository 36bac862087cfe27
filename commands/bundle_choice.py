"""`hilum bundle activate`, `rollback`, `shadow`, `history`: which bundle reads, and since when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text
from sqlalchemy.orm import Session

from audit.events import SOFTWARE_CONFIGURATION
from audit.trail import person
from commands.audited import done_by_person
from commands.bundle import checked, opened_registry
from commands.plain_table import plain_table
from commands.problem import ProblemError
from db import bundles
from db.bundles import BundleKey, NothingBeforeError
from db.models import BundleChoice
from db.states import BundleRole
from inference.bundle import load_bundle
from inference.worker.registry import key_of
from settings import Settings

CONFIGURED = "configured"
OFF = "off"
_SWAP = "Workers load it beside the bundle in use and then change over, without dropping a film."


def activate(settings: Settings, name: str, reason: str | None) -> str:
    """Choose the bundle whose readings are reported; return what was done.

    It is loaded and checked here first, so that one that cannot run is refused before any worker
    meets it.
    """
    with opened_registry(settings) as (registry, database):
        key = None
        if name != CONFIGURED:
            bundle = registry.find(name)
            checked(settings, bundle)
            key = key_of(bundle)
        with database.write() as session:
            holds = bundles.current(session, BundleRole.ACTIVE)
            if bundles.key_of(holds) == key and (holds is not None or key is None):
                return f"{_name(key)} is active already."
            now = database.now(session)
            bundles.activate(session, key, by=person(), reason=reason, now=now)
            _end_shadow_of_active(session, settings, now)
    _tell(settings, "active", key, reason)
    return f"{_name(key)} is active. {_SWAP}"


def roll_back(settings: Settings, reason: str | None) -> str:
    """Return to the bundle that was active before; return what was done."""
    with opened_registry(settings) as (registry, database), database.write() as session:
        now = database.now(session)
        try:
            chosen = bundles.roll_back(session, by=person(), reason=reason, now=now)
        except NothingBeforeError as error:
            raise ProblemError(str(error)) from None
        key = bundles.key_of(chosen)
        if key is not None:
            registry.load(key)  # one that is gone or damaged is refused, and nothing is recorded
        _end_shadow_of_active(session, settings, now)
    _tell(settings, "active again (rollback)", key, reason)
    return f"{_name(key)} is active again. {_SWAP}"


def shadow(settings: Settings, name: str, reason: str | None) -> str:
    """Choose the bundle that reads in shadow, or none; return what was done."""
    with opened_registry(settings) as (registry, database):
        key = None
        if name != OFF:
            bundle = registry.find(name)
            checked(settings, bundle)
            key = key_of(bundle)
        with database.write() as session:
            if key is not None and key == _chosen(session, settings):
                raise ProblemError(f"{_name(key)} is the active bundle; name another one")
            if _shadow(session) == key:
                return "Nothing reads in shadow." if key is None else f"{_name(key)} does already."
            now = database.now(session)
            bundles.shadow(session, key, by=person(), reason=reason, now=now)
    _tell(settings, "in shadow", key, reason)
    if key is None:
        return "Nothing reads in shadow any more. What was read stays for `hilum bundle compare`."
    return (
        f"{_name(key)} reads in shadow: every film from now on, and nothing of it is sent."
        " `hilum bundle compare` sets it beside the active one."
    )


def history(settings: Settings, limit: int) -> list[dict[str, Any]]:
    """List what was chosen, newest first, as plain data."""
    with opened_registry(settings) as (_, database), database.read() as session:
        return [_plain(choice) for choice in bundles.history(session, limit=limit)]


def print_history(found: list[dict[str, Any]], console: Console) -> None:
    """Print what was chosen, for people."""
    table = plain_table("since", "role", "bundle", "by", "why")
    for row in found:
        since = row["at"][:19].replace("T", " ")
        why = Text(row["reason"] or "")
        table.add_row(since, row["role"], Text(row["bundle"]), Text(row["by"]), why)
    console.print(table if found else "No bundle was ever chosen: the configured one reads.")


def _plain(choice: BundleChoice) -> dict[str, Any]:
    key = bundles.key_of(choice)
    nothing = CONFIGURED if choice.role is BundleRole.ACTIVE else OFF
    return {
        "at": choice.at.isoformat(),
        "role": choice.role.value,
        "bundle": nothing if key is None else f"{key.id}/{key.version}",
        "digest": choice.digest,
        "by": choice.by,
        "reason": choice.reason,
    }


def _chosen(session: Session, settings: Settings) -> BundleKey:
    """Return the bundle whose readings are reported: the activated one, else the configured one."""
    key = bundles.key_of(bundles.current(session, BundleRole.ACTIVE))
    return key or key_of(load_bundle(settings.worker.bundle))


def _shadow(session: Session) -> BundleKey | None:
    return bundles.key_of(bundles.current(session, BundleRole.SHADOW))


def _end_shadow_of_active(session: Session, settings: Settings, now: datetime) -> None:
    """Let the configured bundle read in shadow no longer where it is the active one again."""
    key = _shadow(session)
    if key is not None and key == _chosen(session, settings):
        reason = "it is the active bundle now"
        bundles.shadow(session, None, by=person(), reason=reason, now=now)


def _name(key: BundleKey | None) -> str:
    return "The configured bundle" if key is None else f"{key.id}/{key.version}"


def _tell(settings: Settings, role: str, key: BundleKey | None, reason: str | None) -> None:
    """Have the audit trail tell who chose which bundle."""
    digest = {} if key is None else {"Digest": key.digest}
    done_by_person(
        settings,
        SOFTWARE_CONFIGURATION,
        f"Bundle {role}: {_name(key) if key else 'none registered'}. {reason or ''}".strip(),
        details=digest,
    )
