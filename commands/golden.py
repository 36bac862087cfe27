"""The film of the self-test, for the bundle in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from db import bundles
from db.session import Database
from db.states import BundleRole
from settings import Settings
from settings.destinations.sink import SELF_TEST_AE

if TYPE_CHECKING:
    from inference.golden_film import GoldenFilm


def next_film(settings: Settings, database: Database) -> GoldenFilm:
    """Make a film that is like no other for the bundle that workers read with.

    Raises:
        BundleError: the bundle cannot be used.
        SQLAlchemyError: the database failed.
    """
    # Only here, since a scheduler without a self-test needs none of it, and it takes memory.
    from inference.bundle import for_site, load_bundle
    from inference.golden_film import golden_film
    from inference.worker.registry import Registry

    with database.read() as session:
        key = bundles.key_of(bundles.current(session, BundleRole.ACTIVE))
    chosen = Registry(settings.data_path).load(key) if key else load_bundle(settings.worker.bundle)
    bundle = for_site(chosen, settings.worker.prevalence)
    return golden_film(bundle, SELF_TEST_AE, settings.eligibility)
