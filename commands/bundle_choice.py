"""`hilum bundle activate`, `rollback`, `shadow`, `history`: which bundle reads, and since when."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from audit.events import SOFTWARE_CONFIGURATION
from audit.trail import person
from commands.audited import done_by_person
from commands.bundle import opened_registry
from commands.plain_table import plain_table
from commands.problem import ProblemError
from db import bundles
from db.bundles import BundleKey, NothingBeforeError
from db.models import BundleChoice
from db.states import BundleRole
from inference.worker.choosing import ChoiceError, Chooser, checked, name_of
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
            checked(settings.worker, bundle)
            key = key_of(bundle)
        if not Chooser(settings, registry, database, person(), reason).activate(key):
            return f"{_name(key)} is active already."
    _tell(settings, "active", key, reason)
    return f"{_name(key)} is active. {_SWAP}"


def roll_back(settings: Settings, reason: str | None) -> str:
    """Return to the bundle that was active before; return what was done."""
    with opened_registry(settings) as (registry, database):
        try:
            key = Chooser(settings, registry, database, person(), reason).roll_back()
        except NothingBeforeError as error:
            raise ProblemError(str(error)) from None
    _tell(settings, "active again (rollback)", key, reason)
    return f"{_name(key)} is active again. {_SWAP}"


def shadow(settings: Settings, name: str, reason: str | None) -> str:
    """Choose the bundle that reads in shadow, or none; return what was done."""
    with opened_registry(settings) as (registry, database):
        key = None
        if name != OFF:
            bundle = registry.find(name)
            checked(settings.worker, bundle)
            key = key_of(bundle)
        try:
            new = Chooser(settings, registry, database, person(), reason).shadow(key)
        except ChoiceError as error:
            raise ProblemError(str(error)) from None
        if not new:
            return "Nothing reads in shadow." if key is None else f"{_name(key)} does already."
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


def _name(key: BundleKey | None) -> str:
    return "The configured bundle" if key is None else name_of(key)


def _tell(settings: Settings, role: str, key: BundleKey | None, reason: str | None) -> None:
    """Have the audit trail tell who chose which bundle."""
    digest = {} if key is None else {"Digest": key.digest}
    done_by_person(
        settings,
        SOFTWARE_CONFIGURATION,
        f"Bundle {role}: {_name(key) if key else 'none registered'}. {reason or ''}".strip(),
        details=digest,
    )
