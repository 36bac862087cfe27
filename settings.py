"""One typed configuration: `hilum.toml`, `HILUM_*` variables, command line; later ones win.

Every key has a default, its unit and one sentence. `load()` is the only way in; a bad value raises
`SettingsError` with a message that names the key and the place it came from.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

CONFIG_VARIABLE = "HILUM_CONFIG"
DEFAULT_CONFIG = Path("hilum.toml")

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


class SettingsError(Exception):
    """A setting is wrong; the message names the key, where it came from and what is expected."""


def _ae_title(value: str) -> str:
    """Check an AE title: PS3.5 6.2, 1 to 16 characters, no backslash or control characters."""
    text = value.strip(" ")
    if not 1 <= len(text) <= 16 or "\\" in text or not text.isascii() or not text.isprintable():
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return text


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("an IP address or a network such as 10.0.0.0/24 is needed") from None
    return value


def _database_url(value: SecretStr) -> SecretStr:
    """Check the kind of database; the message never shows the URL, which may hold a password."""
    if not value.get_secret_value().startswith(("sqlite:", "postgresql+psycopg:")):
        raise ValueError("a URL that starts with sqlite: or postgresql+psycopg: is needed")
    return value


AETitle = Annotated[str, AfterValidator(_ae_title)]
DatabaseURL = Annotated[SecretStr, AfterValidator(_database_url)]
Network = Annotated[str, AfterValidator(_network)]
Port = Annotated[int, Field(ge=1, le=65535)]
ObjectKind = Literal["sr", "sc"]


def _drop_unset(model: type[BaseModel], values: object) -> object:
    """Leave out the keys that may be unset and are empty, so that "" means unset in any source."""
    if not isinstance(values, Mapping):
        return values
    unset = {name for name, field in model.model_fields.items() if field.default is None}
    return {key: value for key, value in values.items() if value != "" or key not in unset}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, values: object) -> object:
        return _drop_unset(cls, values)


class Listener(_Section):
    """Where films come in."""

    host: str = Field("0.0.0.0", description="Address to listen on.")
    port: Port = Field(11112, description="TCP port of the DICOM listener.")
    ae_title: AETitle = Field("HILUM", description="Our AE title, called and calling.")
    any_called_ae_title: bool = Field(
        False, description="Accept associations that call us by another AE title too."
    )
    max_associations: int = Field(
        50, ge=1, le=500, description="Associations at once; more are refused as transient."
    )
    max_pdu_bytes: int = Field(
        262_144, ge=4096, le=16_777_216, description="Largest PDU that peers may send, in bytes."
    )
    max_dataset_bytes: int = Field(
        536_870_912,
        ge=1_048_576,
        description="Largest data set taken, in bytes (deflated ones: after inflation).",
    )
    min_free_bytes: int = Field(
        1_073_741_824,
        ge=0,
        description="Free bytes in data_dir below which new associations are refused as transient.",
    )
    acse_timeout_seconds: float = Field(5, gt=0, description="Wait for association messages.")
    dimse_timeout_seconds: float = Field(30, gt=0, description="Wait for a DIMSE message.")
    network_timeout_seconds: float = Field(60, gt=0, description="Close a silent association.")
    transfer_syntaxes: tuple[str, ...] = Field(
        TRANSFER_SYNTAXES,
        min_length=1,
        description="Transfer syntax UIDs to accept; the default is all that can be decoded.",
    )

    @field_validator("transfer_syntaxes")
    @classmethod
    def _only_decodable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = set(value) - set(TRANSFER_SYNTAXES)
        if unknown:
            raise ValueError(f"no decoder here for {', '.join(sorted(unknown))}")
        return value


class Console(_Section):
    """Where people look. The console itself is not part of this version."""

    host: str = Field("127.0.0.1", description="Address of the console.")
    port: Port = Field(8080, description="TCP port of the console.")


class Worker(_Section):
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
        100_000_000, ge=1024, description="Largest image read, in pixels (rows x columns)."
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


class Eligibility(_Section):
    """Which films may be read at all; others are reported as not analysed."""

    modalities: tuple[str, ...] = Field(
        ("CR", "DX", "DR", "RG"), description="Modality values that are radiographs."
    )
    min_age_years: int = Field(
        18, ge=0, le=120, description="Younger patients are not analysed; 0: no limit."
    )


class Report(_Section):
    """How results look."""

    sc_max_side: int = Field(
        0, ge=0, description="Longest side of the overlay image, in pixels; 0: the film's own size."
    )
    sc_jpeg_quality: int = Field(90, ge=50, le=100, description="JPEG quality of the overlay.")


class Delivery(_Section):
    """How results leave."""

    batch_size: int = Field(32, ge=1, description="Objects sent over one association at most.")
    backoff_seconds: float = Field(5, gt=0, description="Wait after the first failed attempt.")
    backoff_max_seconds: float = Field(
        600, gt=0, description="Longest wait between attempts; each failure doubles the wait."
    )
    timeout_seconds: float = Field(30, gt=0, description="Wait for a peer's answer.")


class Retention(_Section):
    """What is deleted, and when. Off by default."""

    days: int = Field(
        0, ge=0, description="Delete studies this many days after they were reported; 0: never."
    )
    integrity_check_hour: int = Field(
        3, ge=0, le=23, description="Hour (UTC) of the daily check of files against their digests."
    )


class Destination(_Section):
    """A peer that gets results."""

    name: str = Field(
        description="Our own name for it, unique.",
        min_length=1,
        max_length=64,
        pattern=r"^[\w.-]+$",
        examples=["pacs"],
    )
    kind: Literal["dicom"] = Field("dicom", description="How results are sent.")
    ae_title: AETitle = Field(description="The AE title to call.", examples=["PACS"])
    host: str = Field(description="Host name or address.", min_length=1, examples=["127.0.0.1"])
    port: Port = Field(description="TCP port.", examples=[4242])
    calling_ae_title: AETitle | None = Field(
        None, description="The AE title we call from; unset: listener.ae_title."
    )
    objects: tuple[ObjectKind, ...] = Field(
        ("sr", "sc"), min_length=1, description="The output profile: which objects it gets."
    )
    sources: tuple[AETitle, ...] = Field(
        (), description="Only results of films sent by these AE titles; empty: of all."
    )


class Peer(_Section):
    """Who may send."""

    ae_title: AETitle = Field(description="The calling AE title.", examples=["MODALITY1"])
    address: Network = Field("0.0.0.0/0", description="Address or network it calls from.")
    port: Port | None = Field(
        None, description="Its own listener's port, where results are returned to."
    )
    return_results: bool = Field(
        False, description="Send the results of its films back to it, at the address it sent from."
    )
    objects: tuple[ObjectKind, ...] = Field(
        ("sr", "sc"), min_length=1, description="What is returned to it."
    )

    def covers(self, address: str) -> bool:
        """Tell whether an address lies in the peer's network."""
        try:
            host = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(host, "ipv4_mapped", None)
        return (mapped or host) in ipaddress.ip_network(self.address, strict=False)

    @model_validator(mode="after")
    def _port_for_return(self) -> Peer:
        if self.return_results and self.port is None:
            raise ValueError("return_results needs the peer's port")
        return self


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
    study_quiet_seconds: float = Field(
        3, ge=0, description="A study without a new film for this long is reported."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="What is logged to standard error."
    )
    listener: Listener = Listener.model_construct()
    console: Console = Console.model_construct()
    worker: Worker = Worker.model_construct()
    eligibility: Eligibility = Eligibility.model_construct()
    report: Report = Report.model_construct()
    delivery: Delivery = Delivery.model_construct()
    retention: Retention = Retention.model_construct()
    destinations: tuple[Destination, ...] = ()
    peers: tuple[Peer, ...] = ()

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[Any, ...]:
        """Take values from the constructor alone: `load` merges the sources itself."""
        return (sources["init_settings"],)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, values: object) -> object:
        return _drop_unset(cls, values)

    @field_validator("destinations")
    @classmethod
    def _names_are_unique(cls, value: tuple[Destination, ...]) -> tuple[Destination, ...]:
        names = [destination.name for destination in value]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"the name {sorted(twice)[0]!r} stands twice")
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

    def profiles(self, source_ae: str, source_address: str) -> dict[str, tuple[ObjectKind, ...]]:
        """Map the names of the destinations that get a study's results to their output profiles.

        `source_ae` and `source_address` are those of the study's sender. Where results return to
        the sender, the name is `AE@address`.
        """
        found = {
            destination.name: destination.objects
            for destination in self.destinations
            if not destination.sources or source_ae in destination.sources
        }
        peer = self.peer(source_ae, source_address)
        if peer is not None and peer.return_results:
            found[f"{peer.ae_title}@{source_address}"] = peer.objects
        return found

    def route(self, name: str) -> Route | None:
        """Return where the destination of this name is reached; None where it is not configured."""
        for destination in self.destinations:
            if destination.name == name:
                return Route(
                    name,
                    destination.ae_title,
                    destination.host,
                    destination.port,
                    destination.calling_ae_title or self.listener.ae_title,
                )
        ae_title, at, address = name.rpartition("@")
        peer = self.peer(ae_title, address) if at else None
        if peer is None or not peer.return_results or peer.port is None:
            return None
        return Route(name, peer.ae_title, address, peer.port, self.listener.ae_title)

    def peer(self, ae_title: str, address: str) -> Peer | None:
        """Return the configured peer that calls by this AE title from this address."""
        for peer in self.peers:
            if peer.ae_title == ae_title and peer.covers(address):
                return peer
        return None


