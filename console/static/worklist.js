// The worklist looks again by itself, and goes by the keyboard.
import { isTyping } from "./console.js";
import { showTimes } from "./times.js";

const EVERY_MS = 4000;
const table = document.getElementById("studies");
const body = table.tBodies[0];
const live = document.getElementById("live");
const words = live.querySelector(".words");
let tag = table.dataset.tag; // of the rows that stand there
let timer = 0;
let current = null;

// --- looking again ------------------------------------------------------------------------

async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    const headers = { "X-Poll": "1", "If-None-Match": tag };
    const answer = await fetch(table.dataset.rows, { headers, cache: "no-store", redirect: "error" });
    if (answer.status === 401) {
      tell("You were logged out. Load the page anew to log in.", "lost");
      return;
    }
    if (answer.status === 200) {
      const text = await answer.text();
      if (!isSelecting()) {
        tag = answer.headers.get("ETag");
        replace(text);
      }
    } else if (answer.status !== 304) {
      throw new Error(`status ${answer.status}`);
    }
    tell(`live, looked at ${new Date().toLocaleTimeString("sv-SE")}`, "");
  } catch {
    tell("no connection; trying again", "lost");
  }
  timer = setTimeout(look, EVERY_MS);
}

function tell(text, state) {
  if (!words) return;
  words.textContent = text;
  live.className = `live ${state}`;
}

/** Whether text of the table is marked: then it stays as it is. */
function isSelecting() {
  const selection = getSelection();
  return !selection.isCollapsed && table.contains(selection.anchorNode);
}

/** Put new rows into the place of old ones; what has not changed stays, with focus and all. */
function replace(text) {
  const made = document.createElement("template");
  made.innerHTML = `<table><tbody>${text}</tbody></table>`;
  const wanted = [...made.content.querySelectorAll("tr[data-id]")];
  const old = new Map([...body.rows].map((row) => [row.dataset.id, row]));
  const focused = document.activeElement?.closest?.("tr[data-id]")?.dataset.id;
  let place = body.firstElementChild;
  for (const row of wanted) {
    const before = old.get(row.dataset.id);
    old.delete(row.dataset.id);
    let kept = before;
    if (!before || before.dataset.source !== row.outerHTML) {
      row.dataset.source = row.outerHTML;
      row.classList.toggle("fresh", !before);
      row.classList.toggle("current", before?.classList.contains("current") ?? false);
      showTimes(row);
      before?.replaceWith(row);
      if (before && before === place) place = row;
      if (before && before === current) current = row;
      kept = row;
    }
    if (kept === place) place = place.nextElementSibling;
    else body.insertBefore(kept, place);
  }
  for (const row of old.values()) row.remove();
  document.getElementById("empty").hidden = wanted.length > 0;
  if (focused && !document.activeElement?.closest?.("tr[data-id]")) {
    body.querySelector(`tr[data-id="${focused}"] .open`)?.focus({ preventScroll: true });
  }
}

// --- the keyboard and the mouse ---------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.key === "j") go(1);
  else if (event.key === "k") go(-1);
  else if (event.key === "n") document.querySelector('a[rel="next"]')?.click();
  else if (event.key === "p") document.querySelector('a[rel="prev"]')?.click();
  else return;
  event.preventDefault();
});

function go(by) {
  const rows = [...body.rows];
  const at = rows.indexOf(current);
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))];
  if (next) next.querySelector(".open").focus();
}

body.addEventListener("focusin", (event) => {
  current?.classList.remove("current");
  current = event.target.closest("tr");
  current.classList.add("current");
});

// A finger may hit the row anywhere; a mouse opens it by the finding, so that ids can be marked.
body.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-id]");
  const hit = matchMedia("(pointer: coarse)").matches || event.target.closest(".likely, .found");
  if (!row || !hit || event.target.closest("a") || isSelecting()) return;
  const link = row.querySelector(".open");
  if (event.ctrlKey || event.metaKey) open(link.href, "_blank", "noopener");
  else link.click();
});

// --- the form ----------------------------------------------------------------------------------

// What is empty does not stand in the address, which is to be shown around.
document.getElementById("filters").addEventListener("submit", (event) => {
  const fields = [...event.target.elements].filter((field) => field.name && field.value === "");
  for (const field of fields) field.disabled = true;
  if (event.target.elements.from?.value || event.target.elements.to?.value) {
    const period = event.target.elements.period;
    if (period) period.disabled = true;
  }
  setTimeout(() => fields.forEach((field) => (field.disabled = false)));
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(timer);
    tell("paused", "paused");
  } else {
    look();
  }
});
look();
