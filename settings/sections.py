"""The tables of the configuration of which there is one each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from settings.fields import AETitle, Network, Port, Section
from settings.tls import ServerTls, Trust

# What the decoders of `inference.decode` can decode; a test decodes one film of each.
TRANSFER_SYNTAXES: tuple[str, ...] = (
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless SV1
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.201",  # HTJ2K Lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K Lossless RPCL
    "1.2.840.10008.1.2.4.203",  # HTJ2K
    "1.2.840.10008.1.2.5",  # RLE Lossless
)


def _number_if_it_is(value: object) -> object:
    """Read text as a number where it is one: a variable holds nothing but text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _a_probability(value: str | float | None) -> str | float | None:
    if isinstance(value, float) and not 0 <= value <= 1:
        raise ValueError("a probability lies between 0 and 1")
    return value


class Listener(Section):
    """Where films come in."""

    host: str = Field("0.0.0.0", description="Address to listen on.")
    port: Port = Field(11112, description="TCP port of the DICOM listener.")
    ae_title: AETitle = Field("HILUM", description="Our AE title, called and calling.")
    any_called_ae_title: bool = Field(
        False, description="Accept associations that call us by another AE title too."
    )
    processes: int = Field(
        1,
        ge=1,
        le=16,
        description="Processes that listen on the port. Their associations count together;"
        " connections that wait, and metrics where `hilum listen` runs alone (process n at"
        " metrics.port + n - 1), are of each. On SQLite more than 2 only wait for each other.",
    )
    max_associations: int = Field(
        50, ge=1, le=500, description="Associations at once; more are refused as transient."
    )
    max_associations_per_address: int = Field(
        0,
        ge=0,
        le=500,
        description="How many of them may be of one address; 0: half of them, or all where all"
        " peers have the same one address.",
    )
    max_waiting: int = Field(
        128,
        ge=2,
        le=256,
        description="Connections at once that have not asked for an association yet; one more takes"
        " the place of the one that has waited longest.",
    )
    max_waiting_per_address: int = Field(
        64, ge=1, le=256, description="How many of them may be of one address."
    )
    proxy_protocol_from: tuple[Network, ...] = Field(
        (),
        description="Addresses or networks of load balancers, whose connections must begin with the"
        " PROXY protocol (v1 or v2): senders are known by the address that it names. They may call"
        " by any AE title themselves, for an echo alone; empty: there are none.",
    )
    max_pdu_bytes: int = Field(
        262_144, ge=4096, le=16_777_216, description="Largest PDU that peers may send, in bytes."
    )
    max_dataset_bytes: int = Field(
        536_870_912,
        ge=1_048_576,
        description="Largest data set taken, in bytes (deflated ones: after inflation).",
    )
    max_buffered_bytes: int = Field(
        1_073_741_824,
        ge=1_048_576,
        description="Memory for the data sets that all associations are sending, in bytes. Half of"
        " it is shared out among max_associations; who needs more than its part waits where the"
        " other half is used up, but for the one that went beyond its part first.",
    )
    min_free_bytes: int = Field(
        1_073_741_824,
        ge=0,
        description="Free bytes in data_dir below which new associations are refused as transient.",
    )
    acse_timeout_seconds: float = Field(5, gt=0, description="Wait for association messages.")
    dimse_timeout_seconds: float = Field(30, gt=0, description="Wait for a DIMSE message.")
    network_timeout_seconds: float = Field(60, gt=0, description="Close a silent association.")
    pdu_timeout_seconds: float = Field(
        60,
        gt=0,
        description="Close an association of which one PDU takes this long to come or to be taken.",
    )
    transfer_syntaxes: tuple[str, ...] = Field(
        TRANSFER_SYNTAXES,
        min_length=1,
        description="Transfer syntax UIDs to accept; the default is all that can be decoded.",
    )
    tls: ServerTls = ServerTls.model_construct()

    @field_validator("transfer_syntaxes")
    @classmethod
    def _only_decodable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = set(value) - set(TRANSFER_SYNTAXES)
        if unknown:
            raise ValueError(f"no decoder here for {', '.join(sorted(unknown))}")
        return value


