"""The sealed stream: what goes in comes out, and whatever is changed is found out."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

import pytest

from db.backup import sealed
from db.backup.sealed import CHUNK_BYTES, MAGIC, SALT_BYTES, TAG_BYTES, BackupError
from db.backup.sealed import SealedReader as Reader
from db.backup.sealed import SealedWriter as Writer

HEAD_BYTES = len(MAGIC) + SALT_BYTES + TAG_BYTES
SEALED_CHUNK = CHUNK_BYTES + TAG_BYTES


def seal(data: bytes, piece: int = 10_000, passphrase: str = "right") -> bytes:
    file = io.BytesIO()
    writer = Writer(file, passphrase)
    for start in range(0, len(data), piece):
        writer.write(data[start : start + piece])
    writer.close()
    return file.getvalue()


def open_(data: bytes, passphrase: str = "right") -> bytes:
    reader = Reader(io.BytesIO(data), passphrase)
    found = b"".join(iter(lambda: reader.read(7_777), b""))
    reader.finish()
    return found


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]
)
def test_what_is_sealed_is_opened_by_the_passphrase(size: int) -> None:
    data = os.urandom(size)
    assert open_(seal(data)) == data


def test_a_wrong_passphrase_is_told_from_a_damaged_file() -> None:
    with pytest.raises(BackupError, match="passphrase is not the one"):
        open_(seal(b"films"), "wrong")


def test_the_same_content_is_sealed_differently_each_time() -> None:
    assert seal(b"films")[HEAD_BYTES:] != seal(b"films")[HEAD_BYTES:]


def test_nothing_of_the_content_can_be_read() -> None:
    assert b"DOE^JANE" not in seal(b"DOE^JANE" * 20_000)


@pytest.fixture(scope="module")
def whole() -> bytes:
    """Four chunks, the last one short."""
    with pytest.MonkeyPatch.context() as cheap:
        cheap.setattr(sealed, "SCRYPT_LOG_N", 4)
        return seal(os.urandom(3 * CHUNK_BYTES + 100))


def chunks(whole: bytes, *order: int) -> bytes:
    """Return the stream with its chunks in this order."""
    starts = range(HEAD_BYTES, len(whole), SEALED_CHUNK)
    pieces = [whole[start : start + SEALED_CHUNK] for start in starts]
    return whole[:HEAD_BYTES] + b"".join(pieces[number] for number in order)


@pytest.mark.parametrize(
    "order", [(), (0, 1), (1, 0, 2, 3), (0, 2, 3), (0, 0, 1, 2, 3), (0, 1, 2, 3, 3)]
)
def test_chunks_cut_off_moved_left_out_or_put_in_are_found_out(
    order: tuple[int, ...], whole: bytes
) -> None:
    assert open_(chunks(whole, 0, 1, 2, 3))
    with pytest.raises(BackupError, match="damaged"):
        open_(chunks(whole, *order))


@pytest.mark.parametrize(
    "change",
    [
        lambda all_: all_[:-1],
        lambda all_: all_ + b"x",
        lambda all_: all_[:-30] + bytes([all_[-30] ^ 1]) + all_[-29:],
    ],
    ids=["cut", "longer", "flipped"],
)
def test_a_single_byte_is_found_out(change: Callable[[bytes], bytes], whole: bytes) -> None:
    with pytest.raises(BackupError, match="damaged"):
        open_(change(whole))


@pytest.mark.parametrize("other", [b"", b"PK\x03\x04", MAGIC, os.urandom(500)])
def test_another_file_is_no_backup(other: bytes) -> None:
    with pytest.raises(BackupError, match="no backup"):
        open_(other)
