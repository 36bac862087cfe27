"""What is typed wrongly is answered by one sentence that names it and says what is needed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import hilum

WRONG = [
    (["--set", "=3", "config"], "KEY=VALUE is needed"),
    (["--set", "listener=3", "config"], "listener: a table of keys is needed, not 3"),
    (["--set", "destinations=3", "config"], "destinations: a list is needed, not 3"),
    (["--config", "folder", "config"], "folder: cannot be read: Is a directory"),
    (["--config", "latin", "config"], "latin: cannot be read: it is no text in UTF-8"),
    (["history", "--study-date", "2024-01-01"], "--study-date 2024-01-01: a day is needed as"),
    (["history", "--study-date", "20240231"], "a day is needed as YYYYMMDD"),
    (["history", "--study-date", "20240301-20240201"], "a day is needed as YYYYMMDD"),
    (["history", "--probability", "high"], "a number from 0 to 1 is needed, or a range such as"),
    (["history", "--probability", "0.9-0.1"], "a number from 0 to 1 is needed"),
    (["history", "--probability", "70"], "a number from 0 to 1 is needed"),
    (["history", "--finding", "cancer"], "it can be opacity, abnormal, normal or failed"),
    (["history", "--state", "done"], "it can be open, reported or failed"),
    (["echo", "--port", "70000"], "65535"),
    (["echo", "--called", "\u00c4"], "--called: an AE title has 1 to 16 printable ASCII"),
    (["echo", "--calling", "MUCH_TOO_LONG_FOR_ONE"], "--calling: an AE title has 1 to 16"),
    (["send", "nowhere", "--port", "1"], "nowhere: no such file or folder"),
    (["report", "--runs", "nowhere"], "nowhere: no such folder; `hilum train` makes runs"),
    (["tls-selfsigned", "t", "--host", "a b"], "--host: 'a b' is no name or address"),
    (["tls-selfsigned", "t", "--host", "-x..y"], "--host: '-x..y' is no name or address"),
    (["tls-selfsigned", "t", "--host", ""], "--host: '' is no name or address"),
    (["demo", "--films", "nowhere"], "nowhere: no such file or folder"),
    (["demo", "--films", "latin"], "latin: holds no DICOM file"),
    (["train-bundle", "nowhere"], "nowhere: no such folder"),
    (["train-bundle", "folder"], "stage_2_detailed_class_info.csv: cannot be read"),
    (["train-bundle", "folder", "--nih", "nowhere"], "nowhere: no such folder"),
    (["train-bundle", "folder", "--weights", "none.h5"], "none.h5: no such file of weights"),
    (["--set", "listener.host=300.1.1.1", "listen"], "is none of this machine's"),
    (["--set", "listener.host=192.0.2.1", "listen"], "is none of this machine's"),
    (["user", "add", "a b"], "a user's name has 1 to 64 printable characters and no space"),
    (["user", "remove", "nobody"], "there is no user nobody"),
    (["backup", "nowhere/x"], "there is no folder"),
    (["bundle", "export", "hilum-default", "--out", "nowhere/x.zip"], "there is no folder"),
]


@pytest.mark.parametrize(("typed", "said"), WRONG, ids=[" ".join(typed) for typed, _ in WRONG])
def test_what_is_typed_wrongly_is_answered_by_a_sentence(
    typed: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin").write_bytes(b"\xff\xfe")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HILUM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HILUM_BACKUP__PASSPHRASE", "correct horse")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["hilum", *typed])
    with pytest.raises(SystemExit) as ended:
        hilum.main()
    told = capfd.readouterr()
    assert ended.value.code == 2
    assert said in told.err
    assert "Traceback" not in told.err


def test_what_is_typed_well_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HILUM_DATA_DIR", str(tmp_path / "data"))
    filters = "--study-date 20240101-20240229 --probability 0.2-0.8 --finding normal --state open"
    monkeypatch.setattr(sys, "argv", ["hilum", "history", *filters.split()])
    with pytest.raises(SystemExit) as ended:
        hilum.main()
    assert (ended.value.code, capfd.readouterr().out) == (0, "No study fits.\n")
