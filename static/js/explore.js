// A comparison page: follow the run over one event stream, put what arrives into its columns once per frame.

import { connectPanel, forget } from "./explore-panel.js";
import { append, enhance, moveByKey, parse, recount, rescore } from "./explore-tokens.js";

const HIDDEN_FRAME_MS = 250;

const root = document.querySelector("[data-comparison]");
const work = [];

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

function columnAt(position) {
  return root.querySelector(`[data-column="${position}"]`);
}

function tokensOf(column) {
  return column.querySelector("[data-tokens]");
}

function refresh(column) {
  const state = column.querySelector("[data-state]");
  const running = state.dataset.state === "running" || state.dataset.state === "pending";
  if (!running) return;
  const n = tokensOf(column).childElementCount;
  state.dataset.state = "running";
  state.className = "column-state state-running";
  state.textContent = n ? `streaming · ${n} token${n === 1 ? "" : "s"}` : "waiting for the first token";
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
      forget(position);
      return column();
    },
    head(html) {
      replacePart(column(), "[data-head]", html);
      forget(position);
    },
    more(html) {
      replacePart(column(), "[data-more]", html);
    },
    column(html) {
      column().replaceWith(parse(html).firstElementChild);
      enhance(tokensOf(column()), tokensOf(column()).children);
      forget(position);
    },
  };
}

function finish(words) {
  root.querySelector("[data-stop]")?.remove();
  root.querySelector("[data-again]").hidden = false;
  root.querySelector("[data-lost]").hidden = true;
  root.querySelector("[data-announce]").textContent = words.trim();
}

function follow(url) {
  const source = new EventSource(url);
  for (const column of root.querySelectorAll("[data-column]")) {
    const position = column.dataset.column;
    for (const [name, step] of Object.entries(steps(position))) {
      source.addEventListener(`${name}-${position}`, ({ data }) => later(() => step(data)));
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

if (root) {
  for (const container of root.querySelectorAll("[data-tokens]")) enhance(container, container.children);
  root.addEventListener("keydown", moveByKey);
  connectPanel(root);
  if (root.dataset.stream) follow(root.dataset.stream);
}
