// Spans drawn on the tokens of a response: an underline, a numbered mark in the margin, and the way back to the list.

const TOKEN = "[data-tokens] > [data-i]";
const drawn = new WeakMap();

/** Find the containers that show the response a result is about. */
function containers(result) {
  return document.querySelectorAll(`[data-tokens][data-response="${CSS.escape(result.dataset.response)}"]`);
}

function entries(result) {
  return [...result.querySelectorAll("[data-span]")].map((element) => ({
    element,
    number: element.dataset.span,
    first: Number(element.dataset.first),
    last: Number(element.dataset.last),
  }));
}

function clear(container) {
  for (const span of container.querySelectorAll(":scope > .from-span, :scope > .from-spans")) {
    span.classList.remove("from-span", "from-spans", "chosen");
    delete span.dataset.source;
  }
}

function underline(container, spans) {
  clear(container);
  for (const { number, first, last } of spans) {
    for (let at = first; at <= last; at += 1) {
      const token = container.children[at];
      if (!token) continue;
      token.classList.add(token.dataset.source ? "from-spans" : "from-span");
      token.dataset.source ??= number;
    }
  }
}

function ground(container) {
  if (!container.parentElement.classList.contains("source-ground")) {
    const wrapper = document.createElement("div");
    wrapper.className = "source-ground";
    // A node that moves loses focus and selection; give the focus back.
    const focused = container.contains(document.activeElement) ? document.activeElement : null;
    container.replaceWith(wrapper);
    wrapper.append(container);
    focused?.focus({ preventScroll: true });
  }
  return container.parentElement;
}

function margin(container) {
  const place = ground(container);
  const old = place.querySelector(":scope > .source-margin");
  if (old) return old;
  const made = document.createElement("div");
  made.className = "source-margin";
  made.setAttribute("role", "group");
  made.setAttribute("aria-label", "Spans found in the tuning data");
  place.append(made);
  // Lines break elsewhere when the width changes, and the marks go with their lines.
  let width = container.clientWidth;
  new ResizeObserver(() => {
    if (container.clientWidth === width) return;
    width = container.clientWidth;
    drawMargin(container, drawn.get(container) ?? []);
  }).observe(container);
  return made;
}

function rowsOf(container, spans) {
  const rows = new Map();
  for (const span of spans) {
    const top = container.children[span.first]?.offsetTop;
    if (top !== undefined) rows.set(top, [...(rows.get(top) ?? []), span.number]);
  }
  return rows;
}

/** One mark for each line on which spans begin; further ones of the line follow on further clicks. */
function drawMargin(container, spans) {
  drawn.set(container, spans);
  const gutter = margin(container);
  gutter.hidden = spans.length === 0;
  gutter.replaceChildren(
    ...[...rowsOf(container, spans)].map(([top, numbers]) => {
      const mark = document.createElement("button");
      mark.type = "button";
      mark.textContent = numbers.length > 1 ? `${numbers[0]}+` : numbers[0];
      mark.dataset.marks = numbers.join(" ");
      mark.setAttribute("aria-label", `Show span ${numbers.join(", ")} in the list of sources`);
      mark.style.insetBlockStart = `${top}px`;
      return mark;
    }),
  );
}

/** Draw the spans of every result in the page. */
export function draw() {
  for (const result of document.querySelectorAll("[data-sources-result]")) {
    const spans = entries(result).filter((entry) => Number.isFinite(entry.first));
    for (const container of containers(result)) {
      underline(container, spans);
      drawMargin(container, spans);
    }
  }
}

/** Mark one span everywhere as the one looked at; returns its entry in the list. */
export function choose(number, response) {
  const result = document.querySelector(`[data-sources-result][data-response="${CSS.escape(response)}"]`);
  if (!result) return null;
  for (const old of document.querySelectorAll(".from-span.chosen, .from-spans.chosen, [data-span].chosen")) {
    old.classList.remove("chosen");
  }
  const entry = result.querySelector(`[data-span="${CSS.escape(number)}"]`);
  if (!entry) return null;
  entry.classList.add("chosen");
  for (const container of containers(result)) {
    for (let at = Number(entry.dataset.first); at <= Number(entry.dataset.last); at += 1) {
      container.children[at]?.classList.add("chosen");
    }
  }
  return entry;
}

/** Find the tokens of a span, for scrolling to them. */
export function firstToken(entry) {
  const result = entry.closest("[data-sources-result]");
  return [...containers(result)].map((container) => container.children[Number(entry.dataset.first)]).find(Boolean);
}

/** Name the response a token belongs to and the span it lies in, if any. */
export function spanOf(element) {
  const token = element.closest?.(TOKEN);
  const number = token?.dataset.source;
  return number ? { number, response: token.parentElement.dataset.response } : null;
}
