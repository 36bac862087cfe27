// Boxes on a film: drawn with their scores, and drawn anew by a reader.

const HANDLE = 9; // screen pixels from a corner within which it is meant
const LEAST = 4; // screen pixels a side of a box that is drawn on purpose
const INK = { reading: "#ffb820", reader: "#54d8ff", chosen: "#ffffff" };

/** The boxes of a verdict, shared by canvas and form. Tells "change". */
export class BoxList extends EventTarget {
  constructor(columns, rows, boxes) {
    super();
    this.columns = columns;
    this.rows = rows;
    this.boxes = boxes.map((box) => this.within(box)); // whole pixels, as the form asks for
    this.chosen = -1;
  }

  add(box) {
    this.boxes.push(this.within(box));
    this.choose(this.boxes.length - 1);
  }

  set(index, box) {
    this.boxes[index] = this.within(box);
    this.tell();
  }

  remove(index) {
    this.boxes.splice(index, 1);
    this.choose(-1);
  }

  choose(index) {
    this.chosen = index;
    this.tell();
  }

  tell() {
    this.dispatchEvent(new Event("change"));
  }

  /** Cuts a box to the film; it keeps a pixel at least. */
  within({ x, y, width, height }) {
    const x0 = Math.min(Math.max(0, x), this.columns - 1);
    const y0 = Math.min(Math.max(0, y), this.rows - 1);
    const x1 = Math.min(Math.max(x + width, x0 + 1), this.columns);
    const y1 = Math.min(Math.max(y + height, y0 + 1), this.rows);
    const [left, top] = [Math.round(x0), Math.round(y0)];
    return { x: left, y: top, width: Math.round(x1) - left, height: Math.round(y1) - top };
  }
}

/** Draws the boxes that are being edited, else those of the reading and of a chosen verdict. */
export function drawBoxes(context, pane) {
  const { editing } = pane;
  if (editing) {
    editing.boxes.forEach((box, index) => {
      const chosen = editing.chosen === index;
      const ink = chosen ? INK.chosen : INK.reader;
      drawBox(context, pane, box, { ink, label: String(index + 1), dashed: true, chosen });
    });
    return;
  }
  for (const box of pane.about?.boxes ?? []) {
    const label = `${Math.round(100 * box.score)} %`;
    drawBox(context, pane, box, { ink: INK.reading, label });
  }
  for (const box of pane.beside?.boxes ?? []) {
    drawBox(context, pane, box, { ink: INK.reader, label: pane.beside.by, dashed: true });
  }
}

function drawBox(context, pane, box, { ink, label, dashed = false, chosen = false }) {
  const [left, top] = pane.toScreen(box.x, box.y);
  const [right, bottom] = pane.toScreen(box.x + box.width, box.y + box.height);
  for (const [width, colour] of [[4, "rgb(0 0 0 / 70%)"], [2, ink]]) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.setLineDash(dashed ? [8, 5] : []);
    context.strokeRect(left, top, right - left, bottom - top);
  }
  context.setLineDash([]);
  drawLabel(context, label, left, top, ink);
  if (chosen) drawHandles(context, left, top, right, bottom);
}

function drawLabel(context, text, left, top, ink) {
  context.font = "600 13px system-ui, sans-serif";
  const width = context.measureText(text).width + 8;
  const y = top > 20 ? top - 19 : top + 2;
  context.fillStyle = "rgb(0 0 0 / 75%)";
  context.fillRect(left - 2, y, width, 17);
  context.fillStyle = ink;
  context.textBaseline = "middle";
  context.fillText(text, left + 2, y + 9);
}

function drawHandles(context, left, top, right, bottom) {
  context.fillStyle = INK.chosen;
  for (const x of [left, right]) {
    for (const y of [top, bottom]) context.fillRect(x - 4, y - 4, 8, 8);
  }
}

/** What a press at (x, y) of the canvas begins: a new box, one moved, or a corner of one. */
export function beginEdit(pane, x, y) {
  const list = pane.editing;
  const at = hit(pane, x, y);
  if (at.index >= 0) list.choose(at.index);
  const from = pane.toFilm(x, y);
  const first = at.index >= 0 ? { ...list.boxes[at.index] } : null;
  let made = -1;
  return {
    move(toX, toY) {
      const [column, row] = pane.toFilm(toX, toY);
      const [dx, dy] = [column - from[0], row - from[1]];
      if (first === null) {
        const wide = Math.abs(dx) * pane.scale >= LEAST && Math.abs(dy) * pane.scale >= LEAST;
        if (made < 0 && !wide) return;
        const box = between(from[0], from[1], column, row);
        if (made < 0) {
          list.add(box);
          made = list.boxes.length - 1;
        } else list.set(made, box);
      } else if (at.corner) {
        const right = first.x + first.width;
        const bottom = first.y + first.height;
        const [x0, x1] = at.corner[0] === "left" ? [first.x + dx, right] : [first.x, right + dx];
        const [y0, y1] = at.corner[1] === "top" ? [first.y + dy, bottom] : [first.y, bottom + dy];
        list.set(at.index, between(x0, y0, x1, y1));
      } else {
        const farX = list.columns - first.width;
        const farY = list.rows - first.height;
        list.set(at.index, {
          ...first,
          x: Math.min(Math.max(0, first.x + dx), farX),
          y: Math.min(Math.max(0, first.y + dy), farY),
        });
      }
    },
    end() {
      if (first === null && made < 0) list.choose(-1);
    },
  };
}

function between(x0, y0, x1, y1) {
  const [left, top] = [Math.min(x0, x1), Math.min(y0, y1)];
  return { x: left, y: top, width: Math.abs(x1 - x0), height: Math.abs(y1 - y0) };
}

/** The box below a point of the canvas, the smallest of several, and the corner that is meant. */
function hit(pane, x, y) {
  let found = { index: -1, corner: null };
  let least = Infinity;
  pane.editing.boxes.forEach((box, index) => {
    const [left, top] = pane.toScreen(box.x, box.y);
    const [right, bottom] = pane.toScreen(box.x + box.width, box.y + box.height);
    const near = (a, b) => Math.abs(a - b) <= HANDLE;
    const across = near(x, left) ? "left" : near(x, right) ? "right" : null;
    const down = near(y, top) ? "top" : near(y, bottom) ? "bottom" : null;
    const inside = x >= left && x <= right && y >= top && y <= bottom;
    const area = box.width * box.height;
    if (across && down && pane.editing.chosen === index) {
      found = { index, corner: [across, down] };
      least = -1;
    } else if ((inside || (across && down)) && area < least) {
      found = { index, corner: across && down ? [across, down] : null };
      least = area;
    }
  });
  return found;
}
