"""Real peers for system tests: Hilum's own commands, DCMTK's tools, Orthanc, PostgreSQL.

Each is a context manager that starts the program on free loopback ports, waits until it answers
and ends it together with everything that it started.
"""

from tests.peers.database import Postgres, postgres
from tests.peers.dcmtk import Sent, StoreSCP, dcmsend, echoscu, storescp, storescu
from tests.peers.pacs import Orthanc, orthanc, with_dicomweb
from tests.peers.process import (
    ROOT,
    ChildProcess,
    ProcessFailedError,
    free_port,
    require,
    running,
    wait_until,
)
from tests.peers.service import hilum_environment, hilum_process, run_hilum

__all__ = [
    "ROOT",
    "ChildProcess",
    "Orthanc",
    "Postgres",
    "ProcessFailedError",
    "Sent",
    "StoreSCP",
    "dcmsend",
    "echoscu",
    "free_port",
    "hilum_environment",
    "hilum_process",
    "orthanc",
    "postgres",
    "require",
    "run_hilum",
    "running",
    "storescp",
    "storescu",
    "wait_until",
    "with_dicomweb",
]
