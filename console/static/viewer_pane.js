// One film on the screen: where it lies, its window, and what is drawn on it.

import { fetchFilm, greysOf, paint, paintHeat, sentenceOf } from "./viewer_film.js";
import { drawBoxes } from "./viewer_boxes.js";

const LARGE = 4_000_000; // pixels, from which on less is painted while something moves
const SETTLED_MS = 160;
const MOST_ZOOM = 32; // screen pixels a film pixel

/** Shows a film on a canvas. Tells "view", "window" and "loaded" as events. */
export class Pane extends EventTarget {
  constructor(figure) {
    super();
    this.figure = figure;
    this.canvas = figure.querySelector("canvas");
    this.preview = figure.querySelector("img");
    this.status = figure.querySelector("[data-status]");
    this.readout = figure.querySelector("[data-readout]");
    this.spot = figure.querySelector("[data-spot]");
    this.note = figure.querySelector("[data-note]");
    this.look = { boxes: true, heat: false, opacity: 0.5 };
    this.beside = null; // the boxes of a verdict, and whose it is
    this.editing = null; // a BoxList whose boxes are drawn in place of the reading's
    this.painted = document.createElement("canvas");
    this.heatPainted = document.createElement("canvas");
    this.film = this.about = this.heat = null;
    this.resetLook();
    new ResizeObserver(() => this.resize()).observe(figure.querySelector("[data-stage]"));
  }

  resetLook() {
    this.window = null;
    this.inverted = false;
    this.fitted = true;
    this.scale = 1;
    this.x = this.y = 0;
  }

  /** Loads a film: its small picture at once, all of it as soon as it is there. */
  async load(about) {
    this.loading?.abort();
    this.loading = new AbortController();
    const { signal } = this.loading;
    this.about = about;
    this.film = this.heat = this.beside = null;
    this.resetLook();
    this.preview.src = about.preview;
    this.preview.alt = about.title;
    this.preview.hidden = false;
    this.canvas.setAttribute("aria-label", about.title);
    this.say("Loading the film…");
    this.draw();
    try {
      const film = await fetchFilm(about.pixels, signal);
      if (signal.aborted) return;
      this.film = film;
      this.preview.hidden = true;
      this.say("");
      this.resize();
      this.repaint(true);
      this.dispatchEvent(new Event("loaded"));
      if (this.look.heat) await this.loadHeat();
    } catch (error) {
      if (!signal.aborted) this.say(error.message);
    }
  }

  /** Fetches the heat map of the film, once. */
  async loadHeat() {
    const about = this.about;
    if (this.heat || !about?.heat) {
      if (about && !about.heat) this.say("No bundle has read this film: there is no heat map.");
      return;
    }
    this.say("The network is reading the film for its heat map…");
    const response = await fetch(about.heat, { credentials: "same-origin" }).catch(() => null);
    if (about !== this.about) return;
    if (!response?.ok) {
      this.say(response ? await sentenceOf(response) : "The server does not answer.");
      return;
    }
    this.heat = await response.json();
    paintHeat(this.heatPainted, this.heat);
    this.say("");
    this.dispatchEvent(new Event("heat"));
    this.draw();
  }

  say(text) {
    this.status.textContent = text;
    this.status.hidden = !text;
  }

  // --- where it lies -------------------------------------------------------------------------

  get width() {
    return this.canvas.clientWidth;
  }

  get height() {
    return this.canvas.clientHeight;
  }

  get aspect() {
    return this.film?.aspect ?? 1;
  }

