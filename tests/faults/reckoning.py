"""What became of acknowledged films: none may be lost, none may count twice."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection

from pydicom import dcmread
from sqlalchemy import select

from db.models import Instance, Study
from tests.faults.ledger import Tally
from tests.peers import StoreSCP, hilum_process
from tests.system.whole import Whole


def count(
    tally: Tally, service: Whole, acknowledged: Collection[str], pacs: StoreSCP | None = None
) -> None:
    """Hold files, rows and (where there is a `pacs`) its SRs against what was acknowledged."""
    tally.acknowledged += len(acknowledged)
    with service.database.read() as session:
        query = select(Instance, Study.study_instance_uid).join(Study)
        kept = {row.Instance.sop_instance_uid: row for row in session.execute(query)}
        rows = Counter(session.scalars(select(Instance.sop_instance_uid)))
    whole = {uid for uid, row in kept.items() if _is_whole(service, row.Instance)}
    if pacs is not None:
        reports = Counter(
            str(each.StudyInstanceUID)
            for each in (dcmread(path, stop_before_pixels=True) for path in pacs.files())
            if each.Modality == "SR"
        )
        whole = {uid for uid in whole if reports[kept[uid].study_instance_uid]}
        tally.duplicated += sum(number - 1 for number in reports.values())
    tally.lost += len(set(acknowledged) - whole)
    tally.duplicated += sum(number - 1 for number in rows.values())
    service.assert_no_orphans()


def settle(service: Whole) -> None:
    """Start a listener, which sees to films of which the database did not say whether it has them.

    Where a commit fails half way, only the database, once it is well again, knows.
    """
    with hilum_process(["listen"], service.env, folder=service.folder) as listener:
        listener.wait_for("Listening on port")


def _is_whole(service: Whole, row: Instance) -> bool:
    path = service.data / row.path
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == row.file_sha256
