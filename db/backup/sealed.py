"""A stream that nobody reads or changes without the passphrase, of any length, in little memory.

The key is made of the passphrase by scrypt (RFC 7914). The stream is cut into chunks, each sealed
by AES-256-GCM (NIST SP 800-38D) under a nonce that counts them and marks the last one (the STREAM
construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015). So a chunk that is changed, moved,
left out or cut off is found out as it is read. docs/backup.md describes the file byte by byte.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

MAGIC = b"hilum backup 1\n"
SALT_BYTES = 16
CHUNK_BYTES = 65_536
TAG_BYTES = 16
SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P = 17, 8, 1
"""128 MiB and about half a second for each passphrase that somebody tries."""

_CHECK_NONCE = b"\xff" * 12


class BackupError(Exception):
    """A backup cannot be made or restored; the message says why and what to do."""


class SealedWriter:
    """Seals what is written to it; without `close` the stream has no end, and is refused."""

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        header = MAGIC + os.urandom(SALT_BYTES)
        self._file = file
        self._cipher = AESGCM(_key(passphrase, header))
        self._header = header
        self._waiting = bytearray()
        self._chunks = 0
        file.write(header + self._cipher.encrypt(_CHECK_NONCE, b"", header))

    def write(self, data: bytes) -> int:
        """Take more of the stream."""
        self._waiting += data
        # The last chunk must be known as such, so a full one waits until more has come.
        while len(self._waiting) > CHUNK_BYTES:
            self._seal(self._waiting[:CHUNK_BYTES], last=False)
            del self._waiting[:CHUNK_BYTES]
        return len(data)

    def close(self) -> None:
        """Seal what waits as the last chunk; the file itself stays open."""
        self._seal(self._waiting, last=True)
        self._waiting.clear()

    def _seal(self, chunk: bytearray, *, last: bool) -> None:
        nonce = _nonce(self._chunks, last=last)
        self._file.write(self._cipher.encrypt(nonce, bytes(chunk), self._header))
        self._chunks += 1


class SealedReader:
    """Reads what a `SealedWriter` has written, and nothing that was changed since.

    Raises:
        BackupError: it is no backup, the passphrase is wrong, or (as it is read) it is damaged.
    """

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        header = file.read(len(MAGIC) + SALT_BYTES)
        check = file.read(TAG_BYTES)
        if not header.startswith(MAGIC) or len(check) < TAG_BYTES:
            raise BackupError("this file is no backup that this version of Hilum reads")
        self._file = file
        self._header = header
        self._cipher = AESGCM(_key(passphrase, header))
        try:
            self._cipher.decrypt(_CHECK_NONCE, check, header)
        except InvalidTag:
            raise BackupError(
                "the passphrase is not the one that this backup was made with"
            ) from None
        self._sealed = file.read(CHUNK_BYTES + TAG_BYTES)
        self._open = bytearray()
        self._chunks = 0
        self._ended = False

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end.

        Raises:
            BackupError: the file was changed or cut off.
        """
        while len(self._open) < count and not self._ended:
            self._open += self._next()
        data = bytes(self._open[:count])
        del self._open[:count]
        return data

    def finish(self) -> None:
        """Read to the end, so that it is certain that there is one.

        Raises:
            BackupError: the file was changed or cut off.
        """
        while self.read(CHUNK_BYTES):
            pass

    def _next(self) -> bytes:
        sealed, self._sealed = self._sealed, self._file.read(CHUNK_BYTES + TAG_BYTES)
        self._ended = not self._sealed
        nonce = _nonce(self._chunks, last=self._ended)
        self._chunks += 1
        try:
            return self._cipher.decrypt(nonce, sealed, self._header)
        except InvalidTag:
            raise BackupError(
                "the backup is damaged: it was changed or cut off; use another copy of it"
            ) from None


def _key(passphrase: str, header: bytes) -> bytes:
    salt = header[len(MAGIC) :]
    return Scrypt(salt, 32, 2**SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P).derive(passphrase.encode())


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
