"""What `hilum doctor` says of backups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from commands.check import Verdict
from commands.doctor_backup import backups
from db.backup import name_of
from settings import Settings, load

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def configured(folder: Path, passphrase: str = "correct horse") -> Settings:
    given = {"backup.folder": str(folder), "backup.passphrase": passphrase}
    return load(given, environ={}).settings


def said(settings: Settings) -> tuple[Verdict, str]:
    [check] = backups(settings, NOW)
    return check.verdict, check.text


def test_without_a_folder_it_says_that_nothing_is_backed_up() -> None:
    verdict, text = said(load(environ={}).settings)
    assert verdict is Verdict.NOTE
    assert "set backup.folder" in text


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    verdict, text = said(configured(tmp_path / "unmounted"))
    assert verdict is Verdict.BAD
    assert text.endswith("unmounted: no such folder; make it or mount it (backup.folder)")


def test_a_passphrase_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    verdict, text = said(configured(tmp_path, f"file:{tmp_path / 'none'}"))
    assert verdict is Verdict.BAD
    assert "none" in text


def test_a_folder_without_a_backup_is_no_fault_yet(tmp_path: Path) -> None:
    verdict, text = said(configured(tmp_path))
    assert verdict is Verdict.NOTE
    assert "there is no backup yet" in text


@pytest.mark.parametrize(("hours", "verdict"), [(20, Verdict.GOOD), (50, Verdict.BAD)])
def test_the_age_of_the_newest_decides(tmp_path: Path, hours: int, verdict: Verdict) -> None:
    for age in (hours, 400):
        (tmp_path / name_of(NOW - timedelta(hours=age))).touch()
    told, text = said(configured(tmp_path))
    assert told is verdict
    assert f"{NOW - timedelta(hours=hours):%Y-%m-%d %H:%M} UTC" in text
