// The tokens of a column: spans that read as text, one tab stop, arrow keys between them.

import { classOfSpan, drawSome } from "./explore-draw.js";

/** Make the first token the tab stop of a container that has none. */
export function addTabStop(container) {
  const first = container.firstElementChild;
  if (first && !container.querySelector(':scope > [tabindex="0"]')) first.tabIndex = 0;
}

/** Parse a fragment of the server's HTML. */
export function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

/** Append spans that are not there yet: after a reconnect the server may repeat some. */
export function append(container, html) {
  const have = container.childElementCount;
  const spans = [...parse(html).children].filter((span) => Number(span.dataset.i) >= have);
  container.append(...spans);
  drawSome(container, spans);
  addTabStop(container);
}

/** Take over what was scored since; the elements stay, with focus and selection. */
export function rescore(container, html) {
  const known = [];
  for (const fresh of parse(html).children) {
    const span = container.children[Number(fresh.dataset.i)];
    if (!span) continue;
    const marks = ["current", "linked", "pinned"].filter((name) => span.classList.contains(name));
    span.className = [fresh.className, ...marks].join(" ");
    if (fresh.dataset.r) span.dataset.r = fresh.dataset.r;
    span.toggleAttribute("data-over", fresh.hasAttribute("data-over"));
    known.push(span);
  }
  drawSome(container, known);
}

function nextShifted(span, step) {
  for (let other = span; (other = step > 0 ? other.nextElementSibling : other.previousElementSibling); ) {
    if (["marginal", "shifted"].includes(classOfSpan(other))) return other;
  }
  return null;
}

function target(span, event) {
  const rtl = getComputedStyle(span.parentElement).direction === "rtl";
  switch (event.key) {
    case "ArrowRight":
      return rtl ? span.previousElementSibling : span.nextElementSibling;
    case "ArrowLeft":
      return rtl ? span.nextElementSibling : span.previousElementSibling;
    case "Home":
      return span.parentElement.firstElementChild;
    case "End":
      return span.parentElement.lastElementChild;
    case "n":
      return nextShifted(span, 1);
    case "p":
    case "N":
      return nextShifted(span, -1);
    default:
      return null;
  }
}

/** Move focus to a token; it becomes its column's tab stop. */
export function focusToken(span) {
  const old = span.parentElement.querySelector('[tabindex="0"]');
  if (old) old.tabIndex = -1;
  span.tabIndex = 0;
  span.focus();
}

/** Arrow keys, Home, End, n and p inside a column. */
export function moveByKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const span = event.target.closest("[data-tokens] > [data-i]");
  const next = span && target(span, event);
  if (!next) return;
  event.preventDefault();
  focusToken(next);
}
