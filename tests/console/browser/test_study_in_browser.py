"""The viewer in a real browser: what is seen, by mouse, keyboard and fingers; and verdicts."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Locator, Page, expect

from console.context import Context
from db.models import Verdict
from db.session import Database
from db.states import UserRole
from inference.decode import decode
from inference.pixels import display_image
from tests.console.browser.chromium import log_in, opened
from tests.console.browsing import add_user
from tests.db.makers import Clock, film, read_all, receive, reported_study, rows, send_all
from tests.inference.films import make_film, make_picture
from tests.peers import wait_until

ROWS, COLUMNS = 600, 500
NAME = "<b onclick>'\"^<script>alert(2)</script>"
BOX = {"x": 100.4, "y": 150.3, "width": 199.8, "height": 250.2, "score": 0.73}


@pytest.fixture
def study_id(database: Database, clock: Clock, context: Context) -> int:
    """A reported study with one film of 12 bits and a box, and an earlier one of the patient."""
    folder = context.files.root / "films"
    elements = {"BitsStored": 12, "WindowCenter": 2000, "WindowWidth": 3000}
    make_film(folder / "earlier.dcm", make_picture(ROWS, COLUMNS, 12), **elements)
    make_film(folder / "film.dcm", make_picture(ROWS, COLUMNS, 12), **elements)
    same: dict[str, Any] = {"patient_id": "P1", "patient_name": NAME}
    reported_study(database, clock, film(path="films/earlier.dcm", study_date="20230102", **same))
    return reported_study(database, clock, film(path="films/film.dcm", **same))


@pytest.fixture(autouse=True)
def readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings of this test are of films of its size."""
    from tests.db import makers

    made = makers.stored_reading

    def of_size(instance_id: int, now: Any, **values: Any) -> Any:
        return made(
            instance_id, now, **{"rows": ROWS, "columns": COLUMNS, "boxes": [BOX], **values}
        )

    monkeypatch.setattr(makers, "stored_reading", of_size)


def look_at(page: Page, study_id: int) -> Locator:
    """Open a study, and wait for its whole film; return the canvas."""
    page.goto(f"/studies/{study_id}")
    expect(page.locator("[data-readout]").first).to_contain_text("%", timeout=20_000)
    return page.locator("canvas").first


def seen(canvas: Locator, column: float, row: float) -> tuple[int, int, int]:
    """The colour on the screen at a place of the film, when the film is drawn 1:1 or fitted."""
    return tuple(  # type: ignore[return-value]
        canvas.evaluate(
            """(canvas, [column, row, columns, rows]) => new Promise((done) =>
              requestAnimationFrame(() => requestAnimationFrame(() => {
                const scale = Math.min(canvas.width / columns, canvas.height / rows);
                const x = (canvas.width - columns * scale) / 2 + (column + 0.5) * scale;
                const y = (canvas.height - rows * scale) / 2 + (row + 0.5) * scale;
                const data = canvas.getContext("2d").getImageData(x, y, 1, 1).data;
                done([data[0], data[1], data[2]]);
              })))""",
            [column, row, COLUMNS, ROWS],
        )
    )


def expected(context: Context) -> NDArray[np.uint8]:
    header, stored = decode(context.files.root / "films" / "film.dcm", max_pixels=10**6)
    return display_image(header, stored)


def becomes(canvas: Locator, column: int, row: int, *, at: int) -> None:
    """Wait until a place of the film is drawn in a grey, up to rounding."""
    wanted = pytest.approx(at, abs=3)
    wait_until(lambda: seen(canvas, column, row)[0] == wanted, f"grey of {at}", seconds=20)


def zoom(page: Page) -> int:
    return int(re.search(r"(\d+) %", page.locator("[data-readout]").first.inner_text())[1])  # type: ignore[index]


def place(spot: Locator) -> tuple[int, int]:
    """The column and row that the pointer is told to be on."""
    column, row = re.findall(r"\d+", spot.inner_text())[:2]
    return int(column), int(row)


