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
from db.session import Database
from settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """Settings, where each of them comes from, and what the console works with."""

    settings: Settings
    origins: Mapping[str, str]
    database: Database
    files: FileStore
    trail: Trail
    passwords: Passwords
    seen: Seen
    pictures: Pictures
    pace: Pace = field(default_factory=Pace)

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
