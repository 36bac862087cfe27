"""What is told of how Hilum is doing: metrics and health."""

from __future__ import annotations

from pydantic import Field

from settings.fields import Port, Section


class Metrics(Section):
    """Prometheus metrics and health, served by HTTP at /metrics, /health/live, /health/ready."""

    enabled: bool = Field(False, description="Serve metrics and health.")
    host: str = Field(
        "127.0.0.1",
        description="Address to listen on. There is no login, and no patient data to be had.",
    )
    port: Port = Field(9464, description="TCP port; of all roles together below `hilum serve`.")


class Alarms(Section):
    """When somebody is to be told that something is wrong."""

    queue_minutes: float = Field(
        15, ge=0, description="A film or report that waits for longer is an alarm; 0: never."
    )
