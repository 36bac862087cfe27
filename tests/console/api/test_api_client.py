"""The client, against the console on a real port."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from console.client import ApiError, Client
from console.context import Context
from console.shapes.administration import NewToken
from db.session import Database
from db.states import DeliveryState, StudyState
from tests.console.api.calling import program
from tests.console.api.serving import served
from tests.db.makers import Clock, events, film, new_report, reported_study, send_all


@pytest.fixture
def client(context: Context) -> Iterator[Client]:
    """A client that may do everything."""
    with program(context) as made, served(context) as url, Client(url, made.token) as opened:
        yield opened


def test_a_days_work_by_the_client(
    client: Client, database: Database, clock: Clock, fast_folder: Path
) -> None:
    made = [
        reported_study(database, clock, film(), made=new_report(probability=share))
        for share in (0.1, 0.9, 0.6)
    ]
    send_all(database)
    positives = list(client.studies(probability_min=0.5, order="probability", limit=1))
    assert [each.id for each in positives] == [made[1], made[2]]
    study = client.study(made[1])
    assert study.state is StudyState.REPORTED
    assert study.deliveries["pacs"].sent == 2
    assert study.received_at == positives[0].received_at
    done = client.resend(study.id)
    assert done.deliveries == 2
    assert {each.state for each in client.deliveries(study.id)} == {DeliveryState.PENDING}
    assert [each.state for each in client.events(study.id)][-2:] == ["pending", "pending"]
    assert client.retry(study.id, key="k1") == client.retry(study.id, key="k1")
    assert client.health().undelivered[0].count == 2
    path = fast_folder / "films" / "x.dcm"
    path.write_bytes(b"DICM")
    with database.write() as session:
        from db.models import Instance

        session.get_one(Instance, study.films[0].id).path = "films/x.dcm"
    assert client.film(study.films[0].id) == b"DICM"


def test_destinations_are_administered_by_the_client(client: Client) -> None:
    values = {"kind": "dicom", "name": "new", "ae_title": "NEW", "host": "10.0.0.2", "port": 104}
    added = client.add("destinations", values, "a new archive")
    assert added.values == values
    changed = client.change(added, {**values, "port": 105})
    with pytest.raises(ApiError, match="412"):
        client.change(added, {**values, "port": 106})
    assert client.pause("new", "moving").pause is not None
    assert client.resume("new").pause is None
    latest = next(client.changes())
    assert client.undo(latest.id).undoes == latest.id
    (now,) = client.configured("destinations")
    assert now.values == values
    client.remove(now)
    assert list(client.configured("destinations")) == []
    assert changed.version == latest.id


def test_bundles_and_exports_by_the_client(client: Client, database: Database) -> None:
    (bundle,) = client.bundles()
    assert client.card(bundle.name).startswith("# ")
    with pytest.raises(ApiError, match="409"):
        client.register(b"no zip")
    assert client.export_worklist("csv").startswith(b"\xef\xbb\xbfid,")
    assert json.loads(client.export_worklist("json", finding="opacity")) == []
    archive = zipfile.ZipFile(io.BytesIO(b"".join(client.export_verdicts())))
    assert "README.txt" in archive.namelist()


def test_what_is_refused_is_an_error_that_says_why(client: Client) -> None:
    with pytest.raises(ApiError, match=r"^404 Not Found: There is no study 9\.$") as caught:
        client.study(9)
    assert caught.value.problem.status == 404
    with pytest.raises(ValueError, match="patientid"):
        next(client.studies(patientid="1"))


def test_a_token_that_the_client_makes_is_good(client: Client) -> None:
    made = client.make_token(NewToken(name="a script", scopes=["read"]))
    other = Client(client._base.removesuffix("/api/v1"), made.secret)
    with other:
        assert other.me().token_id == made.token.id
        with pytest.raises(ApiError, match="403 Forbidden"):
            other.resend(1)


def test_what_may_have_been_done_is_sent_again_under_the_same_key(
    client: Client, database: Database, clock: Clock
) -> None:
    study_id = reported_study(database, clock, film())
    send_all(database)

    class Breaking(httpx.BaseTransport):
        """Loses the first answer."""

        def __init__(self) -> None:
            self.sent: list[str] = []
            self._through = httpx.HTTPTransport()

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            self.sent.append(request.headers["Idempotency-Key"])
            answer = self._through.handle_request(request)
            if len(self.sent) == 1:
                answer.read()
                raise httpx.ReadError("the connection broke")
            return answer

        def close(self) -> None:
            self._through.close()

    breaking = Breaking()
    url, token = client._base.removesuffix("/api/v1"), client._login["Authorization"].split()[1]
    with Client(url, token, http=httpx.Client(transport=breaking)) as shaky:
        assert shaky.resend(study_id).deliveries == 2
    assert len(breaking.sent) == 2
    assert len(set(breaking.sent)) == 1
    again = [each for each in events(database, study_id) if "again" in (each[2] or "")]
    assert len(again) == 2


def test_the_client_needs_nothing_of_a_server() -> None:
    code = "import sys, console.client; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"fastapi", "starlette", "sqlalchemy", "numpy", "tensorflow", "pydicom", "settings"}
    assert heavy.isdisjoint(loaded)
