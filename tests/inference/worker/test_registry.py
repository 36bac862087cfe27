"""The registry keeps what was registered: whole, once, unchanged."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from inference.bundle import DEFAULT_BUNDLE, Bundle, BundleError, load_bundle
from inference.bundle_zip import export_zip
from inference.worker.registry import Registry, key_of
from tests.inference.bundles import packaged_as, small_bundle


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """The registry of an empty data folder."""
    (tmp_path / "data").mkdir()
    return Registry(tmp_path / "data")


@pytest.fixture
def source(tmp_path: Path) -> Bundle:
    return small_bundle(tmp_path / "source")


def names(registry: Registry) -> list[str]:
    return [each.name for each in registry.listed()]


def left_over(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "data/bundles").glob(".*") if path.name != ".lock"]


def test_the_packaged_bundle_is_always_there(registry: Registry) -> None:
    [only] = registry.listed()
    assert only.packaged
    assert only.bundle is not None
    assert only.bundle.path == DEFAULT_BUNDLE
    assert registry.find(only.name) == registry.find(only.id) == only.bundle
    with pytest.raises(BundleError, match="always stays"):
        registry.remove(only)


def test_a_folder_or_its_zip_is_copied_in(
    registry: Registry, source: Bundle, tmp_path: Path
) -> None:
    found, new = registry.register(source.path)
    assert new
    assert found.path == tmp_path / "data/bundles/small/1"
    assert found == load_bundle(found.path)
    assert key_of(found) == key_of(source)
    other = small_bundle(tmp_path / "other", version="2")
    export_zip(other, tmp_path / "other.zip")
    assert registry.register(tmp_path / "other.zip")[1]
    assert names(registry)[1:] == ["small/1", "small/2"]
    assert left_over(tmp_path) == []


def test_what_is_not_part_of_the_bundle_stays_behind(registry: Registry, source: Bundle) -> None:
    (source.path / "notes.txt").write_text("a name")
    found, _ = registry.register(source.path)
    assert not (found.path / "notes.txt").exists()


def test_the_same_again_changes_nothing(registry: Registry, source: Bundle) -> None:
    first, _ = registry.register(source.path)
    before = first.path.stat().st_ino
    again, new = registry.register(source.path)
    assert not new
    assert again == first
    assert first.path.stat().st_ino == before


def test_another_bundle_of_the_same_name_is_refused(
    registry: Registry, source: Bundle, tmp_path: Path
) -> None:
    found, _ = registry.register(source.path)
    other = small_bundle(tmp_path / "other", graph=b"other")
    with pytest.raises(BundleError, match="another bundle is registered as small/1 already"):
        registry.register(other.path)
    assert key_of(registry.find("small/1")) == key_of(found)
    assert left_over(tmp_path) == []


def test_the_packaged_bundles_name_cannot_be_taken(registry: Registry, tmp_path: Path) -> None:
    packaged = load_bundle()
    same, new = registry.register(DEFAULT_BUNDLE)
    assert not new
    assert same == packaged
    other = packaged_as(
        tmp_path / "other", packaged.id, packaged.version, intended_use="Something else."
    )
    with pytest.raises(BundleError, match="is registered as"):
        registry.register(other.path)


def test_a_damaged_bundle_is_not_let_in(registry: Registry, source: Bundle, tmp_path: Path) -> None:
    (source.path / "golden.npz").write_bytes(b"other")
    with pytest.raises(BundleError, match="SHA-256"):
        registry.register(source.path)
    with pytest.raises(BundleError, match=r"no readable bundle\.json"):
        registry.register(tmp_path / "nowhere")
    assert len(names(registry)) == 1
    assert left_over(tmp_path) == []


def test_a_registered_bundle_that_was_damaged_since_is_listed_with_the_reason(
    registry: Registry, source: Bundle
) -> None:
    found, _ = registry.register(source.path)
    (found.path / "network/saved_model.pb").write_bytes(b"altered")
    listed = registry.look_up("small/1")
    assert listed.bundle is None
    assert "SHA-256" in str(listed.problem)
    with pytest.raises(BundleError, match="SHA-256"):
        registry.find("small")
    registry.remove(listed)
    assert registry.register(source.path)[1]


def test_a_bundle_that_lies_under_another_name_is_not_used(
    registry: Registry, source: Bundle
) -> None:
    found, _ = registry.register(source.path)
    found.path.rename(found.path.with_name("9"))
    with pytest.raises(BundleError, match="calls it small/1"):
        registry.find("small/9")


def test_the_very_bundle_that_was_chosen_is_loaded(registry: Registry, source: Bundle) -> None:
    found, _ = registry.register(source.path)
    key = key_of(found)
    assert registry.load(key) == found
    document = json.loads((found.path / "bundle.json").read_text())
    document["operating_points"]["youden"]["threshold"] = 0.1
    (found.path / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match="not the one that was chosen"):
        registry.load(key)


def test_a_name_that_fits_none_or_several_is_explained(
    registry: Registry, source: Bundle, tmp_path: Path
) -> None:
    registry.register(source.path)
    registry.register(small_bundle(tmp_path / "other", version="2").path)
    with pytest.raises(BundleError, match="may be any of small/1, small/2"):
        registry.find("small")
    for name in ("large", "small/3", "", "/", "../small/1"):
        with pytest.raises(BundleError, match="is registered"):
            registry.find(name)


def test_what_is_removed_is_gone_and_the_rest_stays(
    registry: Registry, source: Bundle, tmp_path: Path
) -> None:
    registry.register(source.path)
    registry.register(small_bundle(tmp_path / "other", version="2").path)
    registry.remove(registry.look_up("small/1"))
    assert names(registry)[1:] == ["small/2"]
    registry.remove(registry.look_up("small/2"))
    assert len(names(registry)) == 1
    assert not (tmp_path / "data/bundles/small").exists()
    assert left_over(tmp_path) == []


def test_two_that_register_at_once_agree(
    registry: Registry, source: Bundle, tmp_path: Path
) -> None:
    """One of two different bundles of one name wins, whole; the other is refused."""
    other = small_bundle(tmp_path / "other", graph=b"other")
    outcomes: list[object] = []
    start = threading.Barrier(2)

    def register(path: Path) -> None:
        start.wait()
        try:
            outcomes.append(key_of(registry.register(path)[0]))
        except BundleError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=register, args=(each.path,)) for each in (source, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [refused] = [each for each in outcomes if isinstance(each, BundleError)]
    [won] = [each for each in outcomes if each is not refused]
    assert key_of(registry.find("small/1")) == won
    assert left_over(tmp_path) == []
