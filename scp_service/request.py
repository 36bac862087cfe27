"""What is wrong with an A-ASSOCIATE-RQ, before anything is made of it.

pynetdicom would make an association, find out, and keep its two threads for as long as it waits for
a better one.
"""

from __future__ import annotations

from pynetdicom.pdu import A_ASSOCIATE_RQ

_UNKNOWN_VERSION = bytes.fromhex("03 00 00000004 00 01 02 02")
"""A-ASSOCIATE-RJ (PS3.8 9.3.4): permanent, ACSE provider, protocol version not supported."""
UNEXPECTED = bytes.fromhex("07 00 00000004 00 00 02 02")
"""A-ABORT (PS3.8 9.3.8): service provider, unexpected PDU."""
_INVALID = bytes.fromhex("07 00 00000004 00 00 02 06")
"""A-ABORT (PS3.8 9.3.8): service provider, invalid PDU parameter value."""
_VERSION_1 = 0x0001


def refusal(request: bytes) -> bytes:
    """Return the PDU by which a whole A-ASSOCIATE-RQ is to be refused; empty where it is sound."""
    pdu = A_ASSOCIATE_RQ()
    try:
        pdu.decode(request)
        pdu.to_primitive()
    except Exception:
        # pynetdicom raises almost anything on what it cannot decode.
        return _INVALID
    return b"" if pdu.protocol_version & _VERSION_1 else _UNKNOWN_VERSION


def of_version_1(request: bytes) -> bytes:
    """Return a sound A-ASSOCIATE-RQ without the bits of its protocol version that do not count.

    Bit 0 alone is to be tested (PS3.8 9.3.2); pynetdicom takes nothing but 0001H.
    """
    return request[:6] + _VERSION_1.to_bytes(2, "big") + request[8:]
