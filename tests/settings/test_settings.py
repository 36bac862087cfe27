"""What a person who configures Hilum relies on: precedence, origins, messages, the template."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

import settings
from settings import DicomDestination, Loaded, Peer, Settings, SettingsError, doubts, load
from settings.destinations import KINDS
from settings.secrets import SecretError, reveal
from settings.shape import is_secret, sections_of

PACS = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 4242}

Load = Callable[..., Loaded]


@pytest.fixture
def from_toml(tmp_path: Path) -> Load:
    """Load a TOML text, with the variables given and no others."""

    def _load(text: str, environ: Mapping[str, str] | None = None, **overrides: object) -> Loaded:
        file = tmp_path / "hilum.toml"
        file.write_text(text, encoding="utf-8")
        dotted = {key.replace("__", "."): value for key, value in overrides.items()}
        return load(dotted, config=file, environ=environ or {})

    return _load


def message(excinfo: pytest.ExceptionInfo[SettingsError]) -> str:
    """Return the one line that a person would see."""
    text = str(excinfo.value)
    assert "\n" not in text, text
    return text


# --- precedence and origins ------------------------------------------------------------------


def test_file_then_environment_then_command_line(from_toml: Load, tmp_path: Path) -> None:
    toml = "study_quiet_seconds = 1\n[listener]\nport = 1001\nae_title = 'FILE'\nhost = '127.0.0.1'"
    environ = {"HILUM_LISTENER__PORT": "1002", "HILUM_LISTENER__AE_TITLE": "ENV"}
    loaded = from_toml(toml, environ, listener__port=1003)
    listener = loaded.settings.listener
    assert (listener.port, listener.ae_title, listener.host) == (1003, "ENV", "127.0.0.1")
    assert loaded.settings.study_quiet_seconds == 1
    origins = {value.key: value.origin for value in loaded.effective()}
    assert origins["listener.port"] == "command line"
    assert origins["listener.ae_title"] == "HILUM_LISTENER__AE_TITLE"
    assert origins["listener.host"] == str(tmp_path / "hilum.toml")
    assert origins["listener.max_pdu_bytes"] == "default"


def test_the_environment_given_is_the_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HILUM_LISTENER__PORT", "1002")
    assert load(environ={}).settings.listener.port == Settings().listener.port
    assert load(environ={"HILUM_LISTENER__PORT": "1004"}).settings.listener.port == 1004
    assert load().settings.listener.port == 1002


def test_without_file_or_variable_every_value_is_a_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load(environ={})
    assert loaded.config_file is None
    assert {value.origin for value in loaded.effective()} == {"default"}
    assert loaded.settings == Settings()


def test_the_file_is_the_one_given_else_the_variables_else_that_of_the_working_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, port in (("hilum.toml", 1), ("named.toml", 2), ("given.toml", 3)):
        (tmp_path / name).write_text(f"[listener]\nport = {port}")
    monkeypatch.chdir(tmp_path)
    variable = {"HILUM_CONFIG": str(tmp_path / "named.toml")}
    assert load(environ={}).settings.listener.port == 1
    assert load(environ=variable).settings.listener.port == 2
    assert load(config=tmp_path / "given.toml", environ=variable).settings.listener.port == 3


def test_lists_come_from_the_environment_as_json(from_toml: Load) -> None:
    environ = {"HILUM_DESTINATIONS": json.dumps([PACS, {**PACS, "name": "other", "port": 4243}])}
    loaded = from_toml("", environ)
    assert loaded.settings.destinations == (
        DicomDestination(**PACS),
        DicomDestination(**{**PACS, "name": "other", "port": 4243}),
    )
    origins = {value.key: value.origin for value in loaded.effective()}
    assert origins["destinations[1].port"] == "HILUM_DESTINATIONS"


def test_an_empty_value_means_unset(from_toml: Load) -> None:
    toml = 'database_url = ""\n[worker]\nbundle = ""\n[[destinations]]\ncalling_ae_title = ""\n'
    toml += "\n".join(f"{key} = {value!r}" for key, value in PACS.items())
    loaded = from_toml(toml, {"HILUM_DATA_DIR": "", "HILUM_WORKER__RUNTIME": ""})
    assert loaded.settings.worker.bundle is None
    assert loaded.settings.worker.runtime == "auto"
    assert loaded.settings.database.startswith("sqlite:///")
    assert loaded.settings.data_dir == Settings().data_dir
    assert loaded.settings.destinations[0] == DicomDestination(**PACS)


# --- messages --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "wanted"),
    [
        ("[listener]\nprot = 1", "listener.prot: no such key; did you mean port?"),
        ("data_dirr = 'x'", "data_dirr: no such key; did you mean data_dir?"),
        ("[listener]\nzzzz = 1", "listener.zzzz: no such key"),
        (
            "[[destinations]]\nname='a'\naetitle='A'\nae_title='A'\nhost='h'\nport=1",
            "destinations[0].aetitle: no such key; did you mean ae_title?",
        ),
        (
            "[[destinations]]\nname='a'\nkind='dicom'\nae_title='A'\nhots='h'\nhost='h'\nport=1",
            "destinations[0].hots: no such key; did you mean host?",
        ),
        ("[listner]\nport = 1", "listner: no such key; did you mean listener?"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(
    from_toml: Load, tmp_path: Path, toml: str, wanted: str
) -> None:
    with pytest.raises(SettingsError) as excinfo:
        from_toml(toml)
    assert message(excinfo) == f"{tmp_path / 'hilum.toml'}: {wanted}"


@pytest.mark.parametrize(
    ("toml", "environ", "overrides", "parts"),
    [
        ("[listener]\nport = 70000", {}, {}, ["hilum.toml", "listener.port", "65535", "70000"]),
        ("", {"HILUM_LISTENER__PORT": "x"}, {}, ["HILUM_LISTENER__PORT: listener.port", "'x'"]),
        ("", {}, {"listener__port": 0}, ["command line: listener.port", "not 0"]),
        ("study_quiet_seconds = -1", {}, {}, ["hilum.toml: study_quiet_seconds", "-1"]),
        ("[worker]\nruntime = 'cuda'", {}, {}, ["worker.runtime", "tensorflow", "'cuda'"]),
        ("", {"HILUM_DESTINATIONS": "pacs"}, {}, ["HILUM_DESTINATIONS", "JSON"]),
        ("", {"HILUM_LISTENER__TRANSFER_SYNTAXES": "1.2"}, {}, ["HILUM_LISTENER__TRANSFER_SYN"]),
        ("listener = 5", {}, {}, ["hilum.toml: listener", "not 5"]),
        ("[[destinations]]\nname='a'\nae_title='A'\nport=1", {}, {}, ["destinations[0].host"]),
        (
            "[[destinations]]\nname='a'\nkind='fax'",
            {},
            {},
            ["hilum.toml: destinations[0]: there is no kind 'fax' of destination; known are dicom"],
        ),
        ("[[destinations]]\nname='a'\nkind=5", {}, {}, ["destinations[0]: there is no kind 5"]),
        ("destinations = [5]", {}, {}, ["hilum.toml: destinations[0]", "not 5"]),
        (
            "[listener]\ntransfer_syntaxes = ['1.2.840.10008.1.2.4.100']",
            {},
            {},
            ["hilum.toml: listener.transfer_syntaxes", "no decoder", "1.2.840.10008.1.2.4.100"],
        ),
        (
            "[[peers]]\nae_title='A'\naddress='10.0.0.999'",
            {},
            {},
            ["hilum.toml: peers[0].address", "IP address"],
        ),
        (
            "[[peers]]\nae_title='A'\nreturn_results=true",
            {},
            {},
            ["hilum.toml: peers[0]", "needs the peer's port"],
        ),
        ("[priority]\noperating_point = 2.0", {}, {}, ["priority.operating_point", "0 and 1"]),
        ("database_url = 'mysql://u:hush@h/d'", {}, {}, ["database_url", "postgresql+psycopg"]),
    ],
)
def test_a_bad_value_is_named_with_its_key_and_where_it_came_from(
    from_toml: Load,
    toml: str,
    environ: dict[str, str],
    overrides: dict[str, object],
    parts: list[str],
) -> None:
    with pytest.raises(SettingsError) as excinfo:
        from_toml(toml, environ, **overrides)
    text = message(excinfo)
    assert [part for part in parts if part not in text] == [], text
    assert "hush" not in text


def test_several_mistakes_are_told_at_once(from_toml: Load) -> None:
    with pytest.raises(SettingsError) as excinfo:
        from_toml("[listener]\nport = 0\nprot = 1\n[report]\nsc_jpeg_quality = 101")
    assert len(str(excinfo.value).splitlines()) == 3


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    with pytest.raises(SettingsError) as excinfo:
        load(config=file, environ={})
    assert str(file) in message(excinfo)
    assert "no such file" in message(excinfo)

    file.write_text("[listener\nport = 1")
    with pytest.raises(SettingsError) as excinfo:
        load(config=file, environ={})
    assert message(excinfo).startswith(f"{file}: not valid TOML: ")
    assert "line 1" in message(excinfo)

    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError) as excinfo:
        load(config=file, environ={})
    assert message(excinfo).startswith(f"{file}: cannot be read")

    with pytest.raises(SettingsError) as excinfo:
        load(config=tmp_path, environ={})
    assert message(excinfo).startswith(f"{tmp_path}: cannot be read")


# --- rules of single keys --------------------------------------------------------------------


@pytest.mark.parametrize("title", ["A", "SIXTEEN_CHARS_OK", "with space", " PADDED "])
def test_an_ae_title_by_the_standard_is_taken(title: str) -> None:
    assert DicomDestination(**{**PACS, "ae_title": title}).ae_title == title.strip()


@pytest.mark.parametrize(
    "title", ["", "   ", "SEVENTEEN_CHARS_X", "back\\slash", "tab\tbed", "ÄTITLE", "line\n"]
)
def test_an_ae_title_against_the_standard_is_refused(title: str) -> None:
    with pytest.raises(ValidationError, match="an AE title has 1 to 16"):
        DicomDestination(**{**PACS, "ae_title": title})


@pytest.mark.parametrize(
    ("given", "point"), [("0.6", 0.6), ("specificity_90", "specificity_90"), ("", None)]
)
def test_an_operating_point_of_the_environment_may_be_a_number_or_a_name(
    from_toml: Load, given: str, point: str | float | None
) -> None:
    environ = {"HILUM_PRIORITY__OPERATING_POINT": given}
    assert from_toml("", environ).settings.priority.operating_point == point


def test_two_destinations_of_one_name_are_refused(from_toml: Load) -> None:
    environ = {"HILUM_DESTINATIONS": json.dumps([PACS, PACS])}
    with pytest.raises(SettingsError, match="the name 'pacs' stands twice"):
        from_toml("", environ)


def test_settings_cannot_be_changed_after_loading() -> None:
    loaded = load(environ={})
    with pytest.raises(ValidationError, match="frozen"):
        setattr(loaded.settings.listener, "port", 1)  # noqa: B010 - mypy refuses it too


def test_the_home_folder_is_resolved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    loaded = load({"data_dir": "~/kept"}, environ={})
    assert loaded.settings.data_path == tmp_path / "kept"
    assert loaded.settings.database == f"sqlite:///{tmp_path / 'kept' / 'hilum.sqlite'}"


# --- who gets what ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peers", "places"),
    [
        ((), 4),
        (("0.0.0.0/0",), 4),
        (("10.0.0.0/24",), 4),
        (("10.0.0.9",), 7),
        (("10.0.0.9", "10.0.0.9/32"), 7),
        (("10.0.0.9", "10.0.0.8"), 4),
        (("::1",), 7),
    ],
)
def test_one_address_has_all_places_only_where_all_peers_are_there(
    peers: tuple[str, ...], places: int
) -> None:
    configured = tuple(Peer(ae_title=f"P{n}", address=each) for n, each in enumerate(peers))
    listener = Settings().listener.model_copy(update={"max_associations": 7})
    loaded = Settings(peers=configured, listener=listener)
    assert loaded.associations_per_address == places
    told = listener.model_copy(update={"max_associations_per_address": 3})
    assert Settings(peers=configured, listener=told).associations_per_address == 3


def test_results_go_to_the_destinations_of_the_source_and_back_to_a_peer_that_asks() -> None:
    loaded = Settings(
        destinations=(
            DicomDestination(**PACS),
            DicomDestination(**{**PACS, "name": "er", "sources": ("ER",), "objects": ("sr",)}),
        ),
        peers=(
            Peer(ae_title="ER", address="10.0.0.0/24", port=104, return_results=True),
            Peer(ae_title="CT", address="10.0.0.9"),
        ),
    )
    both = ("sr", "sc")
    assert loaded.profiles("CT", "10.0.0.9") == {"pacs": both}
    assert loaded.profiles("ER", "10.1.0.9") == {"pacs": both, "er": ("sr",)}
    assert loaded.profiles("ER", "10.0.0.9") == {"pacs": both, "er": ("sr",), "ER@10.0.0.9": both}
    assert loaded.profiles("ER", "::ffff:10.0.0.9")["ER@::ffff:10.0.0.9"] == both

    back = loaded.destination("ER@10.0.0.9")
    assert isinstance(back, DicomDestination)
    assert (back.ae_title, back.host, back.port, back.objects) == ("ER", "10.0.0.9", 104, both)
    assert loaded.destination("pacs") == DicomDestination(**PACS)
    assert loaded.destination("gone") is None
    assert loaded.destination("ER@10.1.0.9") is None
    assert loaded.destination("CT@10.0.0.9") is None


def test_a_destination_of_positive_results_gets_those_and_what_corrects_them() -> None:
    loaded = Settings(
        destinations=(
            DicomDestination(**PACS),
            DicomDestination(**{**PACS, "name": "er", "results": "positive"}),
        )
    )
    both = ("sr", "sc")
    assert loaded.profiles("CT", "h", positive=True) == {"pacs": both, "er": both}
    assert loaded.profiles("CT", "h", positive=False) == {"pacs": both}
    assert loaded.profiles("CT", "h", positive=False, told={"er"}) == {"pacs": both, "er": both}
    assert [each.name for each in loaded.recipients("CT", "h")] == ["pacs", "er"]


@pytest.mark.parametrize(
    ("sources", "peers", "said"),
    [
        ((), ("ER",), None),
        (("ER",), ("ER", "CT"), None),
        (("ER", "CT"), (), None),
        (("EMERGENCY",), ("ER", "CT"), "destination er gets nothing: its sources (EMERGENCY) are"),
        (("ER", "XR"), ("ER", "CT"), "destination er gets nothing from XR: not among the"),
    ],
)
def test_a_destination_that_would_get_nothing_is_named(
    sources: tuple[str, ...], peers: tuple[str, ...], said: str | None
) -> None:
    loaded = Settings(
        destinations=(DicomDestination(**{**PACS, "name": "er", "sources": sources}),),
        peers=tuple(Peer(ae_title=title) for title in peers),
    )
    found = list(doubts(loaded))
    assert len(found) == (said is not None)
    assert said is None or found[0].startswith(said)


def test_what_archives_give_and_what_comes_by_stow_rs_are_sources_too() -> None:
    values = {
        "destinations": [{**PACS, "sources": ["OLD", "CLOUD", "STOW-RS"]}],
        "peers": [{"ae_title": "CT"}],
        "archives": [
            {"name": "old", "ae_title": "OLD", "host": "h", "port": 104},
            {"name": "cloud", "kind": "dicomweb", "url": "https://h", "ae_title": "CLOUD"},
        ],
    }
    assert not list(doubts(load({**values, "dicomweb.enabled": True}, environ={}).settings))
    (told,) = doubts(load(values, environ={}).settings)
    assert told.startswith("destination pacs gets nothing from STOW-RS")


def test_a_destination_that_asks_for_no_objects_is_an_error(from_toml: Load) -> None:
    toml = "[[destinations]]\nobjects = []\n"
    toml += "\n".join(f"{key} = {value!r}" for key, value in PACS.items())
    with pytest.raises(SettingsError, match=r"destinations\[0\].objects: .*at least 1 item"):
        from_toml(toml)


# --- secrets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://hilum:hush@db:5432/hilum",
        "postgresql+psycopg://hilum:hush%40hush@db/hilum?sslmode=require",
        "postgresql+psycopg://db/hilum?user=hilum&password=hush",
    ],
)
def test_the_password_of_the_database_is_shown_nowhere(url: str) -> None:
    loaded = load({"database_url": url}, environ={})
    assert loaded.settings.database == url
    (shown,) = [value.value for value in loaded.effective() if value.key == "database_url"]
    assert "***" in shown
    assert re.sub(r"hush(%40hush)?", "***", url) == shown
    everything = f"{loaded!r} {loaded.effective()!r} {loaded.settings.model_dump()!r}"
    assert "hush" not in everything


def test_serve_runs_the_console_where_it_is_enabled_and_only_there() -> None:
    assert "console" not in load({}, environ={}).settings.roles
    assert load({"console.enabled": True}, environ={}).settings.roles[-1] == "console"


def test_every_secret_key_is_known_as_one() -> None:
    def secrets(model: type[BaseModel]) -> Iterator[str]:
        for name, field in model.model_fields.items():
            if is_secret(field):
                yield name
            for section in sections_of(field):
                yield from secrets(section)

    names = {"database_url", "key_password", "passphrase", "token", "password", "secret"}
    names |= {"client_secret", "secret_key"}
    assert set(secrets(Settings)) == names


HOOK = {"name": "it", "kind": "webhook", "url": "https://h", "secret": "file:/hush"}


@pytest.mark.parametrize(
    "values",
    [
        {"database_url": {"hush": 1}},
        {"database_url": ["hush"]},
        {"listener.tls": "hush"},
        {"listener.tls.key_password": ["hush"]},
        {"destinations": [HOOK | {"token": {"hush": 1}}]},
        {"destinations": [HOOK | {"secret": "hush"}]},
        {"destinations": [HOOK | {"secret": ["hush"]}]},
        {"destinations": [HOOK | {"tls": "hush"}]},
        {"destinations": [HOOK | {"url": "https://user:hush@h/"}]},
        {"destinations": "[hush"},
        {"destinations": ["hush"]},
    ],
)
def test_a_wrong_secret_is_named_and_not_shown(values: dict[str, object]) -> None:
    with pytest.raises(SettingsError) as excinfo:
        load(values, environ={})
    assert next(iter(values)) in message(excinfo)
    assert "hush" not in message(excinfo)


# --- secrets that stand elsewhere ------------------------------------------------------------


def test_a_secret_may_stand_in_a_file_or_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_text("first\n")
    monkeypatch.setenv("SECRET", "second")
    assert reveal(SecretStr("plain")) == "plain"
    assert reveal(SecretStr(f"file:{file}")) == "first"
    assert reveal(SecretStr("env:SECRET")) == "second"
    file.write_text("changed while it runs")
    assert reveal(SecretStr(f"file:{file}")) == "changed while it runs"


def test_a_secret_that_cannot_be_had_is_told_by_where_it_should_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET", raising=False)
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.touch()
    binary.write_bytes(b"\xff\xfe")
    for given, said in {
        f"file:{tmp_path}/none": "none cannot be read (No such file",
        f"file:{binary}": "it is no text",
        f"file:{empty}": f"not set ({empty})",
        "env:SECRET": "not set (SECRET)",
        " ": "not set (the configuration)",
    }.items():
        with pytest.raises(SecretError, match=re.escape(said)):
            reveal(SecretStr(given))


# --- logins ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"username": "u"}, "need each other"),
        ({"username": "u", "password": "p", "token": "t"}, "exclude each other"),
        ({"url": "http://h", "tls": {"ca": "ca.pem"}}, "https"),
        ({"url": "ftp://h"}, "http:// or https://"),
        ({"url": "https://h/?a=1"}, "without ?"),
        ({"url": "https://:8080"}, "names a host"),
        ({"secret": "whsec_c2hvcnQ="}, "24 to 64 bytes"),
    ],
)
def test_what_a_web_destination_cannot_mean(values: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        load({"destinations": [HOOK | values]}, environ={})


def test_an_archives_login_that_others_can_read_is_told() -> None:
    archive = {"name": "cloud", "kind": "dicomweb", "url": "http://pacs", "token": "hush"}
    (told,) = doubts(load({"archives": [archive]}, environ={}).settings)
    assert told.startswith("archive cloud gets our login unencrypted")


@pytest.mark.parametrize(
    ("url", "read_by_others"),
    [
        ("https://ris", False),
        ("http://ris", True),
        ("http://127.0.0.1:8080", False),
        ("http://localhost", False),
    ],
)
def test_a_login_that_others_can_read_is_told(url: str, read_by_others: bool) -> None:
    loaded = load({"destinations": [HOOK | {"url": url, "token": "hush"}]}, environ={})
    told = list(doubts(loaded.settings))
    assert bool(told) is read_by_others
    assert "hush" not in f"{told} {loaded.effective()}"


# --- the template ----------------------------------------------------------------------------


def uncommented(text: str) -> str:
    """Return the template as a person makes it who takes every key into use."""
    return re.sub(r"^# (\[|\w+ = )", r"\1", text, flags=re.MULTILINE)


def test_the_template_as_it_is_changes_nothing(from_toml: Load) -> None:
    loaded = from_toml(settings.template())
    assert loaded.settings == Settings()
    assert {value.origin for value in loaded.effective()} == {"default"}


def test_the_template_with_every_key_in_use_says_the_defaults(from_toml: Load) -> None:
    text = uncommented(settings.template())
    loaded = from_toml(text)
    plain = Settings()
    without_lists = {"destinations": (), "peers": (), "archives": ()}
    assert loaded.settings.model_copy(update=without_lists) == plain
    assert [type(item) for item in loaded.settings.destinations] == list(KINDS.values())
    assert [type(item) for item in loaded.settings.peers] == [Peer]


def test_the_template_holds_every_key_with_its_meaning() -> None:
    text = settings.template()
    keys = tomllib.loads(uncommented(text))
    assert set(keys) == set(Settings.model_fields)
    assert set(keys["listener"]) == set(settings.Listener.model_fields)
    assert set(keys["listener"]["tls"]) == set(settings.ServerTls.model_fields)
    for item, kind in zip(keys["destinations"], KINDS.values(), strict=True):
        assert set(item) == set(kind.model_fields)
    for section in (settings.Listener, settings.ServerTls):
        for name, field in section.model_fields.items():
            assert sections_of(field) or f"# {field.description}\n# {name} = " in text


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a model and those of its sections and lists."""
    yield model
    for field in model.model_fields.values():
        for section in sections_of(field):
            yield from models(section)


def test_every_key_has_a_sentence() -> None:
    found = list(models(Settings))
    assert {*KINDS.values(), Peer} <= set(found)
    for model in found:
        assert model.__doc__
        for name, field in model.model_fields.items():
            if not sections_of(field):
                assert (field.description or "").endswith("."), f"{model.__name__}.{name}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("enabled = true", "TLS needs a certificate"),
        ('client_certificate = "required"', "ca is needed"),
        ('client_names = ["pacs"]', 'client_names need client_certificate = "required"'),
        ("only = true", "only without enabled"),
    ],
)
def test_tls_settings_that_do_not_fit_together_are_told(
    from_toml: Load, text: str, sentence: str
) -> None:
    with pytest.raises(SettingsError, match=f"listener.tls: {sentence}"):
        from_toml(f"[listener.tls]\n{text}")


def test_a_password_of_a_key_is_never_shown(from_toml: Load) -> None:
    loaded = from_toml('[listener.tls]\nkey_password = "canary"')
    assert "canary" not in repr(loaded) + repr(loaded.effective())
