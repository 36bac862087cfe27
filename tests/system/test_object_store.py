"""Films and results in an S3 bucket (moto's server): the same promises as with a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydicom import dcmread

from tests.peers import StoreSCP, dcmsend, wait_until
from tests.peers.bucket import S3Server, s3_server
from tests.system.whole import Whole, destination, make_films, whole


def _rows(service: Whole) -> dict[str, str]:
    """Map the path of every film and result to its digest."""
    return {each.path: each.file_sha256 for each in [*service.instances(), *service.results()]}


def _assert_all_in_the_bucket(service: Whole, server: S3Server) -> None:
    """The bucket holds what the rows name and nothing else, the data folder nothing of it."""
    wait_until(lambda: not service.files(), "an empty data folder", seconds=60)
    objects = server.objects()
    assert {name: hashlib.sha256(data).hexdigest() for name, data in objects.items()} == (
        _rows(service)
    )
    assert not list(service.data.glob("incoming/*/*.part"))
    assert not list(service.data.glob("near/*/*/**/*.dcm"))


def test_a_film_comes_in_and_its_report_goes_out_by_way_of_a_bucket(
    tmp_path: Path, storescp: StoreSCP
) -> None:
    """Nothing of films and results stays in the data folder."""
    films = make_films(tmp_path / "films", 3)
    to_pacs = destination(storescp.port, storescp.ae_title)
    with (
        s3_server(tmp_path / "s3") as server,
        whole(tmp_path, destinations=[to_pacs], env=server.env) as service,
    ):
        with service.serving():
            assert dcmsend(films, service.port).accepted == 3
            came = [dcmread(path) for path in storescp.wait_for_files(6)]
            service.wait_until_idle(3)
            _assert_all_in_the_bucket(service, server)
        assert sum(each.Modality == "SR" for each in came) == 3
        assert not any((service.data / "near").iterdir())
