"""`hilum tls-selfsigned`, and what `hilum doctor` says of certificates."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from commands.check import Check, Verdict
from commands.doctor_tls import certificates
from commands.errors import explain
from hilum import app
from scp_service.certificates import Trial, make_trial
from settings import Settings, load

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Certificates that are good for 100 days."""
    return make_trial(tmp_path_factory.mktemp("trial"), ["pacs.test"], days=100, now=NOW)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Other certificates, of keys of their own."""
    return make_trial(tmp_path_factory.mktemp("foreign"), ["pacs.test"], days=100, now=NOW)


def selfsigned(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["tls-selfsigned", *map(str, arguments)])


def test_what_it_prints_is_a_configuration_that_works(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    done = selfsigned(folder, "--host", "127.0.0.1", "--host", "hilum.test", "--days", "40")
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert not b"".join(path.read_bytes() for path in folder.glob("ca*")).count(b"PRIVATE KEY")

    listener, destination = re.findall(r"(?:^  .+\n)+", done.output, re.MULTILINE)[1:3]
    pacs = '[[destinations]]\nname = "a"\nae_title = "A"\nhost = "127.0.0.1"\nport = 104\n'
    config = tmp_path / "hilum.toml"
    config.write_text(listener.replace("\n  ", "\n") + pacs + destination)
    settings = load(config=config, environ={}).settings
    assert settings.listener.tls.client_certificate == "required"
    assert [check.verdict for check in certificates(settings, NOW)] == [Verdict.GOOD, Verdict.GOOD]


def test_certificates_that_are_there_are_not_written_over(tmp_path: Path) -> None:
    assert selfsigned(tmp_path, "--host", "a.test").exit_code == 0
    before = (tmp_path / "ca.pem").read_bytes()
    error = selfsigned(tmp_path, "--host", "a.test").exception
    assert isinstance(error, Exception)
    assert "ca.pem is there already" in (explain(error) or "")
    assert (tmp_path / "ca.pem").read_bytes() == before


def listening(**tls: object) -> Settings:
    given = {"listener.tls.enabled": True, **{f"listener.tls.{k}": v for k, v in tls.items()}}
    return load(given, environ={}).settings


def checks(settings: Settings, days: int = 0) -> Iterator[tuple[Verdict, str]]:
    found: list[Check] = list(certificates(settings, NOW + timedelta(days=days)))
    return ((check.verdict, check.text) for check in found)


def test_a_certificate_is_good_then_ends_soon_then_is_expired(trial: Trial) -> None:
    settings = listening(certificate=trial.server)
    assert list(checks(settings)) == [(Verdict.GOOD, str(trial.server))]
    [(verdict, text)] = checks(settings, days=71)
    assert verdict is Verdict.NOTE
    assert text.startswith(f"{trial.server}: the certificate of CN=pacs.test expires on 2")
    [(verdict, text)] = checks(settings, days=101)
    assert verdict is Verdict.BAD
    assert "expired on" in text
    [(verdict, text)] = checks(settings, days=-2)
    assert verdict is Verdict.BAD
    assert "is not good before" in text


def test_files_that_cannot_be_used_are_named(tmp_path: Path, trial: Trial, foreign: Trial) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    missing = tmp_path / "missing.pem"
    for settings, said in (
        (
            listening(certificate=trial.server, key=foreign.server),
            f"{trial.server} and {foreign.server}: the key does not belong to the certificate",
        ),
        (listening(certificate=missing), f"{missing}: No such file or directory"),
        (listening(certificate=trial.ca), f"{trial.ca}: no certificate with its key in PEM form"),
        (
            listening(certificate=trial.server, ca=empty, client_certificate="required"),
            f"{empty}: no certificate in PEM form stands in it",
        ),
    ):
        [(verdict, text)] = checks(settings)
        assert verdict is Verdict.BAD
        assert said in text


def test_certificates_for_destinations_and_returns_are_looked_at_too(
    tmp_path: Path, trial: Trial
) -> None:
    tls = {"enabled": True, "ca": str(trial.ca), "certificate": str(tmp_path / "missing.pem")}
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "pacs.test", "port": 104, "tls": tls}
    peer = {"ae_title": "CR1", "port": 104, "return_results": True, "tls": tls}
    settings = load({"destinations": [pacs], "peers": [peer]}, environ={}).settings
    found = list(certificates(settings, NOW))
    assert [check.name for check in found] == ["tls of destination pacs", "tls of peer CR1"]
    assert all(check.verdict is Verdict.BAD for check in found)
