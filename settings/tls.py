"""TLS: what we show to others, and whom we believe."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from settings.fields import Port, Section


class WebServerTls(Section):
    """TLS 1.2 or 1.3, where we are called: what we show, and whom we believe."""

    enabled: bool = Field(False, description="Whether connections are secured by TLS.")
    certificate: Path | None = Field(
        None, description="PEM file of our certificate, with those that lead to its CA."
    )
    key: Path | None = Field(
        None, description="PEM file of its private key; unset: it stands in the certificate's file."
    )
    key_password: SecretStr | None = Field(
        None, description="Password of the private key, where it has one (or file:, env:)."
    )
    ca: Path | None = Field(None, description="PEM file of the CAs that sign our peers.")
    client_certificate: Literal["none", "optional", "required"] = Field(
        "none", description="Whether peers show a certificate; one that is shown must be good."
    )
    client_names: tuple[str, ...] = Field(
        (),
        description="Names (DNS or common name) that peers' certificates may carry; empty: any.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.enabled and self.certificate is None:
            raise ValueError("TLS needs a certificate; `hilum tls-selfsigned` makes one for trials")
        if self.client_certificate != "none" and self.ca is None:
            raise ValueError("ca is needed to check the certificates of peers")
        if self.client_names and self.client_certificate != "required":
            raise ValueError('client_names need client_certificate = "required"')
        return self


class ServerTls(WebServerTls):
    """DICOM over TLS 1.2 or 1.3, on a port of its own (PS3.15 B.12)."""

    enabled: bool = Field(False, description="Listen for DICOM over TLS too.")
    port: Port = Field(2762, description="TCP port of DICOM over TLS.")
    only: bool = Field(
        False, description="Without TLS, listen to this machine alone (for its own health check)."
    )
    handshake_timeout_seconds: float = Field(
        5, gt=0, description="Close a connection that is not secured within this time."
    )

    @model_validator(mode="after")
    def _something_to_listen_on(self) -> Self:
        if self.only and not self.enabled:
            raise ValueError("only without enabled would leave nothing to listen on")
        return self


class Trust(Section):
    """TLS 1.2 or 1.3, where we call: whom we believe, and what we show."""

    ca: Path | None = Field(
        None, description="PEM file of the CA that signed the peer; unset: the system's CAs."
    )
    certificate: Path | None = Field(
        None, description="PEM file of our certificate, where the peer asks for one."
    )
    key: Path | None = Field(
        None, description="PEM file of its private key; unset: it stands in the certificate's file."
    )
    key_password: SecretStr | None = Field(
        None, description="Password of the private key, where it has one (or file:, env:)."
    )
    check_hostname: bool = Field(
        True,
        description="Whether the peer's certificate must name it; off: any that the CA signed.",
    )

    @model_validator(mode="after")
    def _key_of_a_certificate(self) -> Self:
        if self.key is not None and self.certificate is None:
            raise ValueError("a key without a certificate is of no use")
        return self


class ClientTls(Trust):
    """TLS 1.2 or 1.3, where we call (for DICOM: PS3.15 B.12)."""

    enabled: bool = Field(False, description="Call by TLS; it is never fallen back from.")
    server_name: str | None = Field(
        None, description="The name that its certificate must carry; unset: its host."
    )
