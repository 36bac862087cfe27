// What another threshold changes, as the slider moves: the rows hold how many studies lie at each
// thousandth, so nothing is asked of the server.

const slide = document.getElementById("slide");
const number = document.getElementById("at");
const rows = [...document.querySelectorAll("#flips tbody tr")].map((row) => ({
  row,
  positive: steps(row.dataset.positive),
  negative: steps(row.dataset.negative),
}));

slide.addEventListener("input", () => {
  number.value = Number(slide.value).toFixed(3);
  show();
});
number.addEventListener("input", () => {
  if (!number.validity.valid || number.value === "") return;
  slide.value = number.value;
  show();
});

/** Read "thousandth:count …". */
function steps(text) {
  return text.split(" ").filter(Boolean).map((pair) => pair.split(":").map(Number));
}

function atOrAbove(found, thousandth) {
  return found.reduce((sum, [at, count]) => sum + (at >= thousandth ? count : 0), 0);
}

function show() {
  const thousandth = Math.round(Number(slide.value) * 1000);
  for (const { row, positive, negative } of rows) {
    const had = atOrAbove(positive, 0);
    const studies = had + atOrAbove(negative, 0);
    const gained = atOrAbove(negative, thousandth);
    const lost = had - atOrAbove(positive, thousandth);
    const then = had - lost + gained;
    put(row, "gained", count(gained));
    put(row, "lost", count(lost));
    put(row, "flips", count(gained + lost));
    put(row, "then", count(then));
    put(row, "then-share", percent(studies ? then / studies : null));
    if (row === rows[0].row) {
      document.getElementById("sentence").textContent =
        `At ${(thousandth / 10).toFixed(1)} % as the threshold, ${count(gained)} of ${count(studies)} studies would have had an opacity that had none, and ${count(lost)} none that had one: ${count(then)} positive instead of ${count(had)}.`;
    }
  }
  const address = new URL(location.href);
  address.searchParams.set("at", (thousandth / 1000).toFixed(3));
  history.replaceState(null, "", address);
}

function put(row, name, text) {
  row.querySelector(`[data-is="${name}"]`).textContent = text;
}

/** As console/pages/words.py writes numbers and shares. */
function count(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

function percent(share) {
  if (share === null) return "–";
  return `${(100 * share).toFixed(share >= 0.095 && share < 0.995 ? 0 : 1)}\u202f%`;
}
