"""Where people look: the console, and how they log in there."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from settings.fields import Network, Port, Section, is_this_machine
from settings.tls import WebServerTls
from settings.web import Url


class Oidc(Section):
    """Login by an identity provider (OpenID Connect), beside that by password."""

    issuer: Url | None = Field(
        None, description="URL of the provider, as it names itself; unset: there is none."
    )
    client_id: str | None = Field(None, description="What the provider knows the console by.")
    client_secret: SecretStr | None = Field(
        None, description="Its secret there, or file:PATH or env:NAME that holds it."
    )
    scopes: tuple[str, ...] = Field(
        ("openid", "profile"), description="Scopes to ask for; openid is among them."
    )
    name_claim: str = Field(
        "preferred_username", description="The claim that holds the user's name."
    )
    role_claim: str = Field(
        "groups", description="The claim that holds groups or roles, in the ID token or userinfo."
    )
    readers: tuple[str, ...] = Field((), description="Groups whose members are readers.")
    operators: tuple[str, ...] = Field((), description="Groups whose members are operators.")
    admins: tuple[str, ...] = Field((), description="Groups whose members are administrators.")
    redirect_uri: Url | None = Field(
        None,
        description="Where the provider sends browsers back to: the console's own address and"
        " /login/oidc/back; unset: the address that the browser has called.",
    )
    ca: Path | None = Field(
        None, description="PEM file of the CA that signed the provider; unset: the system's CAs."
    )
    label: str = Field("Log in with your account of the house", description="What the button says.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.issuer is not None and self.client_id is None:
            raise ValueError("client_id is needed where there is an issuer")
        if "openid" not in self.scopes:
            raise ValueError("scopes hold openid, else it is no OpenID Connect")
        if self.issuer is not None and not (self.readers or self.operators or self.admins):
            raise ValueError("readers, operators or admins are needed: else nobody has a role")
        return self


class Console(Section):
    """The console: pages and a REST API over the history, for who has a login."""

    enabled: bool = Field(False, description="Whether `hilum serve` runs the console.")
    host: str = Field("127.0.0.1", description="Address of the console.")
    port: Port = Field(8080, description="TCP port of the console.")
    idle_minutes: float = Field(
        30, gt=0, description="Who does nothing for this long is logged out, in minutes."
    )
    session_hours: float = Field(
        12, gt=0, description="Everybody is logged out this long after the login, in hours."
    )
    requests_per_minute: int = Field(
        1200,
        gt=0,
        description="How many requests to the API a token or a login may make in a minute.",
    )
    proxies: tuple[Network, ...] = Field(
        (),
        description="Addresses or networks of reverse proxies, whose X-Forwarded-For and"
        " X-Forwarded-Proto are believed.",
    )
    tls: WebServerTls = WebServerTls.model_construct()
    oidc: Oidc = Oidc.model_construct()

    @property
    def is_in_the_clear(self) -> bool:
        """Whether others on the network can read passwords and patient data on their way.

        Where a reverse proxy stands before it, TLS is that one's affair.
        """
        return not (self.tls.enabled or self.proxies or is_this_machine(self.host))
