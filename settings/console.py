"""Where people look: the console, and how they log in there."""

from __future__ import annotations

from pydantic import Field

from settings.fields import Network, Port, Section, is_this_machine
from settings.tls import WebServerTls


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

    @property
    def is_in_the_clear(self) -> bool:
        """Whether others on the network can read passwords and patient data on their way.

        Where a reverse proxy stands before it, TLS is that one's affair.
        """
        return not (self.tls.enabled or self.proxies or is_this_machine(self.host))
