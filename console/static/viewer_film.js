// A film as console/pictures/film.py sends it: every stored value, and what it is shown as.

const MAGIC = 0x464d4c48; // "HLMF", little endian

/** Fetches a film; throws an Error whose message is a sentence for people. */
export async function fetchFilm(url, signal) {
  const response = await fetch(url, { signal, credentials: "same-origin" });
  if (!response.ok) throw new Error(await sentenceOf(response));
  return unpack(await response.arrayBuffer());
}

/** What the server says went wrong. */
export async function sentenceOf(response) {
  if ((response.headers.get("Content-Type") ?? "").includes("json")) {
    const said = await response.json();
    if (typeof said.detail === "string") return said.detail;
  }
  return response.status === 401
    ? "You are logged in no longer: load the page anew."
    : `The server answered ${response.status}.`;
}

function unpack(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 8 || view.getUint32(0, true) !== MAGIC) {
    throw new Error("What came is no film: load the page anew.");
  }
  const length = view.getUint32(4, true);
  const told = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const entries = told.entries;
  let at = 8 + length;
  const values = new Float32Array(entries);
  for (let i = 0; i < entries; i++) values[i] = view.getFloat32(at + 4 * i, true);
  at += 4 * entries;
  const shown = new Uint8Array(buffer, at, entries);
  const hidden = new Uint8Array(buffer, at + entries, entries);
  const rest = new Uint8Array(buffer, at + 2 * entries);
  return { ...told, values, shown, hidden, patterns: summed(rest, told) };
}

/** Undoes the differences between neighbours. */
function summed(rest, { rows, columns, bytes }) {
  const count = rows * columns;
  let last = 0;
  if (bytes === 1) {
    const patterns = new Uint8Array(count);
    for (let i = 0; i < count; i++) patterns[i] = last = (last + rest[i]) & 0xff;
    return patterns;
  }
  const patterns = new Uint16Array(count);
  for (let i = 0; i < count; i++) {
    patterns[i] = last = (last + rest[i] + (rest[count + i] << 8)) & 0xffff;
  }
  return patterns;
}

/**
 * The grey of every pattern, as RGBA in one number each.
 *
 * Without a window it is how the film is opened; else the window runs from `low` to `high`.
 */
export function greysOf(film, window, inverted) {
  const table = new Uint32Array(film.entries);
  const span = window ? Math.max(window.high - window.low, 1e-6) : 1;
  for (let i = 0; i < film.entries; i++) {
    let grey = film.shown[i];
    if (window) {
      const share = Math.min(1, Math.max(0, (film.values[i] - window.low) / span));
      grey = Math.round(255 * (film.inverted ? 1 - share : share));
    }
    if (inverted) grey = 255 - grey;
    if (film.hidden[i]) grey = 0;
    table[i] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  return table;
}

/** Paints a film, or every `step`th pixel of it, into a canvas of that size. */
export function paint(canvas, film, table, step = 1) {
  const width = Math.ceil(film.columns / step);
  const height = Math.ceil(film.rows / step);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d", { alpha: false });
  const stripe = Math.max(1, Math.min(height, Math.floor(1_000_000 / width)));
  const image = context.createImageData(width, stripe);
  const words = new Uint32Array(image.data.buffer);
  for (let first = 0; first < height; first += stripe) {
    const many = Math.min(stripe, height - first);
    let to = 0;
    for (let row = first; row < first + many; row++) {
      let from = row * step * film.columns;
      for (let column = 0; column < width; column++, from += step) {
        words[to++] = table[film.patterns[from]];
      }
    }
    context.putImageData(image, 0, first, 0, 0, width, many);
  }
}

const RAMP = [
  [0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99],
  [212, 72, 66], [245, 125, 21], [250, 193, 39], [252, 255, 164],
]; // matplotlib's inferno: it grows brighter all along, so that it needs no eye for colours

/** Paints a heat map, a pixel a cell: the hotter, the brighter and the less transparent. */
export function paintHeat(canvas, heat) {
  canvas.width = heat.columns;
  canvas.height = heat.rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(heat.columns, heat.rows);
  heat.cells.forEach((cell, i) => {
    const place = (cell / 255) * (RAMP.length - 1);
    const low = RAMP[Math.floor(place)];
    const high = RAMP[Math.ceil(place)];
    const share = place - Math.floor(place);
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = low[c] + (high[c] - low[c]) * share;
    image.data[4 * i + 3] = Math.min(255, 1.6 * cell);
  });
  context.putImageData(image, 0, 0);
}
