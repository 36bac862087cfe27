// Times in the browser's own zone, and ages that keep up with the clock.

const FULL = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };
const zone = new Intl.DateTimeFormat("sv-SE", FULL);
const STEPS = [[86400, "d"], [3600, "h"], [60, "min"]];

/** How long ago: the same words as console/pages/words.py. */
export function age(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [size, unit] of STEPS) {
    if (whole >= size) return `${Math.floor(whole / size)}\u202f${unit}`;
  }
  return `${whole}\u202fs`;
}

/** Write every <time> below an element. */
export function showTimes(element) {
  for (const time of element.querySelectorAll("time[datetime]")) show(time);
}

function show(time) {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime())) return;
  const local = zone.format(at);
  if (time.dataset.how === "age") {
    time.textContent = age((Date.now() - at.getTime()) / 1000);
    time.title = local;
  } else {
    time.textContent = time.dataset.how === "short" ? local.slice(0, 16) : local;
    time.title = time.dateTime;
  }
}

setInterval(() => {
  for (const time of document.querySelectorAll('time[data-how="age"]')) show(time);
}, 10_000);