class Worker(Section):
    """How films are read."""

    bundle: Path | None = Field(None, description="Model bundle folder; unset: the packaged one.")
    runtime: Literal["auto", "tensorflow", "openvino"] = Field(
        "auto", description="What runs the network; auto: TensorFlow on a GPU, OpenVINO on a CPU."
    )
    threads: int = Field(0, ge=0, description="CPU threads of the network; 0: one per core.")
    batch_size: int = Field(16, ge=1, le=256, description="Films per network call at most.")
    decode_processes: int = Field(
        0, ge=0, le=64, description="Child processes that decode films; 0: one per core, at most 8."
    )
    decode_timeout_seconds: float = Field(
        60, gt=0, description="Time one film may take to decode before its process is ended."
    )
    decode_memory_bytes: int = Field(
        4_294_967_296, ge=536_870_912, description="Address space of one decoding process."
    )
    max_pixels: int = Field(
        50_000_000,
        ge=1024,
        description="Largest image read, in pixels (rows x columns); one takes about 10 bytes of"
        " memory each while it is decoded. Films of the chest have up to 20 million.",
    )
    prevalence: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of lung opacity (0 to 1) among the films of this site, to which"
        " probabilities are adjusted; unset: they stay as the bundle is calibrated.",
    )
    lease_seconds: float = Field(
        30, gt=1, description="A task whose worker is silent for this long is given to another."
    )
    max_attempts: int = Field(3, ge=1, description="Attempts before a task is quarantined.")

    @property
    def processes(self) -> int:
        """How many child processes decode: as configured, else one per core, at most 8."""
        return self.decode_processes or min(8, len(os.sched_getaffinity(0)))


class Eligibility(Section):
    """Which films may be read at all; others are reported as not analysed."""

    modalities: tuple[str, ...] = Field(
        ("CR", "DX", "DR", "RG"), description="Modality values that are radiographs."
    )
    min_age_years: int = Field(
        18, ge=0, le=120, description="Younger patients are not analysed; 0: no limit."
    )


class Report(Section):
    """How results look."""

    sc_max_side: int = Field(
        0, ge=0, description="Longest side of the overlay image, in pixels; 0: the film's own size."
    )
    sc_jpeg_quality: int = Field(90, ge=50, le=100, description="JPEG quality of the overlay.")


class Priority(Section):
    """What goes first."""

    positive_first: bool = Field(
        True, description="Positive studies are read on, reported and delivered before others."
    )
    operating_point: Annotated[
        str | float | None, BeforeValidator(_number_if_it_is), AfterValidator(_a_probability)
    ] = Field(
        None,
        description="From where on a positive is urgent: the name of one of the bundle's operating"
        " points, or a probability (0 to 1); unset: every positive is.",
    )


class Delivery(Section):
    """How results leave."""

    batch_size: int = Field(32, ge=1, description="Objects sent over one association at most.")
    backoff_seconds: float = Field(5, gt=0, description="Wait after the first failed attempt.")
    backoff_max_seconds: float = Field(
        600, gt=0, description="Longest wait between attempts; each failure doubles the wait."
    )
    timeout_seconds: float = Field(30, gt=0, description="Wait for a peer's answer.")
    commitment_timeout_seconds: float = Field(
        3600,
        gt=0,
        description="Ask again for storage commitment that has not come for this long; each time"
        " doubles the wait.",
    )


class Retention(Section):
    """What is deleted, and when. Off by default."""

    days: int = Field(
        0, ge=0, description="Delete studies this many days after they were reported; 0: never."
    )
    integrity_check_hour: int = Field(
        3, ge=0, le=23, description="Hour (UTC) of the daily check of files against their digests."
    )


class Backup(Section):
    """How backups are encrypted; where `hilum schedule` makes one each day, and which are kept."""

    passphrase: SecretStr | None = Field(
        None, description="Passphrase of backups (or file:, env:); without it none is made."
    )
    folder: Path | None = Field(
        None, description="Folder that a backup is written to each day; unset: none is."
    )
    hour: int = Field(1, ge=0, le=23, description="Hour (UTC) from which it is made.")
    keep_days: int = Field(
        30,
        ge=0,
        description="Backups of the folder that are older are deleted, in days; 0: none is. The"
        " newest stays, and where it is not whole, all stay.",
    )

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if self.folder is not None and self.passphrase is None:
            raise ValueError("a folder needs a passphrase: backups are encrypted")
        return self


class Syslog(Section):
    """Where audit records go beside the file (RFC 5424)."""

    host: str | None = Field(None, description="Host name or address; unset: nowhere.")
    port: Port = Field(6514, description="Port; 6514 is that of syslog over TLS, 514 that of UDP.")
    transport: Literal["tls", "udp"] = Field(
        "tls", description="tls (RFC 5425), or udp (RFC 5426): neither secret nor sure to arrive."
    )
    tls: Trust = Trust.model_construct()


class Audit(Section):
    """The audit trail (PS3.15 A.5)."""

    enabled: bool = Field(True, description="Keep audit records in data_dir/audit.")
    source_id: str = Field(
        "", description="Name of this installation in the records; empty: AE title@machine."
    )
    syslog: Syslog = Syslog.model_construct()