  get fitScale() {
    if (!this.film) return 1;
    return Math.min(
      this.width / this.film.columns,
      this.height / (this.film.rows * this.aspect),
    );
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const stage = this.figure.querySelector("[data-stage]");
    const width = Math.round(stage.clientWidth * ratio);
    const height = Math.round(stage.clientHeight * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    if (this.fitted) this.fit();
    else this.draw();
  }

  fit() {
    this.scale = this.fitScale || 1;
    this.centre();
    this.fitted = true;
    this.moved();
  }

  /** One film pixel is one pixel of the screen. */
  oneToOne() {
    this.zoomTo(1 / (window.devicePixelRatio || 1), this.width / 2, this.height / 2);
  }

  centre() {
    if (!this.film) return;
    this.x = (this.width - this.film.columns * this.scale) / 2;
    this.y = (this.height - this.film.rows * this.scale * this.aspect) / 2;
  }

  /** Zooms so that the point (x, y) of the canvas stays where it is. */
  zoomTo(scale, x, y) {
    if (!this.film) return;
    const least = Math.min(this.fitScale / 2, 1);
    const wanted = Math.min(MOST_ZOOM, Math.max(least, scale));
    const share = wanted / this.scale;
    this.x = x - (x - this.x) * share;
    this.y = y - (y - this.y) * share;
    this.scale = wanted;
    this.fitted = false;
    this.moved();
  }

  zoomBy(factor, x = this.width / 2, y = this.height / 2) {
    this.zoomTo(this.scale * factor, x, y);
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.moved();
  }

  moved() {
    this.keepInSight();
    this.draw();
    this.dispatchEvent(new Event("view"));
  }

  /** Leaves a part of the film in sight, wherever it is dragged. */
  keepInSight() {
    if (!this.film) return;
    const margin = 60;
    const wide = this.film.columns * this.scale;
    const high = this.film.rows * this.scale * this.aspect;
    this.x = Math.min(this.width - margin, Math.max(margin - wide, this.x));
    this.y = Math.min(this.height - margin, Math.max(margin - high, this.y));
  }

  /** What is looked at, in shares of the film, for another pane to follow. */
  get view() {
    const film = this.film;
    return {
      fitted: this.fitted,
      zoom: this.scale / this.fitScale,
      x: (this.width / 2 - this.x) / (film.columns * this.scale),
      y: (this.height / 2 - this.y) / (film.rows * this.scale * this.aspect),
    };
  }

  follow(view) {
    if (!this.film) return;
    this.fitted = view.fitted;
    this.scale = this.fitScale * view.zoom;
    this.x = this.width / 2 - view.x * this.film.columns * this.scale;
    this.y = this.height / 2 - view.y * this.film.rows * this.scale * this.aspect;
    this.draw();
  }

  toFilm(x, y) {
    return [(x - this.x) / this.scale, (y - this.y) / (this.scale * this.aspect)];
  }

  toScreen(column, row) {
    return [this.x + column * this.scale, this.y + row * this.scale * this.aspect];
  }

  // --- its greys -----------------------------------------------------------------------------

  /** The window in use, or the one that comes nearest to how the film is opened. */
  get windowInUse() {
    return this.window ?? { low: this.film.low, high: this.film.high };
  }

  /** Moves the window by shares of how wide it was at first. */
  changeWindow(brighter, wider) {
    if (!this.film) return;
    const first = this.film.high - this.film.low;
    const { low, high } = this.windowInUse;
    const least = Math.max(first / 512, 1e-3);
    const width = Math.max(least, high - low + wider * first);
    const centre = (low + high) / 2 + (this.film.inverted ? brighter : -brighter) * first;
    this.window = { low: centre - width / 2, high: centre + width / 2 };
    this.repaint(false);
  }

  invert() {
    this.inverted = !this.inverted;
    this.repaint(true);
  }

  reset() {
    this.window = null;
    this.inverted = false;
    this.repaint(true);
    this.fit();
  }

  /** Paints the film anew; while something moves, a large one coarsely at first. */
  repaint(settled) {
    if (!this.film) return;
    clearTimeout(this.settling);
    const large = this.film.rows * this.film.columns > LARGE;
    this.coarse = large && !settled;
    if (this.coarse) this.settling = setTimeout(() => this.repaint(true), SETTLED_MS);
    this.stale = true;
    this.draw();
    this.dispatchEvent(new Event("window"));
  }

  // --- drawing -------------------------------------------------------------------------------

  draw() {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.drawNow();
    });
  }

  drawNow() {
    const ratio = window.devicePixelRatio || 1;
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const { film } = this;
    if (!film) return;
    if (this.stale) {
      const table = greysOf(film, this.window, this.inverted);
      const step = this.coarse ? Math.ceil(Math.sqrt((film.rows * film.columns) / LARGE)) : 1;
      paint(this.painted, film, table, step);
      this.stale = false;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingEnabled = this.scale * ratio < 4; // then single pixels are asked for
    context.imageSmoothingQuality = "high";
    const wide = film.columns * this.scale;
    const high = film.rows * this.scale * this.aspect;
    context.drawImage(this.painted, this.x, this.y, wide, high);
    if (this.look.heat && this.heat) this.drawHeat(context, wide, high);
    if (this.look.boxes || this.editing) drawBoxes(context, this);
    this.tellReadout();
  }

  drawHeat(context, wide, high) {
    const { x0, y0, x1, y1 } = this.heat;
    const [left, top] = this.toScreen(x0, y0);
    const [right, bottom] = this.toScreen(x1, y1);
    context.save();
    context.beginPath();
    context.rect(this.x, this.y, wide, high);
    context.clip();
    context.globalAlpha = this.look.opacity;
    context.imageSmoothingEnabled = true;
    context.drawImage(this.heatPainted, left, top, right - left, bottom - top);
    context.restore();
  }

  tellReadout() {
    const { low, high } = this.windowInUse;
    const zoom = Math.round(this.scale * (window.devicePixelRatio || 1) * 100);
    const round = (value) => (high - low < 10 ? value.toFixed(2) : String(Math.round(value)));
    const kind = this.window ? "" : " (as stored)";
    this.readout.textContent =
      `W ${round(high - low)}  L ${round((low + high) / 2)}${kind}  ${zoom} %` +
      (this.inverted ? "  inverted" : "");
  }

  /** Tells the value below a point of the canvas. */
  tellSpot(x, y) {
    const { film } = this;
    if (!film) return;
    const [column, row] = this.toFilm(x, y).map(Math.floor);
    const inside = column >= 0 && row >= 0 && column < film.columns && row < film.rows;
    const value = inside ? film.values[film.patterns[row * film.columns + column]] : 0;
    this.spot.textContent = inside ? `column ${column}, row ${row}: ${+value.toFixed(2)}` : "";
  }
}
