// What a token looks like and is called, from its base rank, the thresholds, the measure and the mode.

import { cachedMeasures, measureRow, measureWords } from "./explore-measures.js";
import { state, usualThresholds } from "./explore-state.js";

const DRAWN = { "\n": "⏎", "\t": "⇥", " ": "␣", "\r": "␍" };
const NUMBERS = new Intl.NumberFormat("en");
const UNSEEN = /[\n\t \r]|[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Zs}\p{Cn}\p{Co}\p{Cs}]/gu;

/** Name the class of a base rank; none is pending. */
export function classOf(rank) {
  if (!rank) return "pending";
  if (rank <= state.unshifted) return "unshifted";
  return rank <= state.marginal ? "marginal" : "shifted";
}

export function classOfSpan(span) {
  return classOf(Number(span.dataset.r));
}

/** The first word of a token's class is its colour; what follows belongs to others. */
function recolour(span, css) {
  const rest = span.className.indexOf(" ");
  const wanted = rest < 0 ? css : css + span.className.slice(rest);
  if (span.className !== wanted) span.className = wanted;
}

function spelledChar(char) {
  return DRAWN[char] ?? `\\u${char.codePointAt(0).toString(16).padStart(4, "0")}`;
}

function spell(span) {
  const text = span.textContent.replace(UNSEEN, spelledChar);
  if (span.dataset.hex) return `${text}·${span.dataset.hex}`;
  return text || span.dataset.ghost || "∅";
}

/** Mark tokens whose spelling another id of this answer shares. */
function markTwins(container) {
  const ids = new Map();
  for (const { dataset } of container.children) {
    if (!ids.has(dataset.v)) ids.set(dataset.v, new Set());
    ids.get(dataset.v).add(dataset.id);
  }
  for (const span of container.children) span.toggleAttribute("data-twin", ids.get(span.dataset.v).size > 1);
}

function levelCss(level, row) {
  if (level === null) return "heat-missing";
  if (row.scale === "symmetric" && level !== 0) return `div-${level > 0 ? "p" : "n"}${Math.abs(level)}`;
  return `heat-${level}`;
}

/** Give a token what only makes sense with a script. */
function enliven(span) {
  if (span.hasAttribute("role")) return;
  span.setAttribute("role", "button");
  if (!span.hasAttribute("tabindex")) span.tabIndex = -1;
}

/** Return what draws one token as the page is set now. */
function drawer(container, measure) {
  const row = measureRow(measure);
  const byClass = measure === "shift_class";
  const found = byClass ? null : cachedMeasures(container);
  const measured = found?.measures[measure];
  // Numbers on their way leave the colours as they are until they come.
  const waiting = !byClass && !measured && container.dataset.measures;
  if (!waiting) container.toggleAttribute("data-borderless", Boolean(measured) || !usualThresholds());
  return (span) => {
    enliven(span);
    const name = classOfSpan(span);
    const index = Number(span.dataset.i);
    if (!waiting) {
      recolour(span, measured && name !== "pending" ? levelCss(measured.levels[index], row) : `shift-${name}`);
    }
    const spoken = span.dataset.label ?? span.textContent.trim();
    const rank = span.dataset.r ? `, base rank ${NUMBERS.format(span.dataset.r)}` : "";
    const extra = measured ? `, ${measureWords(row, measured.values[index], found.kl_kind)}` : "";
    // What another part of the page says of the token, such as its ranks under more checkpoints.
    const also = span.dataset.also ? `, ${span.dataset.also}` : "";
    span.setAttribute("aria-label", `${spoken}, ${name}${rank}${extra}${also}`);
    if (state.mode === "tokenizer") span.dataset.v ??= spell(span);
    else delete span.dataset.v;
  };
}

/** Draw all tokens of a container as the page is set now. */
export function draw(container, measure = state.measure) {
  const one = drawer(container, measure);
  container.dataset.mode = state.mode;
  inSlices(container, one, () => state.mode === "tokenizer" && markTwins(container));
}

/** Draw some tokens that have just come. */
export function drawSome(container, spans) {
  spans.forEach(drawer(container, state.measure));
}

const SLICE = 250;
const HIDDEN_FRAME_MS = 100;
const turns = new WeakMap();

/** Run once the page has been drawn: what a slice changed is laid out by itself. A hidden page draws no frames. */
function afterFrame(act) {
  let done = false;
  const once = () => {
    if (!done) act();
    done = true;
  };
  requestAnimationFrame(() => setTimeout(once));
  setTimeout(once, HIDDEN_FRAME_MS);
}

/** Do something to every token, so many in one frame that no key press waits; a later call ends an earlier one. */
export function inSlices(container, act, then = () => {}) {
  const all = [...container.children];
  const turn = (turns.get(container) ?? 0) + 1;
  turns.set(container, turn);
  let at = 0;
  const slice = () => {
    if (turns.get(container) !== turn) return;
    for (const end = at + SLICE; at < end && at < all.length; at += 1) act(all[at]);
    if (at < all.length) afterFrame(slice);
    else then();
  };
  slice();
}
