"""The whole configuration as one frozen model."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from settings.archives import AnyArchive
from settings.cluster import Ray
from settings.console import Console
from settings.destinations import AnyDestination, Destination
from settings.destinations.sink import SELF_TEST_AE, SINK
from settings.dicomweb import Dicomweb
from settings.fields import DatabaseURL, drop_unset
from settings.monitoring import Alarms, Metrics, SelfTest
from settings.peers import Peer
from settings.sections import (
    Audit,
    Backup,
    Delivery,
    Eligibility,
    Listener,
    Priority,
    Report,
    Retention,
    Worker,
)
from settings.storage import Storage, StorageURL


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
    storage_url: StorageURL | None = Field(
        None,
        description="Where films and results are kept: s3://bucket/prefix; unset: inside data_dir.",
    )
    study_quiet_seconds: float = Field(
        3, ge=0, description="A study without a new film for this long is reported."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="What is logged to standard error."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="How it is logged: lines for people, or a JSON object a line."
    )
    storage: Storage = Storage.model_construct()
    listener: Listener = Listener.model_construct()
    dicomweb: Dicomweb = Dicomweb.model_construct()
    console: Console = Console.model_construct()
    worker: Worker = Worker.model_construct()
    eligibility: Eligibility = Eligibility.model_construct()
    report: Report = Report.model_construct()
    priority: Priority = Priority.model_construct()
    delivery: Delivery = Delivery.model_construct()
    retention: Retention = Retention.model_construct()
    audit: Audit = Audit.model_construct()
    backup: Backup = Backup.model_construct()
    metrics: Metrics = Metrics.model_construct()
    alarms: Alarms = Alarms.model_construct()
    self_test: SelfTest = SelfTest.model_construct()
    ray: Ray = Ray.model_construct()
    destinations: tuple[AnyDestination, ...] = ()
    peers: tuple[Peer, ...] = ()
    archives: tuple[AnyArchive, ...] = ()

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[Any, ...]:
        """Take values from the constructor alone: `load` merges the sources itself."""
        return (sources["init_settings"],)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, values: object) -> object:
        return drop_unset(cls, values)

    @field_validator("destinations", "archives")
    @classmethod
    def _names_are_unique(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [each.name for each in value]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"the name {sorted(twice)[0]!r} stands twice")
        return value

    @field_validator("peers")
    @classmethod
    def _nobody_is_the_self_test(cls, value: tuple[Peer, ...]) -> tuple[Peer, ...]:
        if any(peer.ae_title == SELF_TEST_AE for peer in value):
            raise ValueError(f"{SELF_TEST_AE} is the self-test's own AE title; no peer may have it")
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

    @property
    def associations_per_address(self) -> int:
        """How many associations may be of one address at once."""
        most = self.listener.max_associations
        addresses = {ip_network(peer.address, strict=False) for peer in self.peers}
        is_one = len(addresses) == 1 and addresses.pop().num_addresses == 1
        return self.listener.max_associations_per_address or (most if is_one else -(-most // 2))

    @property
    def sources(self) -> frozenset[str]:
        """The sources that are configured: of peers, of archives, of STOW-RS."""
        by_web = {self.dicomweb.source_ae} if self.dicomweb.enabled else set[str]()
        peers = {peer.ae_title for peer in self.peers}
        return frozenset(peers | {archive.ae_title for archive in self.archives} | by_web)

    @property
    def roles(self) -> list[str]:
        """The roles that `hilum serve` runs, by their commands."""
        web = ["dicomweb"] if self.dicomweb.enabled else []
        console = ["console"] if self.console.enabled else []
        return ["listen", "work", "deliver", "schedule", *web, *console]

    def recipients(self, source_ae: str, source_address: str) -> list[Destination]:
        """List the destinations that results of a study from this sender may go to.

        Those of our own films, which the self-test sends, end in a sink.
        """
        if source_ae == SELF_TEST_AE:
            return [SINK]
        found = [
            destination
            for destination in self.destinations
            if not destination.sources or source_ae in destination.sources
        ]
        back = self._return_to(source_ae, source_address)
        return found if back is None else [*found, back]

    def profiles(
        self,
        source_ae: str,
        source_address: str,
        *,
        positive: bool = True,
        told: Collection[str] = (),
    ) -> dict[str, tuple[str, ...]]:
        """Map the names of the destinations that get a study's results to their output profiles.

        Where results return to the sender, the name is `AE@address`.

        Args:
            source_ae, source_address: of the study's sender.
            positive: whether the finding is positive. Where it is not (also where nothing could be
                read), destinations of positive results only get nothing.
            told: names of those that got an earlier revision: they get every later one, whatever
                it says, so that no finding stands there that has been taken back.
        """
        return {
            each.name: each.objects
            for each in self.recipients(source_ae, source_address)
            if each.results == "all" or positive or each.name in told
        }

    def destination(self, name: str) -> Destination | None:
        """Return the destination of this name; None where it is not configured.

        A sender that its results return to is a destination too, by the name `AE@address`.
        """
        for destination in (SINK, *self.destinations):
            if destination.name == name:
                return destination
        ae_title, at, address = name.rpartition("@")
        return self._return_to(ae_title, address) if at else None

    def peer(self, ae_title: str, address: str) -> Peer | None:
        """Return the configured peer that calls by this AE title from this address."""
        for peer in self.peers:
            if peer.ae_title == ae_title and peer.covers(address):
                return peer
        return None

    def _return_to(self, source_ae: str, source_address: str) -> Destination | None:
        peer = self.peer(source_ae, source_address)
        return None if peer is None else peer.destination(source_address)
