// The tokens of a column: spans that read as text, one tab stop, arrow keys between them, counts kept while they arrive.

/** Give new spans what only makes sense with a script: a role, a name, a place in the keyboard order. */
export function enhance(container, spans) {
  for (const span of spans) {
    span.setAttribute("role", "button");
    span.setAttribute("aria-label", span.dataset.label);
    span.tabIndex = -1;
  }
  const first = container.firstElementChild;
  if (first && !container.querySelector('[tabindex="0"]')) first.tabIndex = 0;
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
  enhance(container, spans);
  return spans;
}

/** Take over class and label of spans scored since; the elements stay, with focus and selection. */
export function rescore(container, html) {
  for (const fresh of parse(html).children) {
    const span = container.children[Number(fresh.dataset.i)];
    if (!span) continue;
    span.className = fresh.className;
    span.dataset.label = fresh.dataset.label;
    span.setAttribute("aria-label", fresh.dataset.label);
  }
}

/** Redraw the class bar of a column from what its tokens are now. The marks name the classes. */
export function recount(column, container) {
  const bar = column.querySelector('[data-bar="whole"]');
  if (!bar) return;
  const rects = [...bar.querySelectorAll("[data-segment]")];
  const counts = rects.map((rect) => container.getElementsByClassName(`shift-${rect.dataset.segment}`).length);
  const total = counts.reduce((sum, count) => sum + count, 0);
  let start = 0;
  rects.forEach((rect, n) => {
    const width = total ? (100 * counts[n]) / total : 0;
    rect.setAttribute("x", start);
    rect.setAttribute("width", width);
    start += width;
    bar.querySelector(`[data-count="${rect.dataset.segment}"]`).textContent = counts[n];
  });
}

function nextShifted(span, step) {
  for (let other = span; (other = step > 0 ? other.nextElementSibling : other.previousElementSibling); ) {
    if (other.classList.contains("shift-shifted") || other.classList.contains("shift-marginal")) return other;
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

/** Arrow keys, Home, End, n and p inside a column; returns whether the key was one of ours. */
export function moveByKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const span = event.target.closest("[data-tokens] > [data-i]");
  if (!span) return false;
  const next = target(span, event);
  if (!next) return false;
  event.preventDefault();
  focusToken(next);
  return true;
}
