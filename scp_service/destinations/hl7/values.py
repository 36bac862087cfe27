"""DICOM's names, dates and times as HL7 v2 writes them."""

from __future__ import annotations

from datetime import datetime

from scp_service.destinations.hl7.segments import Component


def xpn(name: str | None) -> list[tuple[Component, ...]]:
    """Turn a PN value (PS3.5 6.2.1) into XPN repetitions, one per group that it has.

    Where there are several, each says how it is written (table 0465): A, I or P.
    """
    groups = (name or "").split("=")
    if len(groups) == 1:
        return [_xpn(groups[0])]
    return [
        (*_xpn(group), None, None, code)
        for group, code in zip(groups, "AIP", strict=False)
        if group
    ]


def xcn(name: str | None) -> tuple[Component, ...] | None:
    """Turn a PN value into an XCN without an identifier: its alphabetic group."""
    return None if name is None else (None, *_xpn(name.split("=")[0]))


def moment(at: datetime) -> str:
    """Write a time with its offset from UTC, in milliseconds (data type DTM)."""
    return f"{at:%Y%m%d%H%M%S}.{at.microsecond // 1000:03d}{at:%z}"


def dicom_moment(date: str | None, time: str | None, offset: str | None) -> str | None:
    """Join values of VR DA and TM; the result is as fine as they are, in seconds at most."""
    if date is None:
        return None
    clock = (time or "").split(".")[0]
    return f"{date}{clock}{offset or ''}" if clock else date


def _xpn(group: str) -> tuple[Component, ...]:
    """Swap what DICOM and HL7 order differently: prefix and suffix."""
    family, given, middle, prefix, suffix = (*group.split("^"), "", "", "", "", "")[:5]
    return family, given, middle, suffix, prefix
