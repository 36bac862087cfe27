"""`hilum forget` says so where somebody keeps it from rewriting the database's files."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from commands.forget import forget
from db import sqlite
from settings import Settings


def test_bytes_that_may_still_be_there_are_told_until_they_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECONDS", 0.2)
    settings = Settings(data_dir=tmp_path / "data")
    lines, done = forget(settings, ["P1"], really=True, even_unsent=False)
    assert (lines, done) == (["Nothing is held under exactly this Patient ID."], True)
    with closing(sqlite.connect(tmp_path / "data" / "hilum.sqlite")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM study").fetchone()
        lines, done = forget(settings, ["P1"], really=True, even_unsent=False)
    assert not done
    assert "The database was in use all the time" in lines[1]
    assert forget(settings, ["P1"], really=True, even_unsent=False)[1]
