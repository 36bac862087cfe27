"""Where films come in by HTTP."""

from __future__ import annotations

from pydantic import Field, SecretStr, model_validator

from settings.fields import AETitle, Port, Section, is_this_machine
from settings.tls import WebServerTls


class Dicomweb(Section):
    """Where films come in by HTTP: STOW-RS (PS3.18 10.5), and nothing else."""

    enabled: bool = Field(False, description="Take films by STOW-RS; `hilum serve` starts it.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8081, description="TCP port; the service lies at /dicomweb.")
    source_ae: AETitle = Field(
        "STOW-RS", description="The source (as an AE title) that films are filed under."
    )
    token: SecretStr | None = Field(
        None,
        description="Bearer token (RFC 6750) that senders must show, or file:PATH or env:NAME that"
        " holds it; unset: anyone who reaches the port may send.",
    )
    max_request_bytes: int = Field(
        2_147_483_648, ge=1_048_576, description="Largest request taken, in bytes."
    )
    max_parts: int = Field(1000, ge=1, description="Files in one request at most.")
    max_requests: int = Field(
        16, ge=1, le=128, description="Requests at once; more are told to come again."
    )
    idle_timeout_seconds: float = Field(
        30, gt=0, description="Give up a request of which nothing more comes for this long."
    )
    request_timeout_seconds: float = Field(
        900, gt=0, description="Give up a request that has not come whole within this time."
    )
    tls: WebServerTls = WebServerTls.model_construct()

    @property
    def is_guarded(self) -> bool:
        """Whether senders must show a token or a certificate."""
        required = self.tls.enabled and self.tls.client_certificate == "required"
        return self.token is not None or required

    @property
    def is_in_the_clear(self) -> bool:
        """Whether others on the network can read tokens and films on their way here."""
        return not self.tls.enabled and not is_this_machine(self.host)

    @model_validator(mode="after")
    def _guarded_beyond_this_machine(self) -> Dicomweb:
        if not self.is_guarded and not is_this_machine(self.host):
            raise ValueError(
                'a token is needed, or tls with client_certificate = "required", where others than'
                " this machine reach the port (host)"
            )
        return self
