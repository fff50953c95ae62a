// Provenance in the page: spans on the tokens, and "Where does this come from?" for selected words.

import { choose, draw, firstToken, spanOf } from "./sources-marks.js";
import { connectSelection } from "./sources-select.js";

function focusToken(token) {
  const old = token.parentElement.querySelector(':scope > [tabindex="0"]');
  if (old) old.tabIndex = -1;
  token.tabIndex = 0;
  token.focus();
}

function scrollTo(element) {
  element.scrollIntoView({ block: "center", behavior: "smooth" });
}

/** From a mark in the margin to the entry in the list; a second click on a line with several goes to the next. */
function followMark(mark) {
  const numbers = mark.dataset.marks.split(" ");
  const response = mark.closest(".source-ground").querySelector("[data-tokens]").dataset.response;
  const at = numbers.indexOf(mark.dataset.last ?? "");
  mark.dataset.last = numbers[(at + 1) % numbers.length];
  const entry = choose(mark.dataset.last, response);
  entry?.querySelector("button.source-number")?.focus({ preventScroll: true });
  if (entry) scrollTo(entry);
}

/** From an entry in the list to its words in the response. */
function locate(entry) {
  choose(entry.dataset.span, entry.closest("[data-sources-result]").dataset.response);
  const token = firstToken(entry);
  if (!token) return;
  focusToken(token);
  scrollTo(token);
}

/** Underline the words a neighbour shares with the response, or take the lines away again. */
function showShared(button) {
  const pressed = button.getAttribute("aria-pressed") !== "true";
  const result = button.closest("[data-sources-result]");
  for (const other of result.querySelectorAll("[data-shared][aria-pressed]")) other.setAttribute("aria-pressed", "false");
  for (const old of document.querySelectorAll("[data-tokens] > .from-near")) old.classList.remove("from-near");
  button.setAttribute("aria-pressed", String(pressed));
  if (!pressed) return;
  const indices = button.dataset.shared.split(" ").filter(Boolean).map(Number);
  for (const container of document.querySelectorAll(`[data-tokens][data-response="${result.dataset.response}"]`)) {
    for (const index of indices) container.children[index]?.classList.add("from-near");
    const first = container.children[indices[0]];
    if (first) scrollTo(first);
  }
}

function toggleMarks(box) {
  const { response } = box.closest("[data-sources-result]").dataset;
  for (const container of document.querySelectorAll(`[data-tokens][data-response="${response}"]`)) {
    container.classList.toggle("source-hidden", !box.checked);
  }
}

document.addEventListener("click", (event) => {
  const mark = event.target.closest?.("[data-marks]");
  if (mark) return followMark(mark);
  const number = event.target.closest?.("[data-span] button.source-number");
  if (number) return locate(number.closest("[data-span]"));
  const shared = event.target.closest?.("[data-shared]");
  if (shared) return showShared(shared);
  const span = getSelection().isCollapsed && spanOf(event.target);
  if (span) choose(span.number, span.response);
  return undefined;
});

document.addEventListener("change", (event) => {
  if (event.target.matches?.("[data-marks-toggle]")) toggleMarks(event.target);
  // The chooser has a button for those without scripts.
  if (event.target.matches?.("[data-sources-choose] select")) event.target.form.requestSubmit();
});

// `s` on a token of a span goes to the span in the list.
document.addEventListener("keydown", (event) => {
  if (event.key !== "s" || event.ctrlKey || event.metaKey || event.altKey) return;
  const span = spanOf(event.target);
  const entry = span && choose(span.number, span.response);
  if (!entry) return;
  event.preventDefault();
  entry.querySelector("button.source-number")?.focus({ preventScroll: true });
  scrollTo(entry);
});

document.addEventListener("htmx:load", draw);
connectSelection(focusToken);
draw();
