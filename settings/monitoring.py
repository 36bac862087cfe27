"""What is told of how Hilum is doing: metrics and health, alarms, the self-test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from settings.destinations.webhook import usable_secret
from settings.fields import Port, Section
from settings.tls import Trust
from settings.web import Url, WebPeer


class Metrics(Section):
    """Prometheus metrics and health, served by HTTP at /metrics, /health/live, /health/ready."""

    enabled: bool = Field(False, description="Serve metrics and health.")
    host: str = Field(
        "127.0.0.1",
        description="Address to listen on. There is no login, and no patient data to be had.",
    )
    port: Port = Field(9464, description="TCP port; of all roles together below `hilum serve`.")


class AlarmWebhook(Section):
    """A URL that alarms are posted to, signed as Standard Webhooks says."""

    url: Url | None = Field(None, description="Where to post; unset: nowhere.")
    secret: Annotated[SecretStr, AfterValidator(usable_secret)] | None = Field(
        None,
        description="What requests are signed with, or file:PATH or env:NAME that holds it: whsec_"
        " and the base64 of 24 to 64 bytes.",
    )
    tls: Trust = Trust.model_construct()

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if (self.url is None) != (self.secret is None):
            raise ValueError("url and secret need each other")
        return self

    @property
    def peer(self) -> WebPeer | None:
        """Whom to call; None where nobody is."""
        return None if self.url is None else WebPeer(url=self.url, tls=self.tls)


class AlarmMail(Section):
    """A mail server that takes alarms (RFC 6409)."""

    host: str | None = Field(None, description="Its name or address; unset: no mail is sent.")
    port: Port = Field(587, description="Its TCP port.")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How mail is secured: by STARTTLS, by TLS from the start, not."
    )
    ca: Path | None = Field(
        None, description="PEM file of the CA that signed the server; unset: the system's CAs."
    )
    username: str | None = Field(None, description="Our user name there, if it wants one.")
    password: SecretStr | None = Field(
        None, description="The user's password, or file:PATH or env:NAME that holds it."
    )
    sender: str = Field("hilum@localhost", description="Whom mail comes from.")
    recipients: tuple[str, ...] = Field((), description="Who gets it.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password need each other")
        if self.username is not None and self.security == "none":
            raise ValueError('a password would be sent unencrypted; use security = "starttls"')
        if self.host is not None and not self.recipients:
            raise ValueError("recipients are needed")
        return self


class Alarms(Section):
    """When somebody is to be told that something is wrong, and who."""

    queue_minutes: float = Field(
        15, ge=0, description="A film or report that waits for longer is an alarm; 0: never."
    )
    destination_minutes: float = Field(
        30, ge=0, description="An object that a destination lacks for longer is one; 0: never."
    )
    free_bytes: int = Field(
        5_368_709_120, ge=0, description="Less room than this in data_dir is one, in bytes."
    )
    quarantine: bool = Field(True, description="Whether a task that is set aside is one.")
    webhook: AlarmWebhook = AlarmWebhook.model_construct()
    mail: AlarmMail = AlarmMail.model_construct()


class SelfTest(Section):
    """A film of our own that goes the whole way again and again, and to no destination."""

    every_minutes: float = Field(
        0, ge=0, description="How often it is sent, by `hilum schedule`; 0: never."
    )
    timeout_seconds: float = Field(
        300, gt=0, description="A film that has not come the whole way by then has failed."
    )
    host: str = Field("127.0.0.1", description="Address of the listener that it is sent to.")