@dataclass(frozen=True, slots=True)
class Route:
    """How a destination is reached: whom to call, where, and by which AE title of ours."""

    name: str
    ae_title: str
    host: str
    port: int
    calling_ae_title: str


@dataclass(frozen=True, slots=True)
class Effective:
    """One value in effect: dotted key, printable value with secrets masked, and its origin."""

    key: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings together with where each key came from ("default" where nothing set it)."""

    settings: Settings
    origins: Mapping[str, str]
    config_file: Path | None

    def effective(self) -> list[Effective]:
        """List every value in effect, in the order of the model."""
        return [
            Effective(key, _printable(value), _origin(key, self.origins))
            for key, value in _leaves(self.settings)
        ]


def load(
    overrides: Mapping[str, Any] | None = None,
    *,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Merge defaults, the TOML file, `HILUM_*` variables and command line overrides.

    `overrides` maps dotted keys to values. The file is `config`, else the one `HILUM_CONFIG` names,
    else `hilum.toml` in the working folder if there is one.

    Raises:
        SettingsError: a file cannot be read or parsed, a key is unknown or a value is wrong.
    """
    environ = os.environ if environ is None else environ
    path = _config_path(config, environ)
    sources: list[tuple[str, dict[str, Any]]] = []
    if path is not None:
        sources.append((str(path), _read_toml(path)))
    sources.append(("environment", _Environment(environ)()))
    sources.append(("command line", _nested(overrides or {})))

    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, values in sources:
        _merge(merged, values)
        for key in _flat_keys(values):
            origins[key] = name if name != "environment" else _variable(key)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(error, origins))) from None
    return Loaded(settings, origins, path)


