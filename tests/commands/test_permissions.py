"""Who else can read films and secrets: doctor tells, and a secret on a command line is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.testing

import hilum
from commands.check import Verdict
from commands.doctor_permissions import permissions
from settings import load


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder


def found(data: Path, text: str = "", mode: int = 0o644) -> list[tuple[Verdict, str]]:
    """Look at a configuration file with this text and mode."""
    file = data.parent / "hilum.toml"
    file.write_text(f'data_dir = "{data}"\n{text}')
    file.chmod(mode)
    return [(each.verdict, each.text) for each in permissions(load(config=file, environ={}))]


def test_what_is_for_us_alone_is_good(data: Path) -> None:
    ((verdict, _),) = found(data)
    assert verdict is Verdict.GOOD


def test_a_data_folder_that_others_may_enter_is_told(data: Path) -> None:
    data.chmod(0o750)
    ((verdict, text),) = found(data)
    assert verdict is Verdict.BAD
    assert f"chmod -R go= {data}" in text


def test_a_file_that_others_may_read_is_told(data: Path) -> None:
    (data / "film.dcm").write_bytes(b"")
    (data / "film.dcm").chmod(0o604)
    ((verdict, text),) = found(data)
    assert verdict is Verdict.NOTE
    assert "film.dcm" in text


SECRETS = {
    "a passphrase": '[backup]\npassphrase = "CANARY"',
    "a database's password": 'database_url = "postgresql+psycopg://u:CANARY@h/d"',
    "a token of a destination": (
        '[[destinations]]\nname = "x"\nkind = "dicomweb"\nurl = "https://h/"\ntoken = "CANARY"'
    ),
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS.keys())
def test_a_configuration_with_a_secret_that_others_may_read_is_told(data: Path, text: str) -> None:
    ((verdict, told),) = found(data, text)
    assert verdict is Verdict.BAD
    assert "chmod 600" in told
    assert "CANARY" not in told
    assert found(data, text, 0o600)[0][0] is Verdict.GOOD


def test_a_secrets_own_file_that_others_may_read_is_told(data: Path) -> None:
    file = data.parent / "passphrase"
    file.write_text("CANARY")
    text = f'[backup]\npassphrase = "file:{file}"'
    file.chmod(0o644)
    assert found(data, text)[0][0] is Verdict.NOTE
    file.chmod(0o600)
    assert found(data, text)[0][0] is Verdict.GOOD


@pytest.mark.parametrize(
    "given", ["backup.passphrase=CANARY", "database_url=postgresql+psycopg://u:CANARY@h/d"]
)
def test_a_secret_on_the_command_line_is_refused(given: str, tmp_path: Path) -> None:
    runner = typer.testing.CliRunner()
    done = runner.invoke(hilum.app, ["--set", given, "config"])
    assert done.exit_code == 2
    assert "everybody on this machine can read" in done.output
    assert "CANARY" not in done.output


@pytest.mark.parametrize("given", ["backup.passphrase=env:NAME", "listener.port=11113"])
def test_where_a_secret_stands_may_be_said_there(given: str) -> None:
    assert typer.testing.CliRunner().invoke(hilum.app, ["--set", given, "config"]).exit_code == 0
