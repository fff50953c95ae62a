// The events of a running comparison: what arrives goes into its columns once per frame.

import { recount } from "./explore-counts.js";
import { forget } from "./explore-panel.js";
import { append, parse, rescore } from "./explore-tokens.js";

const HIDDEN_FRAME_MS = 250;

/** Follow a run: `settled(column)` hears that a column's parts are known, `started(column)` that it is a new element. */
export function follow(root, url, { settled, started }) {
  const work = [];

  const columnAt = (position) => root.querySelector(`[data-column="${position}"]`);
  const tokensOf = (column) => column.querySelector("[data-tokens]");

  function frame() {
    const todo = work.splice(0);
    const touched = new Set();
    for (const step of todo) touched.add(step());
    for (const column of touched) if (column) refresh(column);
  }

  function later(step) {
    work.push(step);
    if (work.length > 1) return;
    // Hidden pages get no animation frames, but their answers go on.
    if (document.hidden) setTimeout(frame, HIDDEN_FRAME_MS);
    else requestAnimationFrame(frame);
  }

  function refresh(column) {
    const mark = column.querySelector("[data-state]");
    const running = mark.dataset.state === "running" || mark.dataset.state === "pending";
    if (!running) return;
    const n = tokensOf(column).childElementCount;
    mark.dataset.state = "running";
    mark.className = "column-state state-running";
    mark.textContent = n ? `streaming · ${n} token${n === 1 ? "" : "s"}` : "waiting for the first token";
    const bars = column.querySelector("[data-bars]");
    if (n && !bars.querySelector("[data-bar]")) {
      bars.append(root.querySelector("[data-bar-template]").content.cloneNode(true));
    }
    recount(column, tokensOf(column));
  }

  function replacePart(column, selector, html) {
    column.querySelector(selector).replaceWith(parse(html).firstElementChild);
  }

  function steps(position) {
    const column = () => columnAt(position);
    return {
      tokens(html) {
        append(tokensOf(column()), html);
        return column();
      },
      scored(html) {
        rescore(tokensOf(column()), html);
        forget(tokensOf(column()));
        return column();
      },
      head(html) {
        replacePart(column(), "[data-head]", html);
        recount(column(), tokensOf(column()));
      },
      more(html) {
        replacePart(column(), "[data-more]", html);
        settled(column());
      },
      column(html) {
        column().replaceWith(parse(html).firstElementChild);
        started(column());
      },
    };
  }

  function finish(words) {
    root.querySelector("[data-stop]")?.remove();
    root.querySelector("[data-again]").hidden = false;
    root.querySelector("[data-lost]").hidden = true;
    root.querySelector("[data-announce]").textContent = words.trim();
  }

  const source = new EventSource(url);
  for (const { dataset } of root.querySelectorAll("[data-column]")) {
    for (const [name, step] of Object.entries(steps(dataset.column))) {
      source.addEventListener(`${name}-${dataset.column}`, ({ data }) => later(() => step(data)));
    }
  }
  source.addEventListener("done", ({ data }) => {
    source.close();
    later(() => finish(data));
  });
  source.addEventListener("error", () => {
    // CONNECTING means the browser is trying again by itself.
    if (source.readyState === EventSource.CLOSED) root.querySelector("[data-lost]").hidden = false;
  });
}
