// The form of a verdict: boxes that are drawn on the film stand in it as numbers, and the other
// way round, so that either does for who cannot use the other.

import { BoxList } from "./viewer_boxes.js";

const EACH = ["x", "y", "width", "height"];

/** Joins the forms of verdicts to the first pane. */
export function setUpVerdict(state, { setMode, show }) {
  const pane = state.panes[0];
  for (const form of document.querySelectorAll("[data-verdict]")) {
    const film = state.films.find((each) => each.id === Number(form.dataset.verdict));
    if (film) setUpForm(form, film, pane, { state, setMode, show });
  }
}

function setUpForm(form, film, pane, { state, setMode, show }) {
  const correct = form.querySelector("[data-correct]");
  const panel = form.querySelector("[data-boxes]");
  const rows = form.querySelector("[data-box-rows]");
  const field = form.querySelector('input[name="boxes"]');
  const opacity = form.querySelector('input[name="finding"][value="opacity"]');
  let list = null;

  const stop = () => {
    list = null;
    field.value = "";
    panel.hidden = true;
    correct.setAttribute("aria-expanded", "false");
    pane.editing = null;
    setMode("pan");
    pane.draw();
  };

  const start = () => {
    if (pane.about !== film) show(film.id);
    list = new BoxList(film.columns, film.rows, film.boxes);
    list.addEventListener("change", () => {
      field.value = JSON.stringify(list.boxes);
      fill(rows, list);
      if (list.boxes.length) opacity.checked = true;
      pane.draw();
    });
    pane.editing = list;
    panel.hidden = false;
    correct.setAttribute("aria-expanded", "true");
    list.tell();
    setMode("draw");
  };

  correct.hidden = false;
  correct.addEventListener("click", () => (list ? stop() : start()));
  form.querySelector("[data-discard]").addEventListener("click", stop);
  form.querySelector("[data-add]").addEventListener("click", () => {
    const [wide, high] = [film.columns / 5, film.rows / 5];
    list.add({ x: 2 * wide, y: 2 * high, width: wide, height: high });
    rows.querySelector("tr:last-child input")?.focus();
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "finding" && event.target.value !== "opacity" && list) {
      list.boxes.length = 0;
      list.choose(-1);
      field.value = "[]";
    }
  });
  const shows = [...form.querySelectorAll("[data-show-boxes]")];
  const press = (button) => {
    for (const each of shows) each.setAttribute("aria-pressed", String(each === button));
  };
  for (const button of shows) {
    button.addEventListener("click", () => {
      const off = button.getAttribute("aria-pressed") === "true";
      if (pane.about !== film) show(film.id);
      press(off ? null : button);
      const by = button.closest("li").querySelector("b").textContent;
      pane.beside = off ? null : { boxes: JSON.parse(button.dataset.showBoxes), by };
      pane.draw();
    });
  }
  state.viewer.addEventListener("film", ({ detail }) => {
    if (detail.pane !== pane) return;
    if (detail.about !== film) press(null);
    if (list && detail.about !== film) stop();
  });
}

/** Writes the boxes into the table, leaving the focus where it is. */
function fill(body, list) {
  while (body.rows.length > list.boxes.length) body.deleteRow(-1);
  while (body.rows.length < list.boxes.length) addRow(body, list);
  list.boxes.forEach((box, index) => {
    const row = body.rows[index];
    row.classList.toggle("chosen", index === list.chosen);
    EACH.forEach((name, place) => {
      const input = row.querySelectorAll("input")[place];
      if (Number(input.value) !== box[name] || input.value === "") input.value = box[name];
    });
  });
}

function addRow(body, list) {
  const row = body.insertRow();
  const indexOf = () => row.sectionRowIndex;
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = String(indexOf() + 1);
  row.append(head);
  for (const name of EACH) {
    const input = document.createElement("input");
    input.type = "number";
    input.min = name === "width" || name === "height" ? "1" : "0";
    input.max = String(name === "x" || name === "width" ? list.columns : list.rows);
    input.step = "1";
    input.setAttribute("aria-label", `Box ${indexOf() + 1}: ${name}, in pixels`);
    input.addEventListener("focus", () => list.chosen !== indexOf() && list.choose(indexOf()));
    input.addEventListener("change", () => {
      const value = Number(input.value);
      if (Number.isFinite(value)) list.set(indexOf(), { ...list.boxes[indexOf()], [name]: value });
    });
    row.insertCell().append(input);
  }
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "×";
  button.setAttribute("aria-label", `Remove box ${indexOf() + 1}`);
  button.addEventListener("click", () => list.remove(indexOf()));
  row.insertCell().append(button);
}
