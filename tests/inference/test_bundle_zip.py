"""A bundle's ZIP is the same wherever it is made, and one that lies or attacks is refused."""

from __future__ import annotations

import json
import os
import stat
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from inference import bundle_zip
from inference.bundle import Bundle, BundleError, load_bundle
from inference.bundle_zip import export_zip, unpack_zip
from tests.inference.bundles import small_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return small_bundle(tmp_path / "bundle")


@pytest.fixture
def exported(bundle: Bundle, tmp_path: Path) -> Path:
    export_zip(bundle, tmp_path / "bundle.zip")
    return tmp_path / "bundle.zip"


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_is_exported_comes_back_byte_for_byte(
    bundle: Bundle, exported: Path, empty: Path
) -> None:
    unpack_zip(exported, empty)
    assert contents(empty) == contents(bundle.path)
    assert load_bundle(empty).label == bundle.label


def test_the_same_bundle_gives_the_same_zip_whenever_and_wherever_it_lies(
    bundle: Bundle, exported: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "a" / "b"
    elsewhere.mkdir(parents=True)
    unpack_zip(exported, elsewhere)
    for path in elsewhere.rglob("*"):
        os.utime(path, (time.time() - 1e6, time.time() - 1e6))
        if path.is_file():
            path.chmod(0o600)
    export_zip(load_bundle(elsewhere), tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == exported.read_bytes()


def test_what_is_not_part_of_the_bundle_is_not_exported(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.path / "notes.txt").write_text("a name")
    export_zip(bundle, tmp_path / "b.zip")
    assert set(zipfile.ZipFile(tmp_path / "b.zip").namelist()) == {"bundle.json", *bundle.files}


def test_an_export_that_fails_leaves_nothing(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.path / "golden.npz").unlink()
    folder = tmp_path / "to"
    folder.mkdir()
    with pytest.raises(FileNotFoundError):
        export_zip(bundle, folder / "b.zip")
    assert list(folder.iterdir()) == []


def test_a_bundle_in_a_folder_of_the_zip_is_found(
    bundle: Bundle, empty: Path, tmp_path: Path
) -> None:
    """As a person packs it by hand, compressed and with entries for the folders."""
    with zipfile.ZipFile(tmp_path / "hand.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted([bundle.path, *bundle.path.rglob("*")]):
            archive.write(path, path.relative_to(bundle.path.parent))
    unpack_zip(tmp_path / "hand.zip", empty)
    assert contents(empty) == contents(bundle.path)


def entry(name: str, mode: int | None = None) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.create_system = 3
    if mode is not None:
        made.external_attr = mode << 16
    return made


@pytest.mark.parametrize(
    ("added", "said"),
    [
        (entry("../outside.txt"), "leaves the bundle's folder"),
        (entry("network/../../outside.txt"), "leaves the bundle's folder"),
        (entry("/outside.txt"), "leaves the bundle's folder"),
        (entry("C:/outside.txt"), "leaves the bundle's folder"),
        (entry("..\\outside.txt"), "leaves the bundle's folder"),
        (entry("link", stat.S_IFLNK | 0o777), "is a link or no plain file"),
        (entry("pipe", stat.S_IFIFO | 0o644), "is a link or no plain file"),
        (entry("golden.npz"), "holds the same name twice"),
        (entry("golden.npz/inside"), "both a file and a folder"),
        (entry("other/bundle.json"), "does not hold one bundle.json"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_reaches_out_is_refused_and_writes_nothing_outside(
    exported: Path, empty: Path, tmp_path: Path, added: zipfile.ZipInfo, said: str
) -> None:
    before = contents(tmp_path)
    with zipfile.ZipFile(exported, "a") as archive:
        archive.writestr(added, b"/etc/passwd")
    attacked = exported.read_bytes()
    with pytest.raises(BundleError, match=said):
        unpack_zip(exported, empty)
    outside = {
        name: data for name, data in contents(tmp_path).items() if not name.startswith("empty/")
    }
    assert outside == {**before, "bundle.zip": attacked}


def test_a_zip_that_unpacks_to_too_much_is_stopped(
    exported: Path, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_zip, "MOST_BYTES", 2 * 2**20)
    with zipfile.ZipFile(exported, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(8 * 2**20))
    with pytest.raises(BundleError, match="unpacks to more than 2 MiB"):
        unpack_zip(exported, empty)
    assert sum(len(data) for data in contents(empty).values()) <= 2 * 2**20


def test_a_zip_of_too_many_files_is_refused(
    exported: Path, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_zip, "MOST_FILES", 4)
    with pytest.raises(BundleError, match="more than 4 files"):
        unpack_zip(exported, empty)
    assert contents(empty) == {}


def test_a_manifest_of_any_size_is_refused(
    exported: Path, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_zip, "MOST_MANIFEST_BYTES", 100)
    with pytest.raises(BundleError, match=r"its bundle\.json is larger"):
        unpack_zip(exported, empty)


def test_files_beside_the_bundles_folder_are_refused(
    bundle: Bundle, empty: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name in ("bundle.json", *bundle.files):
            archive.write(bundle.path / name, f"inside/{name}")
        archive.writestr("beside/file", b"")
    with pytest.raises(BundleError, match="beside the bundle's folder"):
        unpack_zip(tmp_path / "b.zip", empty)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip(data: bytes) -> bytes:
    at = data.index(b"graph")
    return data[:at] + b"GRAPH" + data[at + 5 :]


def encrypt(data: bytes) -> bytes:
    """Set the flag of encryption in every entry of the directory."""
    made = bytearray(data)
    at = made.find(b"PK\x01\x02")
    while at >= 0:
        made[at + 8] |= 1
        at = made.find(b"PK\x01\x02", at + 1)
    return bytes(made)


def lie_about_sizes(data: bytes) -> bytes:
    """Say of the first file that it holds one byte."""
    made = bytearray(data)
    at = made.find(b"PK\x01\x02")
    made[at + 20 : at + 28] = struct.pack("<II", 1, 1)
    return bytes(made)


@pytest.mark.parametrize(
    "damage", [cut, flip, encrypt, lie_about_sizes, lambda _: b"", lambda _: b"no zip at all"]
)
def test_a_damaged_zip_is_refused_in_one_sentence(
    exported: Path, empty: Path, damage: Callable[[bytes], bytes]
) -> None:
    exported.write_bytes(damage(exported.read_bytes()))
    with pytest.raises(BundleError, match="cannot be unpacked") as caught:
        unpack_zip(exported, empty)
    assert str(exported) in str(caught.value)


def test_a_zip_packed_in_another_way_is_refused(exported: Path, empty: Path) -> None:
    with zipfile.ZipFile(exported, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("more", b"more")
    with pytest.raises(BundleError, match="packed in a way"):
        unpack_zip(exported, empty)


def test_a_manifest_nested_without_end_is_refused(exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "bundle.json").write_text("[" * 200_000)
    with pytest.raises(BundleError, match="not valid JSON"):
        load_bundle(folder)


def test_any_single_flipped_byte_of_a_file_is_noticed(
    bundle: Bundle, exported: Path, tmp_path: Path
) -> None:
    """By the ZIP's own checksum or by the manifest's digests."""
    files = contents(bundle.path)
    for name, data in files.items():
        if name == "bundle.json":
            continue
        changed = data[:-1] + bytes([data[-1] ^ 1])
        source = tmp_path / "changed.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for other, kept in files.items():
                archive.writestr(other, changed if other == name else kept)
        folder = tmp_path / name.replace("/", "_")
        folder.mkdir()
        unpack_zip(source, folder)
        with pytest.raises(BundleError, match="SHA-256"):
            load_bundle(folder)
    assert len(json.loads(files["bundle.json"])["files"]) == len(files) - 1