def template() -> str:
    """Return a commented `hilum.toml` that holds every key with its default and its meaning."""
    lines = ["# Hilum's configuration. Every line that is commented out shows the default.", ""]
    tables: list[str] = []
    for name, field in Settings.model_fields.items():
        section = _section_of(field)
        if section is None:
            lines += _template_field(name, field)
            continue
        many = get_origin(field.annotation) is tuple
        tables += ["", f"# {(section.__doc__ or '').splitlines()[0]}"]
        tables.append(f"# [[{name}]]" if many else f"[{name}]")
        for key, inner in section.model_fields.items():
            tables += _template_field(key, inner)
    return "\n".join(lines + tables) + "\n"


def mask_url(url: str) -> str:
    """Return `url` with its password replaced by ***."""
    url = re.sub(r"(?i)([?&][^=&]*password=)[^&]*", r"\1***", url)
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(
        parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@", 1))
    )


def _config_path(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    if config is not None:
        return config
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file; `hilum config --template` makes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None


class _Environment(EnvSettingsSource):
    """The `HILUM_*` variables of an environment; an empty one counts as not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(Settings)
        self.env_vars = {name.lower(): value for name, value in environ.items() if value}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Parse JSON; what is none stays as it is, for validation to name it."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


def _nested(overrides: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for dotted, value in overrides.items():
        *parents, last = dotted.split(".")
        table = result
        for parent in parents:
            table = table.setdefault(parent, {})
        table[last] = value
    return result


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def _flat_keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat_keys(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def _origin(key: str, origins: Mapping[str, str]) -> str:
    """Find the origin of a key: its own, of the list that it stands in, or of a key inside it."""
    inside = (origin for other, origin in origins.items() if other.startswith(f"{key}."))
    return origins.get(key) or origins.get(key.split("[", 1)[0]) or next(inside, "default")


def _leaves(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            for index, item in enumerate(value):
                yield from _leaves(item, f"{prefix}{name}[{index}].")
        elif name == "database_url" and isinstance(model, Settings):
            yield name, mask_url(model.database)
        else:
            yield prefix + name, value


def _printable(value: Any) -> str:
    if isinstance(value, SecretStr):
        return "***"
    if isinstance(value, tuple):
        return "[" + ", ".join(str(item) for item in value) + "]"
    return "" if value is None else str(value)


def _variable(key: str) -> str:
    return "HILUM_" + key.replace(".", "__").upper()


def _explain(error: ValidationError, origins: Mapping[str, str]) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        key = _dotted(problem["loc"])
        origin = _origin(key, origins)
        where = f"{origin}: " if origin != "default" else ""
        if problem["type"] == "extra_forbidden":
            yield f"{where}{key}: no such key{_did_you_mean(problem['loc'])}"
        elif problem["type"] == "missing":
            yield f"{where}{key}: this key is needed and missing"
        elif problem["type"] == "value_error":
            yield f"{where}{key}: {problem['msg'].removeprefix('Value error, ')}"
        else:
            json = " (a variable holds a list as JSON)" if problem["type"] == "tuple_type" else ""
            hint = json if origin.startswith("HILUM_") else ""
            yield f"{where}{key}: {problem['msg']}, not {problem['input']!r}{hint}"


def _dotted(location: Sequence[int | str]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _did_you_mean(location: Sequence[int | str]) -> str:
    model: type[BaseModel] = Settings
    for part in location[:-1]:
        if isinstance(part, str):
            section = _section_of(model.model_fields[part])
            if section is None:
                return ""
            model = section
    close = difflib.get_close_matches(str(location[-1]), model.model_fields, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _section_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model class of a section or of the items of a list of sections."""
    candidates = [field.annotation, *get_args(field.annotation)]
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _template_field(name: str, field: FieldInfo) -> list[str]:
    default = _toml_value((field.examples or [""])[0] if field.is_required() else field.default)
    needed = " (needed)" if field.is_required() else ""
    return [f"# {field.description}{needed}", f"# {name} = {default}"]


def _toml_value(value: Any) -> str:
    if value is None:
        return '""  # unset'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, int | float):
        return str(value)
    return f'"{value}"'
