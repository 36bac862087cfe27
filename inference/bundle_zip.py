"""A bundle as one file: a ZIP with the same bytes wherever it is made, and the careful way back."""

from __future__ import annotations

import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from inference.bundle import MANIFEST, Bundle, BundleError

MOST_BYTES = 2 * 2**30
"""What a bundle may hold at most, unpacked."""
MOST_FILES = 1000
MOST_MANIFEST_BYTES = 2**20

_BLOCK = 2**20
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP can state: real ones would differ from export to export."""
_UNIX = 3
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What Python's reader raises at ZIPs that are damaged, encrypted or made to confuse it."""


def export_zip(bundle: Bundle, target: Path) -> None:
    """Write a verified bundle as a ZIP; the same bundle always gives the same bytes.

    Nothing is compressed: weights hardly shrink, and compressors differ between machines.

    Raises:
        OSError: the file cannot be written; none is left behind.
    """
    partial = target.with_name(f".{target.name}.part")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted((MANIFEST, *bundle.files)):
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.create_system = _UNIX
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                entry.file_size = (bundle.path / name).stat().st_size
                with (bundle.path / name).open("rb") as file, archive.open(entry, "w") as out:
                    shutil.copyfileobj(file, out, _BLOCK)
        partial.replace(target)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def unpack_zip(source: Path, folder: Path) -> None:
    """Unpack a bundle's ZIP into an empty folder. What it says of itself is not believed.

    The bundle may lie in one folder inside the ZIP. The caller verifies what comes out with
    `load_bundle`.

    Raises:
        BundleError: it is no ZIP of one bundle, is damaged, leaves its folder, holds links or the
            same name twice, or is larger than a bundle may be.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            _unpack(archive, source, folder)
    except _DAMAGED as error:
        raise BundleError(
            f"{source}: cannot be unpacked ({type(error).__name__}); it is no ZIP, damaged,"
            " encrypted or packed in a way that is not read here; export the bundle anew"
        ) from None


def _unpack(archive: zipfile.ZipFile, source: Path, folder: Path) -> None:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > MOST_FILES:
        raise _refused(source, f"it holds more than {MOST_FILES} files")
    names = [entry.filename for entry in entries]
    for entry in entries:
        _check(entry, source)
    if len(set(names)) < len(names):
        raise _refused(source, "it holds the same name twice")
    prefix = _prefix(names, source)
    left = MOST_BYTES
    for entry in entries:
        target = folder / entry.filename.removeprefix(prefix)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            left -= _copy(archive, entry, target, left, source)
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            raise _refused(source, "a name stands for both a file and a folder") from None


def _check(entry: zipfile.ZipInfo, source: Path) -> None:
    path = PurePosixPath(entry.filename)
    mode = entry.external_attr >> 16
    if path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in entry.filename:
        raise _refused(source, f"the name {entry.filename!r} leaves the bundle's folder")
    if entry.create_system == _UNIX and mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        raise _refused(source, f"{entry.filename!r} is a link or no plain file")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused(source, f"{entry.filename!r} is packed in a way that is not read here")
    if path.name == MANIFEST and entry.file_size > MOST_MANIFEST_BYTES:
        raise _refused(source, f"its {MANIFEST} is larger than {MOST_MANIFEST_BYTES // 2**10} KiB")


def _prefix(names: list[str], source: Path) -> str:
    """Return the folder inside the ZIP that the bundle lies in, with its slash, or ""."""
    found = [name for name in names if name == MANIFEST or name.count("/") == 1]
    manifests = [name for name in found if PurePosixPath(name).name == MANIFEST]
    if len(manifests) != 1:
        raise _refused(source, f"it does not hold one {MANIFEST}")
    prefix = manifests[0].removesuffix(MANIFEST)
    if not all(name.startswith(prefix) for name in names):
        raise _refused(source, "files lie beside the bundle's folder")
    return prefix


def _copy(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left: int, source: Path
) -> int:
    """Unpack one file and return its size; more bytes than are `left` are not written."""
    size = 0
    with archive.open(entry) as file, target.open("xb") as out:
        while block := file.read(_BLOCK):
            size += len(block)
            if size > left:
                raise _refused(source, f"it unpacks to more than {MOST_BYTES // 2**20} MiB")
            out.write(block)
    return size


def _refused(source: Path, why: str) -> BundleError:
    return BundleError(
        f"{source}: this is no ZIP of a bundle: {why}; make it by `hilum bundle export`"
    )
