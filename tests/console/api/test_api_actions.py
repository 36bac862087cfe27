"""What is done by the API: once, by who may, and only where things stand as the caller knows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from console.context import Context
from console.security.scopes import Scope
from db.models import AnsweredRequest, Delivery
from db.session import Database
from db.states import DeliveryState, UserRole
from tests.console.api.calling import Program, program, refused
from tests.console.browsing import audit_records, browser, running_console
from tests.db.makers import Clock, events, film, reported_study, rows, send_all


@pytest.fixture
def study_id(database: Database, clock: Clock) -> int:
    """A study that is reported and sent."""
    made = reported_study(database, clock, film())
    send_all(database)
    return made


def sent_again(database: Database) -> int:
    """Count how often something was sent again by hand."""
    return sum(
        (reason or "").startswith("sent again by program") for *_, reason in events(database)
    )


def test_results_are_sent_again(everything: Program, database: Database, study_id: int) -> None:
    answer = everything.post(f"/studies/{study_id}/resend", {})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"study_id": study_id, "films": 0, "deliveries": 2}
    assert {each.state for each in rows(database, Delivery)} == {DeliveryState.PENDING}
    none = everything.post(f"/studies/{study_id}/resend", {"everything": False})
    assert none.json()["deliveries"] == 2  # they wait now


def test_a_retry_leaves_what_went_well_alone(
    everything: Program, database: Database, study_id: int
) -> None:
    answer = everything.post(f"/studies/{study_id}/retry")
    assert answer.json() == {"study_id": study_id, "films": 0, "deliveries": 0}
    assert sent_again(database) == 0


def test_the_same_key_does_it_once_and_is_answered_alike(
    everything: Program, database: Database, study_id: int
) -> None:
    path = f"/studies/{study_id}/resend"
    first, again = (everything.post(path, {}, key="k1") for _ in range(2))
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert sent_again(database) == 2
    everything.post(path, {}, key="k2")
    assert sent_again(database) == 4


def test_a_key_is_good_for_one_request_alone(everything: Program, study_id: int) -> None:
    path = f"/studies/{study_id}/resend"
    everything.post(path, {}, key="k1")
    for other, body in ((path, {"everything": False}), (f"/studies/{study_id}/retry", None)):
        told = refused(everything.post(other, body, key="k1"), 422)
        assert "used for another request" in told["detail"]


def test_a_key_is_its_users_own(
    everything: Program, context: Context, database: Database, study_id: int
) -> None:
    path = f"/studies/{study_id}/resend"
    everything.post(path, {}, key="k1")
    with program(context, UserRole.OPERATOR) as other:
        assert "Idempotent-Replayed" not in other.post(path, {}, key="k1").headers
    assert sent_again(database) == 4


def test_a_key_is_forgotten_after_a_day(
    everything: Program, database: Database, clock: Clock, study_id: int
) -> None:
    path = f"/studies/{study_id}/resend"
    everything.post(path, {}, key="k1")
    clock.move(hours=25)
    assert "Idempotent-Replayed" not in everything.post(path, {}, key="k1").headers
    assert len(rows(database, AnsweredRequest)) == 1


def test_what_failed_may_be_sent_again_with_its_key(
    everything: Program, database: Database, clock: Clock, study_id: int
) -> None:
    missing = study_id + 1
    refused(everything.post(f"/studies/{missing}/resend", {}, key="k1"), 404)
    assert rows(database, AnsweredRequest) == []
    assert reported_study(database, clock, film()) == missing
    assert everything.post(f"/studies/{missing}/resend", {}, key="k1").json()["deliveries"] == 2


def test_many_at_once_with_one_key_do_it_once(
    database_url: str, clock: Clock, fast_folder: Path
) -> None:
    """Two processes, as it were, on SQLite and on PostgreSQL."""
    with (
        closing(Database(database_url, clock=clock)) as one,
        closing(Database(database_url, clock=clock)) as other,
        running_console(one, fast_folder) as first,
        running_console(other, fast_folder) as second,
        program(first, UserRole.OPERATOR) as calling,
    ):
        study_id = reported_study(one, clock, film())
        send_all(one)
        there = threading.Barrier(4)
        answers: list[tuple[int, bytes]] = []

        def call(made: Callable[[], Program]) -> None:
            there.wait()
            found = made().post(f"/studies/{study_id}/resend", {}, key="k1")
            answers.append((found.status_code, found.content))

        with browser(first) as near, browser(second) as far:
            for client in (near, far):  # FastAPI makes its routes at the first call
                assert client.post(f"/api/v1/studies/{study_id}/resend").status_code == 401
            threads = [
                threading.Thread(
                    target=call,
                    args=(lambda c=c: Program(c, calling.name, calling.token, calling.user_id),),
                )
                for c in (near, far, near, far)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(answers) == 4
        assert set(answers) == {answers[0]}
        assert answers[0][0] == 200
        assert sent_again(one) == 2


def test_nothing_is_done_where_things_have_changed(
    everything: Program, database: Database, study_id: int
) -> None:
    path = f"/studies/{study_id}"
    tag = everything.get(path).headers["ETag"]
    first = everything.post(f"{path}/resend", {}, headers={"If-Match": tag})
    assert first.status_code == 200
    for stale in (tag, f"W/{tag}", '"x"', "x"):
        told = refused(everything.post(f"{path}/resend", {}, headers={"If-Match": stale}), 412)
        assert "changed" in told["detail"]
    assert sent_again(database) == 2
    now = everything.get(path).headers["ETag"]
    assert (
        everything.post(f"{path}/resend", {}, headers={"If-Match": f'"x", {now}'}).status_code
        == 200
    )
    assert everything.post(f"{path}/resend", {}, headers={"If-Match": "*"}).status_code == 200


def test_an_answer_that_is_given_again_does_not_ask_how_things_stand_now(
    everything: Program, study_id: int
) -> None:
    path = f"/studies/{study_id}"
    given = {"If-Match": everything.get(path).headers["ETag"]}
    first, again = (
        everything.post(f"{path}/resend", {}, key="k1", headers=given) for _ in range(2)
    )
    assert first.content == again.content
    assert again.status_code == 200


def test_a_field_that_is_not_known_is_refused(everything: Program, study_id: int) -> None:
    answer = everything.post(f"/studies/{study_id}/resend", {"evrything": False})
    told = refused(answer, 422)
    assert told["errors"][0]["name"] == "evrything"
    assert told["errors"][0]["where"] == "body"


@pytest.mark.parametrize("key", ["", "k" * 256, "two words", "\x7f"])
def test_a_key_is_short_and_printable(everything: Program, study_id: int, key: str) -> None:
    told = refused(everything.post(f"/studies/{study_id}/retry", key=key), 422)
    assert told["errors"][0]["name"] == "Idempotency-Key"


def test_a_token_that_only_reads_is_told_which_scope_it_lacks(
    reading: Program, context: Context, study_id: int
) -> None:
    answer = reading.post(f"/studies/{study_id}/resend", {})
    assert "operator" in refused(answer, 403)["detail"]
    asked = answer.headers["WWW-Authenticate"]
    assert asked == 'Bearer error="insufficient_scope", scope="operate"'
    with program(context, UserRole.READER, Scope.OPERATE) as low:
        refused(low.post(f"/studies/{study_id}/resend", {}), 403)


def test_a_study_is_read_again_for_a_further_revision(
    everything: Program, database: Database, study_id: int
) -> None:
    path = f"/studies/{study_id}/read"
    assert everything.post(path, {}).json() == {"study_id": study_id, "films": 1, "sent": True}
    assert everything.post(path, {}).json()["films"] == 0  # it is being worked on
    assert ("study", "open", f"read again by {everything.name}") in events(database)
    refused(everything.post("/studies/99/read", {}), 404)


def test_a_bundle_that_is_not_there_reads_nothing(everything: Program, study_id: int) -> None:
    path = f"/studies/{study_id}/read"
    told = refused(everything.post(path, {"bundle": "none 1"}, key="k1"), 409)
    assert "none 1 cannot be used" in told["detail"]
    refused(everything.post(path, {"bundle": ""}), 422)


def test_what_is_done_is_audited_once(everything: Program, context: Context, study_id: int) -> None:
    for _ in range(2):
        everything.post(f"/studies/{study_id}/resend", {}, key="k1")
    told = audit_records(context)
    assert told.count('displayName="Use of Restricted Function"') == 1
