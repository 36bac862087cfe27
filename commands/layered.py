"""The settings with what was changed in the console, for commands that only look."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from db import changes
from db.configuration import ConfigurationChange
from db.session import Database
from settings import Loaded
from settings.layers import with_layers


def layered(loaded: Loaded) -> tuple[Loaded, str | None]:
    """Return the settings in effect, and a sentence where they cannot be known.

    No database is made for this, and none is brought to another version.

    Raises:
        SettingsError: what was changed in the console does not fit.
    """
    url = make_url(loaded.settings.database)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        return loaded, None
    with closing(Database(loaded.settings.database)) as database:
        try:
            if not inspect(database.engine).has_table(ConfigurationChange.__tablename__):
                return loaded, None
            with database.read() as session:
                layers = changes.layers(session)
        except SQLAlchemyError as error:
            what = f"The database does not answer ({type(error).__name__})"
            return loaded, f"{what}: what was changed in the console is left out."
    return with_layers(loaded, layers), None
