// The panel of a token: hover shows it, a click or Enter keeps it, Escape closes it. Fetched once per token.

const HOVER_MS = 40;
const MARGIN_PX = 24;
const cache = new Map();

function key(span) {
  const column = span.closest("[data-column]").dataset.column;
  return { column, index: span.dataset.i, name: `${column}-${span.dataset.i}` };
}

async function load(root, span) {
  const { column, index, name } = key(span);
  if (cache.has(name)) return cache.get(name);
  const url = `/explore/${root.dataset.comparison}/responses/${column}/tokens/${index}`;
  const request = fetch(url, { headers: { "HX-Request": "true" } }).then((answer) => {
    if (answer.ok) return answer.text();
    throw new Error(`The server answered ${answer.status}.`);
  });
  cache.set(name, request);
  // What is pending now will be known later, and what failed may work again.
  if (span.classList.contains("shift-pending")) request.finally(() => cache.delete(name));
  request.catch(() => cache.delete(name));
  return request;
}

/** Forget panels of a column whose numbers have changed. */
export function forget(column) {
  for (const name of cache.keys()) if (name.startsWith(`${column}-`)) cache.delete(name);
}

/** Connect the dock to every token of the page, now and later. */
export function connectPanel(root) {
  const dock = root.querySelector("[data-dock]");
  const body = dock.querySelector("[data-dock-body]");
  const close = dock.querySelector("[data-dock-close]");
  const empty = dock.querySelector("[data-dock-empty]");
  let current = null;
  let pinned = false;
  let timer = 0;

  function mark(span) {
    current?.classList.remove("current");
    span?.classList.add("current");
    current = span;
  }

  async function show(span) {
    mark(span);
    let html;
    try {
      html = await load(root, span);
    } catch (error) {
      html = null;
      body.textContent = `This token could not be loaded. ${error.message}`;
    }
    if (current !== span) return;
    if (html !== null) body.innerHTML = html;
    empty.hidden = true;
    close.hidden = false;
    dock.classList.add("open");
    uncover(span);
    for (const other of [span.nextElementSibling, span.previousElementSibling]) {
      if (other && !other.classList.contains("shift-pending")) load(root, other).catch(() => {});
    }
  }

  /** Scroll a token out from under the sheet, where the dock is one. */
  function uncover(span) {
    if (getComputedStyle(dock).position !== "fixed") return;
    const hidden = span.getBoundingClientRect().bottom + MARGIN_PX - dock.getBoundingClientRect().top;
    if (hidden > 0) scrollBy({ top: hidden });
  }

  function hide() {
    clearTimeout(timer);
    mark(null);
    pinned = false;
    dock.classList.remove("open", "pinned");
    body.replaceChildren();
    empty.hidden = false;
    close.hidden = true;
  }

  function pin(span) {
    pinned = true;
    dock.classList.add("pinned");
    show(span);
  }

  const token = (event) => event.target.closest?.("[data-tokens] > [data-i]");

  root.addEventListener("pointerover", (event) => {
    const span = event.pointerType === "mouse" ? token(event) : null;
    clearTimeout(timer);
    if (!span || pinned || span === current) return;
    // Ask at once and show a little later: a pointer passing through shows nothing, one that rests waits for nothing.
    load(root, span).catch(() => {});
    timer = setTimeout(show, HOVER_MS, span);
  });
  root.addEventListener("click", (event) => {
    const span = token(event);
    // Somebody who drags over text is selecting it.
    if (!span || !getSelection().isCollapsed) return;
    if (pinned && span === current) hide();
    else pin(span);
  });
  root.addEventListener("keydown", (event) => {
    const span = token(event);
    if (!span || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    pin(span);
  });
  root.addEventListener("focusin", (event) => {
    // Arrow keys carry an open panel along; Tab alone does not open one, and a click has its own handler.
    const span = token(event);
    if (span?.matches(":focus-visible") && dock.classList.contains("open")) pin(span);
  });
  close.addEventListener("click", () => {
    const span = current;
    hide();
    span?.focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && dock.classList.contains("open")) hide();
  });
}