def test_the_film_is_what_radiologists_see_and_can_be_windowed_and_inverted(
    page: Page, study_id: int, context: Context
) -> None:
    canvas = look_at(page, study_id)
    grey = expected(context)
    for column, row in ((40, 60), (250, 300), (450, 550)):
        becomes(canvas, column, row, at=int(grey[row, column]))
    readout = page.locator("[data-readout]").first
    expect(readout).to_contain_text("W 2999  L 2000 (as stored)")
    page.keyboard.press("i")
    expect(readout).to_contain_text("inverted")
    becomes(canvas, 40, 60, at=255 - int(grey[60, 40]))
    expect(page.get_by_role("button", name="Invert")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("0")
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down(button="right")
    page.mouse.move(box["x"] + 300, box["y"] + 200, steps=4)  # up: brighter
    page.mouse.up(button="right")
    expect(readout).not_to_contain_text("as stored")
    brighter = int(grey[300, 250]) + 20
    wait_until(lambda: seen(canvas, 250, 300)[0] > brighter, "the film is brighter", seconds=20)
    page.keyboard.press("0")
    expect(readout).to_contain_text("as stored")
    canvas.focus()
    page.keyboard.press("w")
    page.keyboard.press("ArrowRight")  # a wider window, by the keyboard alone
    expect(readout).to_contain_text("W 3119")


def test_zoom_by_wheel_keys_and_double_click_keeps_the_place(page: Page, study_id: int) -> None:
    canvas = look_at(page, study_id)
    fitted = zoom(page)
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["width"] / 2 + 80, box["height"] / 2 - 60
    spot = page.locator("[data-spot]").first
    page.mouse.move(box["x"] + x, box["y"] + y)
    expect(spot).to_contain_text(re.compile(r"\d"))
    column, row = place(spot)
    page.mouse.wheel(0, -600)
    page.mouse.move(box["x"] + x, box["y"] + y + 1)
    page.mouse.move(box["x"] + x, box["y"] + y)
    wait_until(lambda: zoom(page) > 2 * fitted, "the film is drawn larger", seconds=20)
    same = (pytest.approx(column, abs=1), pytest.approx(row, abs=1))
    wait_until(lambda: place(spot) == same, "the place is kept", seconds=20)
    page.keyboard.press("-")
    page.keyboard.press("f")
    wait_until(lambda: zoom(page) == fitted, "the film is fitted again", seconds=20)
    page.keyboard.press("1")
    wait_until(lambda: zoom(page) == 100, "a pixel of the film is one of the screen", seconds=20)
    page.mouse.dblclick(box["x"] + x, box["y"] + y)
    wait_until(lambda: zoom(page) == fitted, "the film is fitted again", seconds=20)


def test_boxes_can_be_hidden(page: Page, study_id: int) -> None:
    canvas = look_at(page, study_id)
    edge = (int(BOX["x"]), int(BOX["y"]) + 100)

    def has_box() -> bool:
        red, _, blue = seen(canvas, *edge)
        return red > blue + 60

    wait_until(has_box, "the box is drawn", seconds=20)
    page.keyboard.press("b")
    wait_until(lambda: len(set(seen(canvas, *edge))) == 1, "the film alone is drawn", seconds=20)


def test_two_films_side_by_side_move_together(page: Page, study_id: int) -> None:
    look_at(page, study_id)
    page.get_by_role("button", name="Side by side").click()
    second = page.locator("[data-readout]").nth(1)
    expect(second).to_contain_text("%", timeout=20_000)
    expect(page.locator("select").nth(1).locator("option:checked")).to_contain_text("2023-01-02")
    page.get_by_role("button", name="Move both").click()
    page.locator("canvas").first.focus()
    first = page.locator("[data-readout]").first
    fitted = first.inner_text()
    page.keyboard.press("+")
    expect(first).not_to_have_text(fitted)
    expect(second).to_have_text(first.inner_text())


def test_a_pinch_zooms_and_a_finger_moves(
    browser: Browser, base: str, context: Context, study_id: int
) -> None:
    add_user(context, "tab", UserRole.READER)
    with opened(browser, base, has_touch=True, viewport={"width": 820, "height": 1180}) as page:
        log_in(page, "tab")
        canvas = look_at(page, study_id)
        fitted = zoom(page)
        box = canvas.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        session = page.context.new_cdp_session(page)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            fingers = [{"x": a, "y": b, "id": number} for number, (a, b) in enumerate(points)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

        touch("touchStart", (x - 50, y), (x + 50, y))
        touch("touchMove", (x - 100, y), (x + 100, y))
        touch("touchEnd")
        wanted = pytest.approx(2 * fitted, rel=0.05)
        wait_until(lambda: zoom(page) == wanted, "the film is twice as large", seconds=20)
        assert page.evaluate("document.documentElement.scrollWidth") <= 820


def test_a_verdict_with_boxes_drawn_by_mouse(page: Page, study_id: int, database: Database) -> None:
    canvas = look_at(page, study_id)
    page.get_by_role("button", name="Correct the boxes").click()
    rows_of_boxes = page.locator("[data-box-rows] tr")
    expect(rows_of_boxes).to_have_count(1)
    box = canvas.bounding_box()
    assert box is not None
    scale = min(box["width"] / COLUMNS, box["height"] / ROWS)
    left = box["x"] + (box["width"] - COLUMNS * scale) / 2
    top = box["y"] + (box["height"] - ROWS * scale) / 2
    page.mouse.move(left + 350 * scale, top + 50 * scale)
    page.mouse.down()
    page.mouse.move(left + 450 * scale, top + 140 * scale, steps=5)
    page.mouse.up()
    expect(rows_of_boxes).to_have_count(2)
    page.mouse.click(left + 200 * scale, top + 300 * scale)  # within the reading's box: chosen
    page.keyboard.press("Delete")
    expect(rows_of_boxes).to_have_count(1)
    page.get_by_label("Comment").fill("right upper field")
    page.get_by_role("button", name="Keep verdict").click()
    expect(page.get_by_role("status").first).to_contain_text("Your verdict is kept")
    (kept,) = rows(database, Verdict)
    assert (kept.by, kept.finding, kept.comment) == ("ann", "opacity", "right upper field")
    (drawn,) = kept.boxes
    wanted = {"x": 350, "y": 50, "width": 100, "height": 90}
    assert all(abs(drawn[name] - wanted[name]) <= 2 for name in wanted), drawn
    expect(page.locator(".given")).to_contain_text("ann agrees: opacity, 1 box drawn")
    page.get_by_role("button", name="Show boxes").click()
    canvas = page.locator("canvas").first
    expect(page.locator("[data-readout]").first).to_contain_text("%", timeout=20_000)

    def is_drawn() -> bool:
        colours = [seen(canvas, 350, row) for row in range(60, 130, 3)]
        return any(blue > red + 60 for red, _, blue in colours)

    wait_until(is_drawn, "the reader's box is drawn", seconds=20)


def test_a_verdict_by_the_keyboard_alone(page: Page, study_id: int, database: Database) -> None:
    look_at(page, study_id)
    page.get_by_role("button", name="Correct the boxes").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Remove box 1").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Add a box").focus()
    page.keyboard.press("Enter")
    for value in ("10", "20", "30", "40"):
        page.keyboard.press("Control+a")
        page.keyboard.type(value)
        page.keyboard.press("Tab")
    page.get_by_role("button", name="Keep verdict").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("Your verdict is kept")
    (kept,) = rows(database, Verdict)
    assert kept.boxes == [{"x": 10, "y": 20, "width": 30, "height": 40}]


def test_the_reading_s_own_boxes_can_be_kept_as_they_are(
    page: Page, study_id: int, database: Database
) -> None:
    look_at(page, study_id)
    page.get_by_role("button", name="Correct the boxes").click()
    page.get_by_role("button", name="Keep verdict").click()
    expect(page.get_by_role("status").first).to_contain_text("Your verdict is kept")
    (kept,) = rows(database, Verdict)
    assert kept.boxes == [{"x": 100, "y": 150, "width": 200, "height": 251}]


def test_who_sees_no_opacity_leaves_no_box(page: Page, study_id: int, database: Database) -> None:
    look_at(page, study_id)
    page.get_by_role("button", name="Correct the boxes").click()
    page.get_by_label("I disagree: normal").check()
    expect(page.locator("[data-box-rows] tr")).to_have_count(0)
    page.get_by_role("button", name="Keep verdict").click()
    expect(page.get_by_role("status").first).to_contain_text("Your verdict is kept")
    (kept,) = rows(database, Verdict)
    assert (kept.finding, kept.boxes) == ("normal", [])


def test_hostile_names_are_text_everywhere(
    page: Page, study_id: int, context: Context, database: Database
) -> None:
    look_at(page, study_id)
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "<b onclick>'\", <script>alert(2)</script>"
    )
    make_film(context.files.root / "films" / "film.dcm", make_picture(), PatientName=NAME)
    page.get_by_text("Film 1", exact=True).last.click()
    expect(page.locator(".tags")).to_contain_text("<script>alert(2)</script>")
    assert page.locator("main script, main b[onclick]").count() == 0


