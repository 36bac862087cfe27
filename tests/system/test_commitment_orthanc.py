"""Storage commitment with Orthanc: it commits itself to our results, and we to its films."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from db.models import Delivery
from db.states import DeliveryState
from tests import peers
from tests.peers import orthanc
from tests.system.whole import destination, make_films, whole

pytestmark = pytest.mark.long


def test_orthanc_and_hilum_commit_themselves_to_each_other(tmp_path: Path) -> None:
    """Our results are `committed` in the history; what Orthanc sent and what it did not is told."""
    films = make_films(tmp_path / "films", 2, kinds=["normal", "abnormal"])
    with orthanc(tmp_path / "orthanc") as pacs:
        to_pacs = destination(pacs.port, "ORTHANC", commit=True)
        peer = {"ae_title": "ORTHANC", "address": "127.0.0.1", "port": pacs.port}
        env = {"HILUM_PEERS": json.dumps([peer])}
        with whole(tmp_path, destinations=[to_pacs], env=env) as service, service.serving():
            for film in films:
                assert peers.dcmsend([film], pacs.port, called="ORTHANC").accepted == 1
            sent, kept_back = pacs.instances()
            pacs.send([sent], ae_title="HILUM", port=service.port)
            peers.wait_until(
                lambda: {each.state for each in service.deliveries()} == {DeliveryState.COMMITTED},
                "the receipts of both results",
                seconds=90,
            )
            assert service.count(Delivery) == 2

            asked = pacs.post(
                "/modalities/peer/storage-commitment", {"Resources": [sent, kept_back]}
            )
            answer = peers.wait_until(
                lambda: (
                    found if (found := pacs.get(asked["Path"]))["Status"] != "Pending" else None
                ),
                "the answer to Orthanc",
                seconds=60,
            )
            assert answer["Status"] == "Failure"
            [success], [failure] = answer["Success"], answer["Failures"]
            tags = pacs.tags(sent)
            assert success["SOPInstanceUID"] == tags["SOPInstanceUID"]
            assert failure["FailureReason"] == 0x0112
