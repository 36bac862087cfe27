"""Who may send."""

from __future__ import annotations

import ipaddress
from typing import Literal

from pydantic import Field, model_validator

from settings.destinations import DicomDestination
from settings.destinations.imaging import ImagingProfile
from settings.fields import AETitle, Network, Port, Section
from settings.tls import ClientTls


class _Caller(Section):
    """Whom a peer's association comes from, and where it listens itself."""

    ae_title: AETitle = Field(description="The calling AE title.", examples=["MODALITY1"])
    address: Network = Field("0.0.0.0/0", description="Address or network it calls from.")
    port: Port | None = Field(
        None, description="Its own listener's port, where results are returned to."
    )
    return_results: bool = Field(
        False, description="Send the results of its films back to it, at the address it sent from."
    )


class Peer(ImagingProfile, _Caller):
    """Who may send."""

    results: Literal["all", "positive"] = Field(
        "all",
        description="Which results return to it: all, or those of positive studies only (and what"
        " corrects them later).",
    )
    commit: bool = Field(
        False,
        description="Ask it to commit itself to the storage of what is returned (PS3.4 annex J).",
    )
    tls: ClientTls = ClientTls.model_construct()

    def covers(self, address: str) -> bool:
        """Tell whether an address lies in the peer's network."""
        try:
            host = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(host, "ipv4_mapped", None)
        return (mapped or host) in ipaddress.ip_network(self.address, strict=False)

    def destination(self, address: str) -> DicomDestination | None:
        """Return where the results of its films from this address return to; None: nowhere."""
        if not self.return_results or self.port is None:
            return None
        return DicomDestination.model_construct(
            name=f"{self.ae_title}@{address}",
            ae_title=self.ae_title,
            host=address,
            port=self.port,
            results=self.results,
            commit=self.commit,
            tls=self.tls,
            **{key: getattr(self, key) for key in ImagingProfile.model_fields},
        )

    @model_validator(mode="after")
    def _port_for_return(self) -> Peer:
        if self.return_results and self.port is None:
            raise ValueError("return_results needs the peer's port")
        return self
