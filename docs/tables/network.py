"""What is negotiated: SOP classes, roles, transfer syntaxes, identification, cipher suites."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE

from docs.tables.marked import table
from scp_service.archives.dimse import (
    FIND,
    GET,
    MOVE,
    SYNTAXES,
    image_keys,
    series_keys,
    study_keys,
)
from scp_service.archives.found import FoundStudy
from scp_service.archives.query import Query
from scp_service.commitment.messages import CONTEXT, PUSH_MODEL
from scp_service.destinations.dicom import CONTEXTS
from scp_service.listener import application_entity
from scp_service.store_scu import VERIFICATION
from scp_service.tls import client_context
from settings import ClientTls, Settings


def services() -> str:
    """Return every SOP class with our roles."""
    provided = {str(each.abstract_syntax) for each in _listener().supported_contexts}
    used = {*(sop_class for sop_class, _ in CONTEXTS), FIND, GET, MOVE, PUSH_MODEL, VERIFICATION}
    return table(
        ("SOP class", "UID", "SCU", "SCP"),
        (
            (_name(uid), uid, _yes(uid in used), _yes(uid in provided))
            for uid in sorted(provided | used, key=_by_number)
        ),
    )


def accepted() -> str:
    """Return what the listener accepts, with the number of transfer syntaxes of each."""
    return table(
        ("SOP class", "UID", "transfer syntaxes", "role"),
        (
            (
                _name(str(each.abstract_syntax)),
                str(each.abstract_syntax),
                _syntaxes(each.transfer_syntax or ()),
                "SCP, SCU" if each.scp_role else "SCP",
            )
            for each in _listener().supported_contexts
        ),
    )


def accepted_syntaxes() -> str:
    """Return the transfer syntaxes that images are accepted in, in the order of preference."""
    syntaxes = Settings().listener.transfer_syntaxes
    return table(("transfer syntax", "UID"), ((_name(uid), uid) for uid in syntaxes))


def proposed() -> str:
    """Return the presentation contexts that are proposed to a destination."""
    return _contexts((*CONTEXTS, CONTEXT))


def proposed_for_fetching() -> str:
    """Return the presentation contexts that are proposed to an archive."""
    rows = [(model, syntax) for model in (FIND, GET, MOVE) for syntax in SYNTAXES]
    return _contexts(rows)


def query_keys() -> str:
    """Return the attributes of C-FIND identifiers, by level."""
    study = FoundStudy("1.2", "", "", "", "", "")
    identifiers = (
        study_keys(Query(("CR",), "20250101-20250131", "7", "7", "*"), "CR"),
        series_keys(study),
        image_keys(study, "1.2.1"),
    )
    rows = (
        (
            each.QueryRetrieveLevel,
            element.name,
            str(element.tag),
            _matching(element.keyword, each),
        )
        for each in identifiers
        for element in each
        if element.keyword != "QueryRetrieveLevel"
    )
    return table(("level", "attribute", "tag", "matching"), rows)


def identification() -> str:
    """Return how we name our implementation."""
    ae = _listener()
    names = str(ae.implementation_class_uid), str(ae.implementation_version_name)
    return table(("Implementation Class UID", "Implementation Version Name"), [names])


def cipher_suites() -> str:
    """Return the cipher suites of TLS 1.2; those of TLS 1.3 are up to OpenSSL."""
    suites = client_context(ClientTls()).get_ciphers()
    rows = ((suite["name"],) for suite in suites if suite["protocol"] == "TLSv1.2")
    return table(("cipher suite of TLS 1.2",), rows)


def _listener() -> AE:
    return application_entity(Settings())


def _contexts(pairs: Sequence[tuple[str, str]]) -> str:
    syntaxes: dict[str, list[str]] = {}
    for sop_class, syntax in pairs:
        syntaxes.setdefault(sop_class, []).append(syntax)
    return table(
        ("SOP class", "UID", "transfer syntaxes"),
        ((_name(uid), uid, _syntaxes(each)) for uid, each in syntaxes.items()),
    )


def _matching(keyword: str, identifier: Dataset) -> str:
    value = str(identifier[keyword].value)
    if not value:
        return "asked for (universal)"
    if keyword == "StudyDate":
        return "single value or range"
    if keyword in ("PatientID", "StudyDescription"):
        return "single value or wildcard"
    return "single value"


def _syntaxes(uids: Iterable[str]) -> str:
    names = [_name(str(uid)) for uid in uids]
    if len(names) == len(Settings().listener.transfer_syntaxes):
        return "those of images, below"
    return ", ".join(names)


def _name(uid: str) -> str:
    """Return the name of a UID as PS3.6 gives it, without remarks in brackets."""
    return UID(uid).name


def _yes(it_is: bool) -> str:
    return "yes" if it_is else ""


def _by_number(uid: str) -> tuple[int, ...]:
    return tuple(map(int, uid.split(".")))
