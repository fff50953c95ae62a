// The panel of a token: hover shows it, a click or Enter keeps it, Escape closes it. Fetched once per token.

import { onChange, thresholdQuery } from "./explore-state.js";

const HOVER_MS = 40;
const MARGIN_PX = 24;
const cache = new Map();

/** Where the panel of a token is, under the thresholds of the page. */
function address(span) {
  const url = span.parentElement.dataset.panelUrl.replace("{i}", span.dataset.i);
  const query = thresholdQuery();
  return query ? url + (url.includes("?") ? "&" : "?") + query : url;
}

/** Fetch the panel of a token as HTML; rejects with a sentence. */
export function loadPanel(span) {
  const url = address(span);
  if (cache.has(url)) return cache.get(url);
  const request = fetch(url, { headers: { "HX-Request": "true" } }).then((answer) => {
    if (answer.ok) return answer.text();
    throw new Error(`The server answered ${answer.status}.`);
  });
  cache.set(url, request);
  // What is pending now will be known later, and what failed may work again.
  if (!span.dataset.r) request.finally(() => cache.delete(url)).catch(() => {});
  request.catch(() => cache.delete(url));
  return request;
}

/** Forget panels of a column whose numbers have changed. */
export function forget(container) {
  const [start] = container.dataset.panelUrl.split("{i}");
  for (const url of cache.keys()) if (url.startsWith(start)) cache.delete(url);
}

/** Connect the dock to every token of the page, now and later; `showing` hears which token it shows, or null. */
export function connectPanel(root, showing) {
  const dock = root.querySelector("[data-dock]");
  const body = dock.querySelector("[data-dock-body]");
  const close = dock.querySelector("[data-dock-close]");
  const empty = dock.querySelector("[data-dock-empty]");
  let current = null;
  let kept = false;
  let timer = 0;

  function mark(span) {
    current?.classList.remove("current");
    span?.classList.add("current");
    current = span;
    showing(span);
  }

  async function show(span) {
    mark(span);
    let html;
    try {
      html = await loadPanel(span);
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
      if (other?.dataset.r) loadPanel(other).catch(() => {});
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
    kept = false;
    dock.classList.remove("open", "kept");
    body.replaceChildren();
    empty.hidden = false;
    close.hidden = true;
  }

  function keep(span) {
    clearTimeout(timer);
    kept = true;
    dock.classList.add("kept");
    show(span);
  }

  const token = (event) => event.target.closest?.("[data-tokens][data-panel-url] > [data-i]");

  root.addEventListener("pointerover", (event) => {
    const span = event.pointerType === "mouse" ? token(event) : null;
    clearTimeout(timer);
    if (!span || kept || span === current) return;
    // Ask at once and show a little later: a pointer passing through shows nothing, one that rests waits for nothing.
    loadPanel(span).catch(() => {});
    timer = setTimeout(show, HOVER_MS, span);
  });
  root.addEventListener("click", (event) => {
    const span = token(event);
    // Somebody who drags over text is selecting it.
    if (!span || !getSelection().isCollapsed) return;
    if (kept && span === current) hide();
    else keep(span);
  });
  root.addEventListener("token-keep", (event) => keep(event.target));
  root.addEventListener("keydown", (event) => {
    const span = token(event);
    if (!span || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    keep(span);
  });
  root.addEventListener("focusin", (event) => {
    // Arrow keys carry an open panel along; Tab alone does not open one, and a click has its own handler.
    const span = token(event);
    if (span?.matches(":focus-visible") && dock.classList.contains("open")) keep(span);
  });
  close.addEventListener("click", () => {
    const span = current;
    hide();
    span?.focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && dock.classList.contains("open") && !document.querySelector("dialog[open]")) hide();
  });
  onChange((names) => {
    if (current && (names.has("unshifted") || names.has("marginal"))) show(current);
  });
}
