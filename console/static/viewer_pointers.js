// Mouse, pen and fingers on a film.

import { beginEdit } from "./viewer_boxes.js";

const WHEEL = 0.0015;
const WHOLE = 400; // screen pixels of a drag that changes the window by all of its first width

/** Has a pane answer to pointers. `mode()` is "pan", "window" or "draw". */
export function listenToPointers(pane, { mode, touched }) {
  const { canvas } = pane;
  const down = new Map(); // the fingers, or the one pointer, by id: where they are
  let drag = null;

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 2) return;
    canvas.focus({ preventScroll: true });
    touched();
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, place(event));
    if (down.size === 2) {
      drag?.end?.();
      drag = pinch(pane, down);
      return;
    }
    const what = event.button === 2 ? "window" : event.button === 1 ? "pan" : mode();
    const [x, y] = place(event);
    drag = what === "draw" ? beginEdit(pane, x, y) : what === "window" ? levels(pane, x, y)
      : panning(pane, x, y);
    event.preventDefault();
  });

  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (!down.has(event.pointerId)) {
      pane.tellSpot(x, y);
      return;
    }
    down.set(event.pointerId, [x, y]);
    drag?.move(x, y);
  });

  const ended = (event) => {
    if (!down.delete(event.pointerId)) return;
    drag?.end?.();
    drag = null; // the finger that is left begins nothing: it was part of a pinch
  };
  canvas.addEventListener("pointerup", ended);
  canvas.addEventListener("pointercancel", ended);
  canvas.addEventListener("pointerleave", () => (pane.spot.textContent = ""));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("dblclick", (event) => {
    if (mode() === "draw") return;
    const [x, y] = place(event);
    if (pane.fitted) pane.zoomTo(1 / (window.devicePixelRatio || 1), x, y);
    else pane.fit();
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      touched();
      const [x, y] = place(event);
      const lines = event.deltaMode === 1 ? 33 : event.deltaMode === 2 ? 400 : 1;
      const fine = event.ctrlKey ? 6 : 1; // what a touchpad's pinch comes as
      pane.zoomBy(Math.exp(-event.deltaY * lines * WHEEL * fine), x, y);
    },
    { passive: false },
  );
}

function panning(pane, x, y) {
  let last = [x, y];
  return {
    move(toX, toY) {
      pane.pan(toX - last[0], toY - last[1]);
      last = [toX, toY];
    },
  };
}

/** Up is brighter, right is a wider window. */
function levels(pane, x, y) {
  let last = [x, y];
  return {
    move(toX, toY) {
      pane.changeWindow((last[1] - toY) / WHOLE, (toX - last[0]) / WHOLE);
      last = [toX, toY];
    },
    end: () => pane.repaint(true),
  };
}

function pinch(pane, down) {
  const measure = () => {
    const [[x0, y0], [x1, y1]] = [...down.values()];
    return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, span: Math.max(20, Math.hypot(x1 - x0, y1 - y0)) };
  };
  let last = measure();
  return {
    move() {
      if (down.size !== 2) return;
      const now = measure();
      pane.pan(now.x - last.x, now.y - last.y);
      pane.zoomBy(now.span / last.span, now.x, now.y);
      last = now;
    },
  };
}
