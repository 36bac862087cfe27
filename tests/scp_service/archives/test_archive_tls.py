"""Archives over DICOM TLS: Orthanc that lets nobody in without a certificate of its CA."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from commands.check import Verdict
from commands.doctor_sources import archives
from db.files import FileStore
from db.session import Database
from scp_service.archives import fetch as fetching
from scp_service.archives.found import UnavailableError
from scp_service.certificates import make_trial
from tests import peers
from tests.scp_service.archives.fetching import held, outcomes
from tests.scp_service.dicomweb.posting import file
from tests.scp_service.films import cr
from tests.scp_service.running import configured


def test_films_come_over_tls_from_an_archive_that_asks_for_our_certificate_and_never_without(
    database: Database, store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_PAUSES_SECONDS", (0.01,))
    now = datetime.now(UTC)
    trial = make_trial(tmp_path / "ours", ["127.0.0.1"], days=30, now=now)
    foreign = make_trial(tmp_path / "foreign", ["127.0.0.1"], days=30, now=now)
    (tmp_path / "film.dcm").write_bytes(file(cr()))
    config = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(trial.server),
        "DicomTlsPrivateKey": str(trial.server),
        "DicomTlsTrustedCertificates": str(trial.ca),
        "DicomModalities": {"hilum": {"AET": "HILUM", "Host": "127.0.0.1", "Port": 11112}},
    }
    with peers.orthanc(tmp_path / "orthanc", config=config) as orthanc:
        shown = ("+tls", str(trial.client), str(trial.client), "+cf", str(trial.ca))
        sent = peers.storescu(
            [tmp_path / "film.dcm"], orthanc.port, called="ORTHANC", options=("-xs", *shown)
        )
        assert sent.accepted == 1, sent.output

        def at(**tls: Any) -> dict[str, Any]:
            return {
                "ae_title": "ORTHANC",
                "host": "127.0.0.1",
                "port": orthanc.port,
                "timeout_seconds": 10,
                "tls": tls,
            }

        trusting = {"enabled": True, "certificate": str(trial.client), "ca": str(trial.ca)}
        with pytest.raises(UnavailableError):
            outcomes(at(enabled=True, ca=str(trial.ca)), database, store)
        with pytest.raises(UnavailableError, match="certificate is not accepted"):
            outcomes(at(**{**trusting, "ca": str(foreign.ca)}), database, store)
        assert not held(database)
        (end,) = outcomes(at(**trusting), database, store)
        assert end.result == "fetched"
        assert [each.source_ae for each in held(database)] == ["ORTHANC"]

        named = [{"name": "good", **at(**trusting)}, {"name": "bad", **at(enabled=True)}]
        good, bad = archives(configured(store.root, archives=named))
    assert (good.name, good.verdict) == ("archive good", Verdict.GOOD)
    assert good.text == f"ORTHANC at 127.0.0.1:{orthanc.port} answers"
    assert bad.verdict is Verdict.BAD
