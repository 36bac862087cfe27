"""A client of the REST API: `Client(url, token).studies(delivered="not")`.

Each method is one call; what it takes and returns are the types of `console.shapes`. It needs httpx
and pydantic, and nothing else of Hilum.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from console.shapes.actions import Resend, Retried
from console.shapes.administration import (
    Bundle,
    Destination,
    MadeToken,
    NewPause,
    NewToken,
    Registered,
    Why,
)
from console.shapes.base import Page, Problem
from console.shapes.configuration import Change, Configured, NewConfigured, Part
from console.shapes.listing import StudiesAsked, StudiesPage
from console.shapes.service import Health, Me
from console.shapes.studies import Event, Study, StudyDelivery, StudyRow

_V1 = "/api/v1"

S = TypeVar("S", bound=BaseModel)


class ApiError(Exception):
    """The API has refused a call: `problem` tells why, `problem.status` is the HTTP status."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail or ''}".rstrip(": "))
        self.problem = problem


class Client:
    """Calls the API of one console with one token."""

    def __init__(self, url: str, token: str, *, http: httpx.Client | None = None) -> None:
        """`http`: another client of httpx, with certificates, proxies or timeouts of one's own."""
        self._http = http or httpx.Client(timeout=30)
        self._base = url.rstrip("/") + _V1
        self._login = {"Authorization": f"Bearer {token}"}

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections."""
        self._http.close()

    def me(self) -> Me:
        """Tell who calls."""
        return self._read(Me, "/me")

    def health(self) -> Health:
        """Tell how the service does."""
        return self._read(Health, "/health")

    def studies(self, **wanted: Any) -> Iterator[StudyRow]:
        """Yield studies by the filters of `StudiesAsked`, in pages of `limit`."""
        asked = StudiesPage(**wanted).model_dump(mode="json", exclude_none=True)
        return self._pages(StudyRow, "/studies", asked)

    def study(self, study_id: int) -> Study:
        """Tell everything of a study."""
        return self._read(Study, f"/studies/{study_id}")

    def events(self, study_id: int) -> Iterator[Event]:
        """Yield what happened to a study, in order."""
        return self._pages(Event, f"/studies/{study_id}/events", {})

    def deliveries(self, study_id: int) -> Iterator[StudyDelivery]:
        """Yield what of a study was sent or is to be."""
        return self._pages(StudyDelivery, f"/studies/{study_id}/deliveries", {})

    def film(self, film_id: int) -> bytes:
        """Return a film as a DICOM file."""
        return self._call("GET", f"/films/{film_id}/file").content

    def preview(self, film_id: int) -> bytes:
        """Return a film as a small PNG."""
        return self._call("GET", f"/films/{film_id}/preview").content

    def result(self, result_id: int) -> bytes:
        """Return an object of a report as a DICOM file."""
        return self._call("GET", f"/results/{result_id}/file").content

    def retry(self, study_id: int, *, key: str | None = None) -> Retried:
        """Put back to work what has failed of a study."""
        return self._do(Retried, f"/studies/{study_id}/retry", None, key)

    def resend(self, study_id: int, *, everything: bool = True, key: str | None = None) -> Retried:
        """Send the latest results of a study again."""
        body = Resend(everything=everything)
        return self._do(Retried, f"/studies/{study_id}/resend", body, key)

    def destinations(self) -> Iterator[Destination]:
        """Yield how the destinations stand."""
        return self._pages(Destination, "/destinations", {})

    def pause(self, destination: str, reason: str = "") -> Destination:
        """Send a destination nothing until it is resumed."""
        sent = NewPause(reason=reason).model_dump(mode="json")
        answer = self._call("PUT", f"/destinations/{destination}/pause", json=sent)
        return Destination.model_validate_json(answer.content)

    def resume(self, destination: str) -> Destination:
        """Send a destination what waits for it."""
        answer = self._call("DELETE", f"/destinations/{destination}/pause")
        return Destination.model_validate_json(answer.content)

    def configured(self, part: Part) -> Iterator[Configured]:
        """Yield the peers or destinations with all that is set of them."""
        return self._pages(Configured, f"/configuration/{part}", {})

    def add(
        self, part: Part, values: Mapping[str, Any], reason: str = "", *, key: str | None = None
    ) -> Configured:
        """Add a peer or destination."""
        body = NewConfigured(values=dict(values), reason=reason)
        return self._do(Configured, f"/configuration/{part}", body, key)

    def change(self, known: Configured, values: Mapping[str, Any], reason: str = "") -> Configured:
        """Set a peer or destination as it shall be, if it still is as it is known."""
        sent = NewConfigured(values=dict(values), reason=reason).model_dump(mode="json")
        answer = self._item("PUT", known, json=sent)
        return Configured.model_validate_json(answer.content)

    def remove(self, known: Configured, reason: str = "") -> None:
        """Have a peer or destination not be there, if it still is as it is known."""
        self._item("DELETE", known, reason=reason)

    def changes(self) -> Iterator[Change]:
        """Yield what was changed of peers and destinations, newest first."""
        return self._pages(Change, "/configuration-changes", {})

    def undo(self, change_id: int, reason: str = "", *, key: str | None = None) -> Change:
        """Take a change back."""
        return self._do(Change, f"/configuration-changes/{change_id}/undo", Why(reason=reason), key)

    def bundles(self) -> Iterator[Bundle]:
        """Yield all bundles."""
        return self._pages(Bundle, "/bundles", {})

    def register(self, zipped: bytes | Iterator[bytes]) -> Registered:
        """Register a bundle from its ZIP."""
        headers = {"Content-Type": "application/zip"}
        answer = self._call("POST", "/bundles", content=zipped, headers=headers)
        return Registered.model_validate_json(answer.content)

    def card(self, name: str) -> str:
        """Return a bundle's model card in Markdown; `name` is ID/VERSION."""
        return self._call("GET", f"/bundles/{name}/card").text

    def export_worklist(self, form: Literal["csv", "json"] = "csv", **wanted: Any) -> bytes:
        """Return everything of the worklist that fits the filters of `StudiesAsked`."""
        asked = StudiesAsked(**wanted).model_dump(mode="json", exclude_none=True)
        return self._call("GET", f"/exports/worklist.{form}", params=asked).content

    def export_verdicts(self) -> Iterator[bytes]:
        """Yield the films with verdicts, as a training set in a ZIP, as they come."""
        url = self._base + "/exports/verdicts.zip"
        with self._http.stream("GET", url, headers=self._login) as answer:
            if not answer.is_success:
                answer.read()
            self._accept(answer)
            yield from answer.iter_bytes()

    def make_token(self, new: NewToken) -> MadeToken:
        """Make a token."""
        sent = new.model_dump(mode="json")
        return MadeToken.model_validate_json(self._call("POST", "/tokens", json=sent).content)

    def _read(self, shape: type[S], path: str) -> S:
        return shape.model_validate_json(self._call("GET", path).content)

    def _pages(self, shape: type[S], path: str, asked: Mapping[str, Any]) -> Iterator[S]:
        cursor: str | None = None
        while True:
            query = {**asked, **({} if cursor is None else {"cursor": cursor})}
            answer = self._call("GET", path, params=query)
            page = Page[shape].model_validate_json(answer.content)  # type: ignore[valid-type]
            yield from page.items
            if (cursor := page.next) is None:
                return

    def _do(self, shape: type[S], path: str, body: BaseModel | None, key: str | None) -> S:
        """Do something once: where the connection fails, it is tried again under the same key."""
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        sent = None if body is None else body.model_dump(mode="json")
        try:
            answer = self._call("POST", path, json=sent, headers=headers)
        except httpx.TransportError:
            answer = self._call("POST", path, json=sent, headers=headers)
        return shape.model_validate_json(answer.content)

    def _call(self, method: str, path: str, **how: Any) -> httpx.Response:
        headers = {**how.pop("headers", {}), **self._login}
        return self._accept(self._http.request(method, self._base + path, headers=headers, **how))

    def _item(
        self, method: str, known: Configured, *, json: Any = None, reason: str | None = None
    ) -> httpx.Response:
        """Change one, if it still is as it is known."""
        path = f"/configuration/{known.part}/item"
        read = self._call("GET", path, params={"name": known.name})
        if Configured.model_validate_json(read.content) != known:
            raise ApiError(
                Problem(title="Precondition Failed", status=412, detail="It has changed since.")
            )
        asked = {"name": known.name, **({} if reason is None else {"reason": reason})}
        tag = {"If-Match": read.headers["ETag"]}
        return self._call(method, path, params=asked, headers=tag, json=json)

    @staticmethod
    def _accept(answer: httpx.Response) -> httpx.Response:
        if answer.is_success:
            return answer
        try:
            problem = Problem.model_validate_json(answer.content)
        except ValidationError:  # something else has answered: a proxy, another service
            problem = Problem(title=answer.reason_phrase, status=answer.status_code)
        raise ApiError(problem)
