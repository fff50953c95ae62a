// Leaks by keyboard: the keys work on a flag that has the focus, and the focus goes on to the next one.

const KEYS = { k: "keep", r: "redact", e: "exclude", u: "undecided" };
const STEPS = { ArrowDown: 1, ArrowUp: -1 };
let place = null;

const flags = () => [...document.querySelectorAll("[data-leak]")];

function focusAt(index) {
  const all = flags();
  const flag = all[Math.max(0, Math.min(index, all.length - 1))];
  flag?.focus();
  flag?.scrollIntoView({ block: "nearest" });
  return Boolean(flag);
}

document.addEventListener("keydown", (event) => {
  const flag = event.target.closest?.("[data-leak]");
  // Only the flag itself: in its text, links and buttons keys keep their own meaning.
  if (!flag || event.target !== flag) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.isComposing) return;
  const step = STEPS[event.key];
  const button = KEYS[event.key] && flag.querySelector(`[data-decide="${KEYS[event.key]}"]`);
  if (!step && !button) return;
  event.preventDefault();
  if (step) focusAt(flags().indexOf(flag) + step);
  else if (!event.repeat) button.click();
});

document.addEventListener("htmx:beforeRequest", (event) => {
  const flag = event.target.closest?.("[data-leak]");
  place = flag ? { id: flag.id, index: flags().indexOf(flag) } : null;
});

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "leaks" || !place) return;
  const same = flags().findIndex((flag) => flag.id === place.id);
  // Among undecided flags the next one has taken its place; among all, it stands where it stood.
  if (!focusAt(same < 0 ? place.index : same)) {
    const said = document.querySelector("[data-leaks-said]");
    said.tabIndex = -1;
    said.focus();
  }
  place = null;
});
