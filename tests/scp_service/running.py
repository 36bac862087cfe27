"""A listener in this process, and a sender that may send anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from db.files import FileStore
from db.session import Database
from scp_service import store_scu
from scp_service.listener import VERIFICATION, listening
from settings import Settings, load
from tests import peers
from tests.scp_service.films import encode

CONTEXTS = (
    (str(ComputedRadiographyImageStorage), str(ExplicitVRLittleEndian)),
    (VERIFICATION, "1.2.840.10008.1.2"),
)


def configured(data: Path, **values: Any) -> Settings:
    """Make settings for tests; `listener__port=1` sets `listener.port`."""
    given: dict[str, Any] = {
        "data_dir": str(data),
        "listener.host": "127.0.0.1",
        "listener.port": peers.free_port(),
        "listener.min_free_bytes": 0,
        **{name.replace("__", "."): value for name, value in values.items()},
    }
    return load(given, environ={}).settings


@contextmanager
def listener(database: Database, store: FileStore, **values: Any) -> Iterator[Settings]:
    """Run the listener until the end of the block; yields its settings."""
    settings = configured(store.root, **values)
    with listening(settings, database, store):
        yield settings


def associate(
    settings: Settings,
    contexts: Sequence[tuple[str, str]] = CONTEXTS,
    *,
    calling: str = "MODALITY",
    called: str = "HILUM",
) -> Association:
    """Ask for an association; the caller looks whether it was accepted, and releases it."""
    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    for sop_class, syntax in contexts:
        ae.add_requested_context(sop_class, syntax)
    made = ae.associate(settings.listener.host, settings.listener.port, ae_title=called)
    store_scu.sender_over(made)
    return made


@contextmanager
def associated(
    settings: Settings, contexts: Sequence[tuple[str, str]] = CONTEXTS, **titles: str
) -> Iterator[Association]:
    """Hold an association that must be accepted."""
    association = associate(settings, contexts, **titles)
    assert association.is_established
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def send(
    association: Association,
    dataset: Dataset | bytes,
    *,
    sop_class: str | None = None,
    sop_instance: str | None = None,
    context: int = 0,
) -> Dataset:
    """Send a data set, or any bytes, under any SOP UIDs; return the response's status elements.

    The context is the one at this place among the accepted ones.
    """
    accepted = association.accepted_contexts[context]
    request = C_STORE()
    request.MessageID = 7
    request.Priority = 2
    request.AffectedSOPClassUID = sop_class or accepted.abstract_syntax
    if isinstance(dataset, Dataset):
        request.AffectedSOPInstanceUID = sop_instance or dataset.SOPInstanceUID
        request.DataSet = BytesIO(encode(dataset, accepted.transfer_syntax[0]))
    else:
        request.AffectedSOPInstanceUID = sop_instance or "1.2.3"
        request.DataSet = BytesIO(dataset)
    # As `send_c_store` does, which would encode the data set by itself.
    association._reactor_checkpoint.clear()
    peers.wait_until(lambda: association._is_paused, "the association to pause")
    association.dimse.send_msg(request, accepted.context_id)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    if response is None:
        return Dataset()
    return association._check_received_status(response)


def status(association: Association, dataset: Dataset | bytes, **how: Any) -> int | None:
    """Send, and return the status alone; None where there was no answer."""
    answer = send(association, dataset, **how).get("Status")
    return None if answer is None else int(answer)
