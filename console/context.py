"""What every page and every call of the API needs, handed in once where the console starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from audit import Trail
from console.pictures.shown import Pictures
from console.security.pace import Pace
from console.security.passwords import Passwords
from console.security.seen import Seen
from db.files import FileStore
from db.live import Live
from db.session import Database
from settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """The settings of each moment, and what the console works with."""

    live: Live
    database: Database
    files: FileStore
    trail: Trail
    passwords: Passwords
    seen: Seen
    pictures: Pictures
    pace: Pace = field(default_factory=Pace)

    @property
    def settings(self) -> Settings:
        """The settings in effect."""
        return self.live()

    @property
    def origins(self) -> Mapping[str, str]:
        """Where each of them comes from; what is not there is a default."""
        return self.live.loaded.origins

    def now(self) -> datetime:
        """Return the present by the database's clock, aware and in UTC."""
        with self.database.read() as session:
            return self.database.now(session)


def context_of(connection: HTTPConnection) -> Context:
    """Return the context of the application that answers."""
    found = connection.app.state.context
    assert isinstance(found, Context)
    return found


ContextDep = Annotated[Context, Depends(context_of)]
