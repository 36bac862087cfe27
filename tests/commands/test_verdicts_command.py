"""`hilum verdicts`: figures of readers, and their labels as a folder that training reads."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from commands import verdicts as command
from commands.problem import ProblemError
from commands.roles import opened
from db import verdicts
from db.models import StoredReading
from db.session import Database
from db.verdicts import NewVerdict
from settings import Settings
from tests.db.makers import Clock, film, reported_study, rows
from tests.inference.films import make_film
from training.tables import LUNG_OPACITY, NORMAL, read_kaggle


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation with two films that somebody has judged."""
    made = Settings(data_dir=tmp_path / "data")
    with opened(made):
        pass
    clock = Clock()
    with closing(Database(made.database, clock=clock)) as database:
        for number, finding in enumerate(("opacity", "normal")):
            path = f"films/{number}.dcm"
            make_film(made.data_path / path)
            study_id = reported_study(database, clock, film(path=path, patient_name="Canary^P"))
            reading = rows(database, StoredReading)[-1]
            with database.write() as session:
                new = NewVerdict(reading.id, finding, None, "", "ann")
                verdicts.add(session, new, study_id=study_id, now=clock.now)
    return made


def test_the_export_is_a_folder_that_training_reads(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    assert command.export(settings, folder, None, None) == "2 films written."
    films = {each.label: each for each in read_kaggle(folder)}
    assert films.keys() == {LUNG_OPACITY, NORMAL}
    assert films[LUNG_OPACITY].boxes == ((1.0, 2.0, 3.0, 4.0),)
    assert films[NORMAL].patient != films[LUNG_OPACITY].patient
    assert b"Canary" not in b"".join(each.read_bytes() for each in folder.rglob("*.dcm"))
    names = {each.name for each in folder.rglob("*.dcm")}
    again = tmp_path / "again"
    command.export(settings, again, None, None)
    assert {each.name for each in again.rglob("*.dcm")} == names
    trail = "".join(each.read_text() for each in settings.data_path.glob("audit/*.audit"))
    assert trail.count("110132") == 2


def test_an_export_spares_what_is_in_its_way(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ProblemError, match="not empty"):
        command.export(settings, tmp_path, None, None)
    with pytest.raises(ProblemError, match="cannot be written"):
        command.export(settings, tmp_path / "mine.txt" / "set", None, None)


def test_agreement_is_told_for_people_and_programs(settings: Settings) -> None:
    (row,) = command.agreement(settings, None, None, "bundle")
    assert (row["group"], row["verdicts"], row["agreement"]) == ("test 1", 2, 0.5)
    console = Console(record=True, width=120)
    command.print_agreement([row], console)
    assert "test 1" in console.export_text()
    with pytest.raises(ProblemError, match="one of bundle, source, station"):
        command.agreement(settings, None, None, "reader")
