"""Bundles as a person handles them, on the whole service: activated, rolled back, in shadow."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from sqlalchemy import select

from db.models import Delivery, Instance, Report, Result, ShadowReading, StoredReading, Study
from inference.bundle import load_bundle
from tests.inference.bundles import packaged_as
from tests.peers import StoreSCP, dcmsend, hilum_process, run_hilum, wait_until
from tests.system.whole import START_SECONDS, Whole, destination, eager_bundle, make_films, whole

pytestmark = pytest.mark.long

PACKAGED = load_bundle().label


def said(service: Whole, *args: str | Path) -> str:
    """Run `hilum bundle ARGS…`, which must succeed, and return what it prints."""
    done = run_hilum(["bundle", *args], service.env, folder=service.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def registered(service: Whole, identity: str, **changes: Any) -> None:
    """Register the packaged network by another name."""
    made = packaged_as(service.folder / identity, identity, "2", **changes)
    said(service, "register", made.path)


def latest_reports(service: Whole) -> dict[int, str]:
    """Return the bundle that the latest report of each study names, by study."""
    with service.database.read() as session:
        rows = session.scalars(select(Report).order_by(Report.revision))
        return {row.study_id: row.bundle for row in rows}


def test_activated_in_the_middle_of_a_stream_no_study_is_dropped_and_each_names_its_bundle(
    tmp_path: Path, storescp: StoreSCP
) -> None:
    films = make_films(tmp_path / "films", 12)
    before, during, after = films[:2], films[2:10], films[10:]
    to_pacs = destination(storescp.port, storescp.ae_title)
    with whole(tmp_path, destinations=[to_pacs]) as service, service.serving() as process:
        registered(service, "second", temperature=3.0)
        dcmsend(before, service.port)
        service.wait_until_idle(2)
        assert set(latest_reports(service).values()) == {PACKAGED}

        activated = threading.Event()

        def stream() -> None:
            for film in during[:-1]:
                dcmsend([film], service.port)
            assert activated.wait(200)
            dcmsend([during[-1]], service.port)

        sender = threading.Thread(target=stream)
        sender.start()
        text = said(service, "activate", "second", "--reason", "validated on our films")
        activated.set()
        assert "second/2 is active" in text
        process.wait_for("Reading with second 2", seconds=200)
        sender.join()
        dcmsend(after, service.port)
        service.wait_until_idle(12)

        reports = latest_reports(service)
        assert len(reports) == 12
        assert Counter(reports.values())["second 2"] >= len(after)
        with service.database.read() as session:
            for study in session.scalars(select(Study)):
                assert study.bundle == reports[study.id]
                for image in study.instances:
                    assert image.readings[-1].bundle == reports[study.id]
            results = session.execute(select(Result, Report.bundle).join(Report)).all()
        storescp.wait_for_files(len(results))
        for result, name in results:
            dataset = dcmread(service.data / result.path)
            assert f"{dataset.ManufacturerModelName} {dataset.SoftwareVersions}" == name

        assert "is active again" in said(service, "rollback", "--reason", "too many findings")
        process.wait_for(
            lambda: process.log().count(f"Reading with {PACKAGED} on") == 2, seconds=200
        )
        # A late film opens a study that the second bundle reported: all of it is read anew.
        late = dcmread(after[-1])
        late.SOPInstanceUID = late.file_meta.MediaStorageSOPInstanceUID = "2.25.1234"
        late.save_as(tmp_path / "late.dcm")
        dcmsend([tmp_path / "late.dcm"], service.port)

        def revised() -> Study | None:
            with service.database.read() as session:
                return session.scalar(select(Study).where(Study.revision == 2))

        study = wait_until(revised, "a revision", seconds=200)
        assert study.bundle == PACKAGED
        with service.database.read() as session:
            images = session.get_one(Study, study.id).instances
            read_by = [[each.bundle for each in image.readings] for image in images]
        assert [each[-1] for each in read_by] == [PACKAGED] * 2
        assert read_by[0][0] == "second 2", "what was said stays in the history"

        chosen = json.loads(said(service, "history", "--json"))
        assert [(each["bundle"], each["reason"]) for each in chosen] == [
            ("configured", "too many findings"),
            ("second/2", "validated on our films"),
        ]
        assert process.log().count("Started work") == 1, "the worker was never started anew"


def test_a_second_bundle_in_shadow_reads_everything_and_sends_nothing(
    tmp_path: Path, storescp: StoreSCP
) -> None:
    kinds = ("opacity", "normal", "abnormal", "lateral")
    films = make_films(tmp_path / "films", 4, kinds=kinds)
    to_pacs = destination(storescp.port, storescp.ae_title)
    with whole(tmp_path, destinations=[to_pacs]) as service, service.serving():
        eager = eager_bundle(tmp_path / "eager")
        said(service, "register", eager)
        assert "reads in shadow" in said(service, "shadow", "eager/1")
        dcmsend(films, service.port)
        service.wait_until_idle(4)

        assert service.count(ShadowReading) == 4
        assert service.count(Delivery) == 3 * 2 + 1
        storescp.wait_for_files(3 * 2 + 1)
        assert set(latest_reports(service).values()) == {PACKAGED}
        for path in storescp.files():
            assert dcmread(path).ManufacturerModelName != "eager"

        found = json.loads(said(service, "compare", "--json"))
        [pair] = found["comparisons"]
        assert (pair["active"], pair["shadow"]) == (PACKAGED, "eager 1")
        with service.database.read() as session:
            positive = sum(
                each.finding == "opacity" for each in session.scalars(select(StoredReading))
            )
        # The same network, so the same probabilities; its threshold of 0 finds all films positive.
        assert pair["both"] == 3
        assert (pair["both_positive"], pair["shadow_only"]) == (positive, 3 - positive)
        assert (pair["active_only"], pair["both_negative"]) == (0, 0)
        assert pair["largest_difference"] < 1e-3
        assert found["refused"] == [{"shadow": "eager 1", "both": 1, "active_only": 0}]
        assert "eager 1 in shadow of" in said(service, "compare")
        assert json.loads(said(service, "compare", "--json", "--until", "2020-01-01")) == {
            "comparisons": [],
            "refused": [],
            "differences": [],
        }

        shown = run_hilum(["show", "1", "--json"], service.env, folder=tmp_path)
        [image] = json.loads(shown.stdout)["images"]
        [beside] = image["shadow_readings"]
        assert beside["bundle"] == "eager 1"
        assert beside["pneumonia"] == pytest.approx(image["readings"][0]["pneumonia"], abs=1e-3)
        shown = run_hilum(["show", "1"], service.env, folder=tmp_path)
        assert "in shadow, not reported: eager 1 opacity" in shown.stdout

        said(service, "shadow", "off")
        [more] = make_films(tmp_path / "more", 1, kinds=["abnormal"])
        dataset = dcmread(more)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.1234"
        dataset.StudyInstanceUID = "2.25.5678"
        dataset.save_as(more)
        dcmsend([more], service.port)
        service.wait_until_idle(5)
        assert service.count(ShadowReading) == 4
        assert service.count(Instance) == 5


def test_a_bundle_on_the_command_line_is_stronger_than_what_is_activated(tmp_path: Path) -> None:
    """And what is activated is stronger than what is configured."""
    eager = eager_bundle(tmp_path / "eager")
    with whole(tmp_path, env={"HILUM_WORKER__BUNDLE": str(eager)}) as service:
        registered(service, "second")
        said(service, "activate", "second")
        with service.serving() as process:
            process.wait_for("Reading with second 2", seconds=START_SECONDS)
        args = ["--set", f"worker.bundle={eager}", "serve"]
        with hilum_process(args, service.env, folder=service.folder) as process:
            process.wait_for("Reading with eager 1", seconds=START_SECONDS)
            process.wait_for("The bundle is fixed by the command line")
            process.wait_for(service.answers, seconds=START_SECONDS)


def test_an_active_bundle_that_is_gone_leaves_the_configured_one_reading(tmp_path: Path) -> None:
    films = make_films(tmp_path / "films", 1, kinds=["normal"])
    with whole(tmp_path) as service:
        registered(service, "second")
        said(service, "activate", "second")
        (service.data / "bundles/second/2/golden.npz").unlink()
        with service.serving() as process:
            process.wait_for("The activated bundle cannot be used")
            dcmsend(films, service.port)
            service.wait_until_idle(1)
        assert latest_reports(service) == {1: PACKAGED}
        listed = {each["name"]: each for each in json.loads(said(service, "list", "--json"))}
        assert "golden.npz" in listed["second/2"]["problem"]
        done = run_hilum(["doctor"], {**service.env, "COLUMNS": "300"}, folder=tmp_path)
        assert done.returncode == 1
        assert "bundle, active  second cannot be used by the worker" in done.stdout


def test_from_folder_to_zip_to_another_installation(tmp_path: Path) -> None:
    packed = tmp_path / "second.zip"
    other = tmp_path / "other"
    other.mkdir()
    with whole(tmp_path) as here, whole(other) as elsewhere:
        registered(here, "second")
        assert str(packed) in said(here, "export", "second", "--out", packed)
        assert "is registered" in said(elsewhere, "register", packed)
        assert "was registered already" in said(elsewhere, "register", packed)
        assert "fit their digests" in said(elsewhere, "verify", "second/2")
        shown = json.loads(said(elsewhere, "show", "second", "--json"))
        assert shown["digest"] == json.loads(said(here, "show", "second", "--json"))["digest"]
        assert "digest" in said(elsewhere, "show", "second")
        card = (tmp_path / "second" / "model_card.md").read_text()
        assert said(elsewhere, "show", "second", "--card") == card
