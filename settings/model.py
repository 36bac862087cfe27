"""The whole configuration as one frozen model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from settings.destinations import Destination
from settings.fields import DatabaseURL, ObjectKind, drop_unset
from settings.peers import Peer
from settings.sections import (
    Console,
    Delivery,
    Eligibility,
    Listener,
    Report,
    Retention,
    Worker,
)


class Settings(BaseSettings):
    """All of Hilum's configuration, validated and frozen."""

    model_config = SettingsConfigDict(
        env_prefix="HILUM_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    data_dir: Path = Field(
        Path("~/.local/share/hilum"), description="Folder that everything we keep lies below."
    )
    database_url: DatabaseURL | None = Field(
        None, description="SQLAlchemy URL (sqlite or postgresql+psycopg); unset: inside data_dir."
    )
    study_quiet_seconds: float = Field(
        3, ge=0, description="A study without a new film for this long is reported."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="What is logged to standard error."
    )
    listener: Listener = Listener.model_construct()
    console: Console = Console.model_construct()
    worker: Worker = Worker.model_construct()
    eligibility: Eligibility = Eligibility.model_construct()
    report: Report = Report.model_construct()
    delivery: Delivery = Delivery.model_construct()
    retention: Retention = Retention.model_construct()
    destinations: tuple[Destination, ...] = ()
    peers: tuple[Peer, ...] = ()

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[Any, ...]:
        """Take values from the constructor alone: `load` merges the sources itself."""
        return (sources["init_settings"],)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, values: object) -> object:
        return drop_unset(cls, values)

    @field_validator("destinations")
    @classmethod
    def _names_are_unique(cls, value: tuple[Destination, ...]) -> tuple[Destination, ...]:
        names = [destination.name for destination in value]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"the name {sorted(twice)[0]!r} stands twice")
        return value

    @property
    def data_path(self) -> Path:
        """`data_dir`, absolute and with `~` resolved."""
        return self.data_dir.expanduser().absolute()

    @property
    def database(self) -> str:
        """The database URL in effect, password included."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_path / 'hilum.sqlite'}"

    def profiles(self, source_ae: str, source_address: str) -> dict[str, tuple[ObjectKind, ...]]:
        """Map the names of the destinations that get a study's results to their output profiles.

        `source_ae` and `source_address` are those of the study's sender. Where results return to
        the sender, the name is `AE@address`.
        """
        found = {
            destination.name: destination.objects
            for destination in self.destinations
            if not destination.sources or source_ae in destination.sources
        }
        peer = self.peer(source_ae, source_address)
        if peer is not None and peer.return_results:
            found[f"{peer.ae_title}@{source_address}"] = peer.objects
        return found

    def route(self, name: str) -> Route | None:
        """Return where the destination of this name is reached; None where it is not configured."""
        for destination in self.destinations:
            if destination.name == name:
                return Route(
                    name,
                    destination.ae_title,
                    destination.host,
                    destination.port,
                    destination.calling_ae_title or self.listener.ae_title,
                )
        ae_title, at, address = name.rpartition("@")
        peer = self.peer(ae_title, address) if at else None
        if peer is None or not peer.return_results or peer.port is None:
            return None
        return Route(name, peer.ae_title, address, peer.port, self.listener.ae_title)

    def peer(self, ae_title: str, address: str) -> Peer | None:
        """Return the configured peer that calls by this AE title from this address."""
        for peer in self.peers:
            if peer.ae_title == ae_title and peer.covers(address):
                return peer
        return None


@dataclass(frozen=True, slots=True)
class Route:
    """How a destination is reached: whom to call, where, and by which AE title of ours."""

    name: str
    ae_title: str
    host: str
    port: int
    calling_ae_title: str
