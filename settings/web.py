"""What everything that is called by HTTP has in common: its URL, our login, certificates."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from settings.fields import Section, is_this_machine
from settings.tls import Trust


def _url(value: str) -> str:
    """Check a URL; the message does not show it, since a wrong one may hold a password."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("a URL that starts with http:// or https:// and names a host is needed")
    if parts.username or parts.password:
        raise ValueError("a URL holds no login; use username and password, or token")
    if parts.query or parts.fragment:
        raise ValueError("a URL without ? and # is needed")
    return value.rstrip("/")


Url = Annotated[str, AfterValidator(_url)]


class WebPeer(Section):
    """A peer that is called by HTTP: with a bearer token, user name and password, or neither."""

    url: Url = Field(description="Its URL.", examples=["https://127.0.0.1"])
    token: SecretStr | None = Field(
        None, description="Bearer token (RFC 6750), or file:PATH or env:NAME that holds it."
    )
    username: str | None = Field(None, description="User name (basic authentication, RFC 7617).")
    password: SecretStr | None = Field(
        None, description="The user's password, or file:PATH or env:NAME that holds it."
    )
    proxy: Url | None = Field(
        None, description="URL of the proxy that it is called through; unset: directly."
    )
    tls: Trust = Trust.model_construct()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password need each other")
        if self.token is not None and self.username is not None:
            raise ValueError("token and username exclude each other")
        if self.tls != Trust() and self.trust is None:
            raise ValueError("tls needs a URL that starts with https://")
        return self

    @property
    def trust(self) -> Trust | None:
        """The keys of `tls`, where the URL is secured by it."""
        return self.tls if self.url.startswith("https:") else None

    @property
    def sends_login_in_the_clear(self) -> bool:
        """Whether others on the network can read our login."""
        parts = urlsplit(self.url)
        logs_in = self.token is not None or self.username is not None
        return logs_in and parts.scheme == "http" and not is_this_machine(parts.hostname or "")
