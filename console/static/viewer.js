// The viewer of the study page: its buttons, keys and pointers, and two films side by side.

import { Pane } from "./viewer_pane.js";
import { listenToPointers } from "./viewer_pointers.js";
import { setUpVerdict } from "./viewer_verdict.js";

const ZOOM = 1.25;

const root = document.querySelector("[data-viewer]");
if (root) setUp(root);

function setUp(viewer) {
  const films = JSON.parse(viewer.dataset.films);
  const panes = [...viewer.querySelectorAll("[data-pane]")].map((each) => new Pane(each));
  const state = { viewer, films, panes, active: panes[0], mode: "pan", both: false, sync: false };

  panes.forEach((pane, index) => {
    const select = pane.figure.querySelector("select");
    select.addEventListener("change", () => show(state, pane, Number(select.value)));
    pane.figure.addEventListener("focusin", () => activate(state, pane));
    pane.addEventListener("view", () => follow(state, pane));
    pane.addEventListener("window", () => tell(state));
    pane.addEventListener("loaded", () => tell(state));
    pane.addEventListener("heat", () => tell(state));
    listenToPointers(pane, {
      mode: () => (state.mode === "draw" && !pane.editing ? "pan" : state.mode),
      touched: () => activate(state, pane),
    });
    if (index === 0 && films.length) show(state, pane, films[0].id);
  });

  const actions = {
    "zoom-in": () => state.active.zoomBy(ZOOM),
    "zoom-out": () => state.active.zoomBy(1 / ZOOM),
    fit: () => state.active.fit(),
    "one-to-one": () => state.active.oneToOne(),
    window: () => setMode(state, state.mode === "window" ? "pan" : "window"),
    invert: () => state.active.invert(),
    boxes: () => look(state, { boxes: !state.active.look.boxes }),
    heat: () => look(state, { heat: !state.active.look.heat }),
    reset: () => state.active.reset(),
    "side-by-side": () => sideBySide(state),
    sync: () => {
      state.sync = !state.sync;
      follow(state, state.active);
    },
    large: () => enlarge(viewer),
  };
  viewer.querySelectorAll("[data-action]").forEach((button) => {
    button.addEventListener("click", () => {
      actions[button.dataset.action]();
      tell(state);
    });
  });
  viewer.querySelector("[data-opacity]").addEventListener("input", (event) => {
    look(state, { opacity: Number(event.target.value) / 100 });
  });
  document.addEventListener("keydown", (event) => onKey(event, state, actions));
  document.addEventListener("fullscreenchange", () => tell(state));
  setUpVerdict(state, {
    setMode: (mode) => {
      setMode(state, mode);
      tell(state);
    },
    show: (id) => show(state, panes[0], id),
  });
  tell(state);
}

function show(state, pane, id) {
  const about = state.films.find((film) => film.id === id);
  if (!about) return;
  pane.figure.querySelector("select").value = String(id);
  pane.editing = null;
  pane.load(about);
  state.viewer.dispatchEvent(new CustomEvent("film", { detail: { pane, about } }));
}

function activate(state, pane) {
  if (state.active === pane) return;
  state.active = pane;
  tell(state);
}

function setMode(state, mode) {
  state.mode = mode;
}

/** Boxes and heat map are seen on all films, or on none. */
function look(state, change) {
  for (const pane of state.panes) {
    Object.assign(pane.look, change);
    if (pane.look.heat && pane.film) pane.loadHeat();
    pane.draw();
  }
  tell(state);
}

function sideBySide(state) {
  state.both = !state.both;
  const [first, second] = state.panes;
  second.figure.hidden = !state.both;
  if (!state.both) state.active = first;
  if (state.both && !second.about) {
    const other = state.films.find((film) => film.id !== first.about?.id);
    if (other) show(state, second, other.id);
    else second.say("There is no other film of this patient.");
  }
}

function follow(state, pane) {
  if (!state.sync || !state.both || !pane.film) return;
  for (const other of state.panes) if (other !== pane) other.follow(pane.view);
}

function enlarge(viewer) {
  if (document.fullscreenElement) document.exitFullscreen();
  else viewer.requestFullscreen?.();
}

/** Has the buttons say what is on. */
function tell(state) {
  const { viewer, active } = state;
  const on = {
    window: state.mode === "window",
    invert: active.inverted,
    boxes: active.look.boxes,
    heat: active.look.heat,
    "side-by-side": state.both,
    sync: state.sync,
    large: document.fullscreenElement === viewer,
  };
  for (const [action, value] of Object.entries(on)) {
    viewer.querySelector(`[data-action="${action}"]`)?.setAttribute("aria-pressed", String(value));
  }
  const sync = viewer.querySelector('[data-action="sync"]');
  if (sync) sync.hidden = !state.both;
  viewer.querySelector("[data-heat-tools]").hidden = !active.look.heat;
  for (const pane of state.panes) {
    pane.figure.classList.toggle("active", state.both && pane === active);
    pane.note.textContent = pane.look.heat && pane.heat ? wordsOf(pane.heat) : "";
    pane.canvas.dataset.mode = state.mode === "draw" && !pane.editing ? "pan" : state.mode;
  }
}

function wordsOf(heat) {
  return heat.source === "heat"
    ? `Heat map: where the network of ${heat.bundle} itself sees opacity`
    : `Heat map: scores of all candidate boxes of ${heat.bundle}, which gives no map of its own`;
}

const KEYS = {
  "+": "zoom-in", "=": "zoom-in", "-": "zoom-out", f: "fit", 1: "one-to-one", w: "window",
  i: "invert", b: "boxes", h: "heat", 0: "reset", s: "side-by-side", y: "sync", x: "large",
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function onKey(event, state, actions) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input, select, textarea, [contenteditable]");
  if (typing && typing.type !== "radio" && typing.type !== "checkbox") return;
  const pane = state.active;
  if (event.target === pane.canvas) {
    const { editing } = pane;
    if (editing && (event.key === "Delete" || event.key === "Backspace") && editing.chosen >= 0) {
      editing.remove(editing.chosen);
      event.preventDefault();
      return;
    }
    const arrow = ARROWS[event.key];
    if (arrow) {
      const [across, down] = arrow;
      if (editing && editing.chosen >= 0) {
        const step = event.shiftKey ? 10 : 1;
        const box = editing.boxes[editing.chosen];
        editing.set(editing.chosen, { ...box, x: box.x + across * step, y: box.y + down * step });
      } else if (state.mode === "window") pane.changeWindow(-down * 0.02, across * 0.04);
      else pane.pan(-across * 40, -down * 40);
      event.preventDefault();
      return;
    }
  }
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  actions[action]();
  tell(state);
}
