"""What was changed in the console lies over the file, item by item, and below variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import Loaded, SettingsError, load
from settings.layers import AS_FILE, CONSOLE, Layer, is_locked, printable, with_layers

FILE = """
[[peers]]
ae_title = "CR1"
address = "10.0.0.0/8"

[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "pacs.example.org"
port = 104

[[destinations]]
name = "web"
kind = "dicomweb"
url = "https://web.example.org"
token = "a token that nobody sees"
"""
PACS = {"name": "pacs", "kind": "dicom", "ae_title": "PACS", "host": "other", "port": 105}


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """The configuration of a file."""
    (tmp_path / "hilum.toml").write_text(FILE)
    return load(config=tmp_path / "hilum.toml", environ={})


def names(loaded: Loaded) -> list[str]:
    return [each.name for each in loaded.settings.destinations]


def origin(loaded: Loaded, key: str) -> str:
    return next(each.origin for each in loaded.effective() if each.key == key)


def test_one_is_changed_and_the_others_stay_as_the_file_has_them(loaded: Loaded) -> None:
    made = with_layers(loaded, [Layer("destinations", "pacs", PACS)])
    assert names(made) == ["pacs", "web"]
    assert made.settings.destinations[0].host == "other"  # type: ignore[attr-defined]
    assert made.settings.destinations[1] == loaded.settings.destinations[1]
    assert origin(made, "destinations[0].port") == origin(made, "destinations[0].commit") == CONSOLE
    assert origin(made, "destinations[1].url") == str(loaded.config_file)
    assert names(loaded) == ["pacs", "web"]


def test_one_is_removed_and_one_added(loaded: Loaded) -> None:
    new = {"ae_title": "CR2", "address": "10.1.0.0/16"}
    layers = [
        Layer("destinations", "pacs", None),
        Layer("destinations", "new", {**PACS, "name": "new"}),
        Layer("peers", "CR2@10.1.0.0/16", new),
    ]
    made = with_layers(loaded, layers)
    assert names(made) == ["web", "new"]
    assert [each.ae_title for each in made.settings.peers] == ["CR1", "CR2"]
    assert origin(made, "peers[1].ae_title") == CONSOLE


def test_a_secret_may_stay_as_the_file_has_it_and_is_never_printed(loaded: Loaded) -> None:
    web = {"name": "web", "kind": "dicomweb", "url": "https://web.example.org/b", "token": AS_FILE}
    made = with_layers(loaded, [Layer("destinations", "web", web)])
    (found,) = [each for each in made.settings.destinations if each.name == "web"]
    assert found.token.get_secret_value() == "a token that nobody sees"  # type: ignore[attr-defined]
    assert printable(found)["token"] == "***"
    elsewhere = with_layers(
        loaded, [Layer("destinations", "web", {**web, "token": "file:/data/secrets/t"})]
    )
    assert printable(elsewhere.settings.destinations[1])["token"] == "file:/data/secrets/t"
    nowhere = with_layers(loaded, [Layer("destinations", "new", {**web, "name": "new"})])
    assert nowhere.settings.destinations[2].token is None  # type: ignore[attr-defined]


def test_what_does_not_fit_is_told_with_key_and_origin(loaded: Loaded) -> None:
    wrong = {**PACS, "port": "many", "colour": "red"}
    with pytest.raises(SettingsError) as raised:
        with_layers(loaded, [Layer("destinations", "pacs", wrong)])
    told = str(raised.value).splitlines()
    assert told[0].startswith("console: destinations[0].port: Input should be a valid integer")
    assert told[1] == "console: destinations[0].colour: no such key; did you mean sc_colour?"


def test_a_variable_is_stronger(loaded: Loaded) -> None:
    variable = '[{"name": "x", "ae_title": "X", "host": "x", "port": 1}]'
    stronger = load(config=loaded.config_file, environ={"HILUM_DESTINATIONS": variable})
    made = with_layers(stronger, [Layer("destinations", "pacs", PACS)])
    assert names(made) == ["x"]
    assert is_locked(stronger, "destinations") == "HILUM_DESTINATIONS"
    assert is_locked(stronger, "peers") is None
    assert is_locked(loaded, "destinations") is None
