"""Studies with results that wait to be sent, made without a worker."""

from __future__ import annotations

from collections.abc import Sequence

from tests.db.makers import close_quiet, film, new_report, read_all, receive, report
from tests.faults.roles import store_of
from tests.scp_service.results import kept
from tests.system.whole import Whole


def reported(service: Whole, lanes: Sequence[str], studies: int) -> set[str]:
    """Have so many studies reported to these destinations; return their SRs' Instance UIDs."""
    store = store_of(service)
    uids = set()
    for _ in range(studies):
        result = kept(store, "sr")
        receive(service.database, film())
        read_all(service.database)
        close_quiet(service.database, 0)
        report(service.database, dict.fromkeys(lanes, ("sr",)), new_report(result))
        uids.add(str(result.sop_instance_uid))
    return uids
