// Counts, bars and the words of the legend, recounted from base ranks whenever tokens or thresholds change.

import { classOf } from "./explore-draw.js";
import { state, usualThresholds } from "./explore-state.js";

function ranksOf(container) {
  const ranks = [];
  for (const span of container.children) if (span.dataset.r) ranks.push(Number(span.dataset.r));
  return ranks;
}

function fill(bar, ranks) {
  const counts = { unshifted: 0, marginal: 0, shifted: 0 };
  for (const rank of ranks) counts[classOf(rank)] += 1;
  let start = 0;
  for (const rect of bar.querySelectorAll("[data-segment]")) {
    const name = rect.dataset.segment;
    const width = ranks.length ? (100 * counts[name]) / ranks.length : 0;
    rect.setAttribute("x", start);
    rect.setAttribute("width", width);
    start += width;
    bar.querySelector(`[data-count="${name}"]`).textContent = counts[name];
  }
}

/** Redraw the class bars of a column: whole, first 5 % (rounded up), the rest. */
export function recount(column, container) {
  const bars = column.querySelectorAll("[data-bar]");
  if (!bars.length) return;
  const ranks = ranksOf(container);
  const first = Math.ceil(ranks.length / 20);
  const parts = { whole: ranks, first: ranks.slice(0, first), last: ranks.slice(first) };
  for (const bar of bars) fill(bar, parts[bar.dataset.bar]);
}

function span(low, high) {
  const words = (rank) => rank.toLocaleString("en");
  return low === high ? `base rank ${words(low)}` : `base rank ${words(low)} to ${words(high)}`;
}

/** Show the legend of the measure, and say what the classes mean under the thresholds. */
export function retell(root) {
  const meanings = {
    unshifted: span(1, state.unshifted),
    marginal: span(state.unshifted + 1, state.marginal),
    shifted: `base rank above ${state.marginal.toLocaleString("en")}`,
  };
  for (const legend of root.querySelectorAll("[data-legend]")) legend.hidden = legend.dataset.legend !== state.measure;
  for (const mark of root.querySelectorAll("[data-mark]")) {
    const meaning = meanings[mark.dataset.mark];
    if (meaning) mark.querySelector("[data-meaning]").textContent = meaning;
    if (mark.dataset.mark === "near border") mark.hidden = !usualThresholds();
  }
}
