// The page of a study beside its viewer: raw tags come when they are opened.

const PARSER = new DOMParser();

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
