// The monitor of a study: updates by itself while its tab is seen and nobody stopped it, and keeps scroll and place.

const places = new Map();
let stopped = false;

const board = () => document.querySelector("[data-monitor]");

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target.matches?.("[data-monitor]") && (document.hidden || stopped)) event.preventDefault();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !stopped) window.htmx?.trigger(board(), "refresh");
});

document.addEventListener("htmx:beforeSwap", (event) => {
  if (!event.target.matches?.("[data-monitor]")) return;
  for (const box of document.querySelectorAll("[data-keep-scroll]")) places.set(box.id, [box.scrollLeft, box.scrollTop]);
  places.set("focus", document.activeElement?.closest("[data-monitor]") ? document.activeElement.id : "");
});

document.addEventListener("htmx:afterSwap", () => {
  for (const box of document.querySelectorAll("[data-keep-scroll]")) {
    const [left, top] = places.get(box.id) ?? [0, 0];
    box.scrollLeft = left;
    box.scrollTop = top;
  }
  const focused = places.get("focus");
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
});

const button = document.querySelector("[data-pause-updates]");
if (button) {
  button.hidden = false;
  button.addEventListener("click", () => {
    stopped = !stopped;
    button.setAttribute("aria-pressed", String(stopped));
    if (!stopped) window.htmx?.trigger(board(), "refresh");
  });
}
