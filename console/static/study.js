// The page of a study beside its viewer: raw tags come when they are opened, and while something
// of the study is under way, what happens is shown without reloading.

import { showTimes } from "./times.js";

const LOOK_AGAIN_MS = 5000;
const LIVE = [".standing", "#deliveries", "#readings", "#timeline"];
const PARSER = new DOMParser();

// What was done is told once: the page, loaded again, says nothing of it.
if (new URLSearchParams(location.search).has("done")) {
  history.replaceState(null, "", location.pathname + location.hash);
}

for (const details of document.querySelectorAll("details[data-load]")) {
  details.addEventListener("toggle", () => details.open && load(details), { once: true });
}

async function load(details) {
  const body = details.querySelector("p");
  try {
    const response = await fetch(details.dataset.load, { credentials: "same-origin" });
    const page = PARSER.parseFromString(await response.text(), "text/html");
    body.replaceWith(...page.body.children); // every text in it is escaped by the template
  } catch {
    body.textContent = "The server does not answer.";
  }
}

const study = document.querySelector("[data-live]");
if (study) setTimeout(lookAgain, LOOK_AGAIN_MS);

async function lookAgain() {
  if (!document.hidden) {
    const page = await fetched();
    if (page && !page.querySelector(".study")) return; // logged out, or the study is gone
    if (page) renew(page);
    if (page && !page.querySelector("[data-live]")) {
      document.querySelector("[data-done]").hidden = false;
      return;
    }
  }
  setTimeout(lookAgain, LOOK_AGAIN_MS);
}

async function fetched() {
  try {
    const headers = { "X-Poll": "1" }; // which keeps nobody logged in
    const response = await fetch(location.pathname, { headers, credentials: "same-origin" });
    return PARSER.parseFromString(await response.text(), "text/html");
  } catch {
    return null; // the next look may find the server again
  }
}

/** Puts in what has changed, and nothing else: focus and open details stay. */
function renew(page) {
  for (const where of LIVE) {
    const [old, fresh] = [document.querySelector(where), page.querySelector(where)];
    if (!old || !fresh || old.dataset.seen === fresh.innerHTML) continue;
    const seen = fresh.innerHTML;
    old.replaceChildren(...fresh.childNodes);
    old.dataset.seen = seen;
    showTimes(old);
  }
}
