"""Unpacks a zip file of the challenge once; a kill costs only the file that was being written."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from training.kaggle.csvs import FolderError

Progress = Callable[[int, int], None]
"""Told the number of files done and of all files."""

KEPT = (".dcm", ".jpg", ".jpeg", ".csv", ".zip")


def unpack(archive: Path, unpack_to: Path | None, progress: Progress | None) -> Path:
    """Unpack images and tables of a zip file into a folder of its name and return that.

    The folder stands beside the zip file if that place can be written, else below `unpack_to`. It
    gets its name when it is complete; until then it ends in `.unpacking`, and files that are there
    are not unpacked again. Where all files of the zip lie below one folder, that level is left out.

    Raises:
        FolderError: the zip file is damaged or wants a password, or the disk is too small.
    """
    folder = _place(archive, unpack_to)
    if folder.is_dir():
        return folder
    growing = folder.with_name(f"{folder.name}.unpacking")
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened)
            if not members:
                raise FolderError(f"{archive}: no image or table in it: download it again")
            growing.mkdir(parents=True, exist_ok=True)
            _require_space(archive, members, growing)
            for number, (name, member) in enumerate(sorted(members.items()), start=1):
                _write(opened, member, growing / name)
                if progress is not None:
                    progress(number, len(members))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise FolderError(
            f"{archive}: this zip file is damaged or cut off ({error}): download it again"
        ) from None
    except OSError as error:
        raise FolderError(f"{archive}: cannot be unpacked to {folder}: {error.strerror}") from None
    growing.rename(folder)
    return folder


def cache_folder() -> Path:
    """Where we keep what cannot stand beside its source: `$XDG_CACHE_HOME/hilum/kaggle`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hilum" / "kaggle"


def _place(archive: Path, unpack_to: Path | None) -> Path:
    beside = archive.with_suffix("")
    if beside.is_dir() and not any(beside.iterdir()):
        beside = archive.with_suffix(".unpacked")
    if beside.is_dir() or (unpack_to is None and os.access(archive.parent, os.W_OK)):
        return beside
    stat = archive.stat()
    key = f"{archive.resolve()} {stat.st_size} {stat.st_mtime_ns}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return (unpack_to or cache_folder()) / digest / beside.name


def _members(opened: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Choose what to unpack, by the path it gets: at most one folder deep, never outside."""
    chosen: dict[str, zipfile.ZipInfo] = {}
    for member in opened.infolist():
        parts = PurePosixPath(member.filename).parts
        # Hidden, or a name that would lead out of the folder.
        hidden = any(part.startswith(("__MACOSX", ".", "/")) for part in parts)
        if member.is_dir() or hidden or not member.filename.lower().endswith(KEPT):
            continue
        if member.flag_bits & 1:
            raise FolderError(f"{opened.filename}: wants a password: unpack it yourself")
        chosen["/".join(parts[-2:])] = member
    tops = {name.split("/")[0] for name in chosen}
    if len(tops) == 1 and all("/" in name for name in chosen):
        return {name.split("/", 1)[1]: member for name, member in chosen.items()}
    return chosen


def _require_space(archive: Path, members: dict[str, zipfile.ZipInfo], growing: Path) -> None:
    there = sum(file.stat().st_size for file in growing.rglob("*") if file.is_file())
    needed = sum(member.file_size for member in members.values()) - there
    free = shutil.disk_usage(growing).free
    if needed > free:
        raise FolderError(
            f"{archive}: {needed / 1e9:.1f} GB are needed to unpack it and {growing.parent} has"
            f" {free / 1e9:.1f} GB: make room, or unpack it elsewhere and give that folder"
        )


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, file: Path) -> None:
    if file.is_file() and file.stat().st_size == member.file_size:
        return
    file.parent.mkdir(exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    with opened.open(member) as source, partial.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    partial.replace(file)