def test_a_film_that_cannot_be_decoded_says_so_on_the_page(
    page: Page, database: Database, context: Context
) -> None:
    (context.files.root / "films").mkdir(exist_ok=True)
    (context.files.root / "films" / "bad.dcm").write_bytes(b"\0" * 500)
    receive(database, film(path="films/bad.dcm"))
    read_all(database)
    page.goto("/studies/1")
    expect(page.locator("[data-status]").first).to_contain_text(".", timeout=20_000)
    expect(page.locator("[data-status]").first).not_to_contain_text("Loading")


@pytest.mark.slow
def test_the_heat_map_lies_on_the_film_and_says_what_it_is(
    page: Page, context: Context, database: Database, clock: Clock, readings: None
) -> None:
    from tests.db import makers
    from training.phantoms import phantom, write_phantom_dicom

    made = phantom(np.random.default_rng(7), kind="opacity", size=512)
    (context.files.root / "films").mkdir(exist_ok=True)
    write_phantom_dicom(made, context.files.root / "films" / "phantom.dcm")
    (label,) = context.pictures.labels()
    receive(database, film(path="films/phantom.dcm"))
    lease = makers.claim_one(database, makers.TaskKind.READ)
    makers.read(database, lease, bundle=label, rows=512, columns=512, boxes=[])
    look_at(page, 1)
    page.get_by_role("button", name="Heat map").click()
    expect(page.locator("[data-note]").first).to_contain_text(
        f"network of {label} itself", timeout=60_000
    )
    canvas = page.locator("canvas").first
    coloured = canvas.evaluate(
        """(canvas) => new Promise((done) =>
          requestAnimationFrame(() => requestAnimationFrame(() => {
            const context = canvas.getContext("2d");
            const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let i = 0; i < data.length; i += 4) if (data[i] > data[i + 1] + 12) count++;
            done(count / (data.length / 4));
          })))"""
    )
    assert 0.001 < coloured < 0.5
    page.get_by_role("button", name="Heat map").click()
    expect(page.locator("[data-note]").first).to_have_text("")


def test_what_happens_is_shown_without_reloading(
    page: Page, study_id: int, database: Database
) -> None:
    look_at(page, study_id)
    expect(page.locator("#deliveries tbody")).to_contain_text("pending")
    send_all(database)
    expect(page.locator("#deliveries tbody")).to_contain_text("status 0x0000", timeout=20_000)
    expect(page.locator("#timeline tbody")).to_contain_text("sent")
    expect(page.get_by_text("All of it is done.")).to_be_visible()
    expect(page.locator("canvas").first).to_be_visible()
